# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Writing configuration files as root where other users may have put their hands: by directories that nobody else can
exchange, never through a link, whole or not at all, and with what belongs to the old file kept."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

READ_LIMIT = 1 << 20
"""Bytes of one configuration file; a larger one is none."""
UNFINISHED = ".civicops-new"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class HostError(Exception):
    """A control can't be looked at or mended on this host; the message says why, in an administrator's words."""


@dataclass(frozen=True)
class Found:
    """A regular file: its content and what else belongs to it."""

    content: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    attributes: Tuple[Tuple[str, bytes], ...] = ()  # security labels and access lists

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@contextmanager
def folder_of(path: str, root: str = "/") -> Iterator[int]:
    """The directory that a path lies in. Every step of the way is root's (or, in a test's tree, ours) and closed to
    others; a link is followed only where it is root's and lies in such a directory.

    :raises HostError: somebody else could exchange a step of the way.
    :raises OSError: it can't be reached.
    """
    handle = os.open(root, _FOLDER)
    done = "/"
    try:
        for part in os.path.dirname(os.path.normpath(path)).split("/"):
            if not part:
                continue
            _check_step(os.fstat(handle), done)
            done = os.path.join(done, part)
            below = _step(handle, part, done, root)
            os.close(handle)
            handle = below
        _check_step(os.fstat(handle), done)
        yield handle
    finally:
        os.close(handle)


def _step(handle: int, part: str, path: str, root: str) -> int:
    try:
        return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
    info = os.lstat(part, dir_fd=handle)
    if not stat.S_ISLNK(info.st_mode) or info.st_uid not in (0, os.geteuid()) or root != "/":
        raise HostError(f"{path} is no directory, or somebody's link, so nothing is written below it")
    real = os.path.realpath(path)
    with folder_of(os.path.join(real, "x")) as found:
        return os.dup(found)


def _check_step(info: os.stat_result, path: str) -> None:
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & 0o022:
        raise HostError(f"the directory {path} is another user's or open to others, so nothing is written in it")


def look(path: str, root: str = "/", limit: int = READ_LIMIT) -> Optional[Found]:
    """A regular file, or None where there is none. Links are followed for reading only by C(read).

    :raises HostError: it is something else, or too long.
    :raises OSError: it can't be read.
    """
    real = root.rstrip("/") + path
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostError(f"{path} is a link to {os.readlink(real)[:200]!r}: it is not written through") from None
        raise
    with open(handle, "rb") as stream:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise HostError(f"{path} is no regular file")
        content = stream.read(limit + 1)
        if len(content) > limit:
            raise HostError(f"{path} is longer than {limit} bytes")
        return Found(
            content, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns, _attributes(handle)
        )


def _attributes(handle: int) -> Tuple[Tuple[str, bytes], ...]:
    try:
        return tuple(sorted((name, os.getxattr(handle, name)) for name in os.listxattr(handle)))
    except OSError:
        return ()  # this file system has none


def replace(path: str, found: Found, root: str = "/", *, keep_time: bool = False) -> None:
    """Put a file in place, whole, with its owner, mode and attributes.

    :raises HostError: a link or no file stands there, or the way to it is not safe.
    :raises OSError: it can't be written (an immutable file, a full disk); what was there stays.
    """
    name = os.path.basename(path)
    with folder_of(path, root) as handle:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(name, dir_fd=handle).st_mode):
                raise HostError(f"{path} is no regular file: it is not written")
        with suppress(FileNotFoundError):
            os.unlink(name + UNFINISHED, dir_fd=handle)  # of a try that was cut off
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(name + UNFINISHED, flags, 0o600, dir_fd=handle), "wb") as stream:
                stream.write(found.content)
                stream.flush()
                os.fchown(stream.fileno(), found.uid, found.gid)
                os.fchmod(stream.fileno(), found.mode)
                for key, value in found.attributes:
                    with suppress(OSError):
                        os.setxattr(stream.fileno(), key, value)
                if keep_time:
                    os.utime(stream.fileno(), ns=(found.mtime_ns, found.mtime_ns))
                os.fsync(stream.fileno())
            os.replace(name + UNFINISHED, name, src_dir_fd=handle, dst_dir_fd=handle)
        except OSError:
            with suppress(OSError):
                os.unlink(name + UNFINISHED, dir_fd=handle)
            raise
        os.fsync(handle)


def take_away(path: str, root: str = "/") -> None:
    """Remove a file or a link; one that is not there is no error. Raises HostError, OSError."""
    with folder_of(path, root) as handle:
        with suppress(FileNotFoundError):
            os.unlink(os.path.basename(path), dir_fd=handle)
        os.fsync(handle)


def make_folder(path: str, root: str = "/", mode: int = 0o755) -> List[str]:
    """Make a directory and those above it, root's; the ones that were not there before. Raises HostError, OSError."""
    missing: List[str] = []
    step = path
    while not os.path.lexists(root.rstrip("/") + step):
        missing.insert(0, step)
        step = os.path.dirname(step)
    for one in missing:
        with folder_of(one, root) as handle:
            os.mkdir(os.path.basename(one), mode, dir_fd=handle)
            os.chmod(os.path.basename(one), mode, dir_fd=handle)
    return missing


@contextmanager
def opened(path: str, root: str = "/") -> Iterator[int]:
    """A handle on a file or directory itself, for its mode and owner. On the way to it a link is followed only where
    it is root's in a directory that others can't write; the way may lead through other users' directories.

    :raises HostError: somebody's link is on the way.
    :raises OSError: it can't be reached, or is a link itself.
    """
    handle = os.open(root, _FOLDER)
    done = "/"
    try:
        *way, name = [part for part in os.path.normpath(path).split("/") if part] or ["."]
        for part in way:
            before, done = done, os.path.join(done, part)
            try:
                below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                _check_step(os.fstat(handle), before)
                below = _step(handle, part, done, root)
            os.close(handle)
            handle = below
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        below = os.open(name, flags, dir_fd=handle)
        os.close(handle)
        handle = below
        yield handle
    finally:
        os.close(handle)
