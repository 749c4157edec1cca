"""Claims: which run works on which host now, and until when. Slots: which openings of a window were used already.

Both are working notes beside the chained entries: rows that change. What was decided, and why, stands in the gate's
documents. A claim is opened within a `Ledger.transaction`, so that two controllers on one ledger can't open the same
host; one whose run died is free again when it expires, or is taken over when that run is resumed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta

import sqlalchemy as sa

from civicops.ledger.store import Ledger, metadata
from civicops.moments import moment, stamp

WHOLE_TOWN = ""
"""The host of a claim that holds a job for the whole town."""

# How long a claim outlives its opening: a package manager that a host's shutdown waits for has 15 minutes.
GRACE = timedelta(minutes=15)

claims = sa.Table(
    "claim",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("run", sa.String(255), nullable=False),
    sa.Column("job", sa.String(255), nullable=False),
    sa.Column("window", sa.String(64), nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("until", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.String(40), nullable=False),
    sa.Column("expected", sa.Float, nullable=False),
    sa.Column("packages", sa.Integer, nullable=False),
    sa.Column("megabytes", sa.Float, nullable=False),
    sa.Column("reboot", sa.Boolean, nullable=False),
    sa.Column("settled_at", sa.String(40)),
    sa.Column("outcome", sa.String(40)),
    sa.Column("seconds", sa.Float),
    sa.Index("claim_host", "host", "settled_at"),
    sa.Index("claim_job", "job", "opened_at"),
    sa.Index("claim_run", "run"),
)

slots = sa.Table(
    "slot",
    metadata,
    sa.Column("job", sa.String(255), primary_key=True),
    sa.Column("window", sa.String(64), primary_key=True),
    sa.Column("starts_at", sa.String(40), primary_key=True),
    sa.Column("run", sa.String(255), nullable=False),
    sa.Column("decision", sa.String(40), nullable=False),
    sa.Column("decided_at", sa.String(40), nullable=False),
)


@dataclass(frozen=True)
class Claim:
    """One opening. `expected` and `seconds` are seconds; `outcome` is None until the claim is settled."""

    host: str
    run: str
    job: str
    window: str
    opened_at: str
    until: str
    expires_at: str
    expected: float = 0.0
    packages: int = 0
    megabytes: float = 0.0
    reboot: bool = False
    settled_at: str | None = None
    outcome: str | None = None
    seconds: float | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def live(self, now: datetime) -> bool:
        """Whether work may still be going on under it."""
        return self.settled_at is None and moment(self.expires_at) > now


@dataclass(frozen=True)
class Settlement:
    """How the work under a claim ended. `seconds` is None where it was not measured from beginning to end."""

    claim: str
    outcome: str
    seconds: float | None = None


@dataclass(frozen=True)
class Slot:
    """One opening of a window for one job, and what was decided of it: started, planned, skipped."""

    job: str
    window: str
    starts_at: str
    run: str
    decision: str
    decided_at: str


def open_claims(connection: sa.Connection, now: datetime) -> list[Claim]:
    """Every claim that is not settled and has not expired."""
    query = _query().where(claims.c.settled_at.is_(None), claims.c.expires_at > stamp(now))
    return _claims(connection, query)


def claims_of_run(connection: sa.Connection, run: str) -> list[Claim]:
    """Every claim of one run, in the order in which they were opened."""
    return _claims(connection, _query().where(claims.c.run == run).order_by(claims.c.opened_at))


def recent_claims(connection: sa.Connection, job: str, since: datetime, limit: int = 20_000) -> list[Claim]:
    """The claims of a job that were opened since a moment, newest first."""
    query = _query().where(claims.c.job == job, claims.c.opened_at >= stamp(since))
    return _claims(connection, query.order_by(claims.c.opened_at.desc()).limit(limit))


def add_claims(connection: sa.Connection, opened: Iterable[Claim]) -> None:
    """Write claims, within a transaction that has looked for others."""
    rows = [asdict(claim) for claim in opened]
    if rows:
        connection.execute(claims.insert(), rows)


def extend_claim(connection: sa.Connection, claim: str, until: datetime) -> None:
    """Let a claim last longer."""
    values = {"until": stamp(until), "expires_at": stamp(until + GRACE)}
    connection.execute(claims.update().where(claims.c.id == claim).values(values))


def settle_claims(connection: sa.Connection, settled: Sequence[Settlement], now: datetime) -> None:
    """Write how the work under claims ended; one that is settled stays as it is."""
    for one in settled:
        connection.execute(
            claims.update()
            .where(claims.c.id == one.claim, claims.c.settled_at.is_(None))
            .values(settled_at=stamp(now), outcome=one.outcome, seconds=one.seconds)
        )


def take_slot(ledger: Ledger, slot: Slot) -> bool:
    """Take one opening of a window; False where it was taken before, by whomever."""
    with ledger.transaction() as connection:
        wanted = (slots.c.job == slot.job) & (slots.c.window == slot.window) & (slots.c.starts_at == slot.starts_at)
        if connection.scalar(sa.select(slots.c.run).where(wanted)) is not None:
            return False
        connection.execute(slots.insert(), asdict(slot))
    return True


def used_slots(ledger: Ledger, since: datetime) -> list[Slot]:
    """The openings that were taken, of those that began since a moment."""
    query = sa.select(slots).where(slots.c.starts_at >= stamp(since)).order_by(slots.c.starts_at)
    with ledger.transaction() as connection:
        return [Slot(**row._mapping) for row in connection.execute(query)]


def _query() -> sa.Select[tuple[object, ...]]:
    return sa.select(*(claims.c[one.name] for one in fields(Claim)))


def _claims(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Claim]:
    return [Claim(**row._mapping) for row in connection.execute(query)]
