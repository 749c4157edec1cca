"""How a run ended, by its documents: what became of each host, over all of its attempts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from civicops.exit_status import ExitStatus
from civicops.jobs import JOBS
from civicops.ledger.store import Entry, Ledger
from civicops.runs.journal import State

# What a host's own document says of its work, and what a run calls it.
_WORK = {"done": "changed", "overrun": "overrun", "refused": "deferred", "planned": "ok"}
MISSED = ("failed", "unreachable", "no_answer", "overrun")
"""What became of hosts that a run did not serve as it should have."""

# The gate's codes that mean that a night was stopped.
_HALTS = ("halt",)


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `hosts` holds what became of each; `reasons` why, for those that were not served."""

    run: str
    state: State
    exit_status: ExitStatus
    hosts: dict[str, str]
    reasons: dict[str, str]
    rejected: dict[str, str]
    message: str | None = None
    next: dict[str, str] = field(default_factory=dict)
    """When a deferred host's next chance begins, in UTC, where one is known."""
    halted: bool = False
    check: bool = False
    work: dict[str, str] = field(default_factory=dict)
    """What each host's own document says of its work, where the job has such."""
    finished: bool = True
    """Whether the playbook came to its end."""


def judge(run: str, ledger: Ledger, *, cancelled: bool, nothing_left: bool = False) -> RunResult | None:
    """How a run ended; None where Ansible ended before it had asked anybody.

    `nothing_left`: it was cut short, and every host had ended by then.
    """
    entries = ledger.of_run(run)
    if not entries and not cancelled:
        return None
    told = _Told(entries, ledger)
    told.finished |= nothing_left
    if told.finished and not cancelled:
        told.miss_documents()
    hosts = told.hosts
    asked = [outcome for outcome in hosts.values() if outcome != "not_asked"]
    counted = Counter(asked)
    missed = sum(counted[what] for what in MISSED)

    def ended(state: State, status: ExitStatus, message: str | None = None) -> RunResult:
        return RunResult(
            run,
            state,
            status,
            hosts,
            told.reasons,
            told.rejected,
            message,
            next=told.next,
            halted=told.halted,
            # By the run's own word: the audit within a checkup is in check mode, the checkup is not.
            check=any(entry.check for entry in entries if entry.kind == "run"),
            work=told.work,
            finished=told.finished,
        )

    if cancelled:
        return ended("cancelled", ExitStatus.CANCELLED, "cancelled on request")
    if not told.finished:
        return ended("failed", ExitStatus.HOSTS_FAILED, "the playbook did not come to its end")
    if not asked:
        nobody = "no host was asked: the inventory has none for this job, or --limit left none"
        return ended("failed", ExitStatus.BAD_INPUT, nobody)
    parts = []
    if told.halted:
        parts.append("halted")
    if missed:
        parts.append(f"{missed} of {len(asked)} hosts failed, overran or were not reached")
    if deferred := counted["deferred"]:
        parts.append(f"{deferred} of {len(asked)} hosts deferred")
    message = "; ".join(parts) or None
    if missed or told.halted:
        return ended("failed", ExitStatus.HOSTS_FAILED, message)
    if deferred == len(asked):
        return ended("done", ExitStatus.NOT_ALLOWED, message)
    return ended("done", ExitStatus.DONE, message)


