"""A night in the words of somebody who runs a town, not its computers: no names of packages, no jargon.

Upper bounds are told as such, and what is not known is told as not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from civicops.moments import moment
from civicops.report.night import AWRY, WORST_FIRST, Night, NightHost, Override, State
from civicops.report.night_plain import REMARKS, plain
from civicops.text import printable

_NONE = "Other computers"


@dataclass(frozen=True)
class Line:
    """Hosts of which the same is told: what happened, what it takes now, and when the next chance is."""

    state: State
    what: str
    needs: str
    next: str
    hosts: tuple[NightHost, ...]


@dataclass(frozen=True)
class Part:
    """A department or a system, and how many of its computers are in which state."""

    name: str
    done: int
    hosts: int
    left: tuple[NightHost, ...]
    away: str

    @property
    def state(self) -> State:
        """Its worst computer's."""
        return min((host.state for host in self.left), key=WORST_FIRST.index, default="done")


@dataclass(frozen=True)
class Words:
    """The manager's edition, as text; a page and a mail are made of it."""

    title: str
    when: str
    alarms: tuple[str, ...]
    done: int
    wanted: int
    headline: str
    left: tuple[Line, ...]
    remarks: tuple[tuple[str, tuple[NightHost, ...]], ...]
    away: str
    away_short: str
    halted: str
    taken_back: tuple[str, ...]
    restarted: tuple[str, ...]
    approved: tuple[str, ...]
    next: str
    next_short: str
    departments: tuple[Part, ...]
    systems: tuple[Part, ...]
    others: tuple[str, ...]
    by_calendar: bool
    """Whether a next chance is of the town's calendar, and not of the night's own record."""
    unchecked: int
    """Computers that were worked on and for which the town names no check of what they serve."""

    @property
    def in_short(self) -> list[str]:
        """What holds for the whole night, a sentence each."""
        lines = [self.away, self.halted, *self.taken_back, *self.restarted, *self.approved, self.next]
        return [line for line in lines if line]

    @property
    def subject(self) -> str:
        """The matter of a mail."""
        return f"{self.title}: {self.headline.rstrip('.')}"

    @property
    def summary(self) -> list[str]:
        """The page in a few lines, for a terminal and a mail; each fit to be shown."""
        lines = [f"{self.title}: {self.headline}", *self.alarms]
        lines += [f"- {len(one.hosts)} {one.what}; needs {one.needs}: {few(one.hosts)}" for one in self.left]
        lines += [f"- {len(hosts)} done, and {text}: {few(hosts)}" for text, hosts in self.remarks]
        return [printable(line, 600) for line in [*lines, *self.in_short]]


def words_of(night: Night) -> Words:
    """The manager's edition of a night."""
    clock = Clock(night)
    return Words(
        title=f"{night.town.name}: {'updates taken back' if night.job == 'rollback' else 'patch night'} of {clock.day}",
        when=clock.span,
        alarms=tuple(_alarms(night)),
        done=len(night.of("planned" if night.check else "done")),
        wanted=len(night.wanted),
        headline=_headline(night),
        left=tuple(_lines(night, clock)),
        remarks=tuple(_remarks(night)),
        away=_away(night),
        away_short=_away_short([host for host in night.wanted if host.touched]),
        halted=_halted(night),
        taken_back=tuple(_taken_back(night)),
        restarted=tuple(_restarted(night)),
        approved=tuple(_approved(night, clock)),
        next=_next(night, clock),
        next_short=_next_short(night, clock),
        departments=tuple(
            _parts(night, [(one.id, one.name) for one in night.town.departments], lambda h: h.departments)
        ),
        systems=tuple(_parts(night, [(one.id, one.name) for one in night.town.systems], lambda h: h.systems)),
        others=tuple(_others(night)),
        by_calendar=any(host.by_calendar for host in night.hosts),
        unchecked=sum(host.touched and not (host.work and host.work.checks) for host in night.wanted),
    )


def _headline(night: Night) -> str:
    done, wanted = night.of("done"), len(night.wanted)
    if night.check:
        could = len(night.of("done", "planned"))
        return f"a rehearsal, in which nothing was changed; {could} of {_computers(wanted)} could be done."
    verb = "taken back" if night.job == "rollback" else "done"
    idle = sum(host.work is not None and host.work.had_nothing_to_do for host in done)
    resting = f" ({idle} of them needed nothing)" if idle else ""
    if idle and idle == wanted:
        resting = " (all of them needed nothing)" if idle > 1 else " (it needed nothing)"
    if wanted and len(done) == wanted:
        return f"{'all ' if wanted > 1 else ''}{_computers(wanted)} {verb}{resting}."
    return f"{len(done)} of {_computers(wanted)} {verb}{resting}, {wanted - len(done)} not."


