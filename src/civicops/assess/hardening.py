"""How the hosts of a town stand against their profiles, read from the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

from civicops.assess.catalogue import Catalogue, catalogue
from civicops.assess.standing import NOTHING, Drift, Score, Verdict, across, drift, scores, verdicts
from civicops.ledger.store import Anchor, Entry, Ledger

# What hosts are audited and hardened by; the callback names both in what it tells of a failed task. A host that failed
# is told of twice: by the module's task, and by the one with which the job's playbook ends.
_MODULE = "civicops.town.baseline"
_JOB = "baseline"
# So far back the documents are looked through for one that holds results, past those of baseline_undo.
_BACK = 20


@dataclass(frozen=True)
class Waiver:
    """One waiver that held when the document was made. `expired`: it holds no more."""

    control: str
    until: str
    approver: str
    reason: str
    expired: bool


@dataclass(frozen=True)
class Standing:
    """One host. Without `at` it was never audited; `doubts` tell why what is said may be so no more."""

    host: str
    at: str | None = None
    run: str = ""
    job: str = ""
    check: bool = False
    outcome: str = ""
    reason: str = ""
    profile: str = ""
    role: str = ""
    catalogue: str = ""
    seen_as_root: bool = True
    verdicts: tuple[Verdict, ...] = ()
    scores: dict[str, Score] | None = None
    waivers: tuple[Waiver, ...] = ()
    drift: Drift | None = None
    doubts: tuple[str, ...] = ()
    stale: bool = False
    """Something was put back since, or nobody knows how the run ended: there is no score until the next audit."""

    def with_state(self, *states: str) -> list[Verdict]:
        """The controls in one of these states."""
        return [one for one in self.verdicts if one.state in states]

    @property
    def would_change(self) -> list[Verdict]:
        """What an enforcement would mend."""
        return [one for one in self.verdicts if one.would_change]

    @property
    def failed(self) -> list[Verdict]:
        """What people must mend, or what mending did not bring about."""
        return self.with_state("failed")

    @property
    def expired(self) -> list[Waiver]:
        return [one for one in self.waivers if one.expired]

    @property
    def known(self) -> bool:
        """Whether there is an answer that still holds."""
        return self.at is not None and not self.stale

    def excused(self, verdict: Verdict) -> bool:
        """Whether a waiver that still holds is the reason why a control is not met."""
        held = {one.control for one in self.waivers if not one.expired}
        return verdict.state == "waived" and verdict.control.id in held

    @property
    def open(self) -> list[Verdict]:
        """What is not met and not excused, what could not be looked at among it."""
        return [one for one in self.verdicts if one.counts and not one.met and not self.excused(one)]

    @property
    def lost(self) -> int:
        """How many controls were met the time before, and now are not, or were not seen; 0 where that is not known."""
        return len(self.drift.lost) + len(self.drift.unseen) if self.drift is not None and self.known else 0

    def score(self, framework: str) -> Score | None:
        """None where it is not known: never audited, or stale."""
        return None if self.stale or self.scores is None else self.scores.get(framework)


@dataclass(frozen=True)
class Hardening:
    """The town: each host that was ever audited, or that the inventory has."""

    town: str
    made_at: datetime
    hosts: tuple[Standing, ...]
    run: str | None
    catalogue: Catalogue
    anchor: Anchor
    gone: tuple[str, ...] = ()
    """Hosts that were audited once, and that the inventory has no more; nothing else is told of them."""
    doubts: tuple[str, ...] = ()
    """Why hosts may be missing here."""

    @property
    def known(self) -> list[Standing]:
        return [one for one in self.hosts if one.known]

    @property
    def not_known(self) -> list[Standing]:
        """Hosts without an answer that still holds."""
        return [one for one in self.hosts if not one.known]

    def score(self, framework: str) -> Score:
        """All hosts together; hosts that are not known have no part in it, and are to be told beside it."""
        told = (one.score(framework) for one in self.hosts)
        return reduce(Score.__add__, (one for one in told if one is not None), NOTHING)

    def frameworks(self) -> list[str]:
        """Those that a host has a score of, in the catalogue's order after the profile's own."""
        found: dict[str, None] = {}
        for one in self.hosts:
            found |= dict.fromkeys(one.scores or ())
        return list(found)


def read_hardening(
    ledger: Ledger,
    *,
    hosts: Iterable[str] | None = None,
    run: str | None = None,
    known: Catalogue | None = None,
    now: datetime | None = None,
) -> Hardening:
    """Read how hosts stand: by their newest documents, or by those of one run.

    `hosts` are those to be told of, also where the ledger has nothing of them; without it, all that it knows of, and of
    one run all that it asked.
    """
    moment = now or datetime.now(UTC)
    known = known or catalogue()
    if run is not None:
        of_run = ledger.of_run(run)
        newest = _last(of_run, "baseline")
        contacts = _last(of_run, "contact")
        refused = _last(of_run, "baseline", "rejected")
    else:
        of_run = []
        newest = ledger.latest("baseline")
        contacts = ledger.latest("contact")
        refused = ledger.latest("baseline", status="rejected")
    reader = _Reader(ledger, known, moment.date(), whole=run is None)
    if hosts is None:
        hosts = {*newest, *refused, *reader.failed_audits(contacts), *reader.asked(of_run)}
    names = set(hosts)
    reader.load([entry for told in (newest, contacts) for entry in told.values() if entry.host in names])
    found = [reader.standing(name, newest.get(name), contacts.get(name), refused.get(name)) for name in sorted(names)]
    return Hardening(ledger.town, moment, tuple(found), run, known, ledger.anchor())


def _last(entries: Iterable[Entry], kind: str, status: str = "accepted") -> dict[str, Entry]:
    """The last entry of a kind for each host."""
    return {entry.host: entry for entry in entries if entry.kind == kind and entry.status == status}


class _Reader:
    """Turns entries into standings; keeps the bodies that were read."""

    def __init__(self, ledger: Ledger, known: Catalogue, today: date, *, whole: bool) -> None:
        self._ledger = ledger
        self._known = known
        self._today = today
        self._whole = whole
        self._bodies: dict[str, Any] = {}

    def load(self, entries: list[Entry]) -> None:
        self._bodies |= self._ledger.bodies(entry for entry in entries if entry.body not in self._bodies)

    def failed_audits(self, contacts: dict[str, Entry]) -> list[str]:
        self.load(list(contacts.values()))
        return [host for host, entry in contacts.items() if self._of_audit(entry)]

    def asked(self, of_run: list[Entry]) -> list[str]:
        """The hosts that a run was for, by its own summary."""
        summary = _last(of_run, "run").get("")
        told = self._body(summary).get("hosts") or {} if summary else {}
        return [str(host) for host, outcome in told.items() if outcome != "not_asked"]

    def standing(self, host: str, newest: Entry | None, contact: Entry | None, refused: Entry | None) -> Standing:
        doubts, stale = [], False
        entry = newest
        for dummy in range(_BACK):
            if entry is None or self._rows(entry):
                break
            body = self._body(entry)
            undo = body.get("undone") or {}
            if body.get("of_run") and not entry.check and (undo.get("back") or undo.get("failed")):
                doubts.append(f"{body['of_run']} was put back since, by {entry.run}: audit the host again")
                stale = True
            elif not body:
                doubts.append(f"the newest document, of {entry.run}, was redacted")
                stale = True
            entry = self._before(entry) if self._whole else None
        answered = newest.seq if newest else 0
        own_word = newest is not None and contact is not None and newest.run == contact.run
        if contact is not None and contact.seq > answered and not own_word and self._of_audit(contact):
            body = self._body(contact)
            doubts.append(f"{contact.collected_at[:16].replace('T', ' ')} UTC: {body['outcome']}: {body['reason']}")
        if refused is not None and refused.seq > answered:
            doubts.append(f"its answer of {refused.run} was refused: {refused.reason}")
        if entry is None or not self._rows(entry):
            if not (self._whole or doubts):
                doubts.append("this run has no answer of it: it was put off, or the run did not come to its end")
            return Standing(host, doubts=tuple(doubts))
        return self._told(entry, tuple(doubts), stale)

    def _told(self, entry: Entry, doubts: tuple[str, ...], stale: bool) -> Standing:
        body = self._body(entry)
        outcome = str(body.get("outcome", ""))
        if outcome == "unknown":
            doubts, stale = (*doubts, f"{entry.run} ended unknown: {body.get('reason', '')}"), True
        as_root = bool(body.get("seen_as_root", True))
        if not as_root:
            doubts = (*doubts, "looked at without root: most controls can't be seen, and are not known")
        told = tuple(verdicts(body, self._known, check=entry.check))
        return Standing(
            host=entry.host,
            at=entry.collected_at,
            run=entry.run,
            job=entry.job,
            check=entry.check,
            outcome=outcome,
            reason=str(body.get("reason", "")),
            profile=str(body.get("profile", "")),
            role=str(body.get("role", "")),
            catalogue=str(body.get("catalogue", "")),
            seen_as_root=as_root,
            verdicts=told,
            scores=scores(told),
            waivers=tuple(self._waivers(body)),
            drift=self._drift(entry, body, told),
            doubts=doubts,
            stale=stale,
        )

    def _drift(self, entry: Entry, body: dict[str, Any], told: tuple[Verdict, ...]) -> Drift | None:
        before = self._before(entry)
        for dummy in range(_BACK):
            if before is None or self._rows(before):
                break
            before = self._before(before)
        if before is None or not self._rows(before):
            return None
        old = self._body(before)
        return drift(
            verdicts(old, self._known, check=before.check),
            told,
            since=before.collected_at,
            of_run=before.run,
            across=across(old, body),
        )

    def _waivers(self, body: dict[str, Any]) -> Iterable[Waiver]:
        for one in body.get("waivers") or ():
            until = str(one.get("until", ""))
            yield Waiver(
                str(one["control"]), until, str(one["approver"]), str(one.get("reason", "")), self._over(until)
            )

    def _over(self, until: str) -> bool:
        """Whether that day has passed; one that can't be read has."""
        try:
            return date.fromisoformat(until) < self._today
        except ValueError:
            return True

    def _before(self, entry: Entry) -> Entry | None:
        return self._ledger.previous([entry]).get(entry.host)

    def _body(self, entry: Entry) -> dict[str, Any]:
        self.load([entry])
        return self._bodies.get(entry.body) or {}

    def _rows(self, entry: Entry) -> list[Any]:
        return (self._body(entry).get("results") or {}).get("rows") or []

    def _of_audit(self, entry: Entry) -> bool:
        body = self._body(entry)
        return bool(body) and (entry.job == _JOB or body.get("action") == _MODULE)
