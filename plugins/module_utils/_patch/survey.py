# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What waits on a host, what of it the town wants, and what stands in the way: the document C(updates)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .._host_info.context import Context, utc
from .._host_info.identity import virtualization
from . import kept_plan, services
from .manager import POOL, Manager, ManagerError, Plan, Policy
from .managers import manager_of
from .preflight import Blocker, Limits, look

ROWS = 5000


@dataclass
class Survey:
    """One look at one host."""

    manager: Manager
    plan: Plan
    blockers: List[Blocker] = field(default_factory=list)
    missing: Optional[List[str]] = None  # what there is no way back to; None: not looked at
    staged: Optional[Dict[str, Any]] = None

    def request(self) -> Dict[str, Any]:
        """What the program needs to know of the plan."""
        install = [[one.name, one.arch, one.current, one.candidate, one.source, one.size] for one in self.plan.install]
        return {
            "manager": self.manager.name,
            "install": install,
            "download_bytes": self.plan.download_bytes,
            "disk_bytes": self.plan.disk_bytes,
            "held": self.plan.holds[:5000],
        }

    def changes(self) -> Dict[str, Any]:
        """What would change, as the document C(patch) tells it."""
        rows = [[one.name, one.arch, one.current, one.candidate] for one in self.plan.install]
        return {"columns": ["name", "arch", "before", "after"], "rows": rows[:ROWS]}


def survey(manager: str, policy: Policy, limits: Limits, controller_time: Optional[float]) -> Survey:
    """Look, and change nothing; raises ManagerError."""
    ctx = Context()
    chosen = manager_of(manager, ctx)
    plan = kept_plan.plan_of(chosen, policy)
    return Survey(chosen, plan, look(ctx, chosen, plan, limits, controller_time))


def refresh_and_stage(manager: str, policy: Policy, limits: Limits, controller_time: Optional[float]) -> Survey:
    """Refresh the lists, download what is wanted, keep what is installed; what fails becomes a blocker.

    Raises ManagerError where nothing can be said at all.
    """
    problems = []
    chosen = manager_of(manager, Context())
    holder = _free(chosen)
    if holder is not None:
        problems.append(Blocker("lock", f"{holder} holds the lock of {chosen.program}, so nothing was refreshed"))
    else:
        try:
            chosen.refresh()
        except ManagerError as error:
            problems.append(Blocker("lists", str(error)))
    found = survey(manager, policy, limits, controller_time)
    full = [one for one in found.blockers if one.code == "disk"]
    before, complete = _pool(), False
    if holder is None and not full:
        try:
            found.manager.download(found.plan)
            complete = True
        except ManagerError as error:
            problems.append(Blocker("error", str(error)))
        try:
            found.missing = found.manager.keep(found.plan)
            found.manager.tidy()
        except ManagerError as error:
            complete = False
            problems.append(Blocker("error", str(error)))
    found.blockers = problems + found.blockers
    downloaded = sum(size for name, size in _pool().items() if name not in before)
    if complete:
        kept_plan.keep(found.manager, policy, found.plan)
    found.staged = {"at": utc(time.time()), "complete": complete, "downloaded_bytes": downloaded}
    return found


def _pool() -> Dict[str, int]:
    """The packages that are kept, and their sizes in bytes."""
    try:
        with os.scandir(POOL) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
    except OSError:
        return {}


def _free(manager: Manager, seconds: float = 60.0) -> Optional[Any]:
    """Wait for the lock; who holds it still."""
    end = time.monotonic() + seconds
    holder = manager.locked_by()
    while holder is not None and time.monotonic() < end:
        time.sleep(2.0)
        holder = manager.locked_by()
    return holder


def document(found: Survey, policy: Policy, without_rollback: str, began: float) -> Dict[str, Any]:
    """The document's body. C(began) is on time.monotonic()."""
    ctx = Context()
    plan, manager = found.plan, found.manager
    wanted, reasons = services.wanted(manager.reboot_reasons())
    expected = manager.expects_reboot(plan) if not _is_container(ctx) else []
    reasons += [f"{name} is to be installed" for name in expected]
    blockers = [one.values() for one in found.blockers[:100]]
    missing = found.missing or []
    if missing and without_rollback == "skip":
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        text = f"it could not be taken back, as no package is to be had of {names}; without_rollback: patch allows it"
        blockers.append(Blocker("rollback", text).values())
    possible = None if found.missing is None else not missing
    rows = plan.table()
    unread = []
    if len(rows["rows"]) > ROWS:
        unread.append({"item": "updates", "reason": f"truncated: {len(rows['rows'])} updates, {ROWS} are told"})
        rows["rows"] = sorted(rows["rows"], key=lambda row: not row[8])[:ROWS]
    return {
        "manager": manager.name,
        "host_time": utc(time.time()),
        "lists_at": utc(manager.lists_at() or -1.0),
        "policy": policy.values(),
        "updates": rows,
        "download_bytes": plan.download_bytes,
        "disk_bytes": plan.disk_bytes,
        "reboot": {"wanted": wanted, "expected": True if expected else wanted, "reasons": reasons[:50]},
        "restarts": services.likely_restarts(manager.files(plan)) if plan.install else [],
        "holds": plan.holds[:5000],
        "blockers": blockers,
        "rollback": {"possible": possible, "missing": missing[:5000]},
        "staged": found.staged,
        "took_seconds": round(time.monotonic() - began, 3),
        "unread": unread,
    }


def _is_container(ctx: Context) -> bool:
    return bool(virtualization(ctx)["kind"] == "container")