class Clock:
    """Moments as a town's people read them, in its own zone."""

    def __init__(self, night: Night) -> None:
        self._zone = night.town.zone
        self._night = night
        self.day = self.told(night.started_at, "%A %-d %B %Y")
        end = self.told(night.ended_at, "%H:%M") if night.ended_at else None
        begin = self.told(night.started_at, "%H:%M")
        self.span = f"{begin} to {end}" if end is not None else f"from {begin}"

    def told(self, text: str, form: str = "%a %-d %b, %H:%M") -> str:
        """A moment of the ledger's in the town's zone; as it stands where it is none."""
        try:
            when: datetime = moment(text).astimezone(self._zone)
        except (ValueError, OverflowError):
            return printable(text, 40)
        return when.strftime(form)


def few(hosts: Iterable[NightHost], shown: int = 5) -> str:
    """The first names, for a line that people read."""
    names = [printable(host.name, 60) for host in hosts]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def minutes(seconds: float) -> str:
    """A length of time that is never told shorter than it is."""
    whole = max(1, math.ceil(seconds / 60))
    return f"{whole} minute{'' if whole == 1 else 's'}" if whole < 120 else f"{math.ceil(whole / 60)} hours"


def _computers(count: int) -> str:
    return f"{count} computer{'' if count == 1 else 's'}"


def _lines(night: Night, clock: Clock) -> Iterator[Line]:
    grouped: dict[tuple[State, str, str, str], list[NightHost]] = {}
    for host in night.worst_first:
        if host.state not in ("done", "left_alone") and not (night.check and host.state == "planned"):
            chance = clock.told(host.next[0]) if host.next else "not known"
            grouped.setdefault((host.state, *plain(host), chance), []).append(host)
    for (state, what, needs, chance), hosts in grouped.items():
        yield Line(state, what, needs, chance, tuple(hosts))


def _remarks(night: Night) -> Iterator[tuple[str, tuple[NightHost, ...]]]:
    for remark, text in REMARKS.items():
        if hosts := tuple(host for host in night.wanted if remark in host.remarks):
            yield text, hosts


def _alarms(night: Night) -> Iterator[str]:
    if not night.begun:
        yield "This night has not begun. What stands here is what is planned."
    elif not night.ended:
        yield (
            "This night has not come to its end, or its end is not on record. What is told here can still change; a "
            "computer without a word is not known to be well."
        )
    if awry := night.of(*AWRY):
        verb = "is" if len(awry) == 1 else "are"
        yield f"{_computers(len(awry))} {verb} not known to be well, or not done in time: {few(awry, 12)}."
    if not night.wanted:
        yield "No computer was asked in this night."


def _away(night: Night) -> str:
    touched = [host for host in night.wanted if host.touched]
    if not touched:
        return "Nothing that people use was disturbed." if night.ended else "As far as is known, nothing was disturbed."
    bounds = [host.away_at_most for host in touched]
    known = [one for one in bounds if one is not None]
    unknown = [host for host in touched if host.away_at_most is None]
    if not known:
        return f"For how long services were away is not known ({_computers(len(unknown))})."
    told = f"No computer's services were away for more than {minutes(max(known))} (an upper bound)"
    if unknown:
        return f"{told}, as far as is known; for {_computers(len(unknown))} it is not known: {few(unknown)}."
    return f"{told}."


def _away_short(touched: list[NightHost]) -> str:
    bounds = [host.away_at_most for host in touched]
    known = [one for one in bounds if one is not None]
    if not bounds:
        return "nothing disturbed"
    if not known:
        return "not known"
    return f"at most {minutes(max(known))}" + (
        f"; {len(bounds) - len(known)} not known" if len(known) < len(bounds) else ""
    )


def _halted(night: Night) -> str:
    if not night.was_halted:
        return "The night was not halted." if night.ended else ""
    kept = len(night.halted)
    after = f"; {_computers(kept)} {'was' if kept == 1 else 'were'} left untouched because of that" if kept else ""
    return (
        "The night was halted: more computers came to harm than the town allows, so that the trouble stays small"
        f"{after}. It goes on once IT has put the cause right."
    )


