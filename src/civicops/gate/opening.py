"""Ask the gate: gather what it must know, decide, and write claims and documents together or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from civicops.calendar import Answer, Calendar, load_calendar, matching
from civicops.gate.chains import Chains
from civicops.gate.decide import Allowed, Question, Verdict, decide
from civicops.gate.need import Need, Sample, Work, estimate, load_factor, pool
from civicops.gate.planned import planned_work
from civicops.gate.rings import UNTOUCHED, Groups, ordered
from civicops.gate.settle import settle
from civicops.gate.waiting import rings_of, waiting
from civicops.jobs import JOBS, Job
from civicops.ledger.claims import (
    GRACE,
    WHOLE_TOWN,
    Claim,
    add_claims,
    claims_of_run,
    extend_claim,
    open_claims,
    recent_claims,
)
from civicops.ledger.documents import Document
from civicops.ledger.ingest import ingest_run
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment, stamp
from civicops.state import TownState
from civicops.text import printable
from civicops.town import Town

# How far back a host's history is looked at.
_HISTORY = timedelta(days=400)


class GateError(Exception):
    """The gate can't answer, so nothing is opened; the message says why and what to do."""


@dataclass(frozen=True)
class Override:
    """Somebody's word that work may be done outside of a window, or in a freeze."""

    reason: str
    approver: str
    user: str


@dataclass(frozen=True)
class Ask:
    """What a batch of a run asks.

    `coming` are the hosts of the play, over all of its batches; None where that is not known. With `patient`, an answer
    that is worth waiting for opens nothing, and is asked again; `told` are the verdicts that the ledger has of this
    waiting, by host and code.
    """

    job: Job
    run: str
    hosts: Sequence[str]
    groups: Groups
    check: bool = False
    override: Override | None = None
    coming: Collection[str] | None = None
    patient: bool = False
    told: Collection[tuple[str, str]] = ()


def ask(town: Town, state: TownState, asked: Ask, now: datetime) -> dict[str, Verdict]:
    """The verdict for each host; claims and documents are in the ledger when this returns.

    In check mode nothing is claimed or waited for, and the documents say that it was a check.

    :raises GateError: the override is not one that the town allows, or the town's directory is gone.
    :raises TownFileError: a calendar can't be read.
    :raises LedgerError: there is no ledger, so there is no opening.
    """
    calendar = load_calendar(town)
    with Ledger(town.id, state=state) as ledger:
        spool = state.spool_of(asked.run)
        ingest_run(ledger, spool)
        with ledger.transaction() as connection:
            unknown = settle(ledger, connection, asked.run, now)
            question, work = _question(town, state, ledger, connection, calendar, asked, unknown, now)
            verdicts = decide(question)
            if not asked.check:
                _claim(connection, asked, verdicts, work, now)
            # That a host has had its turn in this run already is no decision of tonight's.
            told = [verdict for verdict in verdicts.values() if verdict.code != "settled"]
            if asked.patient and waiting(verdicts.values()) is not None:
                told = [verdict for verdict in told if (verdict.host, verdict.code) not in asked.told]
            ledger.append([_document(town, asked, verdict, now) for verdict in told], connection)
    return verdicts


