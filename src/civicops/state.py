"""Where a town's state lies on the controller: one directory per town, closed to everybody else.

Standard library only: Ansible's workers import this, once per host.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOWN_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class StateError(Exception):
    """The state directory can't be used as it is; the message says what to do about it."""


def state_root() -> Path:
    """`$CIVICOPS_STATE`, else `~/.local/state/civicops`."""
    configured = os.environ.get("CIVICOPS_STATE")
    try:
        return Path(configured).expanduser().absolute() if configured else Path.home() / ".local/state/civicops"
    except RuntimeError as error:  # a user without a home, or `~nobody-of-that-name`
        raise StateError("no home directory for the state; set CIVICOPS_STATE to a directory of your own") from error


def user_name() -> str:
    """Who runs this; the number where the system knows no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.geteuid()}"


def private_directory(path: Path) -> Path:
    """Make a directory, mode 0700, or make sure that it is one: ours, closed to others, no symbolic link.

    :raises StateError: it can't be made, or is not so.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        info, above = path.lstat(), path.parent.stat()
    except OSError as error:
        place = error.filename or path
        raise StateError(f"{place}: {error.strerror}; set CIVICOPS_STATE to a directory of your own") from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise StateError(f"{path} must be a directory of the user who runs civicops, mode 0700")
    if above.st_mode & 0o002 and not above.st_mode & stat.S_ISVTX:
        raise StateError(f"{path.parent} lets everybody replace {path.name}: chmod o-w {path.parent}")
    return path


class TownState:
    """The paths of one town's state. Directories are made, mode 0700, when they are first asked for.

    :raises StateError: the id is not a town's id, or the directory belongs to another user or is open to others.
    """

    def __init__(self, town: str, root: Path | None = None) -> None:
        if not TOWN_ID.fullmatch(town):
            raise StateError(f"{town[:80]!r} is not a town's id: lower-case letters, digits and '-', a letter first")
        self.town = town
        self.root = (root or state_root()) / town

    def directory(self, *parts: str) -> Path:
        """Make (0700, ours, no symbolic link) and return a directory below the town's own."""
        path = private_directory(self.root)
        for part in parts:
            path = private_directory(path / part)
        return path

    @property
    def ledger(self) -> Path:
        return self.directory() / "ledger.sqlite"

    @property
    def spool(self) -> Path:
        return self.directory("spool")

    @property
    def runs(self) -> Path:
        return self.directory("runs")

    @property
    def known_hosts(self) -> Path:
        return self.directory() / "known_hosts"

    def spool_of(self, run: str) -> Path:
        """The spool directory of one run."""
        return self.directory("spool", _run_id(run))

    def run_directory(self, run: str) -> Path:
        """The private directory of one run."""
        return self.directory("runs", _run_id(run))


def _run_id(run: str) -> str:
    if not RUN_ID.fullmatch(run):
        raise StateError(f"{run[:80]!r} is not a run's id")
    return run


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Try to hold an exclusive lock on a file; yields whether it was got. The kernel frees it when its holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, or not at all, after a crash: temporary file, fsync, rename, fsync.

    The temporary file is always a new one: where others may write too, such as a report's `--output`, one of that
    name might be theirs.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
