# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's task: refuses what it can't watch over, asks the package, and gives tickets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.plugin_utils import known, package, ticket

_STRATEGIES = ("linear", "ansible.builtin.linear", "ansible.legacy.linear")
# By how much the controller's clock may be set during a run, in seconds, before its word on windows is not trusted.
_JUMP_LIMIT = 60
# How many hosts a line names.
_NAMED = 10
# How often it looks, while it waits, whether the playbook lives and the run goes on, in seconds.
_LOOK_EVERY = 0.5


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _spec, arguments = self.validate_argument_spec(
            {
                "job": {"type": "str", "required": True},
                "override_window": {"type": "str", "default": ""},
                "approver": {"type": "str", "default": ""},
            }
        )
        self._refuse_what_can_not_be_watched(task_vars)
        package.require_for_gate()
        origin = package.spool.origin_from_environment()
        if origin is None:
            raise AnsibleActionFail(
                "the callback civicops.town.run is not enabled or knows no town, so nothing is opened: set "
                "callbacks_enabled = civicops.town.run in ansible.cfg and name a town's inventory directory"
            )
        if origin.job != arguments["job"]:
            raise AnsibleActionFail(
                f"this run is of the job {origin.job}, so the gate opens nothing for {arguments['job']}: "
                "run the job's own playbook, or civicops run JOB"
            )
        verdicts = self._ask_patiently(origin, arguments, task_vars)
        self._tell(verdicts.values())
        return {
            "changed": False,
            "hosts": {host: self._told(origin, verdict) for host, verdict in verdicts.items()},
            "opened": sum(verdict.opens for verdict in verdicts.values()),
        }

    def _refuse_what_can_not_be_watched(self, task_vars: dict[str, Any]) -> None:
        strategy = str(self._task.play.strategy)
        if strategy not in _STRATEGIES:
            raise AnsibleActionFail(
                f"strategy {strategy}: rings and pairs can't be kept apart, so nothing is opened: use linear"
            )
        if not self._task.run_once:
            raise AnsibleActionFail("the gate is asked once per batch for all its hosts: set run_once: true")
        if self._task.loop is not None or self._task.delegate_to:
            raise AnsibleActionFail("the gate takes no loop and no delegation: it is asked for the batch that there is")
        if redirects := known.redirects():
            raise AnsibleActionFail(
                f"{', '.join(redirects)} would send the work of every host to one machine, so nothing is opened: give "
                "each host its own in the inventory"
            )
        if not task_vars.get("ansible_play_batch"):
            raise AnsibleActionFail("the gate does not know the batch, so nothing is opened")

    def _ask_patiently(self, origin: Any, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The verdicts; where a ring is to be watched first, or wants somebody's yes, those after it was waited for."""
        from civicops.gate.waiting import mark, waiting

        parent, state = os.getppid(), package.state.TownState(origin.town)
        told: set[tuple[str, str]] = set()
        said = None
        while True:
            self._refuse_a_clock_that_was_set(origin)
            verdicts = self._ask(origin, arguments, task_vars, frozenset(told))
            wait = None if self._task.check_mode else waiting(verdicts.values())
            if wait is None:
                if said is not None:
                    mark(state, origin.run, None)
                return verdicts
            told |= {(verdict.host, verdict.code) for verdict in verdicts.values()}
            if said != (wait.reason, wait.until):
                said = (wait.reason, wait.until)
                mark(state, origin.run, None if not wait.rings else wait)
                line = f"Waiting until {wait.until.isoformat()[:19]}Z at most: {wait.reason}"
                self._display.display(package.text.printable(line, 1000))
            self._sleep(origin, state, wait, parent)

    @staticmethod
    def _sleep(origin: Any, state: Any, wait: Any, parent: int) -> None:
        """Until the wait is over: by time, by somebody's yes, or as the run was cancelled."""
        from civicops.gate.waiting import ASK_AGAIN, approved_rings
        from civicops.ledger.store import LedgerError

        cancel = state.runs / origin.run / "cancel"
        end = ticket.boottime() + (wait.until - datetime.now(UTC)).total_seconds()
        look = ticket.boottime() + ASK_AGAIN
        while (left := end - ticket.boottime()) > 0 and not cancel.exists():
            if os.getppid() != parent:
                raise AnsibleActionFail("the playbook is gone; nothing was opened")
            time.sleep(min(left, _LOOK_EVERY))
            if wait.rings and ticket.boottime() >= look:
                look = ticket.boottime() + ASK_AGAIN
                try:
                    if wait.rings & approved_rings(origin.town, state, origin.run):
                        return
                except (LedgerError, OSError) as error:
                    raise AnsibleActionFail(f"nothing is opened: {package.text.printable(error, 1000)}") from None

    @staticmethod
    def _refuse_a_clock_that_was_set(origin: Any) -> None:
        jump = ticket.clock_jump()
        if abs(jump) > _JUMP_LIMIT:
            raise AnsibleActionFail(
                f"the controller's clock was set by {jump:.0f} seconds during this run, so its word on windows is not "
                f"trusted and nothing is opened: put the clock right, then: civicops run {origin.job} {origin.town}"
            )

    def _ask(
        self,
        origin: Any,
        arguments: dict[str, Any],
        task_vars: dict[str, Any],
        told: frozenset[tuple[str, str]],
    ) -> dict[str, Any]:
        from civicops.gate.opening import Ask, GateError, Override, ask
        from civicops.jobs import JOBS
        from civicops.ledger.store import LedgerError
        from civicops.town import TownFileError, load_town, town_dir

        job = JOBS.get(origin.job)
        if job is None:
            raise AnsibleActionFail(f"{origin.job} is no job; there are: {', '.join(JOBS)}")
        reason = arguments["override_window"] or os.environ.get("CIVICOPS_OVERRIDE_WINDOW", "")
        override = None
        if reason:
            approver = arguments["approver"] or os.environ.get("CIVICOPS_APPROVER", "")
            user = str(task_vars.get("awx_user_name") or task_vars.get("tower_user_name") or package.state.user_name())
            override = Override(reason, approver, user)
        directory = os.environ.get("CIVICOPS_ACTIVE_DIRECTORY")
        try:
            town = load_town(Path(directory) if directory else town_dir(origin.town))
            if town.id != origin.town:
                raise GateError(f"{town.path} is of the town {town.id}, and this run is for {origin.town}")
            asked = Ask(
                job=job,
                run=origin.run,
                hosts=[str(host) for host in task_vars["ansible_play_batch"]],
                groups=known.groups(),
                check=bool(self._task.check_mode),
                override=override,
                coming=[str(host) for host in task_vars.get("ansible_play_hosts_all") or ()] or None,
                patient=True,
                told=told,
            )
            return ask(town, package.state.TownState(town.id), asked, datetime.now(UTC))
        except (GateError, LedgerError, TownFileError, package.state.StateError, OSError) as error:
            raise AnsibleActionFail(f"nothing is opened: {package.text.printable(error, 1000)}") from None

    def _tell(self, verdicts: Iterable[Any]) -> None:
        """One line for each reason: what is refused is otherwise told by a skipped task alone."""
        refused: dict[str, list[str]] = {}
        for verdict in verdicts:
            if not verdict.opens and verdict.code != "settled":
                after = f"; next {verdict.next.start.isoformat()[:16]}Z" if verdict.next else ""
                refused.setdefault(f"{verdict.code}: {verdict.reason}{after}", []).append(verdict.host)
        for reason, hosts in refused.items():
            more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
            line = f"Not opened: {', '.join(hosts[:_NAMED])}{more}: {reason}"
            self._display.display(package.text.printable(line, 1500))

    def _told(self, origin: Any, verdict: Any) -> dict[str, Any]:
        told = {
            "open": verdict.opens,
            "code": verdict.code,
            "reason": package.text.printable(verdict.reason, 1000),
            "until": verdict.until.isoformat() if verdict.until else "",
            "next": verdict.next.start.isoformat() if verdict.next else "",
        }
        if not verdict.opens:
            return told
        left = (verdict.until - datetime.now(UTC)).total_seconds()
        opened = ticket.Ticket(
            town=origin.town,
            run=origin.run,
            job=origin.job,
            host=verdict.host,
            until=told["until"],
            deadline=ticket.boottime() + max(0.0, left),
            needed=verdict.need.seconds + verdict.need.reserve,
            may_start=verdict.may_start,
            adopts=verdict.claim is not None,
            check=bool(self._task.check_mode),
        )
        return told | {"ticket": ticket.seal(opened)}
