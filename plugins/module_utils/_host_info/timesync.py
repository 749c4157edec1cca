# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether something keeps the clock right."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .context import CommandError, Context, utc
from .identity import virtualization
from .processes import all_processes

DAEMONS = {"systemd-timesyn": "systemd-timesyncd", "systemd-timesyncd": "systemd-timesyncd", "chronyd": "chrony",
           "ntpd": "ntp", "openntpd": "openntpd", "ntpsec-ntpd": "ntpsec", "ptp4l": "linuxptp"}  # fmt: skip
SYNCHRONIZED = "/run/systemd/timesync/synchronized"  # touched by systemd-timesyncd at each success


def leap_status(text: str) -> Optional[bool]:
    """Whether `chronyc -c tracking` (one line of comma-separated fields, leap status last) says synchronised."""
    fields = text.strip().split(",")
    return fields[-1] != "Not synchronised" if len(fields) >= 14 else None


def time_zone(ctx: Context) -> Optional[str]:
    link = ctx.link("/etc/localtime") or ""
    dummy, mark, zone = link.partition("/zoneinfo/")
    return zone if mark else ctx.line_or_none("/etc/timezone")


def collect(ctx: Context) -> Dict[str, Any]:
    names = {process.name for process in all_processes(ctx)}
    running = sorted({DAEMONS[name] for name in names if name in DAEMONS})
    synchronized: Optional[bool] = None
    last = None
    if "systemd-timesyncd" in running:
        last = ctx.mtime(SYNCHRONIZED)
        synchronized = last is not None
    elif "chrony" in running and ctx.program("chronyc"):
        try:
            dummy, output = ctx.run([str(ctx.program("chronyc")), "-c", "-n", "tracking"], 3.0)
            synchronized = leap_status(output)
        except CommandError as error:
            ctx.unread_error("time_sync.synchronized", error)
    virtual = ctx.once("virtualization", virtualization)
    if synchronized is None:
        if virtual["kind"] == "container":
            why = "a container has the clock of the machine below"
        else:
            why = "the daemon was not asked" if running else "no daemon that keeps the time is running"
        ctx.unread("time_sync.synchronized", why)
    return {
        "time_sync": {
            "running": running,
            "synchronized": synchronized,
            "last_success": utc(last) if last else None,
            "time_zone": time_zone(ctx),
        }
    }
