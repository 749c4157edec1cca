"""What is coming: windows, the freezes that touch them, and both as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from civicops.town.scalars import format_duration

from .answers import Calendar, Occurrence
from .frozen import FrozenSpan
from .spans import Span, in_utc

if TYPE_CHECKING:
    from civicops.town.model import Window


@dataclass(frozen=True, slots=True)
class ComingWindow:
    """One time that a window opens, and the freezes that touch it: each counts for its own hosts."""

    window: Window
    span: Span
    frozen: tuple[FrozenSpan, ...]


@dataclass(frozen=True)
class Coming:
    """Windows and freezes from `after` to `before`, by their starts."""

    calendar: Calendar
    after: datetime
    before: datetime
    windows: tuple[ComingWindow, ...]
    freezes: tuple[FrozenSpan, ...]

    def local(self, moment: datetime) -> datetime:
        """A moment in the town's time."""
        return moment.astimezone(self.calendar.town.zone)

    def clock(self, moment: datetime, beside: date) -> str:
        """The local time of day, with the day in front of it where it is another one than `beside`."""
        local = self.local(moment)
        return f"{local:%H:%M}" if local.date() == beside else f"{local:%a} {local.day} {local:%b} {local:%H:%M}"

    def real_length(self, span: Span) -> str:
        """How long it really is, where the clocks say something else: `2h30m`; else empty."""
        real = span.end - span.start
        wall = self.local(span.end).replace(tzinfo=None) - self.local(span.start).replace(tzinfo=None)
        return format_duration(real) if real != wall else ""

    def cut(self, one: ComingWindow, frozen: FrozenSpan) -> Span:
        """The part of a window that a freeze takes."""
        return Span(max(one.span.start, frozen.span.start), min(one.span.end, frozen.span.end))

    def as_data(self) -> Mapping[str, Any]:
        """Everything as JSON holds it; times are local with their offset."""
        town = self.calendar.town
        windows = [
            {
                "window": one.window.id,
                "jobs": list(one.window.jobs),
                "hosts": one.window.hosts,
                **self._times(one.span),
                "real_minutes": int((one.span.end - one.span.start).total_seconds()) // 60,
                "frozen": [
                    {"freeze": frozen.freeze, "hosts": frozen.hosts, **self._times(self.cut(one, frozen))}
                    for frozen in one.frozen
                ],
            }
            for one in self.windows
        ]
        freezes = [
            {"freeze": one.freeze, "kind": one.kind, "title": one.title, "hosts": one.hosts, **self._times(one.span)}
            for one in self.freezes
        ]
        return {
            "town": town.id,
            "timezone": town.timezone,
            "from": self.local(self.after).isoformat(timespec="seconds"),
            "to": self.local(self.before).isoformat(timespec="seconds"),
            "windows": windows,
            "freezes": freezes,
        }

    def _times(self, span: Span) -> dict[str, str]:
        return {
            "start": self.local(span.start).isoformat(timespec="seconds"),
            "end": self.local(span.end).isoformat(timespec="seconds"),
        }


def coming(calendar: Calendar, now: datetime, days: int, job: str | None = None) -> Coming:
    """What is open now or comes in so many days, for one job or all."""
    after = in_utc(now)
    before = after + timedelta(days=days)
    found: list[tuple[Occurrence, Window]] = [
        (occurrence, window)
        for window in calendar.town.maintenance.windows
        if job is None or job in window.jobs
        for occurrence in calendar.occurrences(window.id, after, before)
    ]
    found.sort(key=lambda pair: (pair[0].span.start, pair[1].id))
    # Windows that reach over the ends are cut by freezes out there.
    first = min([after, *(one.span.start for one, _ in found)])
    last = max([before, *(one.span.end for one, _ in found)])
    freezes = calendar.freezes_between(first, last)
    windows = tuple(
        ComingWindow(
            window,
            one.span,
            tuple(f for f in freezes if f.span.start < one.span.end and f.span.end > one.span.start),
        )
        for one, window in found
    )
    inside = tuple(f for f in freezes if f.span.end > after and f.span.start < before)
    return Coming(calendar, after, before, windows, inside)
