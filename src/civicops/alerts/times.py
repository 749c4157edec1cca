"""When a recipient may be told: quiet hours and office hours, in the town's zone, right across every change of clocks.

A span of hours is counted in real time from its beginning to its end. As in RFC 5545 (section 3.3.5), a time of day
that a change of clocks leaves out is moved forward by the gap, and of one that comes twice the first is meant. So
quiet hours end once, and a span whose end moves before its beginning is left out on that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from civicops.town.scalars import Hours

OFFICE = Hours(time(8), time(18))
"""Office hours, Monday to Friday."""


class Times(Protocol):
    """The times at which somebody may be told."""

    def allow(self, now: datetime, zone: tzinfo) -> bool:
        """Whether this moment (aware) is one of them, in that zone."""


@dataclass(frozen=True)
class Always:
    """At any time."""

    def allow(self, now: datetime, zone: tzinfo) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class Outside:
    """Not in the quiet hours of any day."""

    quiet: Hours

    def allow(self, now: datetime, zone: tzinfo) -> bool:
        """Whether no span of quiet hours holds this moment; their end does not belong to them."""
        return not any(begin <= now < end for _, begin, end in _spans(self.quiet, now, zone))


@dataclass(frozen=True)
class Office:
    """Monday to Friday, 08:00 to 18:00. Holidays are not known here."""

    def allow(self, now: datetime, zone: tzinfo) -> bool:
        """Whether this moment is in office hours of a working day."""
        return any(begin <= now < end and day.weekday() < 5 for day, begin, end in _spans(OFFICE, now, zone))


def _spans(hours: Hours, now: datetime, zone: tzinfo) -> Iterator[tuple[date, datetime, datetime]]:
    """The spans near a moment: the day on which each begins, its beginning and its end in UTC."""
    today = now.astimezone(zone).date()
    for distance in range(-2, 2):
        day = today + timedelta(days=distance)
        last = day if hours.start < hours.end else day + timedelta(days=1)
        yield day, _instant(day, hours.start, zone), _instant(last, hours.end, zone)


def _instant(day: date, clock: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)
