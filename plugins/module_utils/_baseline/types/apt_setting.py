# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A setting of apt's."""

from __future__ import annotations

import re
from typing import Dict, Optional

from ..host import Host, HostError
from ..looks import parsed
from ..model import FILES, ParameterError, Params, Reading, absent, bad, good, manual
from ..rules import Rule
from ..texts import shown

OURS = "/etc/apt/apt.conf.d/99-civicops"
_LINE = re.compile(r'^([^\s"]+) "(.*)";$')
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(::[A-Za-z0-9/_.-]+)*")


def settings(text: str) -> Dict[str, str]:
    """What C(apt-config dump) prints, or a file of ours; names of settings in small letters, as to apt they are one."""
    return {match.group(1).lower(): match.group(2) for line in text.split("\n") if (match := _LINE.match(line.strip()))}


class AptSetting:
    """What counts is what apt itself says that it has read."""

    name = "apt_setting"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.key = params.text("key")
        self.rule = Rule.of(params, booleans=True, ops=("eq", "min", "max", "range", "one_of"))
        self.package = params.maybe("needs_package")
        params.done()
        if not _KEY.fullmatch(self.key) or '"' in self.rule.target:
            raise ParameterError("key and value are what one line of apt.conf(5) can hold")
        self.wanted = f"{self.key} {self.rule.text}"

    def current(self, host: Host) -> Reading:
        if host.program("apt-config") is None:
            return absent("this host has no apt")
        if self.package and self.package not in host.packages():
            return absent(f"{self.package} is not installed")
        value = self._value(host)
        was = "not set" if value is None else shown(value)
        if self.rule.met(value):
            return good(was)
        if self.rule.met(settings(host.text(OURS) or "").get(self.key.lower())):
            return manual(was, f"a file that apt reads after {OURS} overrides it")
        return bad(was)

    def apply(self, host: Host) -> None:
        before = host.text(OURS)
        lines = (before or "// Kept by civicops.town; taken back by its restore point.").split("\n")
        lines = [line for line in lines if line and self.key.lower() not in settings(line)]
        host.write(OURS, "\n".join([*lines, f'{self.key} "{self.rule.target}";', ""]))
        if not host.dry and host.ask(["apt-config", "dump"])[0] != 0:
            if before is None:
                host.remove(OURS)
            else:
                host.write(OURS, before)
            raise HostError("apt-config did not take it; it was taken back at once")

    def _value(self, host: Host) -> Optional[str]:
        if host.dry and OURS in host.touched:
            would = settings(host.text(OURS) or "").get(self.key.lower())
            if would is not None:
                return would
        status, output = host.ask(["apt-config", "dump"])
        if status != 0:
            raise HostError(f"apt-config can't read apt's settings: exit {status}")
        found: Dict[str, str] = parsed(host, "apt", output, settings)
        return found.get(self.key.lower())
