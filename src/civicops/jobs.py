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
    ended, in the field `outcome` of its body. `answers` are more kinds that every host gives which was
    served; one that gave none was not, whatever Ansible says of it.

    A job that `takes_back` another one's work may run wherever that one may. No window names it and no scheduler starts
    it: people do, when something is wrong. So it wants neither canaries nor an approved plan.
    """

    name: str
    playbook: str
    changes_hosts: bool
    disturbs_users: bool
    timeout: timedelta
    outcome: str | None = None
    effort: Effort = Effort(fixed=0)
    takes_back: str | None = None
    answers: tuple[str, ...] = ()
    assessed: bool = False

    @property
    def owed(self) -> tuple[str, ...]:
        """The kinds of documents that each host owes that the job has served."""
        return self.answers if self.outcome is None else (self.outcome, *self.answers)

    @property
    def in_windows(self) -> str:
        """The name by which windows allow it."""
        return self.takes_back or self.name


_TABLE = (
    # An audit is not owed: a host's profile may be none.
    Job(
        "checkup",
        "civicops.town.checkup",
        changes_hosts=False,
        disturbs_users=False,
        timeout=timedelta(hours=2),
        answers=("host-facts",),
        assessed=True,
    ),
    Job(
        "patch_stage",
        "civicops.town.patch_stage",
        changes_hosts=True,
        disturbs_users=False,
        timeout=timedelta(hours=4),
        answers=("updates",),
    ),
    Job(
        "patch",
        "civicops.town.patch_night",
        changes_hosts=True,
        disturbs_users=True,
        timeout=timedelta(hours=12),
        outcome="patch",
        effort=Effort(fixed=60, per_package=3, per_megabyte=0.5, reboot=180, rollback=120),
    ),
    Job(
        "rollback",
        "civicops.town.rollback",
        changes_hosts=True,
        disturbs_users=True,
        timeout=timedelta(hours=6),
        outcome="patch",
        effort=Effort(fixed=180, reboot=180, rollback=0),
        takes_back="patch",
    ),
    Job(
        "baseline",
        "civicops.town.baseline",
        changes_hosts=True,
        disturbs_users=True,
        timeout=timedelta(hours=6),
        outcome="baseline",
        effort=Effort(fixed=120, rollback=180),
    ),
    Job(
        "baseline_undo",
        "civicops.town.baseline_undo",
        changes_hosts=True,
        disturbs_users=True,
        timeout=timedelta(hours=6),
        outcome="baseline",
        effort=Effort(fixed=120),
        takes_back="baseline",
    ),
    Job(
        "backup",
        "civicops.town.backup",
        changes_hosts=True,
        disturbs_users=False,
        timeout=timedelta(hours=2),
        answers=("backup-status",),
    ),
    Job(
        "drill",
        "civicops.town.restore_drill",
        changes_hosts=False,
        disturbs_users=False,
        timeout=timedelta(hours=8),
        answers=("drill",),
    ),
    Job(
        "network",
        "civicops.town.network_backup",
        changes_hosts=False,
        disturbs_users=False,
        timeout=timedelta(hours=2),
        answers=("device-config",),
    ),
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