def _question(
    town: Town,
    state: TownState,
    ledger: Ledger,
    connection: sa.Connection,
    calendar: Calendar,
    asked: Ask,
    unknown: frozenset[str],
    now: datetime,
) -> tuple[Question, Callable[[str], Work]]:
    history = recent_claims(connection, asked.job.name, now - _HISTORY)
    since = stamp(now - town.maintenance.halt.proof)
    mine = claims_of_run(connection, asked.run)
    recent = {claim.id: claim for claim in (*history, *mine) if claim.opened_at >= since or claim.run == asked.run}
    for claim in mine:
        if claim.host in unknown and claim.settled_at is None:
            # Nobody knows how it is: no ground for later rings to begin on.
            recent[claim.id] = replace(claim, outcome="unknown")
    if asked.job.takes_back is not None:
        recent = {claim.id: claim for claim in mine}  # a night that went wrong is why it is run
    recent |= _taken_back(connection, asked.job, since)
    entries = ledger.of_run(asked.run)
    approved = _approved(ledger, town, entries, now)
    wanted = () if asked.check or asked.job.takes_back else town.maintenance.ring_approval
    unapproved = set(wanted) - (rings_of(ledger, entries) if wanted else set())
    required = {window.id for window in town.maintenance.windows if window.approval == "required"}

    def is_approved(host: str, answer: Answer) -> bool:
        if asked.job.takes_back is not None:
            return True  # people start it, and it has no plan
        return bool(set(answer.windows) - required) or approved.get(host) in answer.windows

    order = ordered(asked.groups)
    chains = Chains({one.id: one.needs for one in town.systems if one.needs}, asked.groups, order)
    settled = {claim.host for claim in mine if claim.settled_at is not None}
    batch = [host for host in asked.hosts if host in order.of]
    wanted_hosts = frozenset(batch).union(*(chains.before(host) for host in batch)) - settled
    work = planned_work(ledger, asked.job, town.patch, wanted_hosts, history, now)
    question = Question(
        town=town.id,
        run=asked.run,
        job=asked.job.name,
        now=now,
        hosts=asked.hosts,
        groups=asked.groups,
        halt=town.maintenance.halt,
        claims=list(recent.values()),
        live=open_claims(connection, now),
        calendar=lambda host: calendar.may(asked.job.in_windows, host, now, asked.groups),
        need=_needs(asked, history, mine, work),
        override=_override(town, calendar, asked, now),
        approved=is_approved,
        cancelled=(state.runs / asked.run / "cancel").exists(),
        overridden_by="" if asked.override is None else asked.override.approver,
        before=chains.before if asked.job.takes_back is None else lambda _host: frozenset(),
        coming=asked.coming,
        soak=timedelta(0) if asked.check or asked.job.takes_back else town.maintenance.soak,
        unapproved=unapproved,
        in_turn=asked.job.takes_back is None,
    )
    return question, work


def _taken_back(connection: sa.Connection, job: Job, since: str) -> dict[str, Claim]:
    """Hosts where people have the job's work taken back, or had: whatever came of that, the work was not well."""
    jobs = [other.name for other in JOBS.values() if other.takes_back == job.name]
    claims = [claim for name in jobs for claim in recent_claims(connection, name, moment(since))]
    return {claim.id: replace(claim, outcome="rolled_back") for claim in claims if claim.outcome not in UNTOUCHED}


def _needs(
    asked: Ask, history: Sequence[Claim], mine: Sequence[Claim], work: Callable[[str], Work]
) -> Callable[[str], Need]:
    """What a host needs, by its own history, else its ring's, else the job's usual effort."""
    samples: dict[str, list[Sample]] = {}
    for claim in reversed(history):
        if claim.seconds is not None:
            done = Work(None, claim.packages, claim.megabytes, claim.reboot)
            samples.setdefault(claim.host, []).append(Sample(claim.host, done, claim.seconds))
    order = ordered(asked.groups)
    of_ring: dict[str, list[Sample]] = {}
    for host, own in samples.items():
        if (ring := order.of.get(host)) is not None:
            of_ring.setdefault(ring, []).extend(own)
    effort = asked.job.effort
    pools = {ring: pool(of_ring.get(ring, []), effort) for ring in order.rings}
    load = load_factor([(claim.expected, claim.seconds) for claim in mine if claim.seconds is not None])

    def need(host: str) -> Need:
        return estimate(work(host), samples.get(host, []), pools[order.of[host]], effort).need(load)

    return need


def _approved(ledger: Ledger, town: Town, entries: Iterable[Entry], now: datetime) -> dict[str, str]:
    """The hosts that this run's approvals name, each with the window in which it was approved.

    An approval of a plan that has changed since counts for nothing, and neither does one for an opening that is over:
    a run that is resumed a week later, or another one under its name, wants its own.
    """
    told = [entry for entry in entries if entry.kind in ("plan", "approval") and entry.status == "accepted"]
    plan = next((entry.body for entry in reversed(told) if entry.kind == "plan"), None)
    bodies = ledger.bodies(told)
    opening = bodies.get(plan or "")
    window = next((one for one in town.maintenance.windows if opening and one.id == opening["window"]), None)
    if not opening or window is None:
        return {}
    starts_at = moment(opening["starts_at"])
    if not starts_at <= now < starts_at + window.duration:
        return {}
    # An entry names its body by the same hash that an approval names the plan by.
    approvals = [bodies.get(entry.body) or {} for entry in told if entry.kind == "approval"]
    return {host: window.id for body in approvals if body.get("plan_sha256") == plan for host in body["hosts"]}


