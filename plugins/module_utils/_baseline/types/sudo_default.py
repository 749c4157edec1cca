# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""An option of sudo that holds for all."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional

from ..host import Host, HostError
from ..looks import comes, config, parsed
from ..model import ACCESS, ParameterError, Params, Reading, absent, bad, good, manual
from ..rules import Rule
from ..texts import joined, shown

MAIN = "/etc/sudoers"
FOLDER = "/etc/sudoers.d"
OURS = "60-civicops"
_DEPTH = 8  # files that include each other
_FILES = 200
_OPTION = re.compile(r"(!*)([a-z_]+)(?:\s*=\s*(.+))?", re.S)


class Statement(NamedTuple):
    """One line of sudoers(5), continued ones put together."""

    path: str
    number: int  # of its place in the file, from 1
    text: str


class _Option(NamedTuple):
    path: str
    name: str
    value: Optional[str]  # None: switched on
    off: bool
    scope: str  # of Defaults: nothing, or :user, @host, !command, >runas


def statements(host: Host) -> List[Statement]:
    """All of sudo's rules in the order in which it reads them; the last that fits counts.

    :raises HostError: they include each other too deeply, or sudo is not configured.
    """
    found: List[Statement] = []
    _read(host, MAIN, found, 0, [])
    return found


def _read(host: Host, path: str, found: List[Statement], depth: int, seen: List[str]) -> None:
    seen.append(path)
    if depth > _DEPTH or len(seen) > _FILES:
        raise HostError("sudoers includes too many files")
    for number, line in enumerate(parsed(host, "sudoers", config(host, path) or "", joined), 1):
        line = line.strip()
        match = re.fullmatch(r"[@#](include|includedir)\s+\"?([^\"]+?)\"?", line)
        if match is None:
            if line and not line.startswith("#"):
                found.append(Statement(path, number, line))
            continue
        target = match.group(2) if match.group(2).startswith("/") else f"{path.rpartition('/')[0]}/{match.group(2)}"
        if match.group(1) == "include":
            _read(host, target, found, depth + 1, seen)
            continue
        names = set(host.names(target)) | ({OURS} if target.rstrip("/") == FOLDER else set())
        for name in sorted(names):
            if "." not in name and not name.endswith("~"):
                if name == OURS:
                    found.append(Statement(f"{FOLDER}/{OURS}", 0, ""))  # where ours is or would be read
                _read(host, f"{target.rstrip('/')}/{name}", found, depth + 1, seen)


def options(statement: Statement) -> List[_Option]:
    """What a Defaults line sets."""
    match = re.fullmatch(r"Defaults([:@!>]\S+)?\s+(.*)", statement.text, re.S)
    if match is None:
        return []
    found = []
    for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|\\.|[^,"])+', match.group(2)):
        option = _OPTION.fullmatch(part.strip())
        if option:
            value = option.group(3)
            value = None if value is None else value.strip().strip('"')
            off = len(option.group(1)) % 2 == 1
            found.append(_Option(statement.path, option.group(2), value, off, match.group(1) or ""))
    return found


class SudoDefault:
    """Set by a file of ours, which C(visudo) must take with the whole (see C(reloads.py)). What a later file or a line
    for some users says otherwise is for people, and so is an option that must not be set."""

    name = "sudo_default"
    stage = ACCESS

    def __init__(self, params: Params) -> None:
        given = params.text("option")
        self.forbidden = params.flag("absent")
        op = params.text("op", "eq", ("eq", "max", "min"))
        self.default = params.maybe("default")
        params.done()
        match = _OPTION.fullmatch(given)
        if match is None:
            raise ParameterError(f"option is no option of sudoers: {given!r:.60}")
        self.option = given
        self.off, self.key = len(match.group(1)) % 2 == 1, match.group(2)
        value = match.group(3)
        self.rule = None if value is None else Rule(op, (value.strip('"'),), target=value)
        if self.rule and op != "eq" and not value.isdigit():
            raise ParameterError(f"option: {op} takes a whole number")
        words = {"eq": "", "max": " or less", "min": " or more"}[op]
        self.wanted = f"not {given}" if self.forbidden else given + words

    def current(self, host: Host) -> Reading:
        if host.access(MAIN) is None or host.program("visudo") is None:
            if self.forbidden or not comes(host, "sudo"):
                return absent("sudo is not installed")
            done = f"Defaults {self.option}\n" in (host.text(f"{FOLDER}/{OURS}") or "")
            return good("as ours says") if done else bad("sudo comes with this run")
        found = [one for line in statements(host) for one in options(line) if one.name == self.key]
        if self.forbidden:
            bad_ones = [one for one in found if one.off == self.off and (self.rule is None or self._met(one))]
            where = ", ".join(sorted({one.path for one in bad_ones}))
            return manual(f"set in {where}", "somebody has set it on purpose") if bad_ones else good("not set")
        for one in found:
            if one.scope and not self._met(one):
                return manual(f"{_said(one)} in {one.path}", f"somebody has set it for Defaults{one.scope} on purpose")
        last = next((one for one in reversed(found) if not one.scope), None)
        if last is None:
            fine = self.default is not None and self._met(_Option("", self.key, self.default, False, ""))
            return good(f"not set; sudo takes {self.default}") if fine else self._mendable(host, "not set")
        was = shown(f"{_said(last)} in {last.path}")
        return good(was) if self._met(last) else self._mendable(host, was)

    def _mendable(self, host: Host, was: str) -> Reading:
        lines = statements(host)
        place = next((number for number, line in enumerate(lines) if line.path == f"{FOLDER}/{OURS}"), None)
        if place is None:
            return manual(was, f"{MAIN} does not include {FOLDER}")
        for line in lines[place:]:
            for one in options(line):
                if one.name == self.key and not self._met(one) and line.path != f"{FOLDER}/{OURS}":
                    return manual(was, f"{line.path} says otherwise after the place where ours would be read")
        return bad(was)

    def _met(self, one: _Option) -> bool:
        if self.rule is None or one.value is None:
            return self.rule is None and one.off == self.off and one.value is None
        if one.off:
            return False
        if self.rule.op == "max" and one.value.startswith("-"):
            return False  # timestamp_timeout: less than nothing is for ever
        return self.rule.met(one.value)

    def _sets(self, line: str) -> bool:
        return any(one.name == self.key for one in options(Statement("", 0, line)))

    def apply(self, host: Host) -> None:
        path = f"{FOLDER}/{OURS}"
        before = host.text(path) or "# Kept by civicops.town; taken back by its restore point."
        lines = [line for line in before.split("\n") if line and not self._sets(line)]
        host.write(path, "\n".join([*lines, f"Defaults {self.option}", ""]), 0o440)
        host.reload("sudo")


def _said(one: _Option) -> str:
    return ("!" if one.off else "") + one.name + ("" if one.value is None else f"={one.value}")
