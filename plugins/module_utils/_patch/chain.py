# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""One call of the module: begin the night's work on this host, go on with it, or tell how it stands.

The work is a chain of pieces, each of which is started once (C(_host_work)). The first one installs; what comes after a
reboot, an interruption, or a kernel's rollback is a piece of its own, named JOB-2, JOB-3, ... So whoever asks, and how
often, finds the chain where it is and takes it one step further.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from .._host_work import bundle
from .._host_work.place import Place
from .._host_work.work import Permit, State, Work
from .._host_work.wrapper import BEGAN, CLAIM, RESULT, boot, boottime, read, start_of
from . import night, snapshot
from .manager import Manager
from .night import BEFORE, DETAILS, REQUEST, TAKEN_BACK, differences, packages_of

PARTS = ("_host_info", "_host_work", "_patch")
"""What the program holds."""
LONGEST = 6  # pieces of one chain; a host that is cut off more often than that is somebody's to look at
FINISHING = 3600.0  # what was begun is brought to its end, also when the opening is over
REBOOT_SECONDS = 900.0  # how long a host that said that it restarts is taken to be on its way down

Request = Dict[str, Any]


class Chain:
    """All pieces of one job of one run on this host."""

    def __init__(self, permit: Permit, request: Request, place: Optional[Place] = None) -> None:
        self.permit = permit
        self.request = request
        self.place = place or Place.of_this_user()
        self.base = self.place.of(permit.run, permit.job, make=False)

    def step(self, first: Callable[[], Dict[str, Any]], dry: bool) -> Dict[str, Any]:
        """How it stands, as the module answers it.

        :param first: called where nothing was begun and may be now: what is to be added to the request of the first
            piece, or an answer that makes one unnecessary (C(outcome)).
        """
        pieces: List[State] = []
        number, stage, rebooted = 1, str(self.request["stage"]), False
        while number <= LONGEST:
            state = self._work(number).look(mark=not dry)
            if state.state == "absent":
                if number == 1:
                    return self._begin(state, first, dry)
                if dry:
                    return self._told(replace(pieces[-1], state="running"), pieces, number - 1, "")
                state = self._go_on(number, stage, rebooted)
            pieces.append(state)
            following = self._following(number, state)
            if following is None:
                return self._told(state, pieces, number, "")
            if isinstance(following, str):
                return self._told(replace(state, state="running"), pieces, number, following)
            stage, rebooted = following
            number += 1
        why = f"it was interrupted {LONGEST} times"
        return self._told(replace(pieces[-1], state="interrupted", reason=why), pieces, LONGEST, "")

    # -- pieces -----------------------------------------------------------------------

    def _name(self, number: int) -> str:
        return self.permit.job if number == 1 else f"{self.permit.job}-{number}"

    def _folder(self, number: int) -> str:
        return self.place.of(self.permit.run, self._name(number), make=False)

    def _work(self, number: int, permit: Optional[Permit] = None, request: Optional[Request] = None) -> Work:
        permit = permit or replace(self.permit, job=self._name(number))
        folder = self._folder(number)
        files = {}
        if request is not None:
            files = {REQUEST: json.dumps(request).encode(), bundle.PROGRAM: bundle.program(night, PARTS)}
        command = [sys.executable, "-I", os.path.join(folder, bundle.PROGRAM)]
        return Work(permit, command, self.place, files=files)

    def _begin(self, state: State, first: Callable[[], Dict[str, Any]], dry: bool) -> Dict[str, Any]:
        if not self.permit.may_start:
            reason = "nothing was started by this run, and the ticket does not let it start now"
            return self._told(replace(state, reason=reason), [], 1, "")
        found = first()
        if "outcome" in found or dry:
            settled = State("settled", began=False, reason=str(found.get("reason", "")))
            details = {name: value for name, value in found.items() if name not in ("request", "reason")}
            return {**settled.values(), "stage": "", "watch": None, "details": details}
        request = {**self.request, **found["request"], "base": self.base, "run": self.permit.run}
        request.update(job=self.permit.job, needed=self.permit.needed, rebooted=False, deadline=None)
        work = self._work(1, request=request)
        return self._told(work.start_or_adopt(), [], 1, "")

    def _go_on(self, number: int, stage: str, rebooted: bool) -> State:
        """Start the next piece. The ticket said yes to all of them when it let the first one begin."""
        request = snapshot.read_json(self.base, REQUEST)
        request.update(stage=stage, rebooted=rebooted, deadline=self.permit.deadline)
        until = max(self.permit.deadline, boottime() + FINISHING)
        permit = Permit(self.permit.run, self._name(number), until, 0.0, True)
        return self._work(number, permit, request).start_or_adopt()

    def _following(self, number: int, state: State) -> Optional[Tuple[str, bool] | str]:
        """The stage of the next piece and whether the host was started anew meanwhile; a text where that is yet to
        happen; None where this piece is the last."""
        if os.path.lexists(os.path.join(self._folder(number + 1), CLAIM)):
            return "", True  # it was begun, and wrote the details anew: how it stands is its own to tell
        if state.state == "interrupted":
            return ("recover", True) if state.began or number > 1 else None
        if state.state == "finished" and state.status is not None and state.status < 0:
            return "recover", False  # something killed the program; what had started it is well and says so
        if state.state != "finished" or state.status != 0:
            return None
        details = snapshot.read_json(self.base, DETAILS) or {}
        if "_next" not in details:
            return None
        claim = read(self._folder(number), CLAIM) or {}
        if claim.get("boot") != boot():
            return str(details["_next"]), True
        result = os.stat(os.path.join(self._folder(number), RESULT)).st_mtime
        if time.time() - result < REBOOT_SECONDS:
            return "it is being restarted"
        return str(details["_next"]), False

    # -- telling ------------------------------------------------------------------------

    def _told(self, state: State, pieces: List[State], number: int, waiting: str) -> Dict[str, Any]:
        """The answer: the last piece's state, with the chain's beginning, and what was found out once it has ended."""
        begun = pieces[0] if pieces else state
        values = state.values()
        values.update(adopted=begun.adopted, started_at=begun.started_at, rebooted=any(one.rebooted for one in pieces))
        if number > 1:
            values["began"] = True
        values["stage"] = waiting or (self._name(number) if number > 1 else "")
        values["watch"] = (
            os.path.join(self._folder(number), RESULT) if state.state == "running" and not waiting else None
        )
        values["details"] = None
        if waiting:
            values["reason"] = waiting
        if state.state not in ("finished", "interrupted") or not begun.adopted:
            return values
        details = snapshot.read_json(self.base, DETAILS)
        if details is None:
            return values
        if state.state == "finished":
            values["late"] = bool(details.get("_late"))
            values["reason"] = str(details.get("reason", "")) or state.reason
            phases = details.get("phases", {})
            done = sum(one.seconds or 0.0 for one in pieces) + float(phases.get("reboot", 0.0))
            values["seconds"] = round(done, 3)
        kept = {name: value for name, value in details.items() if not name.startswith("_") and name != "reason"}
        if state.state == "interrupted":
            kept["outcome"] = "interrupted"
        values["details"] = kept
        return values


