# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""/etc and the state that packages' scripts keep: what it was before, and bringing back what our work has changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

# dpkg itself does not take these back; the trust store, for one, is made anew by its package's script.
ROOTS = (
    "/etc",
    "/usr/local/share/ca-certificates",
    "/var/lib/dpkg/alternatives",
    "/var/lib/pam",
    "/var/lib/systemd/deb-systemd-helper-enabled",
    "/var/lib/systemd/deb-systemd-helper-masked",
    "/var/lib/systemd/deb-systemd-user-helper-enabled",
    "/var/lib/ucf",
)
BALLAST = 48 << 20
FILE_LIMIT = 64 << 20  # a larger file is no configuration: it is compared by size and time, and not kept
NAME_LIMIT = 200_000
# What a running system changes by itself.
PASSING = ("/etc/mtab", "/etc/adjtime", "/etc/resolv.conf", "/etc/ld.so.cache~")
ARCHIVE = "etc.tar"

Entry = Tuple[str, int, int, int, str]
"""Kind (file, link, dir), mode, owner, group, and the content's hash or the link's target."""
Manifest = Dict[str, Entry]


def manifest(roots: Tuple[str, ...] = ROOTS) -> Manifest:
    """Every directory, file and link below the roots, as it is now."""
    found: Manifest = {}
    for path in _walk(roots):
        entry = _entry(path)
        if entry is not None:
            found[path] = entry
            if len(found) >= NAME_LIMIT:
                break
    return found


def _walk(roots: Tuple[str, ...]) -> Iterator[str]:
    for root in roots:
        if not os.path.lexists(root):
            continue
        yield root
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted([*folders, *files]):
                yield os.path.join(folder, name)


def _entry(path: str) -> Optional[Entry]:
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return "link", 0, info.st_uid, info.st_gid, os.readlink(path)
        mode = stat.S_IMODE(info.st_mode)
        if stat.S_ISDIR(info.st_mode):
            return "dir", mode, info.st_uid, info.st_gid, ""
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size > FILE_LIMIT:
            return "file", mode, info.st_uid, info.st_gid, f"{info.st_size} bytes of {info.st_mtime_ns}"
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            return "file", mode, info.st_uid, info.st_gid, hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return None  # it went away in this moment


def save(folder: str, found: Manifest) -> None:
    """Keep the files of a manifest in an archive beside it; whole, or not at all."""
    place = os.path.join(folder, ARCHIVE)
    handle = os.open(place + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, entry in found.items():
                if entry[0] == "file" and " bytes of " in entry[4]:
                    continue
                try:
                    archive.add(path, arcname=path.lstrip("/"), recursive=False)
                except OSError:
                    continue  # it went away: then it is not as in the manifest either
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(place + ".new", place)


def load(value: Any) -> Manifest:
    """A manifest from its JSON."""
    return {str(path): tuple(entry) for path, entry in dict(value).items()}  # type: ignore[misc]


def changed(before: Manifest, after: Manifest) -> Set[str]:
    """The paths that are in one alone, or differ."""
    return {
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path) and path not in PASSING
    }


@dataclass
class Restored:
    """What was brought back, and what was left as it is because somebody else has changed it since."""

    paths: List[str] = field(default_factory=list)
    left: List[str] = field(default_factory=list)
    failed: List[str] = field(default_factory=list)


def restore(folder: str, before: Manifest, after: Optional[Manifest], since: Manifest) -> Restored:
    """Bring back what differs from C(before) now.

    C(after) is how it was when our work was done, C(since) when taking it back began: what changed between the two was
    somebody else's doing, and is left. Without C(after) nobody else had time to.
    """
    theirs = changed(after, since) if after is not None else set()
    now = manifest()
    done = Restored()
    differing = sorted(changed(before, now))
    with tarfile.open(os.path.join(folder, ARCHIVE), "r") as archive:
        members = {"/" + member.name: member for member in archive.getmembers()}
        # Directories first on the way in; on the way out, what lies in them.
        for path in differing:
            if path in theirs:
                done.left.append(path)
            elif path in before:
                _put_back(archive, members.get(path), path, before[path], done)
        for path in reversed(differing):
            if path not in before and path not in theirs:
                _take_away(path, done)
    return done


def _put_back(
    archive: tarfile.TarFile, member: Optional[tarfile.TarInfo], path: str, entry: Entry, done: Restored
) -> None:
    kind, mode, uid, gid, dummy = entry
    try:
        if member is None:
            raise OSError("it is not in the archive")
        if kind == "dir":
            if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
                os.unlink(path)
            os.makedirs(path, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, mode)
        else:
            _replace(archive, member, path, entry)
        done.paths.append(path)
    except OSError as error:
        done.failed.append(f"{path}: {error.strerror or error}")


def _replace(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, entry: Entry) -> None:
    kind, mode, uid, gid, content = entry
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.civicops-{os.getpid()}"
    if kind == "link":
        os.symlink(content, temporary)
        os.chown(temporary, uid, gid, follow_symlinks=False)
    else:
        source = archive.extractfile(member)
        if source is None:
            raise OSError("it is no file in the archive")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as target:
            shutil.copyfileobj(source, target)
            os.fchown(target.fileno(), uid, gid)
            os.fchmod(target.fileno(), mode)
            target.flush()
            os.fsync(target.fileno())
        os.utime(temporary, (member.mtime, member.mtime))
    os.replace(temporary, path)


def _take_away(path: str, done: Restored) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
        done.paths.append(path)
    except OSError as error:
        done.failed.append(f"{path}: {error.strerror or error}")


@contextmanager
def ballast(folder: str) -> Iterator[None]:
    """Hold some of the disk, and give it back at the end: where the work has filled it, that is the room for a repair,
    a rollback and the record. Without room for it there is none, and nothing is said: the disk was looked at before."""
    place = os.path.join(folder, "ballast")
    with suppress(OSError):
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, BALLAST)
        finally:
            os.close(handle)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(place)


def write_json(folder: str, name: str, value: Any) -> None:
    """A file that is there whole or not at all, and stays after a power cut."""
    place = os.path.join(folder, name)
    handle = os.open(place + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "w", encoding="ascii") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(place + ".new", place)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(folder: str, name: str) -> Any:
    """What C(write_json) wrote; None where it is not there. Raises OSError, ValueError."""
    try:
        handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(handle, encoding="ascii") as stream:
        return json.load(stream)
