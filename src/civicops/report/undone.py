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
    """By host and job, what the last runs of each job that disturbs have left undone.

    Work that was taken back by another job since is undone again; and a taking back that did not go well is over once
    the work was done well after it.
    """
    words = {job.name: _last_words(ledger, job) for job in JOBS.values() if job.disturbs_users}
    found: list[Undone] = []
    for name, by_host in words.items():
        undoes = [words[job.name] for job in JOBS.values() if job.takes_back == name and job.name in words]
        undone_by = words.get(JOBS[name].takes_back or "", {})
        for host, (entry, body) in by_host.items():
            later = [word for word in (one.get(host) for one in undoes) if word is not None and word[0].seq > entry.seq]
            taken_back = [word[0] for word in later if _is_good(word) and _changed(word[1])]
            redone = undone_by.get(host)
            if redone is not None and redone[0].seq > entry.seq and _is_good(redone):
                continue
            if taken_back and _is_good((entry, body)):
                why = f"by {taken_back[-1].run}"
                found.append(Undone(name, host, "taken back", why, taken_back[-1].collected_at, None, True))
            else:
                found += _undone(name, host, entry, body)
    return sorted(found, key=lambda one: (not one.needs_work, one.job, one.host))


_Word = tuple[Entry, dict[str, Any]]


def _last_words(ledger: Ledger, job: Job) -> dict[str, _Word]:
    """The last word about each host in the newest runs of a job, rehearsals left out."""
    newest_runs = (entry.run for entry in ledger.newest("run", 3 * _RUNS, job=job.name) if not entry.check)
    runs = list(dict.fromkeys(newest_runs))[:_RUNS]
    found = [entry for run in runs for entry in ledger.of_run(run)]
    entries = [entry for entry in sorted(found, key=lambda one: one.seq) if entry.status == "accepted"]
    told = [entry for entry in entries if entry.kind in ("gate", "contact", job.outcome)]
    bodies = ledger.bodies(told)
    newest: dict[str, _Word] = {}
    for entry in told:
        body = bodies.get(entry.body) or {}
        if entry.check or (entry.kind == "gate" and body.get("code") in _OF_THE_RUN):
            continue
        before = newest.get(entry.host)
        # What the callback says of a failed task comes after the host's own word, and tells less.
        if before is None or entry.kind != "contact" or before[0].kind == "gate" or before[0].run != entry.run:
            newest[entry.host] = (entry, body)
    return newest


def _is_good(word: _Word) -> bool:
    entry, body = word
    return entry.kind not in ("gate", "contact") and body.get("outcome") == _GOOD


def _changed(body: dict[str, Any]) -> bool:
    """Whether there was something to do; work that says nothing of changes makes some."""
    changes = body.get("changes")
    return body.get("began") is not False and (changes is None or bool(changes["rows"]))


def _undone(job: str, host: str, entry: Entry, body: dict[str, Any]) -> Iterator[Undone]:
    if entry.kind == "gate" and body.get("decision") == "refused":
        chance = body["next"][0] if body.get("next") else None
        reason = str(body.get("reason"))
        yield Undone(job, host, "put off", reason, entry.collected_at, chance, body.get("code") == "halt")
    elif entry.kind == "gate":
        yield Undone(job, host, "began, and told no end", "", entry.collected_at, None, True)
    elif body.get("outcome") != _GOOD:
        what = str(body.get("outcome")).replace("_", " ")
        yield Undone(job, host, what, str(body.get("reason") or ""), entry.collected_at, None, True)
