# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether something keeps the clock right."""

from __future__ import annotations

from typing import List

from ..._host_info.identity import virtualization
from ..host import Host, HostError
from ..looks import comes
from ..model import SERVICES, Params, Reading, absent, bad, good, manual
from .service import STARTED, turn_on

# The first that is installed is the one that is switched on: the more exact ones come first.
UNITS = ["chrony.service", "chronyd.service", "ntpsec.service", "ntp.service", "ntpd.service", "openntpd.service",
         "systemd-timesyncd.service"]  # fmt: skip
BRINGS = ("chrony", "ntpsec", "systemd-timesyncd")


class TimeSync:
    """One daemon that keeps the time runs and is started with the host."""

    name = "time_sync"
    stage = SERVICES
    wanted = "a time daemon runs"

    def __init__(self, params: Params) -> None:
        params.done()
        self.units: List[str] = list(UNITS)

    def current(self, host: Host) -> Reading:
        if host.ctx.once("virtualization", virtualization)["kind"] == "container":
            return absent("a container has the clock of the machine below")
        if not host.ctx.exists("/run/systemd/system"):
            return absent("the system does not run systemd")
        units = host.units(self.units)
        on = [name for name in UNITS if units[name].active == "active" and units[name].enabled in STARTED]
        there = [name for name in UNITS if units[name].there]
        if on:
            return good(", ".join(on))
        if there:
            return bad(f"{there[0]} is off")
        return bad("not installed yet") if comes(host, *BRINGS) else manual("no time daemon", "none is installed")

    def apply(self, host: Host) -> None:
        units = host.units(self.units)
        name = next((one for one in UNITS if units[one].there), None)
        if name is not None:
            turn_on(host, name, units[name])
        elif not host.dry:
            raise HostError("its package is not installed")
