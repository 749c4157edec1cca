# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A whole host, restored on another machine: the drill for the day on which the host itself is gone.

Nothing is needed of the host but its passwords. All of its newest backup is written to a directory, with owners and
modes, compared there, its databases restored into throw-away servers, the time taken, and everything removed.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from dataclasses import replace
from typing import Any, Dict, List, Optional

from . import drill, dumps, manifest, restic
from .config import CONFIG, FOLDER, KEPT, Config, ConfigError, read, repository
from .drill import Compared, DrillError
from .standing import printable

SPARE = 256 << 20  # kept free besides what is restored
_SECONDS = 4 * 3600.0
# Where Go keeps what chmod(2) calls setuid, setgid and sticky: restic tells modes as Go has them.
_BITS = ((1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000))
_TYPES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}


def hold(of: Dict[str, Any], target: str) -> Dict[str, Any]:
    """Restore the host C(of) (name, host, server, port, authority and its two passwords) below C(target), which must
    not be there: the body of a document of kind drill/1.

    :raises DrillError: it could not be held.
    """
    began = time.monotonic()
    ours, settings = f"{target}.drill", f"{target}.settings"
    if os.path.lexists(ours):  # of a drill that was cut off: what it has left goes first
        _remove(target, settings)
    elif os.path.lexists(target):
        raise DrillError(f"target: {printable(target)} is there already; name a directory that is not")
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        os.close(os.open(ours, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        for folder in (target, settings):
            os.mkdir(folder, mode=0o700)
        return _held(of, target, settings, began)
    except (OSError, ValueError, KeyError, restic.ResticError) as error:
        raise DrillError(printable(f"no drill: {error}")) from error
    finally:
        _remove(target, settings)
        os.unlink(ours)


def _remove(target: str, settings: str) -> None:
    """Another host's data and passwords don't stay. Raises DrillError where they do."""
    for folder in (settings, target):
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.lexists(folder):
            raise DrillError(f"{printable(folder)} can't be removed: it holds another host's data, remove it by hand")


def _held(of: Dict[str, Any], target: str, settings: str, began: float) -> Dict[str, Any]:
    _settle(of, settings)
    snapshot, taken = drill.newest("", settings)
    wanted, source, digest = drill.listed(snapshot, settings)
    _room(sum(entry[0] for entry in wanted.values()), target)
    seconds = time.monotonic()
    restic.ask(["restore", snapshot, "--target", target], _SECONDS, settings)
    seconds = time.monotonic() - seconds
    known = {path: entry for path, entry in wanted.items() if entry[2] is not None}
    compared = _compared(known, target)
    compared.different += [f"{path} (owner or mode)" for path in _odd(snapshot, settings, target)]
    restored = _databases(target, compared)
    return drill.told(
        compared,
        sorted(set(known) - set(compared.seen)),
        restored,
        of=of["host"],
        written=True,
        snapshot=snapshot,
        snapshot_time=printable(taken, 40),
        newest_known=False,
        manifest_from=source,
        manifest_sha256=digest,
        everything=True,
        turn=None,
        without_hash=len(wanted) - len(known),
        restore_seconds=round(seconds, 1),
        took_seconds=round(time.monotonic() - began, 1),
    )


def _settle(of: Dict[str, Any], settings: str) -> None:
    """The files that restic is called with, of a host that is not this one."""
    place = repository(of["server"], of["port"], of["name"], of["server_password"])
    for name, text in (
        (restic.REPOSITORY, place),
        (restic.PASSWORD, of["repository_password"]),
        (restic.AUTHORITY, of["authority"].strip()),
    ):
        handle = os.open(os.path.join(settings, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(f"{text}\n")


def _room(size: int, target: str) -> None:
    info = os.statvfs(target)
    free = info.f_bavail * info.f_frsize
    if free < size + SPARE:
        raise DrillError(f"{free} bytes are free at {printable(target)}; the host's {size} and {SPARE} more are wanted")


def _compared(known: manifest.Manifest, target: str) -> Compared:
    compared = Compared()
    for path, entry in known.items():
        try:
            handle = os.open(drill.inside(target, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # it is missing
        with open(handle, "rb") as stream:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                compared.take(path, entry, stream)
    return compared


def _odd(snapshot: str, settings: str, target: str) -> List[str]:
    """What came back as something else, or another's, or with another mode."""
    found = []
    for node in restic.nodes(snapshot, settings):
        kind = _TYPES.get(str(node.get("type")))
        if kind is None or not isinstance(node.get("path"), str):
            continue
        try:
            info = os.lstat(drill.inside(target, node["path"]))
        except OSError:
            found.append(node["path"])
            continue
        wanted = (kind, mode_of(int(node.get("mode", 0))), node.get("uid"), node.get("gid"))
        mode = wanted[1] if kind == stat.S_IFLNK else stat.S_IMODE(info.st_mode)
        if (stat.S_IFMT(info.st_mode), mode, info.st_uid, info.st_gid) != wanted:
            found.append(node["path"])
    return found


def mode_of(told: int) -> int:
    """A mode as chmod(2) has it, from restic's."""
    return (told & 0o777) | sum(bit for theirs, bit in _BITS if told & theirs)


def _databases(target: str, compared: Compared) -> List[Dict[str, Any]]:
    """Those that the host's own configuration names, which came back with the rest."""
    config = _config(target)
    if config is None:
        return []
    for dump in config.dumps:
        path = os.path.join(KEPT, drill.DUMPS, dumps.file_of(dump))
        if compared.seen.get(path):
            os.rename(drill.inside(target, path), os.path.join(target, dumps.file_of(dump)))
    # By the databases' own users, whatever the host says of whom it has: it may be an attacker's.
    plain = tuple(replace(dump, user="") for dump in config.dumps)
    return drill.restored_databases(replace(config, dumps=plain), compared, target)


def _config(target: str) -> Optional[Config]:
    """None where it was not among what is backed up."""
    try:
        handle = os.open(
            drill.inside(target, f"{FOLDER}/{CONFIG}"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return None
    with open(handle, encoding="utf-8") as stream:
        try:
            return read(stream.read(1 << 20))
        except ConfigError as error:
            raise DrillError(f"what came back as {FOLDER}/{CONFIG}: {error}") from error
