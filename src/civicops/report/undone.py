"""Work that was wanted and not done: which hosts a job has put off or harmed since it last served them, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from civicops.jobs import JOBS, Job
from civicops.ledger.store import Entry, Ledger

_GOOD = "done"
# Of so many of a job's newest runs, the last word about each host counts: one run may be for a few hosts only.
_RUNS = 10
# Refusals that are about the run and say nothing of the host.
_OF_THE_RUN = ("locked", "cancelled", "settled")


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
    """By host and job, what the last runs of each job that disturbs have left undone."""
    found: list[Undone] = []
    for job in JOBS.values():
        if job.disturbs_users:
            newest = (entry.run for entry in ledger.newest("run", 3 * _RUNS, job=job.name) if not entry.check)
            found += _of_runs(ledger, job, list(dict.fromkeys(newest))[:_RUNS])
    return sorted(found, key=lambda one: (not one.needs_work, one.job, one.host))


def _of_runs(ledger: Ledger, job: Job, runs: list[str]) -> Iterator[Undone]:
    found = [entry for run in runs for entry in ledger.of_run(run)]
    entries = [entry for entry in sorted(found, key=lambda one: one.seq) if entry.status == "accepted"]
    told = [entry for entry in entries if entry.kind in ("gate", "contact", job.outcome)]
    bodies = ledger.bodies(told)
    newest: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for entry in told:
        body = bodies.get(entry.body) or {}
        if entry.check or (entry.kind == "gate" and body.get("code") in _OF_THE_RUN):
            continue
        before = newest.get(entry.host)
        # What the callback says of a failed task comes after the host's own word, and tells less.
        if before is None or entry.kind != "contact" or before[0].kind == "gate" or before[0].run != entry.run:
            newest[entry.host] = (entry, body)
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
