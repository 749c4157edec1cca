# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""An option of the SSH daemon, by what is in force for every connection, not by what a file says."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError
from ..model import ACCESS, Params, Reading, absent, bad, good, manual
from ..openssh import ADDS_UP, OLD_NAMES, SERVER, Line, error_line, known, settings
from ..values import Wanted

ENDLESS = {"logingracetime", "clientaliveinterval", "clientalivecountmax"}
"""Options whose 0 stands for no limit (sshd_config(5))."""
UNTOLD = {"debianbanner": "yes"}
"""Options that C(sshd -T) does not print, with their defaults: Debian's own."""
BASE = {"user": "root", "host": "localhost", "addr": "127.0.0.1"}
BLOCKS = 8  # Match blocks for which the daemon is asked
UNITS = ["ssh.service", "sshd.service"]


class Sshd:
    """An option of sshd_config. C(criteria): connections (user=..,addr=..) for which it must hold too."""

    name = "sshd"
    stage = ACCESS

    def __init__(self, params: Params) -> None:
        self.options = params.text("option").lower().split("|")
        self.value = Wanted(params)
        self.criteria = params.texts("criteria", [])
        params.done()
        self.option = self.options[0]
        self.wanted = f"{' or '.join(self.options)} {self.value}"

    def current(self, host: Host) -> Reading:
        if not host.program("sshd"):
            return absent("sshd is not installed")
        now = self._general(host)
        self.option = self._called(now)
        was = self._was(now)
        if self.option not in now and self.option not in ADDS_UP and self.value.op != "present":
            return absent(f"this version of OpenSSH has no {self.option}")
        if not self._fits(now):
            return self._mendable(host, was)
        over = self._overridden(host)
        if over:
            return manual(over, "a Match block says otherwise, and such a block is not ours")
        if not host.dry and unread(host):
            return bad(f"{was}, which the running daemon has not read yet")
        return good(was)

    def _called(self, now: Dict[str, str]) -> str:
        """The option's name in this version of OpenSSH."""
        old = OLD_NAMES.get(self.options[0])
        if old in now:
            self.options = [old]
        return self.options[0]

    @staticmethod
    def _general(host: Host) -> Dict[str, str]:
        """What is in force for a connection that no Match block is for."""
        now = effective(host)
        if not host.program("dpkg-query"):
            return now
        lines = [line for line in SERVER.lines(host) if line.key in UNTOLD and not line.match]
        return {**UNTOLD, **{line.key: line.value for line in reversed(lines)}, **now}

    def _was(self, now: Dict[str, str]) -> str:
        shown = [f"{name} {now[name]}" for name in self.options if name in now]
        return ", ".join(shown)[:200] or f"no {self.option}"

    def _fits(self, now: Dict[str, str]) -> bool:
        return any(self.value.fits(now.get(name), zero_is_endless=name in ENDLESS) for name in self.options)

    def _mendable(self, host: Host, was: str) -> Reading:
        if self.value.op == "present":
            return manual(was, "who may log in is for people to say")
        if self.option in ADDS_UP:
            return manual(was, f"every line of {self.option} counts, so it is for people to take one away")
        first = SERVER.before_ours(host, self.option)
        if first is not None:
            return manual(was, f"{first.path} is read before our file and sets it")
        return bad(was)

    def apply(self, host: Host) -> None:
        value = self.value.text
        if self.value.op == "subset":
            words = known(host, self.option, self.value.values)
            if not words:
                raise HostError(f"this OpenSSH knows none of {value}"[:200])
            value = ",".join(words)
        if SERVER.own(host).get(self.option) != value:
            SERVER.set(host, {self.option: [value]})
        host.reload("ssh")

    # -- Match blocks ------------------------------------------------------------------

    def _overridden(self, host: Host) -> str:
        """For which connection something else is in force, and what; empty where for none."""
        inside = [line for line in SERVER.lines(host) if line.match]
        if not inside:
            return ""
        asked = [dict(BASE), *map(_parsed, self.criteria)]
        for line in {line.match: line for line in inside}.values():
            found = connection(host, line.match[len("Match ") :])
            if found is not None and len(asked) < BLOCKS + len(self.criteria):
                asked.append(found)
            elif (told := self._told(inside, line.match)) is not None:
                return f"{told.match}: {told.key} {told.value}"[:200]
        for one in asked:
            now = {**self._general(host), **effective(host, one)}
            if not self._fits(now):
                shown = ",".join(f"{key}={value}" for key, value in one.items())
                return f"for {shown}: {self._was(now)}"[:200]
        return ""

    def _told(self, inside: List[Line], match: str) -> Optional[Line]:
        """The line of a block, for which no connection can be thought of, that says otherwise by its text."""
        for line in inside:
            if line.match == match and line.key in self.options and not self._fits({line.key: line.value}):
                return line
        return None


