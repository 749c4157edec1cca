"""What the gate says of each host of a batch: pure, so that every rule can be tested without a host or a ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from civicops.calendar import Answer, Span
from civicops.gate.need import Need
from civicops.gate.rings import RINGS, Groups, Health, few, harmed, ordered, partners
from civicops.ledger.claims import WHOLE_TOWN, Claim
from civicops.town.model import Halt

Code = Literal[
    "open",  # may be worked on until `until`
    "adopt",  # this run's own work goes on there, or did: collect it, start nothing
    "observe_only",
    "locked",  # the job runs for this town already
    "claimed",  # another run works on the host
    "settled",  # done already in this run
    "cancelled",
    "window",  # outside of every window
    "frozen",
    "approval",  # the window wants an approval that is not there
    "canary",  # the rings before have not been proven
    "ring",  # a ring before is being worked on
    "halt",
    "ring_approval",  # the ring wants somebody's yes in this run
    "soak",  # the rings before are watched for a while first
    "order",  # what its systems need comes first
    "pair",
    "late",  # too little time is left
]


@dataclass(frozen=True)
class Allowed:
    """Until when a host may be worked on, and by what right: a window's id, or an override."""

    until: datetime
    window: str


@dataclass(frozen=True)
class Question:
    """Everything that the gate's answer depends on."""

    town: str
    run: str
    job: str
    now: datetime
    hosts: Sequence[str]
    groups: Groups
    halt: Halt
    # Of the job, since `halt.proof`; and those of any job under which work may go on now.
    claims: Sequence[Claim]
    live: Sequence[Claim]
    calendar: Callable[[str], Answer]
    need: Callable[[str], Need]
    override: Callable[[str, Answer], Allowed | None] = lambda _host, _answer: None
    approved: Callable[[str, Answer], bool] = lambda _host, _answer: True
    cancelled: bool = False
    overridden_by: str = ""
    # The hosts of its ring that are worked on before a host; and those of the play, None where it is not known.
    before: Callable[[str], frozenset[str]] = lambda _host: frozenset()
    coming: Collection[str] | None = None
    soak: timedelta = timedelta(0)
    # The rings that want somebody's yes, and have none.
    unapproved: Collection[str] = ()
    # Whether rings come one after the other, behind a canary that was done well.
    in_turn: bool = True


@dataclass(frozen=True)
class Verdict:
    """The answer for one host. Times are UTC; `need` is None where it did not come to that.

    `waits` is the moment until which waiting for another answer makes sense; None where it does not.
    """

    host: str
    code: Code
    reason: str
    until: datetime | None = None
    window: str | None = None
    freeze: str | None = None
    next: Span | None = None
    need: Need | None = None
    ring: str | None = None
    waits: datetime | None = None
    claim: Claim | None = field(default=None, repr=False)

    @property
    def opens(self) -> bool:
        """Whether the host gets a ticket."""
        return self.code in ("open", "adopt")

    @property
    def may_start(self) -> bool:
        """Whether something new may begin there."""
        return self.code == "open"


def decide(question: Question) -> dict[str, Verdict]:
    """The verdict for each host of the batch, in its order."""
    return _Decision(question).verdicts()