def _taken_back(night: Night) -> Iterator[str]:
    back = night.of("rolled_back")
    if night.job == "rollback":
        done = [host for host in night.of("done", "overrun") if host.touched]
        clean = [host for host in done if "not_as_before" not in host.remarks]
        yield f"Updates were taken back on {_computers(len(done))}, on {len(clean)} of them with everything as before."
    elif back:
        clean = [host for host in back if host.work and host.work.rollback and host.work.rollback.identical]
        how = "all as before" if len(clean) == len(back) else f"{len(clean)} of {len(back)} known to be all as before"
        yield f"Updates were taken back on {_computers(len(back))} ({how}): {few(back)}."
    else:
        tried = [host for host in night.wanted if host.work and host.work.rollback and host.work.rollback.done]
        yield f"Updates were taken back in part on {few(tried)}." if tried else "No updates were taken back."


def _restarted(night: Night) -> Iterator[str]:
    anew = [host for host in night.wanted if host.work is not None and host.work.started_anew]
    programs = [host for host in night.wanted if host.work is not None and host.work.restarts_done]
    told = []
    if anew:
        told.append(f"{_computers(len(anew))} {'was' if len(anew) == 1 else 'were'} restarted as a whole")
    if programs:
        told.append(f"single programs were restarted on {_computers(len(programs))}")
    yield ("; ".join(told) or "No computer was restarted, as far as is known") + "."


def _approved(night: Night, clock: Clock) -> Iterator[str]:
    for one in night.approvals:
        what = f"the part of the night called {one.ring}" if one.ring else _computers(one.hosts)
        stale = "" if one.of_last_plan or one.ring else " (an earlier plan than the one that was carried out)"
        yield f"Approved by {one.by} on {clock.told(one.at)} for {what}{stale}."
    for other in night.overrides:
        yield _override(other)
    if not night.approvals and not night.overrides:
        yield "No approval is on record for this night" + (f"; it was started by {night.user}." if night.user else ".")


def _override(one: Override) -> str:
    allowed = f"{one.approver} allowed work outside of the usual hours"
    if not one.hosts:
        return f"{allowed} ({one.reason}); it was not needed, or did not count."
    return f"{allowed} on {_computers(one.hosts)}: {one.reason}."


def _next(night: Night, clock: Clock) -> str:
    begins = sorted(host.next[0] for host in night.wanted if host.next)
    left = [host for host in night.wanted if host.waits]
    if not left:
        return "Nothing waits for another night." if night.ended else ""
    if not begins:
        return "When the next chance is for what is left is not on record; IT knows the town's calendar of such work."
    last = "" if begins[0] == begins[-1] else f", the last of them {clock.told(begins[-1])}"
    known = sum(host.next is not None for host in left)
    which = f"{known} of the {len(left)}" if known < len(left) else f"all {known}" if known > 1 else "the one"
    told = f"Next chance: {clock.told(begins[0])} for {which} that {'are' if len(left) > 1 else 'is'} left{last}"
    return told + (
        "." if known == len(left) else "; the others need something first, or their next chance is not on record."
    )


def _next_short(night: Night, clock: Clock) -> str:
    begins = [host.next[0] for host in night.wanted if host.next]
    if begins:
        return clock.told(min(begins))
    waits = any(host.waits for host in night.wanted)
    return "not known" if waits or not night.ended else "nothing waits"


def _parts(
    night: Night, named: list[tuple[str, str]], belongs: Callable[[NightHost], tuple[str, ...]]
) -> Iterator[Part]:
    parts = []
    for key, name in named:
        if hosts := [host for host in night.wanted if key in belongs(host)]:
            parts.append(_part(name, hosts))
    if night.groups_known and parts and (rest := [host for host in night.wanted if not belongs(host)]):
        parts.append(_part(_NONE, rest))
    yield from sorted(parts, key=lambda part: (part.name == _NONE, WORST_FIRST.index(part.state), -len(part.left)))


def _part(name: str, hosts: list[NightHost]) -> Part:
    away = _away_short([host for host in hosts if host.touched]).removeprefix("at most ")
    left = tuple(host for host in hosts if host.state != "done")
    return Part(name, len(hosts) - len(left), len(hosts), left, away)


def _others(night: Night) -> Iterator[str]:
    if alone := night.of("left_alone"):
        verb = "is" if len(alone) == 1 else "are"
        watched = f"{_computers(len(alone))} {verb} only watched and never changed, by the town's own word"
        yield f"{watched}: {few(alone, 12)}."
    if night.not_asked:
        yield (
            f"{len(night.not_asked)} more of the town's list were not part of this night (other kinds of devices, or "
            "left out on purpose); nothing is told of them here."
        )
