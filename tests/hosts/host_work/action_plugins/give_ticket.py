"""A gate for tests that opens for everybody: it seals whatever ticket it is asked for."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.plugin_utils import ticket


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        town, run, job = (os.environ.get(f"CIVICOPS_ACTIVE_{name}", "") for name in ("TOWN", "RUN", "JOB"))
        given = ticket.Ticket(
            town=town,
            run=str(wanted.get("run", run)),
            job=job,
            host=str(wanted.get("host", (task_vars or {})["inventory_hostname"])),
            until="soon",
            deadline=ticket.boottime() + float(wanted.get("seconds", 600)),
            needed=float(wanted.get("needed", 1)),
            may_start=bool(wanted.get("may_start", True)),
            adopts=False,
            check=bool(self._task.check_mode),
        )
        return {"changed": False, "ticket": ticket.seal(given)}
