"""Freezes as spans of time, with their padding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from operator import itemgetter
from typing import Protocol

from civicops.town.days import rule_of
from civicops.town.model import Freeze

from .recurrence import Recurrence
from .spans import Pair, Span, joined, to_utc

Titled = tuple[datetime, datetime, str]
"""Start and end in UTC, and the title of the event, which is other people's text."""

_BLOCK = {"DAILY": timedelta(days=32), "WEEKLY": timedelta(days=64), "MONTHLY": timedelta(days=128)}
"""How much is computed at once: some dozen spans, by the frequency of the rule."""
_EVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FrozenSpan:
    """One span in which a freeze holds, padding included."""

    freeze: str
    """The freeze's id."""
    kind: str
    """Why: council, election, payroll..."""
    span: Span
    hosts: str
    """The freeze's host pattern."""
    title: str
    """The event's own title if it comes from a calendar file: text of other people, made printable; else empty."""


class Source(Protocol):
    """Where spans come from, before padding."""

    def titled(self, after: datetime, before: datetime) -> Iterator[Titled]:
        """Those that end after `after` and begin before `before`, in any order."""
        ...


class _ByRule:
    def __init__(self, recurrence: Recurrence) -> None:
        self._recurrence = recurrence

    def titled(self, after: datetime, before: datetime) -> Iterator[Titled]:
        for start, end in self._recurrence.spans(after, before):
            yield (start, end, "")


class Frozen:
    """One freeze. What was computed once is kept, block of days by block of days."""

    _EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
    _MOST_BLOCKS = 400

    def __init__(self, freeze: Freeze, zone: tzinfo, source: Source | None = None) -> None:
        """`source` gives the events of a calendar file, where the freeze names one."""
        self.freeze = freeze
        self.fixed: Pair | None = None
        """The padded span of a freeze that comes once."""
        self._pad = freeze.pad
        self._blocks: dict[int, list[Titled]] = {}
        self._block_days = _BLOCK["DAILY"]
        if freeze.from_ is not None and freeze.to is not None:
            self.fixed = (to_utc(freeze.from_, zone) - freeze.pad, to_utc(freeze.to, zone) + freeze.pad)
        elif freeze.rrule is not None:
            rule = rule_of(freeze.rrule, freeze.since)
            source = _ByRule(Recurrence(rule, freeze.start, freeze.duration, zone))
            self._block_days = _BLOCK.get(rule.frequency, _BLOCK["MONTHLY"])
        self._source = source

    def between(self, after: datetime, before: datetime) -> list[Titled]:
        """The padded spans that end after `after` and begin before `before`, in the order of their starts."""
        if self.fixed is not None:
            start, end = self.fixed
            return [(start, end, "")] if end > after and start < before and end > start else []
        if after >= before:
            return []
        first, last = (after - self._EPOCH) // self._block_days, (before - self._EPOCH) // self._block_days
        if first == last:
            return [span for span in self._block(first) if span[1] > after and span[0] < before]
        found: list[Titled] = []
        for number in range(first, last + 1):
            # One that began in an earlier block stands there already.
            began = self._EPOCH + number * self._block_days if number > first else _EVER
            found += [s for s in self._block(number) if s[0] >= began and s[1] > after and s[0] < before]
        return found

    def _block(self, number: int) -> list[Titled]:
        known = self._blocks.get(number)
        if known is None:
            if len(self._blocks) >= self._MOST_BLOCKS:
                self._blocks.clear()
            start = self._EPOCH + number * self._block_days
            known = self._blocks[number] = sorted(self._padded(start, start + self._block_days))
        return known

    def _padded(self, after: datetime, before: datetime) -> Iterator[Titled]:
        if self._source is None:
            return
        for start, end, title in self._source.titled(after - self._pad, before + self._pad):
            padded = (start - self._pad, end + self._pad, title)
            if padded[1] > padded[0] and padded[1] > after and padded[0] < before:
                yield padded


class Freezes:
    """Several freezes together."""

    def __init__(self, freezes: Sequence[Frozen]) -> None:
        self._all = tuple(freezes)
        self._coming = [one for one in freezes if one.fixed is None]
        fixed = list(joined(sorted(one.fixed for one in freezes if one.fixed is not None)))
        self._fixed, self._starts, self._ends = fixed, [s for s, _ in fixed], [e for _, e in fixed]

    def cuts(self, after: datetime, before: datetime) -> list[Pair]:
        """The spans in which any of them holds, in order of their starts, as far as they touch after to before."""
        cuts = self._fixed[bisect_right(self._ends, after) : bisect_left(self._starts, before)]
        if self._coming:
            for one in self._coming:
                cuts += [(start, end) for start, end, _ in one.between(after, before)]
            cuts.sort()
        return cuts

    def holding(self, now: datetime) -> tuple[Frozen, datetime] | None:
        """Of the freezes that hold now, the one that does so longest, and its end."""
        now_after = now + timedelta(microseconds=1)
        ends = [(one, span[1]) for one in self._all for span in one.between(now, now_after)]
        return max(ends, key=itemgetter(1), default=None)
