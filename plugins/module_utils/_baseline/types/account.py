# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Accounts, groups and the ageing of passwords."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from ..accounts import NO_LOGIN, NOBODY, Shadow, User, first_person, groups, shadows, twice, users
from ..host import Host, HostError
from ..looks import config, verdict
from ..model import ACCOUNTS, ParameterError, Params, Reading, absent, good, manual
from ..rules import Rule
from ..texts import Key, comment_out, listed, set_value, value_of

PASSWD, SHADOW, GROUP = "/etc/passwd", "/etc/shadow", "/etc/group"
USERADD, SHELLS = "/etc/default/useradd", "/etc/shells"
_LOCK = "/etc/.pwd.lock"  # lckpwdf(3)
_DAY = 86400.0
_KEEP = ("root", "sync", "shutdown", "halt")
# Check: the field of shadow(5), counted from 0, and how a value of the catalogue binds it
_AGEING = {"min_days": (3, "min"), "max_days": (4, "range"), "warn_days": (5, "min"), "inactive": (6, "range")}

Findings = List[str]


def _uid0(host: Host) -> Findings:
    return [user.name for user in users(host) if user.uid == 0 and user.name != "root"]


def _root_gid0(host: Host) -> Findings:
    return [f"root's group is {user.gid}" for user in users(host) if user.name == "root" and user.gid != 0]


def _only_root_gid0(host: Host) -> Findings:
    others = [user.name for user in users(host) if user.gid == 0 and user.name not in (*_KEEP, "operator")]
    return others + [f"group {group.name}" for group in groups(host) if group.gid == 0 and group.name != "root"]


def _empty_password(host: Host) -> Findings:
    found = [line.name for line in shadows(host) if line.password == ""]
    return found + [user.name for user in users(host) if user.password == ""]


def _shadowed(host: Host) -> Findings:
    return [user.name for user in users(host) if user.password not in ("x", "*", "!", "")]


def _root_access(host: Host) -> Findings:
    """CIS 5.4.2.4: root has a password or is locked."""
    return ["root has an empty password" for line in shadows(host) if line.name == "root" and not line.password]


def _unique_uid(host: Host) -> Findings:
    return twice(str(user.uid) for user in users(host))


def _unique_gid(host: Host) -> Findings:
    return twice(str(group.gid) for group in groups(host))


def _unique_name(host: Host) -> Findings:
    return twice(user.name for user in users(host))


def _unique_group(host: Host) -> Findings:
    return twice(group.name for group in groups(host))


def _group_exists(host: Host) -> Findings:
    known = {group.gid for group in groups(host)}
    return [f"{user.name}: group {user.gid}" for user in users(host) if user.gid not in known]


def _shadow_group(host: Host) -> Findings:
    found = [group for group in groups(host) if group.name == "shadow"]
    primary = [user.name for user in users(host) if any(user.gid == group.gid for group in found)]
    return sorted({name for group in found for name in group.members} | set(primary))


def _last_change(host: Host) -> Findings:
    today = int(host.ctx.now / _DAY)
    return [f"{line.name}: day {line.last}" for line in shadows(host) if line.usable and (line.last or 0) > today]


def _legacy_plus(host: Host) -> Findings:
    return [
        f"{path}: {line.split(':')[0]}"
        for path in (PASSWD, SHADOW, GROUP)
        for line in (config(host, path) or "").split("\n")
        if line.startswith("+")
    ]


def _system_locked(host: Host) -> Findings:
    usable = {line.name for line in shadows(host) if line.usable}
    return [user.name for user in users(host) if user.name in usable and not user.logs_in and user.name not in _KEEP]


_MANUAL: Dict[str, Tuple[Callable[[Host], Findings], str]] = {
    "uid0_only_root": (_uid0, "accounts with root's number"),
    "root_gid0": (_root_gid0, "root's group is not root"),
    "only_root_gid0": (_only_root_gid0, "others in root's group"),
    "no_empty_password": (_empty_password, "accounts without a password: set one, or lock them"),
    "shadowed": (_shadowed, "passwords that everybody can read: run pwconv"),
    "root_access": (_root_access, "set a password, or lock it"),
    "unique_uid": (_unique_uid, "numbers that two accounts have"),
    "unique_gid": (_unique_gid, "numbers that two groups have"),
    "unique_name": (_unique_name, "names that two accounts have"),
    "unique_group": (_unique_group, "names that two groups have"),
    "group_exists": (_group_exists, "groups that are not there"),
    "shadow_group_empty": (_shadow_group, "members of the group that reads passwords"),
    "last_change_past": (_last_change, "passwords that were changed in the future: is the clock right?"),
    "no_legacy_plus": (_legacy_plus, "lines that let in a directory's accounts"),
    "system_locked": (_system_locked, "passwords of accounts without a shell: a mail server may use them"),
}
CHECKS = (*_MANUAL, *_AGEING, "system_no_shell", "inactive_default", "nologin_not_in_shells")