def _parsed(criteria: str) -> Dict[str, str]:
    given = dict(part.split("=", 1) for part in criteria.split(",") if "=" in part)
    return {**BASE, **given}


def effective(host: Host, connection_of: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """What is in force, or in check mode would be, generally or for one connection.

    :raises HostError: sshd does not take its configuration; the message is its own.
    """
    argv = [host.program("sshd") or "sshd", "-T"]
    if connection_of:
        argv += ["-C", ",".join(f"{key}={value}" for key, value in connection_of.items())]
    found: Dict[str, str] = host.once(f"parsed {argv!r}", lambda: _asked(host, argv))
    if host.dry and SERVER.ours in host.touched:
        own = SERVER.own(host)
        inside = {line.key for line in SERVER.lines(host) if line.match} if connection_of else set()
        return {**found, **{key: value for key, value in own.items() if key not in inside}}
    return found


def _asked(host: Host, argv: List[str]) -> Dict[str, str]:
    status, output = host.ask(argv)
    if status != 0:
        raise HostError(f"sshd -T: {error_line(host, argv) or f'exit {status}'}")
    return settings(output)


def unread(host: Host) -> bool:
    """Whether a file was changed after the running daemon last read them."""
    return bool(host.once("sshd unread", lambda: _unread(host)))


def _unread(host: Host) -> bool:
    units = host.units(UNITS)
    running = next((name for name in UNITS if units[name].active == "active"), None)
    if running is None:
        return False  # none runs, or each connection starts its own
    # A reload is a change of the unit's state too (from active to reloading and back).
    status, output = host.ask(["systemctl", "show", "--property=StateChangeTimestampMonotonic", "--", running])
    found = re.search(r"=([0-9]{1,18})$", output.strip())
    if status != 0 or not found:
        return False
    read_at = int(found.group(1)) / 1e6 + time.time() - time.monotonic()
    newest = 0.0
    for path in {SERVER.main, SERVER.ours, *(line.path for line in SERVER.lines(host))}:
        changed = host.ctx.mtime(path) or 0.0
        if changed <= host.ctx.now:  # one of the future says nothing
            newest = max(newest, changed)
    return newest > read_at


def connection(host: Host, match: str) -> Optional[Dict[str, str]]:
    """A connection that a Match line is for; None where none can be thought of.

    >>> connection(host, "User backup Address 10.1.0.0/16")  # doctest: +SKIP
    {'user': 'backup', 'host': 'localhost', 'addr': '10.1.0.0'}
    """
    words = match.split()
    found = dict(BASE)
    if [word.lower() for word in words] == ["all"]:
        return found
    if not words or len(words) % 2:
        return None
    for kind, patterns in zip(words[::2], words[1::2]):
        made = _example(host, kind.lower(), patterns.strip('"').split(","))
        if made is None:
            return None
        found[made[0]] = made[1]
    return found


def _example(host: Host, kind: str, patterns: List[str]) -> Optional[Tuple[str, str]]:
    names = {"user": "user", "host": "host", "address": "addr", "localaddress": "laddr", "localport": "lport"}
    refused = [one[1:] for one in patterns if one.startswith("!")]
    for pattern in (one for one in patterns if not one.startswith("!")):
        if kind == "group":
            member = _member(host, pattern)
            if member:
                return "user", member
            continue
        if kind not in names:
            return None
        plain = pattern.partition("/")[0] if "address" in kind else pattern
        value = "root" if plain == "*" and kind == "user" else plain.replace("*", "1").replace("?", "1")
        safe = re.fullmatch(r"[A-Za-z0-9._:@-]{1,100}", value)
        if safe and not any(fnmatch.fnmatchcase(value, one) for one in refused):
            return names[kind], value
    return None


def _member(host: Host, pattern: str) -> Optional[str]:
    """Somebody of a group that a pattern names."""
    for raw in (host.reading("/etc/group") or "").splitlines():
        fields = raw.split(":")
        if len(fields) == 4 and fnmatch.fnmatchcase(fields[0], pattern):
            members = [name for name in fields[3].split(",") if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)]
            if members:
                return members[0]
            for line in (host.reading("/etc/passwd") or "").splitlines():
                account = line.split(":")
                if len(account) == 7 and account[3] == fields[2] and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", account[0]):
                    return account[0]
    return None


def ports(host: Host) -> List[int]:
    """Where sshd listens, by its configuration; 22 where that can't be asked."""
    try:
        words = effective(host).get("port", "22").split()
    except (HostError, OSError):
        words = ["22"]
    return [int(word) for word in words if word.isdecimal() and len(word) < 6] or [22]


def is_real(host: Host) -> bool:
    """Whether this is the machine itself, and no test's tree."""
    return os.path.samefile(host.ctx.root, "/")
