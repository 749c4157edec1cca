"""The work that waits on each host, by its own newest word: what the time it needs is reckoned by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from civicops.gate.need import Work
from civicops.jobs import Job
from civicops.ledger.claims import Claim
from civicops.ledger.store import Entry, Ledger
from civicops.moments import stamp
from civicops.town.model import Patch

FRESH = timedelta(days=45)
"""How old a host's word on its pending updates may be."""

_UNKNOWN = Work(None)
# What a host says is data: no number of it may be absurd. In bytes.
_MOST = 10**12


def pending_updates(ledger: Ledger, now: datetime) -> dict[str, Entry]:
    """For each host, its newest document of kind `updates`, where that is not older than 45 days."""
    oldest = stamp(now - FRESH)
    return {host: entry for host, entry in ledger.latest("updates").items() if entry.collected_at >= oldest}


def planned_work(
    ledger: Ledger, job: Job, policy: Patch, hosts: Collection[str], history: Iterable[Claim], now: datetime
) -> Callable[[str], Work]:
    """What the job `patch` has to do on each of the hosts; of other jobs, and of other hosts, nothing is known.

    `history` are the job's claims: what a host said before it was patched last does not wait any more.
    """
    if job.name != "patch":
        return lambda _host: _UNKNOWN
    done: dict[str, str] = {}
    for claim in history:
        if claim.outcome == "done" and claim.settled_at is not None:
            done[claim.host] = max(done.get(claim.host, ""), claim.settled_at)
    newest = pending_updates(ledger, now)
    entries = {host: newest[host] for host in hosts if host in newest}
    fresh = {host: entry for host, entry in entries.items() if entry.collected_at > done.get(host, "")}
    bodies = ledger.bodies(fresh.values())
    works = {host: _work(bodies.get(entry.body) or {}, policy) for host, entry in fresh.items()}
    return lambda host: works.get(host, _UNKNOWN)


def selected(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an `updates` document that the next patch night installs, by their columns."""
    updates = body.get("updates") or {}
    rows = (dict(zip(updates["columns"], row, strict=False)) for row in updates.get("rows", ()))
    return [row for row in rows if row.get("selected") is True]


def _work(body: dict[str, Any], policy: Patch) -> Work:
    packages = len(selected(body))
    size = min(body.get("download_bytes") or 0, _MOST)
    expected = (body.get("reboot") or {}).get("expected")
    # Where nobody knows, time for it is kept.
    reboot = expected is not False and policy.reboot != "never"
    return Work(None, packages, size / 1e6, reboot)
