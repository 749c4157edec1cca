"""The table of jobs: the one place that knows a job's playbook, what it does to hosts, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Job:
    """A kind of work on a town's hosts, and the playbook that does it."""

    name: str
    playbook: str
    changes_hosts: bool
    disturbs_users: bool
    timeout: timedelta


_TABLE = (
    Job("checkup", "civicops.town.checkup", changes_hosts=False, disturbs_users=False, timeout=timedelta(hours=2)),
)

JOBS: dict[str, Job] = {job.name: job for job in _TABLE}