def patched_runs(place: Place, job: str = "patch") -> List[str]:
    """The runs that have installed something here and were not taken back, the newest first."""
    found = []
    try:
        runs = os.listdir(place.path)
    except OSError:
        return []
    for run in runs:
        folder = os.path.join(place.path, run, job)
        before = os.path.join(folder, BEFORE)
        if os.path.exists(before) and not os.path.exists(os.path.join(folder, TAKEN_BACK)):
            found.append((os.stat(before).st_mtime, run))
    return [run for dummy, run in sorted(found, reverse=True)]


def cut_off(place: Place, job: str = "patch") -> List[str]:
    """The runs whose work here was begun, and neither ended nor goes on: what they left by halves is ours to mend."""
    found = []
    try:
        runs = os.listdir(place.path)
    except OSError:
        return []
    for run in runs:
        folder = os.path.join(place.path, run)
        try:
            pieces = [name for name in os.listdir(folder) if name == job or name.startswith(f"{job}-")]
            last = max(pieces, key=lambda name: int(name.rpartition("-")[2]) if "-" in name else 1, default=None)
            if last is not None and _is_cut_off(os.path.join(folder, last)):
                found.append(run)
        except (OSError, ValueError):
            continue
    return found


def _is_cut_off(folder: str) -> bool:
    began = read(folder, BEGAN)
    if began is None or "void" in began:
        return False
    result = read(folder, RESULT)
    if result is not None:
        return int(result.get("status", 0)) < 0  # the program was killed, and left what it was at
    return start_of(int(began["pid"])) != began["start"]


def way_back(manager: Manager, folder: str) -> Dict[str, Any]:
    """What taking a run back would change, as the document C(patch) tells it."""
    before = snapshot.read_json(folder, BEFORE)
    rows = differences(manager.installed(), packages_of(before["packages"]))
    return {"columns": ["name", "arch", "before", "after"], "rows": rows}
