# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The processes of this host by name, user and systemd unit; never their arguments or environment."""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple, Optional

from .context import Context

PROCESS_LIMIT = 20000
UNIT_KINDS = (".service", ".scope", ".socket", ".mount")


class Process(NamedTuple):
    pid: int
    name: str
    uid: int


def unit_of(cgroup: str) -> Optional[str]:
    """The innermost systemd unit of a /proc/PID/cgroup text."""
    lines = cgroup.splitlines()
    for line in sorted(lines, key=lambda line: (not line.startswith("0::"), "name=systemd" not in line)):
        for part in reversed(line.split(":", 2)[-1].split("/")):
            if part.endswith(UNIT_KINDS):
                return part
    return None


def system_unit_of(cgroup: str, first: str) -> Optional[str]:
    """The outermost unit below what process 1 rules, by both their cgroups. Only root names that one: what lies deeper
    may belong to a user or to a service's own account, who name it as they like."""
    rules = {}
    for line in first.splitlines():
        head, dummy, path = line.rpartition(":/")
        rules[head] = [part for part in path.split("/") if part not in ("", "init.scope")]
    for line in sorted(cgroup.splitlines(), key=lambda line: (not line.startswith("0::"), "name=systemd" not in line)):
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        parts = [part for part in path.split("/") if part]
        above = rules.get(f"{number}:{controllers}", [])
        if parts[: len(above)] == above:
            parts = parts[len(above) :]
        found = next((part for part in parts if part.endswith(UNIT_KINDS)), None)
        if found is not None:
            return found
    return None


def user_names(ctx: Context) -> Dict[int, str]:
    """Names of local users; an LDAP user stays a number, as a dead directory server would hang the question."""
    names: Dict[int, str] = {}
    for line in (ctx.read_or("/etc/passwd", "", 4 << 20) or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal() and len(fields[2]) < 11:
            names.setdefault(int(fields[2]), fields[0])
    return names


def user_name(ctx: Context, uid: int) -> str:
    return ctx.once("user_names", user_names).get(uid) or str(uid)


def processes(ctx: Context) -> List[Process]:
    """All that /proc shows, by process number; kernel threads too."""
    found = []
    pids = sorted(int(name) for name in os.listdir(ctx.path("/proc")) if name.isdecimal() and len(name) < 10)
    if len(pids) > PROCESS_LIMIT:
        ctx.unread("processes", f"truncated: {len(pids)} processes, the first {PROCESS_LIMIT} were read")
    for pid in pids[:PROCESS_LIMIT]:
        folder = f"/proc/{pid}"
        try:
            owner = os.stat(ctx.path(folder)).st_uid
            found.append(Process(pid, ctx.read(f"{folder}/comm", 256).strip(), owner))
        except OSError:
            continue  # it ended meanwhile
    if not any(process.pid == 1 for process in found):
        ctx.unread("processes", "/proc hides other users' processes (hidepid)")
    return found


def all_processes(ctx: Context) -> List[Process]:
    found: List[Process] = ctx.once("processes", processes)
    return found


def unit(ctx: Context, pid: int) -> Optional[str]:
    return unit_of(ctx.read_or(f"/proc/{pid}/cgroup", "", 65536) or "")


def system_unit(ctx: Context, pid: int) -> Optional[str]:
    """The unit of systemd itself, never a user's own: what root may act on."""
    first = ctx.read_or("/proc/1/cgroup", "", 65536) or ""
    return system_unit_of(ctx.read_or(f"/proc/{pid}/cgroup", "", 65536) or "", first)
