# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Services and sockets that must run, or must not."""

from __future__ import annotations

from typing import Dict, List

from ..host import Host, HostError, Unit
from ..model import SERVICES, Params, Reading, absent, bad, good, manual, stuck

STARTED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "linked", "linked-runtime")


class Service:
    """C(off): neither runs nor would be started; C(on): runs, and is started with the host, or, where there is none of
    the units, C(or_cron) is there, which cron starts."""

    name = "service"
    stage = SERVICES

    def __init__(self, params: Params) -> None:
        self.units = params.texts("unit")
        self.on = params.text("state", "off", ("off", "on")) == "on"
        self.package = params.maybe("package")
        self.or_cron = params.maybe("or_cron")
        params.done()
        self.wanted = f"{', '.join(self.units)} {'on' if self.on else 'off'}"[:200]

    def current(self, host: Host) -> Reading:
        if not host.ctx.exists("/run/systemd/system"):
            return absent("the system does not run systemd")
        found = {name: unit for name, unit in host.units(self.units).items() if unit.there}
        wrong = {name: unit for name, unit in found.items() if not self._fits(unit)}
        was = ", ".join(f"{name} {unit.active} {unit.enabled or unit.load}" for name, unit in wrong.items())[:200]
        if not self.on:
            return bad(was) if wrong else good("off" if found else "not there")
        if not found and self._comes(host):
            return bad("not installed yet")
        if not found and self.or_cron and host.lstat(self.or_cron):
            return self._by_cron(host, self.or_cron)
        if not found:
            return absent(f"there is no {' or '.join(self.units)}"[:200])
        if len(wrong) < len(found):
            return good("on")
        if all(self._is_refused(host, name, unit) for name, unit in wrong.items()):
            return stuck(was, "it is enabled, and its own conditions for this host are not met", todo=False)
        return bad(was)

    @staticmethod
    def _by_cron(host: Host, path: str) -> Reading:
        """An older release does by cron what a newer one does by a unit."""
        if host.packages() & {"anacron", "cron", "cronie", "systemd-cron"}:
            return good(f"{path}, by cron")
        return manual("off", f"cron is to start {path}, and is not installed")

    def _comes(self, host: Host) -> bool:
        """Whether this run installs what has the unit: the package that is named, or one that is called like it."""
        names = {self.package, *(name.partition(".")[0] for name in self.units)}
        coming = names & host.coming
        return bool(coming) and (host.dry or not coming <= host.packages())

    def _fits(self, unit: Unit) -> bool:
        return (unit.active == "active" and unit.enabled in STARTED) if self.on else not unit.on

    @staticmethod
    def _is_refused(host: Host, name: str, unit: Unit) -> bool:
        """Whether systemd has tried to start it and its conditions (ConditionVirtualization=...) said no."""
        if unit.enabled not in STARTED:
            return False
        argv = ["systemctl", "show", "--property=ConditionResult,ConditionTimestampMonotonic", "--", name]
        dummy, output = host.ask(argv)
        values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        return values.get("ConditionResult") == "no" and values.get("ConditionTimestampMonotonic", "0") != "0"

    def apply(self, host: Host) -> None:
        found = {name: unit for name, unit in host.units(self.units).items() if unit.there}
        if self.on and not found:
            if not host.dry and not (self.or_cron and host.lstat(self.or_cron)):
                raise HostError("its package is not installed")
        elif self.on:
            turn_on(host, next(iter(found)), next(iter(found.values())))
        else:
            self._turn_off(host, found)

    def _turn_off(self, host: Host, found: Dict[str, Unit]) -> None:
        """Sockets and timers first, which would start their service again."""
        names: List[str] = sorted(found, key=lambda name: name.endswith(".service"))
        for name in names:
            unit = found[name]
            if unit.active not in ("inactive", "failed", ""):
                host.unit(name, "stop")
            if unit.enabled.startswith(("enabled", "linked")):
                host.unit(name, "disable")
            # A unit that an administrator wrote stands where the mask's link would.
            if host.lstat(f"/etc/systemd/system/{name}") is None:
                host.unit(name, "mask")


def turn_on(host: Host, name: str, unit: Unit) -> None:
    """Have a unit run now and after each start. Raises HostError, CommandError."""
    if unit.load == "masked":
        host.unit(name, "unmask")
        unit = host.units([name])[name]
    if unit.enabled not in STARTED:
        host.unit(name, "enable")
    if unit.active != "active":
        host.unit(name, "start")
