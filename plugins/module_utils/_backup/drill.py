# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A restore drill: what the repository gives back is compared, byte by byte, with what was there at the time.

Everything comes as a stream and is hashed as it comes, so that a drill needs no room for it; dumps of databases alone
are put into a scratch directory, restored into a throw-away server, and counted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Any, Dict, List, Optional, Tuple

from .._host_info.context import utc
from . import databases, dumps, kept, manifest, restic
from .client import DUMPS, MANIFESTS
from .config import FOLDER, KEPT, Config, load
from .scratch import NotTried, RestoreError
from .standing import printable

TURNS = 4
"""Drills in which every file was compared once: a weekly one has all within 28 days."""
WEEK = 7 * 86400
_BLOCK = 1 << 20
_BATCH_FILES = 400
_BATCH_BYTES = 256 << 20
_SHOWN = 20
_ASK = 300.0
_SPARE = 1 << 30


class DrillError(Exception):
    """The drill could not be held; the message says why."""


@dataclass
class Compared:
    """What came back."""

    equal: int = 0
    size: int = 0
    different: List[str] = field(default_factory=list)
    seen: Dict[str, bool] = field(default_factory=dict)

    def take(self, path: str, entry: manifest.Entry, stream: IO[bytes], keep: Optional[IO[bytes]] = None) -> None:
        """Hash one file as it comes, and keep it where that is wanted."""
        digest = hashlib.sha256()
        size = 0
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
            size += len(block)
            if keep is not None:
                keep.write(block)
        self.size += size
        good = (size, digest.hexdigest()) == (entry[0], entry[2])
        self.seen[path] = good
        self.equal += good
        if not good:
            self.different.append(path)