class Account:
    """What is safe is mended: ageing where it does not lock anybody out at once, shells of accounts that nobody logs in
    with, defaults for new accounts. The rest is for people."""

    name = "account"
    stage = ACCOUNTS

    def __init__(self, params: Params) -> None:
        self.check = params.text("check", choices=CHECKS)
        self.value = params.number("value", 0)
        self.exempt = params.texts("except", [])
        params.done()
        op = _AGEING[self.check][1] if self.check in _AGEING else "range"
        if self.value <= 0 and (self.check in _AGEING or self.check == "inactive_default"):
            raise ParameterError(f"value: {self.check} needs a number of days")
        least = "0" if "inactive" in self.check else "1"
        self.rule = Rule(op, (least, str(self.value)) if op == "range" else (str(self.value),), target=str(self.value))
        self.wanted = f"{self.check.replace('_', ' ')}{f' {self.rule.text}' if self.value else ''}"
        self._mended = False

    def current(self, host: Host) -> Reading:
        if self.check in _MANUAL:
            test, why = _MANUAL[self.check]
            if host.access(PASSWD) is None or (host.access(SHADOW) is None and test in (_empty_password, _root_access)):
                raise HostError("there are no accounts to look at")
            found = [one for one in test(host) if one.split(":")[0] not in self.exempt]
            return manual(listed(found), why) if found else good()
        if self.check == "inactive_default":
            if host.access(USERADD) is None:
                return absent(f"there is no {USERADD}")
            value = value_of(config(host, USERADD) or "", Key("INACTIVE", "equals"))
            return verdict([] if self.rule.met(value) else [value or "not set"], [], "", mended=False, fine=value or "")
        if self.check == "nologin_not_in_shells":
            text = config(host, SHELLS) or ""
            return verdict([] if comment_out(text, _no_shell) == text else ["nologin"], [], "", mended=False)
        if self.check == "system_no_shell":
            safe, others = self._shells(host)
            return verdict([user.name for user in safe], others, "people log in with these", mended=self._mended)
        lines, others = self._ageing(host)
        mendable = [f"{line.name}: {self._field(line)}" for line in lines]
        return verdict(mendable, others, "their passwords would be expired at once", mended=self._mended)

    def apply(self, host: Host) -> None:
        self._mended = True
        if self.check == "inactive_default":
            text = host.text(USERADD) or ""
            host.write(USERADD, set_value(text, Key("INACTIVE", "equals"), str(self.value)))
        elif self.check == "nologin_not_in_shells":
            host.write(SHELLS, comment_out(host.text(SHELLS) or "", _no_shell))
        elif self.check == "system_no_shell":
            with _locked(host):
                names = {user.name for user in self._shells(host)[0]}
                shell = "/usr/sbin/nologin" if host.ctx.exists("/usr/sbin/nologin") else "/sbin/nologin"
                _edit(host, PASSWD, names, 6, shell)
        elif self.check in _AGEING:
            with _locked(host):
                names = {line.name for line in self._ageing(host)[0]}
                _edit(host, SHADOW, names, _AGEING[self.check][0], str(self.value))

    def _field(self, line: Shadow) -> str:
        value = line[_AGEING[self.check][0]]
        return "not set" if value is None else str(value)

    def _ageing(self, host: Host) -> Tuple[List[Shadow], List[str]]:
        """Accounts with a password whose ageing is not as wanted: those that are safe to mend, and the others."""
        if host.access(SHADOW) is None:
            raise HostError(f"there is no {SHADOW}")
        today = int(host.ctx.now / _DAY)
        lines: List[Shadow] = []
        others: List[str] = []
        for line in shadows(host):
            if line.usable and line.name not in self.exempt and not self.rule.met(self._field(line)):
                safe = not self._ends(line, today)
                lines.append(line) if safe else others.append(f"{line.name}: {self._field(line)}")
        return lines, others

    def _ends(self, line: Shadow, today: int) -> bool:
        """Whether the account could not be used any more once the value is set."""
        if self.check in ("min_days", "warn_days") or line.last is None or line.last == 0:
            return False
        if self.check == "max_days":
            return line.last + self.value <= today
        return line.maximum is not None and line.maximum >= 0 and line.last + line.maximum + self.value <= today

    def _shells(self, host: Host) -> Tuple[List[User], List[str]]:
        """System accounts with a shell: those that nobody logs in with, and the others."""
        least = first_person(host)
        usable = {line.name for line in shadows(host) if line.usable}
        safe: List[User] = []
        others: List[str] = []
        for user in users(host):
            system = user.uid < least or user.uid == NOBODY
            if not system or not user.logs_in or user.uid == 0 or user.name in (*_KEEP, *self.exempt):
                continue
            keys = host.ctx.exists(f"{user.home.rstrip('/')}/.ssh/authorized_keys")
            if user.name in usable or keys:
                others.append(f"{user.name} ({'key' if keys else 'password'})")
            else:
                safe.append(user)
        return safe, others


def _no_shell(line: str) -> bool:
    return line.strip().rpartition("/")[2] == NO_LOGIN[0]


def _edit(host: Host, path: str, names: set[str], field: int, value: str) -> None:
    """Set a field of some lines; every other byte stays."""
    lines = (host.text(path) or "").split("\n")
    for number, line in enumerate(lines):
        row = line.split(":")
        if row[0] in names and len(row) > field:
            row[field] = value
            lines[number] = ":".join(row)
    host.write(path, "\n".join(lines))


@contextmanager
def _locked(host: Host) -> Iterator[None]:
    """Nobody else changes accounts meanwhile (lckpwdf(3)). Raises HostError: somebody does."""
    handle: Optional[int] = None
    try:
        if not host.dry:
            try:
                handle = os.open(host.ctx.path(_LOCK), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                pass  # no account was ever changed here
            except OSError as error:
                raise HostError(f"accounts are being changed by somebody else: {error.strerror}") from None
            host.forget()
        yield
    finally:
        if handle is not None:
            os.close(handle)
