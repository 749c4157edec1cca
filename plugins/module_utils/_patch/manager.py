# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What a package manager is asked, whichever it is; and what is selected of that which waits."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Set, Tuple

from .._host_info.context import COMMAND_ENVIRONMENT, Context, clean
from .._host_info.processes import user_name

POOL = "/var/cache/civicops/packages"
COLUMNS = [
    "name",
    "arch",
    "from",
    "to",
    "security",
    "origin",
    "source",
    "bytes",
    "selected",
    "why",
    "advisories",
    "kept",
]
# What maintainer scripts read: never ask, never restart by themselves what we restart afterwards, keep local files.
QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFFOLD": "1",
}

Key = Tuple[str, str]
"""A package's name and architecture."""


class ManagerError(Exception):
    """The package manager could not do what was asked; the message says why, in its own words."""


class ScriptError(ManagerError):
    """A package's script failed, and the package manager counts it as installed all the same."""


@dataclass
class Update:
    """A package that could be updated, or would be installed with one. C(current) is None for the latter."""

    name: str
    arch: str
    current: Optional[str]
    candidate: str
    security: Optional[bool] = None
    origin: Optional[str] = None
    source: Optional[str] = None
    size: Optional[int] = None
    selected: bool = False
    why: Optional[str] = None
    advisories: List[str] = field(default_factory=list)
    kept: Optional[bool] = None

    @property
    def key(self) -> Key:
        return self.name, self.arch

    def row(self) -> List[Any]:
        return [
            self.name,
            self.arch,
            self.current,
            self.candidate,
            self.security,
            self.origin,
            self.source,
            self.size,
            self.selected,
            self.why,
            self.advisories,
            self.kept,
        ]


@dataclass(frozen=True)
class Policy:
    """What a town wants installed."""

    scope: str = "security"  # or all
    allow: Tuple[str, ...] = ()
    deny: Tuple[str, ...] = ()

    def values(self) -> Dict[str, Any]:
        return {"scope": self.scope, "allow": list(self.allow), "deny": list(self.deny)}

    def denies(self, name: str, source: Optional[str]) -> bool:
        return _matches(self.deny, name, source)

    def refusal(self, update: Update, holds: Set[str]) -> Optional[str]:
        """Why an update is not selected; None where it is."""
        if update.name in holds:
            return "held by an administrator"
        if self.denies(update.name, update.source):
            return "on the deny list"
        if self.allow and not _matches(self.allow, update.name, update.source):
            return "not on the allow list"
        if self.scope == "security" and not update.security:
            return "no security update" if update.security is False else "not known whether it is a security update"
        return None


def _matches(patterns: Sequence[str], name: str, source: Optional[str]) -> bool:
    return any(fnmatchcase(name, one) or (source is not None and fnmatchcase(source, one)) for one in patterns)


@dataclass
class Plan:
    """What waits, what of it is to be installed, and what that takes. Sizes are bytes, None where not known."""

    updates: List[Update] = field(default_factory=list)
    download_bytes: Optional[int] = None
    disk_bytes: Optional[int] = None
    holds: List[str] = field(default_factory=list)

    @property
    def install(self) -> List[Update]:
        return [update for update in self.updates if update.selected]

    def table(self) -> Dict[str, Any]:
        return {"columns": COLUMNS, "rows": [update.row() for update in self.updates]}


