"""One patch night, or one taking back of it: everything that its morning report shows.

Every host of the run has exactly one state, by its last word. A host without a word is `unknown`, never fine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from civicops.ledger.store import Anchor
from civicops.report.night_work import Work
from civicops.town import Town

JOBS = ("patch", "rollback")
"""The jobs that have a morning report."""

State = Literal[
    "failed",  # not well, or interrupted
    "running",
    "unknown",  # no word, or none that tells how it is
    "unreachable",
    "overrun",  # done, but later than allowed
    "rolled_back",
    "blocked",  # untouched: something on the host stood in the way
    "put_off",  # untouched: the gate, or the host's own guard, said no
    "planned",  # check mode
    "done",
    "left_alone",  # never changed, by the town's own word
]
WORST_FIRST: tuple[State, ...] = get_args(State)
AWRY: tuple[State, ...] = ("failed", "running", "unknown", "unreachable", "overrun")
"""What is told first."""

Remark = Literal["stopped", "failed_units", "red", "not_as_before", "reboot", "reboot_unknown", "old_programs"]
"""What can be left on a host that is done, worst first."""


@dataclass(frozen=True)
class Refusal:
    """One no of the gate's. `next` is the next chance, in UTC, as the gate saw it."""

    host: str
    at: str
    code: str
    reason: str
    window: str | None
    next: tuple[str, str] | None


@dataclass(frozen=True)
class Left:
    """Updates that a host has and this night's policy or an administrator leaves alone, as they were told last."""

    at: str
    run: str
    selected: int
    why: dict[str, int]
    """Updates that were not selected, by the reason."""
    holds: tuple[str, ...]

    @property
    def not_selected(self) -> int:
        return sum(self.why.values())


@dataclass(frozen=True)
class NightHost:
    """One host of the night. `reason` is for engineers, and mostly the host's own words."""

    number: int
    name: str
    state: State
    reason: str
    code: str
    """What of the gate's rules put it off; the outcome of its own document; or what a connection came to."""
    ring: str | None
    window: str | None
    until: str | None
    opened_at: str | None
    told_at: str | None
    next: tuple[str, str] | None
    work: Work | None
    left: Left | None
    refusals: tuple[Refusal, ...]
    contacts: tuple[tuple[str, str], ...]
    systems: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    by_calendar: bool = False
    """Whether `next` is not the gate's word but the town's calendar, as it stands now."""

    @property
    def waits(self) -> bool:
        """Whether it wants another night."""
        return self.state not in ("done", "overrun", "planned", "left_alone")

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Order of a list that begins with what is worst."""
        return WORST_FIRST.index(self.state), not self.remarks, self.name

    @property
    def touched(self) -> bool:
        """Whether anything was done there that could be felt; what is not known counts as done."""
        return self.work.touched if self.work is not None else self.opened_at is not None

    @property
    def away_at_most(self) -> float | None:
        """For how many seconds at most what it serves was away; None where that is not known."""
        if not self.touched:
            return 0.0
        if self.work is None or self.state in ("running", "unknown", "unreachable"):
            return None
        if self.state == "failed" and self.work.red_after:
            return None
        return self.work.away_at_most

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is not as it should be on a host that is done."""
        work = self.work
        if work is None or self.state not in ("done", "overrun"):
            return ()
        reboot = work.reboot
        found: list[tuple[Remark, bool]] = [
            ("stopped", bool(work.restarts_failed)),
            ("failed_units", bool(work.units_new)),
            ("red", bool(work.red_after)),
            ("not_as_before", _not_as_before(work)),
            ("reboot", reboot is not None and reboot.wanted is True and not reboot.done),
            ("reboot_unknown", reboot is not None and reboot.wanted is None and not reboot.done),
            ("old_programs", bool(work.restarts_left)),
        ]
        return tuple(remark for remark, there in found if there)


def _not_as_before(work: Work) -> bool:
    taken_back = work.of_run is not None and work.touched
    return taken_back and (work.rollback is None or not work.rollback.identical)


@dataclass(frozen=True)
class RingLine:
    """One ring's part of the night. Moments are the controller's, in UTC."""

    ring: str
    hosts: int
    states: dict[str, int]
    opened_at: str | None
    ended_at: str | None


@dataclass(frozen=True)
class Approval:
    """Somebody's yes: to the plan as it was when the night began, or to an earlier one; or to one ring."""

    by: str
    user: str
    at: str
    window: str | None
    plan: str | None
    hosts: int
    of_last_plan: bool
    ring: str | None


@dataclass(frozen=True)
class Override:
    """Somebody's word that work may be done outside of a window or in a freeze, and for how many hosts it counted."""

    reason: str
    approver: str
    user: str
    hosts: int


@dataclass(frozen=True)
class Night:
    """Everything that a morning report shows. Moments are the controller's, in UTC, as the ledger writes them."""

    town: Town
    run: str
    job: str
    check: bool
    made_at: datetime
    begun: bool
    ended: bool
    started_at: str
    ended_at: str | None
    user: str
    limit: str | None
    hosts: tuple[NightHost, ...]
    not_asked: tuple[str, ...]
    rings: tuple[RingLine, ...]
    approvals: tuple[Approval, ...]
    overrides: tuple[Override, ...]
    groups_known: bool
    anchor: Anchor

    @property
    def wanted(self) -> tuple[NightHost, ...]:
        """The hosts that the night was for: all but those that are never changed."""
        return tuple(host for host in self.hosts if host.state != "left_alone")

    @property
    def worst_first(self) -> tuple[NightHost, ...]:
        return tuple(sorted(self.hosts, key=lambda host: host.rank))

    @property
    def counts(self) -> dict[State, int]:
        """How many hosts are in each state, worst first; states without hosts are left out."""
        counted = Counter(host.state for host in self.hosts)
        return {state: counted[state] for state in WORST_FIRST if counted[state]}

    @property
    def halted(self) -> tuple[Refusal, ...]:
        """The gate's words that the night goes no further, one for each host that was put off by them."""
        return tuple(one for host in self.hosts for one in host.refusals[-1:] if one.code == "halt")

    @property
    def was_halted(self) -> bool:
        return any(one.code == "halt" for host in self.hosts for one in host.refusals)

    def of(self, *states: State) -> tuple[NightHost, ...]:
        return tuple(host for host in self.hosts if host.state in states)
