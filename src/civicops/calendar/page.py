"""The coming windows and freezes as one self-contained page: months as grids, no script, nothing loaded."""

from __future__ import annotations

import calendar as months
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from civicops.text import printable

from .coming import Coming, ComingWindow
from .frozen import FrozenSpan
from .spans import Span

_DAY = timedelta(days=1)


@dataclass
class Day:
    """A cell of a month's grid."""

    day: date
    inside: bool
    """Whether the page tells of this day at all."""
    windows: list[tuple[str, ComingWindow]] = field(default_factory=list)
    """With their hours, on the day on which they begin."""
    freezes: list[tuple[str, FrozenSpan]] = field(default_factory=list)
    """With their hours on this day, on every day that they touch."""


@dataclass(frozen=True)
class Month:
    """A month's grid."""

    name: str
    weeks: list[list[Day | None]]
    """Seven cells each; None before the month's first and after its last day."""


def as_html(coming: Coming) -> str:
    """The page; everything is escaped."""
    environment = Environment(
        loader=PackageLoader("civicops.calendar"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["shown"] = lambda value: printable(value, 500)
    first_weekday = months.SUNDAY if coming.calendar.town.state else months.MONDAY
    page = environment.get_template("windows.html.j2")
    return page.render(
        coming=coming,
        town=coming.calendar.town,
        months=_months(coming, first_weekday),
        weekdays=[months.day_abbr[(first_weekday + number) % 7] for number in range(7)],
        civicops_version=version("civicops"),
    )


def _months(coming: Coming, first_weekday: int) -> list[Month]:
    first, last = coming.local(coming.after).date(), coming.local(coming.before).date()
    if coming.windows:
        first = min(first, coming.local(coming.windows[0].span.start).date())
    days: dict[date, Day] = {}

    def cell(day: date) -> Day:
        return days.setdefault(day, Day(day, first <= day <= last))

    for one in coming.windows:
        start = coming.local(one.span.start).date()
        cell(start).windows.append((_hours(coming, one.span, start), one))
    for freeze in coming.freezes:
        day = max(first, coming.local(freeze.span.start).date())
        end = min(last, coming.local(freeze.span.end - timedelta(microseconds=1)).date())
        while day <= end:
            cell(day).freezes.append((_part(coming, freeze.span, day), freeze))
            day += _DAY
    grid = months.Calendar(first_weekday)
    found = []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        weeks = [
            [cell(day) if day.month == month else None for day in week] for week in grid.monthdatescalendar(year, month)
        ]
        found.append(Month(f"{months.month_name[month]} {year}", weeks))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


def _hours(coming: Coming, span: Span, day: date) -> str:
    """From and to, and the real length where the clocks change in between."""
    real = coming.real_length(span)
    text = f"{coming.clock(span.start, day)} to {coming.clock(span.end, day)}"
    return f"{text} ({real} in real time)" if real else text


def _part(coming: Coming, span: Span, day: date) -> str:
    """The hours of a span on one day."""
    start, end = coming.local(span.start), coming.local(span.end)
    begins = f"{start:%H:%M}" if start.date() == day else "00:00"
    ends = f"{end:%H:%M}" if end.date() == day else "24:00"
    return "all day" if (begins, ends) == ("00:00", "24:00") else f"{begins} to {ends}"