def _override(town: Town, calendar: Calendar, asked: Ask, now: datetime) -> Callable[[str, Answer], Allowed | None]:
    override = asked.override
    if override is None:
        return lambda _host, _answer: None
    if not override.reason.strip() or not override.approver.strip():
        raise GateError("--override-window wants a reason, and --approver a name")
    roles = {
        contact.role for contact in town.contacts if contact.name.casefold() == override.approver.strip().casefold()
    }
    by_id = {freeze.id: freeze for freeze in town.maintenance.freezes}
    end = now + asked.job.timeout
    frozen = [one for one in calendar.freezes_between(now, end) if by_id[one.freeze].override_by not in roles]
    within = {one.freeze: matching(one.hosts, asked.groups) for one in frozen}

    def allowed(host: str, _answer: Answer) -> Allowed | None:
        """Until the job's time is over, or a freeze begins that this approver may not override."""
        begins = min((one.span.start for one in frozen if host in within[one.freeze]), default=end)
        return Allowed(min(begins, end), "override") if begins > now else None

    return allowed


def _claim(
    connection: sa.Connection,
    asked: Ask,
    verdicts: dict[str, Verdict],
    work: Callable[[str], Work],
    now: datetime,
) -> None:
    opened = [verdict for verdict in verdicts.values() if verdict.opens]
    if not opened:
        return
    untils = [verdict.until for verdict in opened if verdict.until is not None]
    latest = max([*untils, now])
    held = next(
        (
            claim
            for claim in claims_of_run(connection, asked.run)
            if claim.host == WHOLE_TOWN and claim.settled_at is None
        ),
        None,
    )
    if held is None:
        add_claims(connection, [_new_claim(asked, WHOLE_TOWN, "", now, latest)])
    elif moment(held.until) < latest:
        extend_claim(connection, held.id, latest)
    new: list[Claim] = []
    for verdict in opened:
        until = verdict.until or now
        if verdict.claim is None:
            expected = verdict.need.typical if verdict.need is not None else 0.0
            claim = _new_claim(asked, verdict.host, verdict.window or "", now, until, expected)
            planned = work(verdict.host)
            new.append(replace(claim, packages=planned.packages, megabytes=planned.megabytes, reboot=planned.reboot))
        else:
            extend_claim(connection, verdict.claim.id, max(until, moment(verdict.claim.until)))
    add_claims(connection, new)


def _new_claim(asked: Ask, host: str, window: str, now: datetime, until: datetime, expected: float = 0.0) -> Claim:
    return Claim(
        host=host,
        run=asked.run,
        job=asked.job.name,
        window=window,
        opened_at=stamp(now),
        until=stamp(until),
        expires_at=stamp(until + GRACE),
        expected=expected,
    )


def _document(town: Town, asked: Ask, verdict: Verdict, now: datetime) -> Document:
    need = verdict.need
    body: dict[str, Any] = {
        "decision": "open" if verdict.opens else "refused",
        "code": verdict.code,
        "reason": printable(verdict.reason, 1000),
        "window": verdict.window,
        "freeze": verdict.freeze,
        "ring": verdict.ring,
        "until": None if verdict.until is None else stamp(verdict.until),
        "next": None if verdict.next is None else [stamp(verdict.next.start), stamp(verdict.next.end)],
        "waits_until": None if verdict.waits is None else stamp(verdict.waits),
        "needed_seconds": None if need is None else round(need.seconds, 1),
        "reserve_seconds": None if need is None else round(need.reserve, 1),
        "basis": None if need is None else printable(need.basis, 200),
        "town_file_sha256": town.sha256,
        "override": None,
    }
    if asked.override is not None:
        body["override"] = {name: printable(text, 500) for name, text in asdict(asked.override).items()}
    return Document(
        kind="gate",
        version=1,
        id=str(uuid.uuid4()),
        town=town.id,
        host=verdict.host,
        target=None,
        run=asked.run,
        job=asked.job.name,
        check=asked.check,
        attempt=1,
        collected_at=stamp(datetime.now(UTC)),
        body=body,
    )
