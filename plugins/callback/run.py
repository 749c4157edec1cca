# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: run
type: aggregate
short_description: Gives a run its identity and takes its documents in
version_added: 0.1.0
author: civicops.town (@civicops)
description:
  - Tells the document modules of this collection which town, run and job their answers belong to.
  - Writes a document of kind C(contact) for each host that was unreachable or on which a task failed,
    and one of kind C(run) at the end.
  - Takes the spool into the town's ledger when the playbook has ended, also when every host failed.
requirements:
  - The Python package C(civicops), installed beside Ansible.
  - Enable it with C(callbacks_enabled = civicops.town.run) in the site's C(ansible.cfg).
notes:
  - The town is the inventory directory that holds C(group_vars/all/town.yml); where there is none, it is
    E(CIVICOPS_TOWN). An inventory of two towns is refused.
  - E(CIVICOPS_INGEST=later) leaves the documents in the spool, where the next C(civicops) command finds them.
"""

import gc
import os
import re
import time
from contextlib import suppress
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ansible_version
from ansible_collections.civicops.town.plugins.plugin_utils import known, package, ticket

# What Ansible and OpenSSH put around the reason itself.
_AROUND = re.compile(
    r"^Task failed: |^Data could not be sent to remote host .{1,300}? can be reached over ssh: (?=\S)|@{5,}[@\s]*"
)
_TOWN_FILE = Path("group_vars", "all", "town.yml")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "civicops.town.run"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._origin: Any = None
        self._alive: int | None = None
        self._playbook = ""
        self._started_at = ""
        self._outcomes: dict[str, str] = {}
        self._asked: set[str] = set()
        self._unreachable: set[str] = set()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # A playbook that another one started must not write into that one's run, whatever goes wrong here.
        for name in ("TOWN", "RUN", "JOB", "DIRECTORY", "CLOCK"):
            os.environ.pop(f"CIVICOPS_ACTIVE_{name}", None)
        if (remedy := package.missing()) is not None:
            self._display.warning(f"civicops.town.run records nothing: {remedy}")
            return
        self._playbook = Path(str(playbook._file_name)).stem
        self._started_at = package.spool.now()
        try:
            town, directory = _town()
            if town is None:
                self._display.warning(
                    "civicops.town.run records nothing: no inventory directory with group_vars/all/town.yml was given"
                )
                return
            self._origin = package.spool.Origin(town, _run_id(), self._job(playbook))
            self._alive = package.spool.hold_alive(self._origin)
        except (package.state.StateError, OSError) as error:
            raise AnsibleError(f"civicops.town.run: {error}") from error
        package.spool.announce(self._origin)
        os.environ["CIVICOPS_ACTIVE_DIRECTORY"] = str(directory or "")
        ticket.new_seal()
        ticket.start_clock()
        if self._ingests():
            import_module("civicops.gate.settle")  # loaded before the workers are: those that ask the gate need it too
        # What is there now (programs, playbook, inventory) stays to the end: neither this process nor its workers need
        # look through it for garbage.
        gc.freeze()

    def _job(self, playbook: Any) -> str:
        """The job, as the playbook itself says it: a site's own playbook, of any name, may import ours."""
        said = (play.vars.get("civicops_job") for play in playbook.get_plays())
        return next((str(job) for job in said if job), os.environ.get("CIVICOPS_JOB") or self._playbook)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        inventory = play.get_variable_manager()._inventory
        everybody = inventory.get_hosts("all", ignore_limits=True, ignore_restrictions=True)
        self._outcomes |= {host.get_name(): "not_asked" for host in everybody if host.get_name() not in self._outcomes}
        first = not self._asked
        if first:
            groups = inventory.get_groups_dict()
            known.note(groups, play.get_variable_manager().extra_vars)
            self._note(groups)
        self._asked.update(host.get_name() for host in inventory.get_hosts(play.hosts))
        if first and self._origin is not None:
            # Written anew when the playbook ends: if it never does, this tells who was left without an answer.
            self._write("run", "", self._summary(dict.fromkeys(self._asked, "no_answer"), ended_at=None))

    def _note(self, groups: dict[str, list[str]]) -> None:
        """For those who report on this run; without it they read the inventory again."""
        if self._origin is not None:
            with suppress(OSError):
                package.groups.note_groups(package.state.TownState(self._origin.town), self._origin.run, groups)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        known.begins(str(host.get_name()))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        host = result._host.get_name()
        if result._task.delegate_to and result._task.ignore_unreachable:
            return  # another host was asked for something, and this one goes on without it
        self._unreachable.add(host)
        self._contact(host, "unreachable", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host = result._host.get_name()
        if host not in self._unreachable:
            self._contact(host, "failed", result, ignored=bool(ignore_errors))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._origin is None:
            return
        self._write("run", "", self._summary(self._ended(stats), ended_at=package.spool.now()))
        if self._ingests():
            self._ingest()
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None

    def _contact(self, host: str, outcome: str, result: Any, *, ignored: bool = False) -> None:
        if self._origin is None:
            return
        task = result._task
        reason = result._result.get("msg") or result._result.get("reason") or "no reason was given"
        if task.no_log:
            reason = "hidden: the task has no_log"
        self._write(
            "contact",
            host,
            {
                "outcome": outcome,
                "task": package.text.printable(task.get_name(), 255),
                "action": package.text.printable(task.action, 255),
                "reason": package.text.printable(_reason(str(reason)), 1000),
                "ignored": ignored,
            },
            key=str(task._uuid),
        )

    def _ended(self, stats: Any) -> dict[str, str]:
        hosts = {}
        for host in stats.processed:
            told = stats.summarize(host)
            if host in self._unreachable or told["unreachable"]:
                hosts[host] = "unreachable"
            elif told["failures"]:
                hosts[host] = "failed"
            else:
                hosts[host] = "changed" if told["changed"] else "ok"
        return hosts

    def _summary(self, hosts: dict[str, str], *, ended_at: str | None) -> dict[str, Any]:
        limit = context.CLIARGS.get("subset")
        return {
            "playbook": self._playbook,
            "started_at": self._started_at,
            "ended_at": ended_at,
            "limit": None if limit is None else package.text.printable(limit, 1000),
            "user": package.text.printable(package.state.user_name(), 255),
            "ansible": ansible_version,
            "hosts": dict(sorted((self._outcomes | hosts).items())),
        }

    def _write(self, kind: str, host: str, body: dict[str, Any], *, key: str = "") -> None:
        check = bool(context.CLIARGS.get("check"))
        package.spool.write(self._origin, kind=kind, version=1, host=host, body=body, check=check, key=key)

    @staticmethod
    def _ingests() -> bool:
        return os.environ.get("CIVICOPS_INGEST") != "later"

    def _ingest(self) -> None:
        from datetime import datetime

        from civicops.gate.settle import settle_run
        from civicops.ledger.ingest import ingest_run
        from civicops.ledger.store import Ledger, LedgerError

        state = package.state.TownState(self._origin.town)
        try:
            with Ledger(self._origin.town, state=state) as ledger:
                taken = ingest_run(ledger, state.spool_of(self._origin.run))
                settle_run(ledger, self._origin.run, datetime.now(UTC))
        except LedgerError as error:
            self._display.warning(f"the documents wait in the spool, nothing is lost: {error}")
            return
        if taken.rejected:
            self._display.warning(f"{taken.rejected} answers were refused: civicops report {self._origin.town}")


def _reason(told: str) -> str:
    """The reason without what is said around every such one; untouched where nothing else would be left."""
    short = told
    for _pass in range(2):
        short = _AROUND.sub("", short.strip())
    return short.strip() or told


def _town() -> tuple[str | None, Path | None]:
    """The town that this run is for, and its directory where the inventory names it; two towns are an error."""
    sources = [Path(source) for source in context.CLIARGS.get("inventory") or C.DEFAULT_HOST_LIST]
    directories = {path if path.is_dir() else path.parent for path in (source.absolute() for source in sources)}
    found = {path.resolve() for path in directories if (path / _TOWN_FILE).is_file()}
    towns = {directory.name for directory in found}
    if named := os.environ.get("CIVICOPS_TOWN"):
        towns.add(named)
    if len(towns) > 1 or len(found) > 1:
        raise AnsibleError(
            f"civicops.town.run: one run is for one town; this inventory is of {', '.join(sorted(towns))}"
        )
    return (towns.pop() if towns else None), (found.pop() if found else None)


def _run_id() -> str:
    """`$CIVICOPS_RUN`, else AWX's job, else this process by its start and number."""
    if given := os.environ.get("CIVICOPS_RUN"):
        return given
    if job := os.environ.get("JOB_ID") if os.environ.get("AWX_HOST") else None:
        return f"awx-{job}"
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{started}-{os.getpid()}"
