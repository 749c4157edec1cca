"""May this job touch this host now, and until when?"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from civicops.town.days import NEVER_AFTER_YEARS, rule_of

from .frozen import Freezes, Frozen, FrozenSpan
from .patterns import matching
from .recurrence import Recurrence
from .spans import Pair, Span, in_utc, joined, without

if TYPE_CHECKING:
    from civicops.town import Town
    from civicops.town.model import Window

HORIZON = timedelta(days=400)
"""How far ahead the next chance is looked for; an opening that never ends is told to end there."""
OBSERVE_ONLY = "observe_only"
"""The group of hosts that are never changed."""

Groups = Mapping[str, Collection[str]]
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a window is open, as the town file says it: freezes are not cut out."""

    window: str
    """The window's id."""
    span: Span


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a job may touch a host now."""

    allowed: bool
    until: datetime | None = None
    """Allowed: when it ends, in UTC. Windows that touch or overlap are joined, freezes cut."""
    window: str | None = None
    """Allowed: the id of the window that is open now; of several the one that lasts longest."""
    windows: tuple[str, ...] = ()
    """Allowed: every window that is open now for this job and host."""
    reason: str | None = None
    """Not allowed: why, in one line for people."""
    freeze: str | None = None
    """Not allowed: the freeze's id, where one holds now."""
    next: Span | None = None
    """Not allowed: the next time that this job may touch this host; None if not within 400 days."""


class _Opening:
    """A window of the town file with its occurrences."""

    def __init__(self, window: Window, zone: tzinfo) -> None:
        self.window = window
        self.id = window.id
        self._recurrence = Recurrence(rule_of(window.rrule, window.since), window.start, window.duration, zone)
        self.spans = self._recurrence.spans


def chances(
    windows: Sequence[Recurrence | _Opening], freezes: Freezes, after: datetime, before: datetime
) -> Iterator[Pair]:
    """When any of the windows is open and no freeze holds, in order, as far as it touches after to before."""
    spans = (
        windows[0].spans(after, before)
        if len(windows) == 1
        else heapq.merge(*(w.spans(after, before) for w in windows))
    )
    for span in joined(spans):
        for left in without(span, freezes.cuts(*span)):
            if left[1] > after and left[0] < before:
                yield left


