# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""/etc and the state that packages' scripts keep: what it was before, and bringing back what our work has changed."""

from __future__ import annotations

import errno
import hashlib
import io
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
    "/var/lib/alternatives",
    "/var/lib/dpkg/alternatives",
    "/var/lib/pam",
    "/var/lib/systemd/deb-systemd-helper-enabled",
    "/var/lib/systemd/deb-systemd-helper-masked",
    "/var/lib/systemd/deb-systemd-user-helper-enabled",
    "/var/lib/ucf",
)
BALLAST, BALLAST_FILE = 48 << 20, "ballast"
FILE_LIMIT = 64 << 20  # a larger file is no configuration: it is compared by size and time, and not kept
NAME_LIMIT = 200_000
# What a running system changes by itself.
PASSING = ("/etc/mtab", "/etc/adjtime", "/etc/resolv.conf", "/etc/ld.so.cache~")
ARCHIVE = "etc.tar"
UNFINISHED = ".civicops-new"

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
    seen = _look(path)
    return seen[0] if seen is not None else None


def _look(path: str) -> Optional[Tuple[Entry, float, Optional[bytes]]]:
    """What is there now, when it was changed, and a file's content where that is to be kept.

    Of a file all that counts is asked of the opened one: who owns a directory on the way may exchange it meanwhile, and
    what is root's alone must not be taken for his, and given to him when it is brought back.
    """
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return ("link", 0, info.st_uid, info.st_gid, os.readlink(path)), info.st_mtime, None
        if stat.S_ISDIR(info.st_mode):
            return ("dir", stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, ""), info.st_mtime, None
        if not stat.S_ISREG(info.st_mode):
            return None
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            info = os.fstat(stream.fileno())
            if not stat.S_ISREG(info.st_mode):
                return None
            large = info.st_size > FILE_LIMIT
            content = None if large else stream.read(FILE_LIMIT)
    except OSError:
        return None  # it went away in this moment
    what = f"{info.st_size} bytes of {info.st_mtime_ns}" if content is None else hashlib.sha256(content).hexdigest()
    return ("file", stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, what), info.st_mtime, content


def save(folder: str, found: Manifest) -> None:
    """Keep the files of a manifest in an archive beside it; whole, or not at all. What has changed since the manifest
    was made is changed in it: both tell the same."""
    place = os.path.join(folder, ARCHIVE)
    handle = os.open(place + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in list(found):
                seen = _look(path)
                if seen is None:
                    del found[path]
                    continue
                found[path] = seen[0]
                _add(archive, path, *seen)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(place + ".new", place)


_TYPES = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "dir": tarfile.DIRTYPE}


def _add(archive: tarfile.TarFile, path: str, entry: Entry, mtime: float, content: Optional[bytes]) -> None:
    kind, mode, uid, gid, what = entry
    if kind == "file" and content is None:
        return
    member = tarfile.TarInfo(path.lstrip("/"))
    member.type, member.mtime = _TYPES[kind], mtime
    member.mode, member.uid, member.gid = mode, uid, gid
    member.linkname = what if kind == "link" else ""
    member.size = len(content or b"")
    archive.addfile(member, io.BytesIO(content or b""))


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
    # Of more names than are looked at, one that is not in the list may have been there all the same.
    if max(len(before), len(now)) < NAME_LIMIT:
        # First, and from the leaves on: a directory of ours may stand where a file is to be put back.
        for path in reversed(differing):
            if path not in before and path not in theirs:
                _take_away(path, now, done)
    with tarfile.open(os.path.join(folder, ARCHIVE), "r") as archive:
        members = {"/" + member.name: member for member in archive.getmembers()}
        for path in differing:  # directories before what lies in them
            if path in theirs:
                done.left.append(path)
            elif path in before:
                _put_back(archive, members.get(path), path, before, theirs, done)
    return done


