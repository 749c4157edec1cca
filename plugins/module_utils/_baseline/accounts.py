# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Accounts and groups of a host, read once for all controls; hashes of passwords are looked at and never told."""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Optional, Set

from .host import Host
from .looks import config, parsed
from .texts import Key, value_of

NO_LOGIN = ("nologin", "false", "sync", "shutdown", "halt")
_UID_MIN = 1000  # shadow's default
NOBODY = 65534


class User(NamedTuple):
    """A line of passwd(5)."""

    name: str
    password: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def logs_in(self) -> bool:
        """Whether the shell is one; an empty one stands for /bin/sh."""
        return self.shell.rpartition("/")[2] not in NO_LOGIN


class Shadow(NamedTuple):
    """A line of shadow(5); days since 1970, or None where nothing is set."""

    name: str
    password: str
    last: Optional[int]
    minimum: Optional[int]
    maximum: Optional[int]
    warn: Optional[int]
    inactive: Optional[int]

    @property
    def usable(self) -> bool:
        """Whether a password is set with which one gets in."""
        return self.password != "" and self.password[0] not in "!*" and len(self.password) > 1


class Group(NamedTuple):
    """A line of group(5)."""

    name: str
    gid: int
    members: List[str]


def _rows(text: str, fields: int) -> Iterable[List[str]]:
    for line in text.split("\n"):
        row = line.strip("\r").split(":")
        if len(row) >= fields and row[0] and not row[0].startswith(("#", "+", "-")):
            yield row


def _number(text: str) -> Optional[int]:
    return int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 12 else None


def _users(text: str) -> List[User]:
    found = []
    for row in _rows(text, 7):
        uid, gid = _number(row[2]), _number(row[3])
        if uid is not None and gid is not None:
            found.append(User(row[0], row[1], uid, gid, row[5], row[6].strip()))
    return found


def _shadows(text: str) -> List[Shadow]:
    return [Shadow(row[0], row[1], *(_number(field) for field in row[2:7])) for row in _rows(text, 8)]


def _groups(text: str) -> List[Group]:
    found = []
    for row in _rows(text, 4):
        gid = _number(row[2])
        if gid is not None:
            found.append(Group(row[0], gid, [name for name in row[3].strip().split(",") if name]))
    return found


def users(host: Host) -> List[User]:
    return parsed(host, "passwd", config(host, "/etc/passwd") or "", _users)  # type: ignore[no-any-return]


def shadows(host: Host) -> List[Shadow]:
    return parsed(host, "shadow", config(host, "/etc/shadow") or "", _shadows)  # type: ignore[no-any-return]


def groups(host: Host) -> List[Group]:
    return parsed(host, "group", config(host, "/etc/group") or "", _groups)  # type: ignore[no-any-return]


def uid_of(host: Host, name: str) -> Optional[int]:
    """A user's number by name or number; None where there is no such user here."""
    if name.isdigit():
        return int(name)
    return next((user.uid for user in users(host) if user.name == name), 0 if name == "root" else None)


def gid_of(host: Host, name: str) -> Optional[int]:
    if name.isdigit():
        return int(name)
    return next((group.gid for group in groups(host) if group.name == name), 0 if name == "root" else None)


def login_def(host: Host, name: str) -> Optional[str]:
    """What login.defs sets a key to; the last line counts (shadow's putdef_str overwrites)."""
    return value_of(config(host, "/etc/login.defs") or "", Key(name, "space"))


def first_person(host: Host) -> int:
    """The smallest user number that is a person's."""
    text = login_def(host, "UID_MIN") or ""
    return int(text) if text.isdigit() and len(text) < 10 else _UID_MIN


def people(host: Host) -> List[User]:
    """Accounts of people who can log in."""
    least = first_person(host)
    return [user for user in users(host) if user.uid >= least and user.uid != NOBODY and user.logs_in]


def twice(values: Iterable[str]) -> List[str]:
    """What occurs more than once, sorted."""
    seen: Set[str] = set()
    found: Dict[str, None] = {}
    for value in values:
        if value in seen:
            found[value] = None
        seen.add(value)
    return sorted(found)