class _Told:
    """What the documents of a run tell, the later ones over the earlier."""

    def __init__(self, entries: list[Entry], ledger: Ledger) -> None:
        self.hosts: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.next: dict[str, str] = {}
        self.halted = False
        self.finished = False
        self.work: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._unchanged: set[str] = set()
        self._owed: tuple[str, ...] = ()
        accepted = [entry for entry in entries if entry.status != "rejected"]
        bodies = ledger.bodies(entry for entry in accepted if _worth_reading(entry))
        for entry in accepted:
            self._take(entry, bodies.get(entry.body) or {})
        self.rejected = {entry.host: entry.reason or "" for entry in entries if entry.status == "rejected"}
        self._given = {(entry.host, entry.kind) for entry in accepted}
        self._conclude()

    def miss_documents(self) -> None:
        """Ansible's word that a host is well counts for nothing where the host gave no answer that was kept."""
        for host, outcome in self.hosts.items():
            missing = [kind for kind in self._owed if (host, kind) not in self._given]
            if missing and outcome in ("ok", "changed"):
                self.hosts[host] = "failed"
                self.reasons[host] = f"it answered {outcome} and gave no document: {', '.join(missing)}"

    def _take(self, entry: Entry, body: dict[str, Any]) -> None:
        if entry.kind == "run":
            job = JOBS.get(entry.job)
            self._owed = job.owed if job is not None else ()
            self._take_run(body)
        elif entry.kind == "contact":
            # The host's own word says more than what the callback saw of its failed task.
            if body["outcome"] == "unreachable" or self.work.get(entry.host, "done") == "done":
                self.reasons[entry.host] = body["reason"]
            if not body.get("ignored"):
                self.hosts[entry.host] = body["outcome"]
        elif entry.kind == "gate":
            self._take_gate(entry.host, body)
        elif _is_work(entry):
            self.work[entry.host] = body["outcome"]
            self._unchanged.discard(entry.host)
            if _changed_nothing(body):
                self._unchanged.add(entry.host)
            if body["outcome"] != "done":
                self.reasons[entry.host] = str(body.get("reason") or body["outcome"])
        elif entry.host:
            self.hosts.setdefault(entry.host, "ok")
            if self.hosts[entry.host] in ("no_answer", "not_asked"):
                self.hosts[entry.host] = "ok"

    def _take_run(self, body: dict[str, Any]) -> None:
        self.finished = body["ended_at"] is not None
        for host, outcome in body["hosts"].items():
            if outcome == "not_asked" or (outcome == "no_answer" and host in self.hosts):
                # A later attempt leaves out the hosts that are done.
                self.hosts.setdefault(host, outcome)
                if outcome == "no_answer" and self.hosts[host] == "not_asked":
                    self.hosts[host] = outcome
            else:
                # The playbook's own end knows what was rescued.
                self.hosts[host] = outcome

    def _take_gate(self, host: str, body: dict[str, Any]) -> None:
        if body["decision"] == "open":
            self._refused.pop(host, None)
            return
        self._refused[host] = f"{body['code']}: {body['reason']}"
        self.halted |= body["code"] in _HALTS
        self.next.pop(host, None)
        if body["next"]:
            self.next[host] = body["next"][0]

    def _conclude(self) -> None:
        for host, reason in self._refused.items():
            if host not in self.work and self.hosts.get(host) not in ("failed", "unreachable"):
                self.hosts[host] = "deferred"
                self.reasons[host] = reason
        for host, outcome in self.work.items():
            if self.hosts.get(host) != "unreachable":
                unchanged = outcome == "done" and host in self._unchanged
                self.hosts[host] = "ok" if unchanged else _WORK.get(outcome, "failed")
        self.hosts |= dict.fromkeys(self.rejected, "failed")
        self.reasons |= {host: f"its answer was refused: {reason}" for host, reason in self.rejected.items()}
        self.next = {host: when for host, when in self.next.items() if self.hosts.get(host) == "deferred"}


def _changed_nothing(body: dict[str, Any]) -> bool:
    """Whether a host's work says of itself that there was none to do; work that says nothing of changes makes some."""
    controls = body.get("results")
    if controls is not None:
        return not any(row[controls["columns"].index("changed")] for row in controls["rows"])
    changes = body.get("changes")
    return changes is not None and not changes["rows"] and not (body.get("reboot") or {}).get("done")


def _is_work(entry: Entry) -> bool:
    job = JOBS.get(entry.job)
    return job is not None and entry.kind == job.outcome


def _worth_reading(entry: Entry) -> bool:
    return entry.kind in ("run", "contact", "gate") or _is_work(entry)