@contextmanager
def _folder_of(path: str, known: Manifest) -> Iterator[int]:
    """The directory that a path lies in, reached from its root without following a link that was none before: a
    directory that was exchanged for a link must not make us write elsewhere. Raises OSError."""
    steps = _steps(path, known)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if not steps:
        handle = os.open(os.path.dirname(path), flags)  # above a root: the system's own
    else:
        link = known[steps[0]][4] if known[steps[0]][0] == "link" else None
        if link is not None and os.readlink(steps[0]) != link:
            raise OSError(errno.ELOOP, "it leads elsewhere now", steps[0])
        handle = os.open(steps[0], flags | (os.O_NOFOLLOW if link is None else 0))
    try:
        for step in steps[1:]:
            below = os.open(os.path.basename(step), flags | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _steps(path: str, known: Manifest) -> List[str]:
    """The directories from a root down to the one that a path lies in."""
    steps: List[str] = []
    folder = os.path.dirname(path)
    while folder in known:
        steps.insert(0, folder)
        folder = os.path.dirname(folder)
    return steps


def _is_folder(name: str, handle: int) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=handle).st_mode)
    except FileNotFoundError:
        return False


def _put_back(
    archive: tarfile.TarFile,
    member: Optional[tarfile.TarInfo],
    path: str,
    before: Manifest,
    theirs: Set[str],
    done: Restored,
) -> None:
    try:
        if member is None:
            raise OSError("it is not in the archive")
        with _folder_of(path, before) as handle:
            if before[path][0] == "dir":
                _make_folder(handle, os.path.basename(path), before[path])
            else:
                _replace(archive, member, handle, os.path.basename(path), before[path])
        done.paths.append(path)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY or any(step in theirs for step in _steps(path, before)):
            done.left.append(path)  # somebody's files, or somebody's link, are in its place
        else:
            done.failed.append(f"{path}: {error.strerror or error}")


def _make_folder(handle: int, name: str, entry: Entry) -> None:
    dummy, mode, uid, gid, dummy = entry
    if not _is_folder(name, handle):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=handle)
        os.mkdir(name, 0o700, dir_fd=handle)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
    try:
        os.fchown(folder, uid, gid)
        os.fchmod(folder, mode)
    finally:
        os.close(folder)


def _replace(archive: tarfile.TarFile, member: tarfile.TarInfo, handle: int, name: str, entry: Entry) -> None:
    kind, mode, uid, gid, content = entry
    with suppress(FileNotFoundError):
        os.unlink(UNFINISHED, dir_fd=handle)  # of a try that was cut off
    if kind == "link":
        os.symlink(content, UNFINISHED, dir_fd=handle)
        os.chown(UNFINISHED, uid, gid, dir_fd=handle, follow_symlinks=False)
    else:
        source = archive.extractfile(member)
        if source is None:
            raise OSError("it is no file in the archive")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(UNFINISHED, flags, 0o600, dir_fd=handle), "wb") as target:
            shutil.copyfileobj(source, target)
            os.fchown(target.fileno(), uid, gid)
            os.fchmod(target.fileno(), mode)
            target.flush()
            os.utime(target.fileno(), (member.mtime, member.mtime))
            os.fsync(target.fileno())
    try:
        if _is_folder(name, handle):
            os.rmdir(name, dir_fd=handle)  # what was ours in it is gone already
        os.replace(UNFINISHED, name, src_dir_fd=handle, dst_dir_fd=handle)
    except OSError:
        os.unlink(UNFINISHED, dir_fd=handle)
        raise


def _take_away(path: str, now: Manifest, done: Restored) -> None:
    try:
        with _folder_of(path, now) as handle:
            if _is_folder(os.path.basename(path), handle):
                os.rmdir(os.path.basename(path), dir_fd=handle)
            else:
                os.unlink(os.path.basename(path), dir_fd=handle)
        done.paths.append(path)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            done.left.append(path)  # somebody's files are in it
        else:
            done.failed.append(f"{path}: {error.strerror or error}")


@contextmanager
def ballast(folder: str) -> Iterator[None]:
    """Hold some of the disk, and give it back at the end: where the work has filled it, that is the room for a repair,
    a rollback and the record. Without room for it there is none, and nothing is said: the disk was looked at before."""
    place = os.path.join(folder, BALLAST_FILE)
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
