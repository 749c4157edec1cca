"""Windows and freezes of the town file as spans of time: days by a rule, a local time of day, a real length."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from civicops.town.days import Rule

from .spans import Pair, to_utc

_TWO_DAYS = timedelta(days=2)  # more than any zone's offset and any jump of its clocks
_DAY = timedelta(days=1)
_LONGEST_DAY = timedelta(days=2)
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_LAST = datetime(9900, 1, 1, tzinfo=UTC)


class Recurrence:
    """Spans that begin on the rule's days.

    With a length, each lasts that long in real time; without one, from local midnight to the next, which are 23 or 25
    hours where the clocks change.
    """

    def __init__(self, rule: Rule, start: time | None, length: timedelta | None, zone: tzinfo) -> None:
        self._rule, self._zone, self._length = rule, zone, length
        self._hour, self._minute = (start.hour, start.minute) if start else (0, 0)
        self._reach = (length or _LONGEST_DAY) + _TWO_DAYS
        self._last_moment = rule.last_moment

    def spans(self, after: datetime, before: datetime) -> Iterator[Pair]:
        """Those that end after `after` and begin before `before`, in order; both are in UTC."""
        first = max(after, _FIRST) - self._reach
        last = min(before, _LAST) + _TWO_DAYS
        hour, minute, zone, length, until = self._hour, self._minute, self._zone, self._length, self._last_moment
        previous = None
        for day in self._rule.days(first.date(), last.date()):
            start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
            if start >= before or (until is not None and start > until):
                return
            end = start + length if length is not None else midnight_after(day, zone)
            # A zone that leaves out a whole day moves that day's start onto the next one's: it is one occurrence.
            if end > after and start != previous and end > start:
                yield (start, end)
            previous = start


def midnight_after(day: date, zone: tzinfo) -> datetime:
    """The end of a local day, in UTC."""
    return to_utc(datetime.combine(day, time()) + _DAY, zone)