def hold(whole_below: int, turn: Optional[int] = None) -> Dict[str, Any]:
    """Hold a drill on this host: the body of a document of kind drill/1.

    All files are compared where they are C(whole_below) bytes or fewer together, else those whose C(turn) it is.

    :raises DrillError: there is nothing to hold it with.
    """
    began = time.monotonic()
    try:
        config = load()
        state = kept.read()
        snapshot, taken = newest(str((state["runs"] or [{}])[-1].get("snapshot")))
        wanted, source, digest = listed(snapshot)
    except (OSError, ValueError, restic.ResticError) as error:
        raise DrillError(printable(f"no drill: {error}")) from error
    total = sum(entry[0] for entry in wanted.values())
    turn = (int(time.time() // WEEK) if turn is None else turn) % TURNS
    whole = total <= whole_below
    known = {path: entry for path, entry in wanted.items() if entry[2] is not None}
    chosen = known if whole else {path: entry for path, entry in known.items() if turn_of(path) == turn or _dump(path)}
    os.makedirs(os.path.join(KEPT, "drill"), mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="drill-", dir=os.path.join(KEPT, "drill")) as scratch:
        compared, seconds = Compared(), time.monotonic()
        if whole and _roomy(total, scratch):
            _batch(snapshot, [], chosen, compared, scratch)
        elif whole:
            _stream(snapshot, chosen, compared, scratch)
        else:
            _batches(snapshot, chosen, compared, scratch)
        seconds = time.monotonic() - seconds
        restored = restored_databases(config, compared, scratch)
    return told(
        compared,
        sorted(set(chosen) - set(compared.seen)),
        restored,
        snapshot=snapshot,
        snapshot_time=printable(taken, 40),
        newest_known=bool(state["runs"]) and state["runs"][-1].get("snapshot") == snapshot,
        manifest_from=source,
        manifest_sha256=digest,
        everything=whole,
        turn=None if whole else turn,
        without_hash=len(wanted) - len(known),
        restore_seconds=round(seconds, 1),
        took_seconds=round(time.monotonic() - began, 1),
    )


def told(
    compared: Compared, missing: List[str], restored: List[Dict[str, Any]], *, without_hash: int, **more: Any
) -> Dict[str, Any]:
    """The body of the document, from what came back, what did not, and what became of the databases."""
    bad = [one for one in restored if one["outcome"] == "failed"]
    return {
        **more,
        "outcome": "failed" if compared.different or missing or bad else "done" if compared.equal else "nothing",
        "reason": _reason(compared, missing, bad),
        "host_time": utc(time.time()),
        "files": {
            "compared": len(compared.seen),
            "equal": compared.equal,
            "different": len(compared.different),
            "missing": len(missing),
            "without_hash": without_hash,
            "examples": [printable(path) for path in (compared.different + missing)[:_SHOWN]],
        },
        "bytes": compared.size,
        "databases": restored,
    }


def _reason(compared: Compared, missing: List[str], bad: List[Dict[str, Any]]) -> str:
    told = []
    if compared.different:
        told.append(f"{len(compared.different)} files came back otherwise than they were")
    if missing:
        told.append(f"{len(missing)} files did not come back")
    told += [f"the database {one['name']} could not be restored: {one['reason']}" for one in bad]
    return printable("; ".join(told), 500)


def turn_of(path: str) -> int:
    """In which of the drills a file is compared: by its name alone, so that each has its turn."""
    return hashlib.sha256(os.fsencode(path)).digest()[0] % TURNS


def _dump(path: str) -> bool:
    return os.path.dirname(path) == os.path.join(KEPT, DUMPS)


def newest(last: str, settings: str = FOLDER) -> Tuple[str, str]:
    """The snapshot that this host has made last; where it is gone, or the host is new, the newest by its own word."""
    told = json.loads(restic.ask(["snapshots", "--json", "--tag", restic.BACKUP_TAG], _ASK, settings)) or []
    found = sorted(
        (one for one in told if isinstance(one, dict)),
        key=lambda one: (one.get("id") == last, str(one.get("time"))),
        reverse=True,
    )
    if not found:
        raise DrillError("there is no snapshot that could be restored")
    return str(found[0]["id"]), str(found[0]["time"])


def listed(snapshot: str, settings: str = FOLDER) -> Tuple[manifest.Manifest, str, str]:
    """What was there at the time: as the host remembers it, or as it lies in the repository where the host is new."""
    folder = os.path.join(KEPT, MANIFESTS)
    place = os.path.join(folder, f"{snapshot}{manifest.ENDING}")
    if settings == FOLDER and os.path.isfile(place):
        return manifest.read(place), "host", manifest.digest(place)
    with tempfile.TemporaryDirectory(prefix="civicops-manifest-") as scratch:
        words = ("--tag", restic.MANIFEST_TAG, "--path", place, "--target", scratch)
        restic.ask(["restore", "latest", *words], _ASK, settings)
        found = scratch + place
        if not os.path.isfile(found) or os.path.islink(found):
            raise DrillError(f"nothing tells what was in the snapshot {snapshot[:12]}: its manifest is not there")
        return manifest.read(found), "repository", manifest.digest(found)


def _stream(snapshot: str, chosen: manifest.Manifest, compared: Compared, scratch: str) -> None:
    """All of it, as one archive, which is never put together anywhere."""
    process = subprocess.Popen(
        restic.command("dump", snapshot, "/"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=restic.environment(),
        cwd="/",
    )
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|", bufsize=_BLOCK, errorlevel=1) as archive:
            for member in archive:
                path = "/" + member.name.lstrip("/")
                stream = archive.extractfile(member) if member.isreg() and path in chosen else None
                if stream is not None:
                    _take(path, chosen[path], stream, compared, scratch)
                archive.members = []  # type: ignore[attr-defined]  # it would remember them all
    except (tarfile.TarError, OSError, EOFError) as error:
        compared.different.append(f"(the stream broke off: {error})")
    finally:
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def _take(path: str, entry: manifest.Entry, stream: IO[bytes], compared: Compared, scratch: str) -> None:
    if not _dump(path):
        compared.take(path, entry, stream)
        return
    handle = os.open(os.path.join(scratch, os.path.basename(path)), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as keep:
        compared.take(path, entry, stream, keep)


def _roomy(size: int, scratch: str) -> bool:
    """Whether all of it has room beside what is there, and as much again: restic gives back many files at once then,
    and one by one as a stream, which takes several times as long."""
    info = os.statvfs(scratch)
    return 2 * size + _SPARE < info.f_bavail * info.f_frsize


def _batches(snapshot: str, chosen: manifest.Manifest, compared: Compared, scratch: str) -> None:
    """Some of it, a few at a time, each removed when it was compared."""
    batch: List[str] = []
    size = 0
    for path in sorted(chosen):
        if batch and (len(batch) >= _BATCH_FILES or size + chosen[path][0] > _BATCH_BYTES):
            _batch(snapshot, batch, chosen, compared, scratch)
            batch, size = [], 0
        batch.append(path)
        size += chosen[path][0]
    if batch:
        _batch(snapshot, batch, chosen, compared, scratch)


def _batch(snapshot: str, paths: List[str], chosen: manifest.Manifest, compared: Compared, scratch: str) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        only = [word for path in paths for word in ("--include", escaped(path))]  # none: all of it
        try:
            restic.ask(["restore", snapshot, "--target", folder, *only], 3600.0)
        except restic.ResticError as error:
            compared.different.append(f"({error})")
        for path in paths or chosen:
            try:
                handle = os.open(inside(folder, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue  # it is missing
            with open(handle, "rb") as stream:
                _take(path, chosen[path], stream, compared, scratch)


def inside(target: str, path: str) -> str:
    """Where a path has come to, no link followed out of the target. Raises OSError."""
    place = target + path
    wanted = os.path.normpath(os.path.realpath(target) + os.path.dirname(path))
    if ".." in path.split("/") or os.path.realpath(os.path.dirname(place)) != wanted:
        raise OSError(errno.ELOOP, "it leads elsewhere", printable(path))
    return place


def escaped(path: str) -> str:
    """A pattern of restic's that means this path and no other."""
    return "".join(f"\\{letter}" if letter in "\\*?[]" else letter for letter in path)


def restored_databases(config: Config, compared: Compared, scratch: str) -> List[Dict[str, Any]]:
    told = []
    for dump in config.dumps:
        path = os.path.join(KEPT, DUMPS, dumps.file_of(dump))
        one: Dict[str, Any] = {"name": dump.name, "kind": dump.kind, "tables": None, "rows": None, "seconds": None}
        if not compared.seen.get(path):
            told.append(dict(one, outcome="failed", reason="its dump did not come back as it was"))
            continue
        began = time.monotonic()
        try:
            tables, rows = databases.restored(dump, os.path.join(scratch, dumps.file_of(dump)))
            one.update(tables=tables, rows=rows, seconds=round(time.monotonic() - began, 1))
            told.append(dict(one, outcome="restored", reason=""))
        except NotTried as why:
            told.append(dict(one, outcome="not_tried", reason=printable(str(why))))
        except (RestoreError, OSError) as error:
            told.append(dict(one, outcome="failed", reason=printable(str(error))))
    return told
