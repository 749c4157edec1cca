# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Services and timers as systemd has them loaded, and what is enabled to start at boot."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Set

from .context import CommandError, Context

WANTS = (".wants", ".requires", ".upholds")
SYSTEMD_SECONDS = 15.0
LIST_UNITS = ["list-units", "--all", "--plain", "--no-legend", "--no-pager", "--type=service,socket,timer,mount"]
SHOW_TIMERS = ["show", "-p", "Id,ActiveState,Unit,Triggers,LastTriggerUSec,NextElapseUSecRealtime", "*.timer"]


class Unit(NamedTuple):
    name: str
    load: str
    active: str
    sub: str


def parse_units(text: str) -> List[Unit]:
    """Rows of `systemctl list-units --plain --no-legend`."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 4)
        if len(fields) > 3 and "." in fields[0]:
            found.append(Unit(*fields[:4]))
    return found


def parse_show(text: str) -> List[Dict[str, str]]:
    """Blocks of key=value of `systemctl show`."""
    blocks = []
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values:
            blocks.append(values)
    return blocks


def when(text: Optional[str]) -> Optional[str]:
    """ISO 8601 of systemd's "Mon 2026-11-23 18:00:00 UTC" (commands run with TZ=UTC); None for never."""
    match = re.search(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$", text or "", re.ASCII)
    return f"{match.group(1)}T{match.group(2)}Z" if match else None


def enabled_units(ctx: Context) -> Set[str]:
    """What the administrator's or the distribution's links start at boot; by the names of the links."""
    found: Set[str] = set()
    for folder in ("/etc/systemd/system", "/run/systemd/system"):
        for name in ctx.names_or_none(folder):
            if name.endswith(WANTS):
                found.update(ctx.names_or_none(f"{folder}/{name}"))
    return found


def sysv_units(ctx: Context) -> Set[str]:
    """Init scripts that start at boot, under the names that systemd generates for them."""
    names = (name for level in "2345" for name in ctx.names_or_none(f"/etc/rc{level}.d"))
    return {f"{name[3:]}.service" for name in names if name.startswith("S")}


def timers(ctx: Context, program: str) -> Optional[List[Dict[str, Any]]]:
    try:
        status, output = ctx.run([program, *SHOW_TIMERS], SYSTEMD_SECONDS)
    except CommandError as error:
        ctx.unread_error("timers", error)
        return None
    if status != 0:
        ctx.unread("timers", f"systemctl show: exit status {status}")
        return None
    return [
        {
            "name": block.get("Id"),
            "starts": block.get("Unit") or block.get("Triggers"),
            "last": when(block.get("LastTriggerUSec")),
            "next": when(block.get("NextElapseUSecRealtime")),
        }
        for block in parse_show(output)
        if block.get("ActiveState") == "active"
    ]


def start(ctx: Context) -> None:
    """Systemd answers while others collect."""
    program = ctx.program("systemctl")
    if program and ctx.exists("/run/systemd/system"):
        ctx.start([program, *LIST_UNITS])
        ctx.start([program, *SHOW_TIMERS])


def collect(ctx: Context) -> Dict[str, Any]:
    nothing: Dict[str, Any] = {"services": None, "failed_units": None, "timers": None}
    program = ctx.program("systemctl")
    if program is None or not ctx.exists("/run/systemd/system"):
        ctx.unread("services", "the system does not run systemd")
        return nothing
    try:
        status, output = ctx.run([program, *LIST_UNITS], SYSTEMD_SECONDS)
    except CommandError as error:
        ctx.unread_error("services", error)
        return nothing
    units = parse_units(output)
    if status != 0 or not units:
        ctx.unread("services", f"systemctl list-units: exit status {status}, {len(units)} units")
        return nothing
    by_name = {unit.name: unit for unit in units}
    enabled = enabled_units(ctx) | {
        name for name in sysv_units(ctx) if name in by_name and by_name[name].load == "loaded"
    }
    rows: List[List[Any]] = []
    for name in sorted(set(by_name) | enabled):
        if not name.endswith((".service", ".socket")):
            continue
        unit = by_name.get(name)
        starts = name in enabled or (name.partition("@")[0] + "@.service") in enabled
        if starts or (unit and unit.active not in ("inactive",) and unit.load != "not-found"):
            rows.append([name, starts, unit.active if unit else "not loaded", unit.sub if unit else None])
    return {
        "services": {"columns": ["unit", "enabled", "active", "sub"], "rows": rows},
        "failed_units": sorted(unit.name for unit in units if unit.active == "failed"),
        "timers": timers(ctx, program),
    }
