# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What can stand in the way of a transaction, looked at before anything is touched."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Set, Tuple

from .._host_info.context import Context
from .._host_info.logins import USER_PROCESS, WTMP_RECORD, text_of
from .manager import POOL, Manager, ManagerError, Plan

MEGABYTE = 1 << 20
SPARE = 200 * MEGABYTE  # kept free besides what the packages take: what scripts write, and logs
BOOT_SPARE = 100 * MEGABYTE  # an initial RAM disk and its predecessor's copy while it is made
FEW_INODES = 2000
IDLE_SECONDS = 3600.0  # a terminal that was not touched for so long is not being worked at


@dataclass(frozen=True)
class Blocker:
    """Why a host is left alone, and what would help."""

    code: str
    text: str

    def values(self) -> Dict[str, str]:
        return {"code": self.code, "text": self.text[:1000]}


@dataclass(frozen=True)
class Limits:
    """What the town demands of a host before it is patched. Seconds; None: not demanded."""

    lists_max_age: Optional[float] = 7 * 86400.0
    backup_max_age: Optional[float] = None
    backup_stamp: str = "/var/lib/civicops/backup/last-success"
    clock_skew: float = 300.0
    block_users: bool = False
    repair: bool = False


def look(ctx: Context, manager: Manager, plan: Plan, limits: Limits, controller_time: Optional[float]) -> List[Blocker]:
    """Everything that stands in the way now, but locks, which may be gone when it matters."""
    found = [*lists(manager, limits), *clock(limits, controller_time)]
    found += broken(manager, limits)
    if plan.install:
        found += disk(plan, manager.to_download(plan))
        found += backup(limits)
    if limits.block_users:
        found += users(ctx)
    return found


def lists(manager: Manager, limits: Limits) -> List[Blocker]:
    at = manager.lists_at()
    if at is None:
        return [Blocker("lists", "no package lists were ever downloaded: run patch_stage first")]
    age = time.time() - at
    if limits.lists_max_age is not None and age > limits.lists_max_age:
        days = f"{age / 86400:.0f} days"
        return [Blocker("lists", f"the package lists were downloaded {days} ago, too long to tell: run patch_stage")]
    return []


def clock(limits: Limits, controller_time: Optional[float]) -> List[Blocker]:
    if controller_time is None:
        return []
    off = time.time() - controller_time
    if abs(off) <= limits.clock_skew:
        return []
    how = "ahead of" if off > 0 else "behind"
    return [Blocker("clock", f"the clock is {abs(off):.0f} s {how} the controller's: set it right (time sync?)")]


def broken(manager: Manager, limits: Limits) -> List[Blocker]:
    if limits.repair:
        return []  # it is repaired first
    try:
        problems = manager.audit()
    except ManagerError as error:
        return [Blocker("broken", str(error))]
    if not problems:
        return []
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return [Blocker("broken", f"{'; '.join(problems[:5])}{more}: put it right by hand, or let repair do it")]


def disk(plan: Plan, to_download: int) -> List[Blocker]:
    """Room for what is downloaded, for what the installed files grow by, and for a kernel's files."""
    kernel = any(one.name.startswith(("linux-image", "kernel")) for one in plan.install)
    wants = [("/", SPARE), ("/usr", SPARE), ("/var", SPARE), (POOL, 0), ("/boot", BOOT_SPARE if kernel else 0)]
    more = {"/usr": max(plan.disk_bytes or 0, 0), POOL: to_download}
    needs: Dict[int, Tuple[str, int]] = {}
    for folder, spare in wants:
        device = _device(folder)
        first, spared = needs.get(device, (folder, 0))
        needs[device] = (first, max(spared, spare))
    for folder, room in more.items():
        device = _device(folder)
        first, before = needs[device]
        needs[device] = (first, before + room)
    found = []
    for folder, room in needs.values():
        info = os.statvfs(folder)
        free = info.f_bavail * info.f_frsize
        if free < room:
            told = (
                f"{free / MEGABYTE:.0f} MiB are free on the file system of {folder}, {room / MEGABYTE:.0f} are needed"
            )
            found.append(Blocker("disk", told))
        elif info.f_files and info.f_favail < FEW_INODES:
            found.append(Blocker("disk", f"only {info.f_favail} files can be made on the file system of {folder}"))
    return found


def _device(folder: str) -> int:
    """The file system that a folder lies on, or would lie on once it is made."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return os.stat(folder).st_dev


def backup(limits: Limits) -> List[Blocker]:
    if limits.backup_max_age is None:
        return []
    try:
        age = time.time() - os.stat(limits.backup_stamp).st_mtime
    except OSError:
        return [Blocker("backup", f"no backup is known: {limits.backup_stamp} is not there")]
    if age <= limits.backup_max_age:
        return []
    hours = f"{age / 3600:.0f} hours old, {limits.backup_max_age / 3600:.0f} allowed"
    return [Blocker("backup", f"the last backup is {hours}")]


def users(ctx: Context) -> List[Blocker]:
    names = sorted(at_work(ctx))
    return [Blocker("users", f"logged in and not idle: {', '.join(names[:10])}")] if names else []


def at_work(ctx: Context) -> Set[str]:
    """Who is logged in at a terminal or a screen that was used within the last hour, by utmp(5)."""
    try:
        data = ctx.read_bytes("/run/utmp", 1 << 20)
    except OSError:
        return set()
    found = set()
    whole = len(data) - len(data) % WTMP_RECORD.size
    for fields in WTMP_RECORD.iter_unpack(data[:whole]):
        kind, pid, line, user = fields[0], fields[1], text_of(fields[2]), text_of(fields[4])
        if kind != USER_PROCESS or user is None or not os.path.exists(f"/proc/{pid}"):
            continue
        try:
            idle = time.time() - os.stat(f"/dev/{line}").st_atime if line and ".." not in line else 0.0
        except (OSError, ValueError):
            idle = 0.0  # a screen, of which nobody can tell
        if idle < IDLE_SECONDS:
            found.add(user)
    return found
