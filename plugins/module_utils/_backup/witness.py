# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The witness: what was seen of the repositories, kept where those who write into them can't reach.

restic names each file by the SHA-256 of its content. So whether a repository is whole can be seen from outside, without
its password: a file that is gone, has another size or time, or another hash than its name, is no longer what was sent.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from .._host_info.context import clean_name

DATABASE = "witness.sqlite"
FOLDERS = ("data", "index", "keys", "snapshots")  # locks come and go
WHOLE_CYCLE = 25 * 86400.0
"""Seconds in which each byte is read anew: five days before the 30 that are promised."""
FUTURE = 86400.0
SETTLED = 2 * 3600.0
"""Seconds in which a file that was never whole may still be on its way."""
PARTIAL = "partial"
"""The kind of what was never whole: an upload that was cut off, which restic does not miss."""
NEVER_WHOLE = "it was never whole"
_HASH = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  client TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
  seen REAL NOT NULL, hashed REAL NOT NULL, sha256 TEXT NOT NULL, wrong TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (client, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
  client TEXT NOT NULL, id TEXT NOT NULL, seen REAL NOT NULL, gone REAL, PRIMARY KEY (client, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cycles (client TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruning (client TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accepted (
  client TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (client, path)) WITHOUT ROWID;
"""


class Seen(NamedTuple):
    """One file of a repository."""

    path: str
    size: int
    mtime: int


class Known(NamedTuple):
    """What is remembered of one file: as it was when it was read last."""

    size: int
    mtime: int
    hashed: float
    sha256: str
    wrong: str
    seen: float


@dataclass
class Told:
    """What a look at one repository has come to."""

    client: str
    files: int = 0
    bytes: int = 0
    snapshots: int = 0
    newest: Optional[float] = None
    hashed_bytes: int = 0
    oldest_hash: Optional[float] = None
    alarms: List[Dict[str, str]] = field(default_factory=list)

    def alarm(self, kind: str, text: str) -> None:
        """Something is wrong; the same words once."""
        one = {"kind": kind, "text": text[:300]}
        if one not in self.alarms:
            self.alarms.append(one)


def listed(repository: str) -> Iterator[Seen]:
    """Every file of a repository, no link followed. One that is not there has none."""
    config = os.path.join(repository, "config")
    if os.path.lexists(config):
        info = os.lstat(config)
        yield Seen("config", info.st_size if stat.S_ISREG(info.st_mode) else -1, info.st_mtime_ns)
    for name in FOLDERS:
        yield from _below(repository, name)


def _below(repository: str, folder: str) -> Iterator[Seen]:
    try:
        entries = os.scandir(os.path.join(repository, folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            path = f"{folder}/{clean_name(entry.name)}"
            if entry.is_dir(follow_symlinks=False):
                if folder == "data" and len(entry.name) == 2:
                    yield from _below(repository, path)
            else:
                info = entry.stat(follow_symlinks=False)
                yield Seen(path, info.st_size if stat.S_ISREG(info.st_mode) else -1, info.st_mtime_ns)


def arrivals(repository: str) -> Dict[str, float]:
    """When each snapshot came, by the server's own clock."""
    found = {os.path.basename(one.path): one.mtime / 1e9 for one in _below(repository, "snapshots")}
    return {name: when for name, when in found.items() if _HASH.fullmatch(name)}


def newest(repository: str) -> Tuple[int, Optional[float]]:
    """How many snapshots there are, and when the newest came."""
    times = arrivals(repository)
    return len(times), max(times.values(), default=None)


def sha256(path: str) -> str:
    """A file's hash; of what is no regular file there is none. Raises OSError."""
    digest = hashlib.sha256()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


class Witness:
    """The memory of all repositories of a town. Use it as a context manager."""

    def __init__(self, folder: str, root: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.root = root
        self.base = sqlite3.connect(os.path.join(folder, DATABASE), timeout=60, isolation_level=None)
        self.base.executescript(_SCHEMA)

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *error: object) -> None:
        self.base.close()

    def look(self, client: str, now: Optional[float] = None, *, pruned: bool = False, keep: float = 0.0) -> Told:
        """Look at one repository: what is there, what is gone, what was changed, and read a share of it.

        After our own C(pruned) what is gone is no alarm, but snapshots younger than C(keep) seconds are; and so it is
        where a pruning was cut off.
        """
        now = time.time() if now is None else now
        pruned = pruned or self._in_pruning(client)
        told = Told(client)
        there = {one.path: one for one in listed(os.path.join(self.root, client))}
        self.base.execute("BEGIN IMMEDIATE")
        try:
            known = self._known(client)
            self._gone(told, known, there, now, pruned, keep)
            due = self._due(client, known, there, now)
            for path in due:
                self._read(told, there[path], known.get(path), now)
            self.base.execute("INSERT OR REPLACE INTO cycles VALUES (?, ?)", (client, now))
            self.base.execute("DELETE FROM pruning WHERE client = ?", (client,))
            self._sum(told, client)
            self.base.execute("COMMIT")
        except BaseException:
            self.base.execute("ROLLBACK")
            raise
        return told

    def begin_pruning(self, client: str) -> None:
        """From now on what goes from the repository is ours to take, until the next look."""
        self.base.execute("INSERT OR REPLACE INTO pruning VALUES (?)", (client,))

    def _in_pruning(self, client: str) -> bool:
        return self.base.execute("SELECT 1 FROM pruning WHERE client = ?", (client,)).fetchone() is not None

    def _known(self, client: str) -> Dict[str, Known]:
        asked = "SELECT path, size, mtime, hashed, sha256, wrong, seen FROM files WHERE client = ?"
        return {row[0]: Known(*row[1:]) for row in self.base.execute(asked, (client,))}

    def _gone(
        self, told: Told, known: Dict[str, Known], there: Dict[str, Seen], now: float, pruned: bool, keep: float
    ) -> None:
        for path in [path for path in known if path not in there]:
            young = path.startswith("snapshots/") and known[path].seen > now - keep
            if pruned and not young and not path.startswith(("keys/", "config")):
                self.base.execute("DELETE FROM files WHERE client = ? AND path = ?", (told.client, path))
                del known[path]
            else:
                self._wrong(told.client, path, "it is gone")
            if path.startswith("snapshots/"):
                self.base.execute(
                    "UPDATE snapshots SET gone = ? WHERE client = ? AND id = ? AND gone IS NULL",
                    (now, told.client, path.partition("/")[2]),
                )

    def _due(self, client: str, known: Dict[str, Known], there: Dict[str, Seen], now: float) -> List[str]:
        """What is to be read: all that is new, looks otherwise or was wrong, and of the rest, what was read longest
        ago, as much as is due since the last cycle."""
        due = [path for path, one in there.items() if path not in known or self._suspect(known[path], one, now)]
        row = self.base.execute("SELECT at FROM cycles WHERE client = ?", (client,)).fetchone()
        since = row[0] if row and row[0] <= now else 0.0  # a clock that was ahead counts for nothing
        share = min(1.0, (now - since) / WHOLE_CYCLE) if row else 0.0
        left = share * sum(one.size for one in there.values())
        rest = sorted(set(there).difference(due), key=lambda path: known[path].hashed)
        for path in rest:
            if left <= 0:
                break
            due.append(path)
            left -= there[path].size
        return due

    @staticmethod
    def _suspect(known: Known, one: Seen, now: float) -> bool:
        same = (known.size, known.mtime) == (one.size, one.mtime)
        return not same or bool(known.wrong) or not now - WHOLE_CYCLE <= known.hashed <= now

    def _read(self, told: Told, one: Seen, known: Optional[Known], now: float) -> None:
        try:
            found = sha256(os.path.join(self.root, told.client, one.path))
            told.hashed_bytes += max(0, one.size)
            wrong = ""
        except OSError as error:
            found, wrong = "", f"it can't be read: {error.strerror}"
        first = known.sha256 if known else found
        # Of the configuration alone the name says nothing: it has to stay what it was when it was seen first.
        wanted = first if one.path == "config" else os.path.basename(one.path)
        if not wrong and (not found or found != wanted) and found != self._accepted(told.client, one.path):
            never = known is None or known.wrong == NEVER_WHOLE
            if never and now - one.mtime / 1e9 < SETTLED:
                return  # it may be on its way
            wrong = NEVER_WHOLE if never else "its content is not what was written"
        row = (told.client, one.path, one.size, one.mtime, known.seen if known else now, now, first, wrong)
        self.base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if one.path.startswith("snapshots/"):
            self.base.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?, ?, NULL)", (told.client, wanted, now))

    def _wrong(self, client: str, path: str, why: str) -> None:
        self.base.execute("UPDATE files SET wrong = ? WHERE client = ? AND path = ?", (why, client, path))

    def _sum(self, told: Told, client: str) -> None:
        asked = "SELECT count(*), coalesce(sum(size), 0), min(hashed) FROM files WHERE client = ?"
        told.files, told.bytes, told.oldest_hash = self.base.execute(asked, (client,)).fetchone()
        told.snapshots, told.newest = newest(os.path.join(self.root, client))
        wrong = self.base.execute(
            "SELECT path, wrong FROM files WHERE client = ? AND wrong != '' ORDER BY path LIMIT 20", (client,)
        )
        for path, why in wrong:
            kind = PARTIAL if why == NEVER_WHOLE else _KINDS.get(path.partition("/")[0], "file")
            told.alarm(kind, f"{path[:90]}: {why}")

    def wave(self, client: str, snapshot: str) -> None:
        """An administrator has seen this snapshot; if its time is odd it may go."""
        self.base.execute("INSERT OR REPLACE INTO accepted VALUES (?, ?, '')", (client, f"time of {snapshot}"))

    def forget(self, client: str, snapshots: Iterable[str]) -> None:
        """These went, and were to go."""
        for one in snapshots:
            self.base.execute("DELETE FROM files WHERE client = ? AND path = ?", (client, f"snapshots/{one}"))
            self.base.execute("UPDATE snapshots SET gone = 0 WHERE client = ? AND id = ?", (client, one))

    def waved(self, client: str, snapshot: str) -> bool:
        """Whether one does."""
        return self._accepted(client, f"time of {snapshot}") is not None

    def arrivals(self, client: str) -> Dict[str, float]:
        """When each snapshot that is there was seen first."""
        asked = "SELECT id, seen FROM snapshots WHERE client = ? AND gone IS NULL"
        return dict(self.base.execute(asked, (client,)).fetchall())

    def accept(self, client: str) -> int:
        """Somebody has looked at what is wrong and lives with it: what is gone is forgotten, what is another content
        stays so; how many files that were."""
        with closing(self.base.cursor()) as cursor:
            gone = "DELETE FROM files WHERE client = ? AND wrong = 'it is gone'"
            count = int(cursor.execute(gone, (client,)).rowcount)
            for (path,) in cursor.execute(
                "SELECT path FROM files WHERE client = ? AND wrong != ''", (client,)
            ).fetchall():
                try:
                    found = sha256(os.path.join(self.root, client, path))
                except OSError:
                    continue
                cursor.execute("INSERT OR REPLACE INTO accepted VALUES (?, ?, ?)", (client, path, found))
                count += 1
        return count

    def _accepted(self, client: str, path: str) -> Optional[str]:
        asked = "SELECT sha256 FROM accepted WHERE client = ? AND path = ?"
        row = self.base.execute(asked, (client, path)).fetchone()
        return str(row[0]) if row else None


_KINDS = {"snapshots": "snapshot", "data": "pack", "index": "index", "keys": "key", "config": "config"}
