# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program that backs a host up. systemd's timer starts it; it needs no controller.

backup.pyz                back up
backup.pyz accept DUMP    a dump that has shrunk is as large as it should be

It takes the dumps, looks at the canaries, has restic save everything, and then hashes what was saved. Each step is
judged; what is not as it should be is an alarm, and the backup is made all the same: what is saved is saved.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List, Tuple

from .._host_info.context import clean, utc
from . import dumps, kept, manifest, mounted, restic
from .config import CONFIG, FOLDER, KEPT, Config, ConfigError, load, place_of, secrets_of, without

ASK_SECONDS = 120.0
DUMPS, MANIFESTS = "dumps", "manifests"
_MASK = 0o077


class Failed(Exception):
    """What was asked for is not done, and why."""


def main() -> int:
    """Exit status 0 where the backup is complete: systemd tells anything else as a failed unit."""
    os.umask(_MASK)
    words = sys.argv[1:]
    if words and (words[0] != "accept" or len(words) != 2):
        sys.stderr.write("usage: backup.pyz [accept DUMP]\n")
        return 2
    try:
        os.makedirs(KEPT, mode=0o700, exist_ok=True)
        with _alone():
            return _accept(words[1]) if words else _run()
    except (Failed, ConfigError, ValueError, OSError) as error:
        sys.stderr.write(f"{'not accepted' if words else 'no backup'}: {_told(str(error))}\n")
        return 1


def _accept(name: str) -> int:
    """An administrator knows why a dump has shrunk: what it has now is what the next one is measured by."""
    wanted = {one.name: one for one in _config().dumps}
    if name not in wanted:
        sys.stderr.write(f"there is no dump {name}; there are {', '.join(sorted(wanted)) or 'none'}\n")
        return 2
    place = os.path.join(KEPT, DUMPS, dumps.file_of(wanted[name]))
    if not os.path.exists(place):
        raise Failed(f"there is no dump {name} yet")
    state, size = kept.read(), os.stat(place).st_size
    before = kept.good_bytes(state, name)
    kept.write(kept.accepted(state, name, size))
    was = "" if before is None else f"; {before} were before"
    sys.stdout.write(f"{name}: {size} bytes are good from now on{was}\n")
    return 0


def _run() -> int:
    state = kept.read()
    if state.get("running"):  # it was cut off: by a power cut, or by systemd, whose time limit it has passed
        state = kept.ended(state, dict(state["running"], ended_at=None, outcome="interrupted", reason="it was cut off"))
    run: Dict[str, Any] = {"started_at": utc(time.time()), "boot": _boot(), "pid": os.getpid()}
    kept.write(dict(state, running=run))
    began = time.monotonic()
    told = dict(run, outcome="failed", reason="", alarms=[], dumps=[], snapshot=None)
    try:
        _backup(state, told)
    except (Failed, restic.ResticError, ConfigError, OSError, ValueError) as error:
        told.update(outcome="failed", reason=_told(str(error)))
    told.update(ended_at=utc(time.time()), seconds=round(time.monotonic() - began, 1))
    kept.write(kept.ended(state, told))
    if told["outcome"] == "complete":
        kept.stamp()
    sys.stderr.write(f"{told['outcome']}: {told['reason'] or told['snapshot']}\n")
    for alarm in told["alarms"]:
        sys.stderr.write(f"ALARM {alarm['kind']}: {alarm['text']}\n")
    return 0 if told["outcome"] == "complete" else 1


