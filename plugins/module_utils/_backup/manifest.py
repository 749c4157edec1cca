# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The manifest of a snapshot: each file's hash, taken on the host at the time of the backup, outside the repository.

A restore is compared with it. A tree that has shrunk, or whose files were changed or renamed in masses since the
manifest before, is told: so it looks when somebody encrypts it.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from .._host_info.context import clean_name
from .config import Config

KEPT = 10
_BLOCK = 1 << 20
ENDING = ".manifest.gz"
# path -> (size, time of change in ns, hash or None where it changed while it was saved)
Entry = Tuple[int, int, Optional[str]]
Manifest = Dict[str, Entry]


@dataclass(frozen=True)
class Changes:
    """How two manifests differ, in files, and bytes of all files."""

    same: int
    changed: int
    gone: int
    new: int
    bytes_before: int
    bytes_now: int

    def odd(self, config: Config) -> Optional[str]:
        """What is odd of it, in words; None where it is as on any day."""
        before = self.same + self.changed + self.gone
        touched = self.changed + self.gone
        if touched >= config.change_files and touched * 100 > before * config.change_percent:
            return f"{self.changed} of {before} files were changed and {self.gone} are gone since the backup before"
        if before >= config.change_files and self.bytes_now * 100 < self.bytes_before * (100 - config.change_percent):
            return f"all files together had {self.bytes_before} bytes in the backup before, and have {self.bytes_now}"
        return None


def built(nodes: Iterable[Dict[str, Any]], before: Manifest, inodes: Dict[str, int]) -> Manifest:
    """The manifest of what restic says is in a snapshot. A file is read where its size, its times or its inode are
    not those of the manifest before; C(inodes) holds those, and is brought up to date."""
    found: Manifest = {}
    fresh: Dict[str, int] = {}
    for node in nodes:
        if node.get("type") != "file" or not isinstance(node.get("path"), str):
            continue
        path, size = node["path"], int(node.get("size", 0))
        entry, inode = _entry(path, size, before.get(path), inodes.get(path))
        found[path] = entry
        if inode:
            fresh[path] = inode
    inodes.clear()
    inodes.update(fresh)
    return found


def _entry(path: str, size: int, before: Optional[Entry], inode: Optional[int]) -> Tuple[Entry, int]:
    try:
        handle = _opened(path)
    except OSError:
        return (size, 0, None), 0
    with open(handle, "rb") as stream:
        info = os.fstat(handle)
        mark = info.st_ino ^ info.st_ctime_ns
        if info.st_size != size:
            return (size, info.st_mtime_ns, None), 0
        if before and before[:2] == (size, info.st_mtime_ns) and inode == mark and before[2]:
            return before, mark
        digest = hashlib.sha256()
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (size, info.st_mtime_ns):
            return (size, after.st_mtime_ns, None), 0
        return (size, info.st_mtime_ns, digest.hexdigest()), mark


def _opened(path: str) -> int:
    """A handle on a regular file. What else may stand there by now, a device that acts when it is opened, is not."""
    mark = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(mark).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        return os.open(f"/proc/self/fd/{mark}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOATIME)
    finally:
        os.close(mark)


def emptied(before: Manifest, now: Manifest, paths: Iterable[str]) -> List[str]:
    """Paths below which there were files the time before, and now are none: a disk that is not mounted."""
    return [
        path
        for path in paths
        if any(one.startswith(f"{path.rstrip('/')}/") for one in before)
        and not any(one.startswith(f"{path.rstrip('/')}/") for one in now)
    ]


def changes(before: Manifest, now: Manifest) -> Changes:
    """What is another file now, is gone, or new. A file without a hash counts as the same: it is one that is in use."""
    gone = sum(path not in now for path in before)
    common = [(before[path], entry) for path, entry in now.items() if path in before]
    changed = sum(bool(old[2] and new[2] and old[2] != new[2]) for old, new in common)
    return Changes(
        same=len(common) - changed,
        changed=changed,
        gone=gone,
        new=len(now) - len(common),
        bytes_before=sum(entry[0] for entry in before.values()),
        bytes_now=sum(entry[0] for entry in now.values()),
    )


def write(folder: str, snapshot: str, manifest: Manifest, inodes: Dict[str, int]) -> Tuple[str, str]:
    """Keep a manifest; its file, and the hash of its lines, which the ledger holds. Older ones go."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    place = os.path.join(folder, f"{snapshot[:64]}{ENDING}")
    digest = hashlib.sha256()
    with open(place + ".new", "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
            for line in _lines(manifest):
                digest.update(line)
                stream.write(line)
        raw.flush()
        os.fsync(raw.fileno())
    os.chmod(place + ".new", 0o600)
    os.replace(place + ".new", place)
    with open(os.path.join(folder, "inodes.json"), "w", encoding="ascii") as text:
        os.chmod(text.fileno(), 0o600)
        json.dump({"snapshot": snapshot, "inodes": inodes}, text)
    for old in _kept(folder)[:-KEPT]:
        os.unlink(old)
    return place, digest.hexdigest()


def _lines(manifest: Manifest) -> Iterator[bytes]:
    for path in sorted(manifest):
        yield (json.dumps([path, *manifest[path]], separators=(",", ":")) + "\n").encode("ascii")


def _kept(folder: str) -> List[str]:
    """Manifests, the oldest first."""
    names = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(ENDING)]
    return sorted(names, key=lambda path: os.stat(path).st_mtime_ns)


def last(folder: str) -> Tuple[Manifest, Dict[str, int]]:
    """The newest manifest and the marks of its files; empty where there is none that can be read."""
    try:
        kept = _kept(folder)
        manifest = read(kept[-1]) if kept else {}
        with open(os.path.join(folder, "inodes.json"), encoding="ascii") as text:
            told = json.load(text)
        fits = kept and os.path.basename(kept[-1]) == f"{told['snapshot'][:64]}{ENDING}"
        return manifest, dict(told["inodes"]) if fits else {}
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return {}, {}


def read(path: str) -> Manifest:
    """A manifest from its file. Raises OSError, ValueError."""
    found: Manifest = {}
    with gzip.open(path, "rt", encoding="ascii") as stream:
        for line in stream:
            name, size, changed, digest = json.loads(line)
            found[name] = (size, changed, digest)
    return found


def digest(path: str) -> str:
    """The hash of a manifest's lines, as the ledger holds it. Raises OSError."""
    found = hashlib.sha256()
    with gzip.open(path, "rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()


def canary(path: str, sha256: str) -> Optional[str]:
    """What is wrong with a file that nobody has a reason to touch; None where it is as it was."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            found = hashlib.sha256(stream.read(_BLOCK + 1)).hexdigest()
    except OSError as error:
        return f"{clean_name(path)}: {error.strerror}"
    return None if found == sha256 else f"{clean_name(path)} was changed"
