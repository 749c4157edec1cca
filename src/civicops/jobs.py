"""The table of jobs: the one place that knows a job's playbook, what it does to hosts, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Effort:
    """What a job costs a host where nothing is known yet, in seconds; history corrects it."""

    fixed: float
    per_package: float = 0.0
    per_megabyte: float = 0.0
    reboot: float = 0.0
    rollback: float = 0.0


@dataclass(frozen=True)
class Job:
    """A kind of work on a town's hosts, and the playbook that does it.

    A job that disturbs users passes the gate. `outcome` is the kind of document by which its hosts tell how their work
    ended, in the field `outcome` of its body.
    """

    name: str
    playbook: str
    changes_hosts: bool
    disturbs_users: bool
    timeout: timedelta
    outcome: str | None = None
    effort: Effort = Effort(fixed=0)


_TABLE = (
    Job("checkup", "civicops.town.checkup", changes_hosts=False, disturbs_users=False, timeout=timedelta(hours=2)),
    # Changes nothing but stands for what does: it rehearses windows, rings, halts and alerts.
    Job(
        "wait",
        "civicops.town.wait",
        changes_hosts=True,
        disturbs_users=True,
        timeout=timedelta(hours=12),
        outcome="wait",
        effort=Effort(fixed=120, rollback=30),
    ),
)

JOBS: dict[str, Job] = {job.name: job for job in _TABLE}