def _backup(state: Dict[str, Any], told: Dict[str, Any]) -> None:
    """Back up, and tell what came of it; what was found before a step fails stays told."""
    config = _config()
    alarms: List[Dict[str, str]] = told["alarms"]
    for path, sha256 in config.canaries:
        if wrong := manifest.canary(path, sha256):
            alarms.append({"kind": "canary", "text": _told(wrong)})
    folder = os.path.join(KEPT, DUMPS)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    taken = told["dumps"] = [dumps.take(one, folder, kept.good_bytes(state, one.name)) for one in config.dumps]
    _tidy(folder, {dumps.file_of(one) for one in config.dumps})
    alarms += [{"kind": "dump", "text": f"{one['name']}: {one['reason']}"} for one in taken if one["outcome"] != "good"]

    with suppress(restic.ResticError):  # what a backup of ours that was cut off has left; others' stay
        restic.ask(["unlock"], ASK_SECONDS)
    if not restic.there(ASK_SECONDS):
        if (state.get("complete") or {}).get("place") == _place():
            raise Failed("the repository is gone from the server, where there was one before: it is not made anew")
        restic.ask(["init"], ASK_SECONDS)
    paths = [path for path in config.paths if os.path.lexists(path)]
    lost = [path for path in config.paths if path not in paths]
    alarms += [{"kind": "path", "text": f"{_told(path)} is not there"} for path in lost]
    told["left_out"], unsaid = _left_out(config)
    alarms += unsaid
    saved = restic.save(
        [*paths, *([folder] if config.dumps else [])],
        restic.excludes_file(FOLDER, config.excludes),
        one_file_system=config.one_file_system,
        tag=restic.BACKUP_TAG,
        host=config.host,
    )
    told.update(
        files=saved.files,
        bytes=saved.bytes,
        added_bytes=saved.added,
        unread={"count": saved.unread_count, "examples": [_told(one) for one in saved.unread]},
        vanished=saved.vanished,
        snapshot=saved.snapshot,
        place=_place(),
    )
    told.update(_manifest(config, saved.snapshot, alarms))
    failed = [one["name"] for one in taken if one["outcome"] == "failed"]
    reasons = [f"the dump {name} failed" for name in failed] + [f"{_told(path)} is not there" for path in lost]
    if saved.unread_count:
        reasons.append(f"{saved.unread_count} files could not be read")
    told.update(outcome="incomplete" if reasons else "complete", reason="; ".join(reasons)[:300])


def _left_out(config: Config) -> Tuple[List[str], List[Dict[str, str]]]:
    """File systems below the paths that are not saved, and an alarm of each where nobody has said so."""
    found = mounted.left_out(config)[: mounted.SHOWN]
    words = "another file system is mounted at %s, and is not saved"
    unsaid = [{"kind": "left_out", "text": words % _told(one)} for one in mounted.missed(found, config.left_out)]
    return [_told(one) for one in found], unsaid


def _manifest(config: Config, snapshot: str, alarms: List[Dict[str, str]]) -> Dict[str, Any]:
    """Hash what was saved, compare it with the time before, and keep the list on the host and in the repository."""
    folder = os.path.join(KEPT, MANIFESTS)
    before, inodes = manifest.last(folder) if os.path.isdir(folder) else ({}, {})
    nodes = restic.nodes(snapshot)
    first = next(nodes, {})
    identity = str(first.get("id") or snapshot)
    now = manifest.built(nodes, before, inodes)
    place, digest = manifest.write(folder, identity, now, inodes)
    restic.save([place], "", one_file_system=False, tag=restic.MANIFEST_TAG, host=config.host)
    changes = manifest.changes(before, now)
    empty = manifest.emptied(before, now, config.paths)
    alarms += [{"kind": "path", "text": f"nothing is below {_told(path)} any more"} for path in empty]
    if before and (odd := changes.odd(config)):
        alarms.append({"kind": "changes", "text": odd})
    return {
        "snapshot": identity,
        "manifest": {
            "sha256": digest,
            "files": len(now),
            "bytes": changes.bytes_now,
            "without_hash": sum(entry[2] is None for entry in now.values()),
        },
        "changes": {"same": changes.same, "changed": changes.changed, "gone": changes.gone, "new": changes.new},
    }


def _place() -> str:
    with open(os.path.join(FOLDER, restic.REPOSITORY), encoding="utf-8") as stream:
        return place_of(stream.read())


def _config() -> Config:
    try:
        return load()
    except OSError as error:
        raise Failed(f"{FOLDER}/{CONFIG}: {error.strerror}") from error


def _tidy(folder: str, wanted: Any) -> None:
    """A dump that is no longer asked for is not saved for ever."""
    for name in os.listdir(folder):
        if name not in wanted:
            os.unlink(os.path.join(folder, name))


def _told(text: str) -> str:
    """Words for the state and the journal: printable, and without the repository's password."""
    try:
        with open(os.path.join(FOLDER, restic.REPOSITORY), encoding="utf-8") as stream:
            secrets = secrets_of(stream.read())
    except OSError:
        secrets = []
    plain = "".join(letter if letter.isprintable() else "?" for letter in clean(text.encode("utf-8", "replace")))
    return without(plain, list(secrets))[:300]


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time: a second one says so and ends."""
    with open(os.path.join(KEPT, "lock"), "w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("a backup is being made already") from None
        yield
