"""Work that was wanted and not done: by each job's last run, which hosts were put off or came to harm, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from civicops.jobs import JOBS, Job
from civicops.ledger.store import Entry, Ledger

_GOOD = "done"


@dataclass(frozen=True)
class Undone:
    """One host that a job did not serve. `next` is the beginning of its next chance, in UTC, where one is known."""

    job: str
    host: str
    what: str
    reason: str
    at: str
    next: str | None
    needs_work: bool


def undone(ledger: Ledger) -> list[Undone]:
    """By host and job, what the last run of each job that disturbs has left undone."""
    found: list[Undone] = []
    for job in JOBS.values():
        if job.disturbs_users:
            last = next((entry for entry in ledger.newest("run", 5, job=job.name) if not entry.check), None)
            if last is not None:
                found += _of_run(ledger, job, last.run)
    return sorted(found, key=lambda one: (not one.needs_work, one.job, one.host))


def _of_run(ledger: Ledger, job: Job, run: str) -> Iterator[Undone]:
    entries = [entry for entry in ledger.of_run(run) if entry.status == "accepted" and not entry.check]
    told = [entry for entry in entries if entry.kind in ("gate", "contact", job.outcome)]
    bodies = ledger.bodies(told)
    newest: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for entry in told:
        before = newest.get(entry.host)
        # What the callback says of a failed task comes after the host's own word, and tells less.
        if before is None or entry.kind != "contact" or before[0].kind == "gate":
            newest[entry.host] = (entry, bodies.get(entry.body) or {})
    for host, (entry, body) in newest.items():
        if entry.kind == "gate" and body.get("decision") == "refused":
            chance = body["next"][0] if body.get("next") else None
            reason = str(body.get("reason"))
            yield Undone(job.name, host, "put off", reason, entry.collected_at, chance, body.get("code") == "halt")
        elif entry.kind == "gate":
            yield Undone(job.name, host, "began, and told no end", "", entry.collected_at, None, True)
        elif body.get("outcome") != _GOOD:
            what = str(body.get("outcome")).replace("_", " ")
            yield Undone(job.name, host, what, str(body.get("reason") or ""), entry.collected_at, None, True)