class Calendar:
    """The windows and freezes of one town, calendar files included.

    `now` always comes from the caller and must know its zone. Answers of one moment are kept, so that a whole batch of
    hosts costs little more than one of them.
    """

    def __init__(self, town: Town) -> None:
        """Read the town's calendar files; raises TownFileError for one that can't be read."""
        from .events import load_events

        self.town, self._zone = town, town.zone
        self._windows = tuple(_Opening(window, town.zone) for window in town.maintenance.windows)
        self._freezes = tuple(
            Frozen(freeze, town.zone, source)
            for freeze, source in zip(town.maintenance.freezes, load_events(town), strict=True)
        )
        self._seen: dict[str, tuple[str, ...]] | None = None
        self._matched: dict[str, frozenset[str]] = {}
        self._moment: datetime | None = None
        self._answers: dict[tuple[tuple[int, ...], tuple[int, ...], str], Answer] = {}

    def may(self, job: str, host: str, now: datetime, groups: Groups) -> Answer:
        """Whether a job may touch a host; `groups` is Ansible's variable of that name, `all` included.

        :raises ValueError: `now` is without time zone.
        """
        now = in_utc(now)
        self._look_at(groups)
        if host in groups.get(OBSERVE_ONLY, ()):
            return Answer(False, reason=f"{OBSERVE_ONLY}: never changed")
        if now != self._moment:
            self._moment, self._answers = now, {}
        mine = tuple(
            number
            for number, one in enumerate(self._windows)
            if job in one.window.jobs and host in self._hosts(one.window.hosts, groups)
        )
        frozen = tuple(
            number for number, one in enumerate(self._freezes) if host in self._hosts(one.freeze.hosts, groups)
        )
        key = (mine, frozen, job)
        if key not in self._answers:
            self._answers[key] = self._answer(job, mine, frozen, now)
        return self._answers[key]

    def occurrences(self, window_id: str, after: datetime, before: datetime) -> list[Occurrence]:
        """A window's occurrences that begin before `before` and end after `after`, in order: freezes are not cut.

        :raises LookupError: there is no window with this id.
        """
        after, before = in_utc(after), in_utc(before)
        for one in self._windows:
            if one.id == window_id:
                return [Occurrence(one.id, Span(*span)) for span in one.spans(after, before)]
        raise LookupError(f"{self.town.id} has no window {window_id}")

    def next_start(self, job: str | None, after: datetime) -> list[Occurrence]:
        """The next occurrence of each window (of this job, or of all) that begins after a moment; by their starts."""
        after = in_utc(after)
        before = after + timedelta(days=366 * NEVER_AFTER_YEARS)
        found = []
        for one in self._windows:
            if job is None or job in one.window.jobs:
                span = next((span for span in one.spans(after, before) if span[0] > after), None)
                if span is not None:
                    found.append(Occurrence(one.id, Span(*span)))
        return sorted(found, key=lambda occurrence: (occurrence.span.start, occurrence.window))

    def open_now(self, now: datetime) -> list[Occurrence]:
        """Every occurrence of a window that is open at a moment, freezes not cut."""
        now = in_utc(now)
        return [Occurrence(one.id, Span(*span)) for one in self._windows for span in one.spans(now, now + _INSTANT)]

    def freezes_between(self, after: datetime, before: datetime) -> list[FrozenSpan]:
        """Every span in which a freeze holds, padding included, that touches after to before; by their starts."""
        after, before = in_utc(after), in_utc(before)
        found = [
            FrozenSpan(one.freeze.id, one.freeze.kind, Span(start, end), one.freeze.hosts, title)
            for one in self._freezes
            for start, end, title in one.between(after, before)
        ]
        return sorted(found, key=lambda frozen: (frozen.span.start, frozen.span.end, frozen.freeze))

    def _look_at(self, groups: Groups) -> None:
        """Forget which hosts the patterns mean if the groups are not the same as before, changes in place included."""
        seen = self._seen
        if seen is not None and len(seen) == len(groups):
            for name, hosts in groups.items():
                if seen.get(name) != tuple(hosts):
                    break
            else:
                return
        self._seen = {name: tuple(hosts) for name, hosts in groups.items()}
        self._matched = {}

    def _hosts(self, pattern: str, groups: Groups) -> frozenset[str]:
        if pattern not in self._matched:
            self._matched[pattern] = matching(pattern, groups)
        return self._matched[pattern]

    def _answer(self, job: str, mine: tuple[int, ...], frozen: tuple[int, ...], now: datetime) -> Answer:
        windows = [self._windows[number] for number in mine]
        if not windows:
            if any(job in one.window.jobs for one in self._windows):
                return Answer(False, reason=f"no window for {job} is for this host")
            return Answer(False, reason=f"no window of {self.town.id} is for {job}")
        freezes = Freezes([self._freezes[number] for number in frozen])
        chance = next(chances(windows, freezes, now, now + HORIZON), None)
        lasting = [(span[1], one.id) for one in windows for span in one.spans(now, now + _INSTANT)]
        if chance is not None and chance[0] <= now:
            ids = dict.fromkeys(name for _, name in lasting)
            longest = max(lasting, key=lambda pair: pair[0])[1]
            return Answer(True, until=min(chance[1], now + HORIZON), window=longest, windows=tuple(ids))
        following = Span(*chance) if chance is not None else None
        closed = None if lasting else f"no window for {job} is open"
        holding = freezes.holding(now)
        if holding is None:
            return Answer(False, reason=closed, next=following)
        freeze, end = holding[0].freeze, holding[1]
        reason = f"frozen by {freeze.id} ({freeze.kind}) until {self._shown(end, now)}"
        return Answer(False, reason=f"{reason}; {closed}" if closed else reason, freeze=freeze.id, next=following)

    def _shown(self, moment: datetime, now: datetime) -> str:
        """A moment as people of the town write it; its year only where it is another one."""
        local = moment.astimezone(self._zone)
        year = f" {local.year}" if local.year != now.astimezone(self._zone).year else ""
        return f"{local:%a} {local.day} {local:%b}{year} {local:%H:%M} {local:%Z}"


def load_calendar(town: Town) -> Calendar:
    """The calendar of a town.

    :raises TownFileError: a calendar file of it is missing or can't be read: that never means that nothing is frozen.
    """
    return Calendar(town)