@dataclass(frozen=True)
class Holder:
    """Who holds the package manager's lock."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


class Manager(Protocol):
    """One package manager. Every question is bounded in time; every change goes on until it has ended."""

    name: str
    program: str

    def refresh(self) -> None:
        """Download the lists anew; raises ManagerError, and then nothing that was there is lost."""

    def lists_at(self) -> Optional[float]:
        """When the lists were downloaded, in seconds since 1970; None: never."""

    def ground(self) -> List[str]:
        """The files and directories that decide a plan; empty where they can't be named."""

    def plan(self, policy: Policy) -> Plan:
        """What waits and what of it is selected; changes nothing. Raises ManagerError."""

    def download(self, plan: Plan) -> None:
        """Download what is selected and not there yet. Raises ManagerError."""

    def to_download(self, plan: Plan) -> int:
        """Bytes of what is selected and not downloaded yet."""

    def keep(self, plan: Plan) -> List[str]:
        """Make sure of the packages of the versions that are installed now, for a rollback, and say of each update
        whether there is one (C(kept)); what can't be had any more, as NAME VERSION."""

    def tidy(self) -> None:
        """Remove kept packages that no rollback can want any more."""

    def installed(self) -> Dict[Key, str]:
        """Versions of all packages that are installed whole; raises ManagerError."""

    def marks(self) -> Set[str]:
        """The packages that were installed automatically, by name."""

    def set_marks(self, marks: Set[str]) -> None:
        """Mark these as installed automatically, and all others as wanted by hand."""

    def audit(self) -> List[str]:
        """Packages that are not installed whole, a line each."""

    def repair(self) -> List[str]:
        """Bring what was interrupted to its end; what the audit says afterwards."""

    def locked_by(self) -> Optional[Holder]:
        """Who holds a lock that a transaction needs."""

    def install(self, plan: Plan, lock_wait: int) -> None:
        """The transaction. Raises ManagerError; what is installed then is to be looked at."""

    def restore(self, before: Mapping[Key, str], marks: Set[str], lock_wait: int) -> None:
        """Bring the packages and marks back, without a network. Raises ManagerError."""

    def files(self, plan: Plan) -> Set[str]:
        """The files of the packages that are to be replaced."""

    def expects_reboot(self, plan: Plan) -> List[str]:
        """Which of what is to be installed makes a reboot wanted."""

    def reboot_reasons(self) -> List[str]:
        """Why the host wants a reboot, beside its kernel and its own flag."""

    def missing(self, before: Mapping[Key, str]) -> List[str]:
        """What C(restore) would want now and can't have, as NAME VERSION."""


def lock_holder(ctx: Context, path: str, kind: int) -> Optional[Holder]:
    """Who keeps others from locking a file as package managers do (fcntl(2)); None where nobody does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        wanted = struct.pack("hhqqi", kind, os.SEEK_SET, 0, 0, 0)
        found, dummy, dummy, dummy, pid = struct.unpack("hhqqi", fcntl.fcntl(handle, fcntl.F_GETLK, wanted))
    except (OSError, struct.error):
        return None
    finally:
        os.close(handle)
    if found == fcntl.F_UNLCK:
        return None
    command = ctx.line_or_none(f"/proc/{pid}/comm") or "a process"
    with suppress(OSError):
        command += f" of {user_name(ctx, os.stat(f'/proc/{pid}').st_uid)}"
    return Holder(pid, command)


def run(command: Sequence[str], seconds: Optional[float] = 120.0, cwd: str = "/") -> Tuple[int, str]:
    """Run a command with its messages in one stream; with no limit of time where it must not be ended."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env={**COMMAND_ENVIRONMENT, **QUIET, "HOME": "/root"},
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ManagerError(f"{command[0]}: no end after {seconds:.0f} s") from None
    except OSError as error:
        raise ManagerError(f"{command[0]}: {error.strerror}") from None
    return done.returncode, clean(done.stdout)


def log(text: str) -> None:
    """Add to what is kept of the work's output."""
    sys.stdout.write(text)
    sys.stdout.flush()


def why(output: str) -> str:
    """The last words of a package manager that failed: its errors, else its last lines."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # dpkg says what was wrong in the line after.
    joined = [f"{line} {after}" if line.endswith(":") else line for line, after in zip(lines, [*lines[1:], ""])]
    errors = [line for line in joined if line.startswith(("E: ", "dpkg: error", "Error: ", "error: "))]
    return " / ".join((errors or lines)[-4:])[:700]


def folder_is_ours(path: str, private: bool = False) -> None:
    """Make a directory that only root writes to, and reads where it is private, with those on the way to it; raises
    ManagerError where it is anything else."""
    missing: List[str] = []
    step = path
    while not os.path.lexists(step):
        missing.append(step)
        step = os.path.dirname(step)
    for one in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(one, 0o700 if private else 0o755)
    info = os.lstat(path)
    if not os.path.isdir(path) or os.path.islink(path) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise ManagerError(f"{path} is a link, another user's or open to others, so no package is kept in it")
