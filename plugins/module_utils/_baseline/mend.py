# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What the modules C(baseline) and C(baseline_undo) change on a host, with a way back."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .._host_info.context import Context, utc
from .._host_work import bundle
from .._host_work.place import Place
from .._patch.probes import Health, Probe
from .._patch.snapshot import read_json, write_json
from . import guard
from .engine import Engine, Run
from .host import Host
from .model import CHANGED, FAILED, NOT_ENFORCEABLE
from .registry import TYPES
from .reloads import RELOADS
from .restore import RestorePoint, Undone
from .texts import shown
from .work import Done, RequestError, entries_of, family, told

JOB = "baseline"
PARTS = ("_host_info", "_host_work", "_patch", "_baseline")
"""What the program of the way back holds."""
HEALTH = "health.json"
GREEN_SECONDS = 10.0
"""How long a probe that is red before anything is done is asked again."""
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass
class Care:
    """How a host is told to be well: its probes, how long (seconds) they may stay red after mending, and whether a
    host that is not well is put back."""

    probes: Sequence[Dict[str, Any]] = ()
    grace: float = 30.0
    automatic: bool = True


def enforce(rows: Any, run: str, care: Optional[Care] = None) -> Done:
    """Mend, with a restore point named by the run; a host that is not well afterwards is put back. Raises WorkError,
    RequestError, OSError."""
    began = time.monotonic()
    care = care or Care()
    folder = _folder(run, make=True)
    with guard.locked(folder):
        host = Host(Context(), RestorePoint(folder))
        entries = entries_of(rows, family(host.ctx))
        health = Health(
            [Probe.read(one) for one in care.probes], spare_new=True
        )  # what can't run here, its control tells
        if red := _red_before(folder, health):
            done = told(host, Run(notes=[f"not well before anything was done: {red}"]), began, "blocked", {})
            done.body.update(health.values())
            return done
        undo = guard.TimedUndo(folder, bundle.program(guard, PARTS))
        came_of_it = Engine(host, TYPES, RELOADS).run(entries, undo)
        taken_back = None
        outcome = "failed" if came_of_it.notes else "done"
        if host.point and host.point.exists:
            if health.probes:
                undo.hold(care.grace + sum(probe.seconds + 1.0 for probe in health.probes))
            if unwell := "; ".join(health.after(care.grace)):
                outcome, taken_back = _unwell(folder, unwell, came_of_it, health, care)
            elif health.probes:
                undo.wait()
    confirm: Dict[str, Any] = {}
    if undo.armed and taken_back is None:
        confirm = {"folder": folder, "python": sys.executable, "seconds": guard.SECONDS, "controls": came_of_it.access}
    done = told(host, came_of_it, began, outcome, confirm)
    done.body.update(health.values())
    if taken_back is not None:
        done.body["undone"] = _lists(taken_back)
    return done


def _red_before(folder: str, health: Health) -> str:
    """What was not well before the run's first change, in words; an attempt that was cut off has looked before."""
    kept = read_json(folder, HEALTH)
    if kept is not None:
        health.recall(kept)
        return ""
    if red := health.before(GREEN_SECONDS):
        return "; ".join(red)
    write_json(folder, HEALTH, health.kept())
    return ""


def _unwell(folder: str, unwell: str, run: Run, health: Health, care: Care) -> Tuple[str, Optional[Undone]]:
    """Put a host back that is not well after mending, where that is wanted: the outcome, and what became of it."""
    if not care.automatic:
        run.notes.append(f"not well afterwards, and not put back, as the policy is never to: {unwell}")
        return "failed", None
    done = guard.take_back(folder, only_risky=False)
    for result in run.results:
        if result.changed or result.state == CHANGED:
            result.state = result.state if result.state == NOT_ENFORCEABLE else FAILED
            result.changed, result.reason = False, f"put back, as the host was not well: {unwell}"[:300]
    run.notes.append(f"not well afterwards, and put back: {unwell}")
    still = health.after(care.grace)
    if still:
        run.notes.append(f"still not well: {'; '.join(still)}")
    run.notes.extend(done.failed)
    return "failed" if still or done.failed else "rolled_back", done


def _lists(undone: Undone) -> Dict[str, List[str]]:
    lists = {"back": undone.back, "left": undone.left, "failed": undone.failed}
    return {name: [shown(one, 300) for one in lists[name][:2000]] for name in lists}


def way_back(run: str, check: bool) -> Done:
    """Put a run's changes back; in check mode say what that would be. Raises WorkError, RequestError."""
    began = time.monotonic()
    folder = _folder(run, make=False)
    if not os.path.exists(os.path.join(folder, "journal")):
        raise RequestError(f"no restore point of the run {run} is on this host: {folder}")
    earlier = guard.undone(folder)
    done: Optional[Dict[str, Any]] = None
    if check:
        point = RestorePoint(folder)
        names = sorted({str(op.get("path") or op.get("key") or op.get("unit") or op["op"]) for op in point.ops})
        done = _lists(Undone(back=names))
    elif earlier and not earlier.get("risky"):
        done = {name: [] for name in ("back", "left", "failed")}
    else:
        with guard.locked(folder):
            done = _lists(guard.take_back(folder, only_risky=False))
    outcome = "planned" if check else ("failed" if done["failed"] else "done")
    body = {
        "outcome": outcome,
        "reason": shown("; ".join(done["failed"]), 500),
        "host_time": utc(time.time()),
        "of_run": run,
        "undone": done,
        "took_seconds": round(time.monotonic() - began, 3),
    }
    return Done(body, bool(done["back"]), [])


def _folder(run: str, make: bool) -> str:
    if not _RUN.fullmatch(run):
        raise RequestError("the name of a run is letters, digits, dots, hyphens and underscores")
    return Place.of_this_user().of(run, JOB, make)
