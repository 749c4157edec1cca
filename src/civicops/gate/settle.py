"""Settle claims: what became of the hosts that a run was let through to, by the documents that came home."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from civicops.jobs import JOBS
from civicops.ledger.claims import WHOLE_TOWN, Claim, Settlement, claims_of_run, settle_claims
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment

GOING_ON = ("running", "unknown")
"""Outcomes after which work may still be going on: the claim stays, and so does the way to adopt it."""

# A host is asked at least this often whether its work has ended.
_POLLED_WITHIN = timedelta(minutes=1)
# Outcomes whose time from opening to end tells how long such work takes.
_WHOLE = ("done", "overrun")


def settle(
    ledger: Ledger, connection: sa.Connection, run: str, now: datetime, *, ended: bool = False
) -> frozenset[str]:
    """Settle those claims of a run whose host has answered; with `ended`, also let go of the job.

    A claim whose host has not answered stays open until it expires: work may be going on there, which the run, when
    it is resumed, adopts. Returns the hosts whose last word is that it may still go on: nobody knows how they are.
    """
    mine = [claim for claim in claims_of_run(connection, run) if claim.settled_at is None]
    if not mine:
        return frozenset()
    outcomes, going_on = _outcomes(ledger, run, mine)
    for claim in mine:
        if claim.host in outcomes:
            settlement, at = outcomes[claim.host]
            # The moment at which its answer came home, not the one at which somebody asks: a ring is watched from then.
            settle_claims(connection, [settlement], min(at, now))
    if ended:
        settle_claims(connection, [Settlement(claim.id, "done") for claim in mine if claim.host == WHOLE_TOWN], now)
    return frozenset(going_on)


def settle_run(ledger: Ledger, run: str, now: datetime) -> None:
    """Settle a run that has come to its end."""
    with ledger.transaction() as connection:
        settle(ledger, connection, run, now, ended=True)


def _outcomes(
    ledger: Ledger, run: str, claims: Iterable[Claim]
) -> tuple[dict[str, tuple[Settlement, datetime]], set[str]]:
    """By host, how the work under its claim ended and when that was told, by its newest document or contact since it
    was opened; and the hosts where it may still go on."""
    by_host = {claim.host: claim for claim in claims if claim.host != WHOLE_TOWN}
    told = [
        entry
        for entry in ledger.of_run(run)
        if (claim := by_host.get(entry.host)) is not None and _tells(entry, claim) and not entry.check
    ]
    bodies = ledger.bodies(told)
    found: dict[str, tuple[Settlement, datetime]] = {}
    going_on: set[str] = set()
    for entry in told:
        claim, body = by_host[entry.host], bodies.get(entry.body) or {}
        at = moment(entry.collected_at)
        if entry.status == "rejected":
            found[entry.host] = Settlement(claim.id, "failed"), at
            continue
        outcome = str(body.get("outcome", "failed"))
        if entry.kind == "contact":
            if entry.host in found or entry.host in going_on or (body.get("ignored") and outcome == "failed"):
                continue  # the host's own word counts
        elif outcome in GOING_ON:
            going_on.add(entry.host)
            found.pop(entry.host, None)
            continue
        going_on.discard(entry.host)
        # The host says itself whether it ended in time; what came home much later, without anybody having been away,
        # is late all the same.
        if outcome == "done" and not body.get("adopted") and at > moment(claim.until) + _POLLED_WITHIN:
            outcome = "overrun"
        whole = outcome in _WHOLE and not body.get("adopted")
        seconds = max((at - moment(claim.opened_at)).total_seconds() - _apart(body), 0.0) if whole else None
        found[entry.host] = Settlement(claim.id, outcome, seconds), at
    return found, going_on


def _apart(body: dict[str, Any]) -> float:
    """Seconds of the backup right before, which is none of the work: how long that takes is another matter."""
    phases = body.get("phases")
    return float(phases.get("backup", 0.0)) if isinstance(phases, dict) else 0.0


def _tells(entry: Entry, claim: Claim) -> bool:
    job = JOBS.get(claim.job)
    kinds = ("contact", job.outcome if job is not None else None)
    return (entry.kind in kinds or entry.status == "rejected") and entry.collected_at >= claim.opened_at