class _Decision:
    def __init__(self, question: Question) -> None:
        self._asked = question
        self._order = ordered(question.groups)
        self._health = Health(question.claims, self._order, question.halt, question.run, question.now)
        self._live = {claim.host: claim for claim in question.live if claim.host != WHOLE_TOWN}
        self._lock = next(
            (
                claim
                for claim in question.live
                if claim.host == WHOLE_TOWN and claim.job == question.job and claim.run != question.run
            ),
            None,
        )
        self._settled = {
            claim.host: claim for claim in question.claims if claim.run == question.run and claim.settled_at is not None
        }
        self._rings: dict[str, tuple[str, str] | None] = {}
        self._opened: set[str] = set()
        self._answers: dict[str, Verdict] = {}
        self._supposed: dict[str, Verdict] = {}
        self._in_the_way: dict[frozenset[str], str | None] = {}

    def verdicts(self) -> dict[str, Verdict]:
        for host in sorted(self._asked.hosts, key=self._turn):
            self._answers[host] = verdict = self._verdict(host)
            if verdict.opens:
                self._opened.add(host)
        return {host: self._answers[host] for host in self._asked.hosts}

    def _turn(self, host: str) -> tuple[int, int]:
        """Earlier rings, and what others need, are decided first: they keep the later ones of their batch waiting."""
        # Whoever needs a host has all of its needs besides, and so has more of them.
        return RINGS.index(self._order.of.get(host, RINGS[0])), len(self._asked.before(host))

    def _verdict(self, host: str) -> Verdict:
        asked = self._asked
        ring = self._order.of.get(host)
        if ring is None:
            listed = host in asked.groups.get("all", ())
            reason = "never changed" if listed else "not in the inventory that the playbook began with"
            return Verdict(host, "observe_only", reason)
        if asked.cancelled:
            return Verdict(host, "cancelled", "the run is being cancelled", ring=ring)
        if self._lock is not None:
            lock = self._lock
            reason = (
                f"{lock.job} runs for {asked.town} already: {lock.run}, until {_clock(lock.expires_at)} at most; "
                f"if its process has died: civicops runs {asked.town} resume {lock.run}"
            )
            return Verdict(host, "locked", reason, ring=ring)
        if (settled := self._settled.get(host)) is not None:
            return Verdict(host, "settled", f"{settled.outcome} already in this run", ring=ring)
        answer = asked.calendar(host)
        live = self._live.get(host)
        if live is not None and live.run != asked.run:
            reason = f"{live.job} works on it already: {live.run}, until {_clock(live.expires_at)} at most"
            return Verdict(host, "claimed", reason, next=answer.next, ring=ring)
        if live is not None:
            return self._own(host, ring, answer, live)
        return self._new(host, ring, answer)

    def _own(self, host: str, ring: str, answer: Answer, live: Claim) -> Verdict:
        """The host is open to this run, from before it was resumed."""
        fresh = self._new(host, ring, answer)
        if fresh.opens:
            return replace(fresh, reason="open since before the run was resumed", claim=live)
        until = self._asked.now if answer.until is None else answer.until
        return Verdict(
            host,
            "adopt",
            f"what this run has begun there is collected; nothing new may begin: {fresh.reason}",
            until=until,
            window=live.window,
            next=answer.next,
            need=Need(0.0, 0.0, "nothing new may begin"),
            ring=ring,
            claim=live,
        )

    def _new(self, host: str, ring: str, answer: Answer) -> Verdict:
        asked = self._asked
        allowed = Allowed(answer.until, answer.window or "") if answer.allowed and answer.until else None
        by_override = asked.override(host, answer) if allowed is None else None
        allowed = allowed or by_override
        if allowed is None:
            code: Code = "frozen" if answer.freeze else "window"
            reason = answer.reason or "no window is open"
            if asked.overridden_by:
                reason += f" (the word of {asked.overridden_by} does not count here: override_by says whose)"
            return Verdict(host, code, reason, freeze=answer.freeze, next=answer.next, ring=ring)
        if by_override is None and not asked.approved(host, answer):
            reason = (
                f"the window {allowed.window} wants an approved plan that names this host: "
                f"civicops run {asked.job} {asked.town} --plan makes one"
            )
            return Verdict(host, "approval", reason, window=allowed.window, ring=ring)
        if ring not in self._rings:
            self._rings[ring] = self._health.refusal(ring, proof=asked.in_turn)
        if (stop := self._rings[ring]) is not None:
            halted: Code = "canary" if stop[0] == "canary" else "halt"
            hint = "" if halted == "canary" else "; once that is put right, begin again with that ring (docs/gate.md)"
            return Verdict(host, halted, stop[1] + hint, next=answer.next, ring=ring)
        if asked.in_turn and (before := self._at_work_before(ring)):
            reason = f"the ring {self._order.of[before[0]]} is being worked on ({few(before)}): this one comes after it"
            return Verdict(host, "ring", reason, next=answer.next, ring=ring)
        need = asked.need(host)
        if (wait := self._wait(host, ring, allowed, need)) is not None:
            return wait
        if (reason_of_order := self._order_among_systems(host)) is not None:
            return Verdict(host, "order", reason_of_order, next=answer.next, ring=ring)
        if (reason_of_pair := self._pair(host)) is not None:
            return Verdict(host, "pair", reason_of_pair, next=answer.next, ring=ring)
        left = (allowed.until - asked.now).total_seconds()
        if need.seconds + need.reserve > left:
            reason = (
                f"{_minutes(left)} are left until {_clock(allowed.until.isoformat())}, and it needs "
                f"{_minutes(need.seconds)} and {_minutes(need.reserve)} to take it back ({need.basis})"
            )
            return Verdict(host, "late", reason, next=answer.next, need=need, ring=ring)
        return Verdict(
            host,
            "open",
            "overridden" if by_override else f"in the window {allowed.window}",
            until=allowed.until,
            window=allowed.window,
            freeze=answer.freeze,
            need=need,
            ring=ring,
        )

    def _at_work_before(self, ring: str) -> list[str]:
        """The hosts of the rings before on which this run is at work; one that is past its end is harm instead."""
        mine = {host for host, claim in self._live.items() if claim.run == self._asked.run}
        at_work = self._opened | {host for host in mine if not harmed(self._live[host], self._asked.now)}
        former = self._order.former(ring)
        return sorted(host for host in at_work if self._order.of.get(host) in former)

    def _wait(self, host: str, ring: str, allowed: Allowed, need: Need) -> Verdict | None:
        """What a ring waits for as a whole: somebody's yes, or that those before it have been watched long enough."""
        asked = self._asked
        # The last moment at which it could still begin.
        last = allowed.until - timedelta(seconds=min(need.seconds + need.reserve, _LONGEST))
        if ring in asked.unapproved:
            reason = (
                f"the ring {ring} waits for somebody's yes: "
                f"civicops runs {asked.town} approve {asked.run} --ring {ring} --by NAME"
            )
            if last <= asked.now:
                reason += "; too little time is left to wait for it"
            waits = last if last > asked.now else None
            return Verdict(host, "ring_approval", reason, need=need, ring=ring, waits=waits)
        soaked = self._health.soaked_until(ring, asked.soak)
        if soaked is None or soaked <= asked.now:
            return None
        watched = f"the rings before {ring} are watched until {_clock(soaked.isoformat())}"
        if last < soaked:
            left = (allowed.until - soaked).total_seconds()
            reason = (
                f"{watched}; {_minutes(left)} are left after that, and it needs {_minutes(need.seconds)} and "
                f"{_minutes(need.reserve)} to take it back ({need.basis})"
            )
            return Verdict(host, "late", reason, need=need, ring=ring)
        return Verdict(host, "soak", watched, need=need, ring=ring, waits=soaked)

    def _order_among_systems(self, host: str) -> str | None:
        """Why a host that needs others waits for them; hosts that need the same get the same answer."""
        before = self._asked.before(host)
        if before not in self._in_the_way:
            self._in_the_way[before] = self._way(before)
        return self._in_the_way[before]

    def _way(self, before: frozenset[str]) -> str | None:
        if hurt := self._health.harmed_now(before):
            return f"{few(hurt)}, which it needs, came to harm in this run"
        if busy := sorted(before & (self._opened | set(self._live))):
            return f"{few(busy)}, which it needs, is being worked on"
        if to_come := sorted(one for one in before if self._comes(one)):
            return f"{few(to_come)}, which it needs, comes first"
        return None

    def _comes(self, host: str) -> bool:
        """Whether a host that is needed is still to be worked on in this run, by what the gate would say of it now.

        One that is done, that was left untouched, or that tonight's rules refuse for a reason of its own, does not.
        """
        asked = self._asked
        if asked.coming is not None and host not in asked.coming:
            return False
        verdict = self._answers.get(host) or self._supposed.get(host)
        if verdict is None:
            verdict = self._supposed[host] = self._verdict(host)
        if verdict.code == "pair":
            return not self._health.harmed_now(partners(host, asked.groups))
        return verdict.code in ("open", "order")

    def _pair(self, host: str) -> str | None:
        others = partners(host, self._asked.groups)
        if busy := sorted(others & (self._opened | set(self._live))):
            return f"its pair partner {busy[0]} is being worked on"
        if hurt := self._health.harmed_now(others):
            return f"its pair partner {hurt[0]} came to harm in this run"
        return None


_LONGEST = 400 * 86400.0


def _clock(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]}Z"


def _minutes(seconds: float) -> str:
    return f"{max(0, round(seconds / 60))} min" if seconds >= 90 else f"{max(0, round(seconds))} s"
