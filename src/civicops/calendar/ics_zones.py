"""The time zones of a calendar file: by tzdata's names, by Windows' names, or as the file itself describes them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from operator import itemgetter
from zoneinfo import ZoneInfo

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from .ics import Component, IcsFault, parse_offset, parse_when
from .ics_rule import IcsRule
from .spans import to_utc

ToUtc = Callable[[datetime], datetime]
"""A local time without zone to UTC, as RFC 5545 says it for gaps and folds."""

_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_WINDOWS = {name.casefold(): zone for name, zone in WINDOWS_TO_OLSON.items()}


def in_zone(zone: tzinfo) -> ToUtc:
    """The converter of a zone of tzdata."""
    return lambda local: to_utc(local, zone)


class Zones:
    """The zones that a file may name, by TZID. tzdata's rules come before the file's own, which may be out of date."""

    def __init__(self, described: dict[str, Component]) -> None:
        self._described = described
        self._known: dict[str, ToUtc] = {"UTC": in_zone(UTC)}

    def find(self, name: str, line: int) -> ToUtc:
        """The converter of a TZID; raises `IcsFault` if nothing says what it means."""
        if name not in self._known:
            self._known[name] = self._find(name, line)
        return self._known[name]

    def _find(self, name: str, line: int) -> ToUtc:
        component = self._described.get(name)
        location = component.one("X-LIC-LOCATION") if component else None
        # "/vendor.org/20050126_1/America/New_York": a zone's name behind a vendor's prefix
        steps = name.strip("/").split("/") if name.startswith("/") else []
        tails = ["/".join(steps[first:]) for first in range(1, len(steps))]
        for one in (name, _WINDOWS.get(name.casefold(), ""), *tails, location.value if location else ""):
            zone = _zone(one)
            if zone is not None:
                return in_zone(zone)
        if component is not None:
            return _Described(component).to_utc
        raise IcsFault(
            line,
            f"the time zone {name[:60]!r} is not known, and the file does not describe it",
            "export the calendar with its time zones (VTIMEZONE), or name one as America/New_York",
        )


def _zone(name: str) -> tzinfo | None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


class _Described:
    """A zone by its VTIMEZONE: a list of changes of its offset."""

    def __init__(self, component: Component) -> None:
        changes: list[tuple[datetime, timedelta, timedelta]] = []
        for part in component.parts:
            if part.kind in ("STANDARD", "DAYLIGHT"):
                changes += _changes(part)
        if not changes:
            raise IcsFault(component.line, "a time zone without STANDARD and DAYLIGHT")
        changes.sort(key=itemgetter(0))
        self._first = changes[0][1]
        # Up to this wall clock the offset before the change counts: over a gap, and for the first time in a fold.
        self._walls = [at + max(before, after) for at, before, after in changes]
        self._offsets = [after for _, _, after in changes]

    def to_utc(self, local: datetime) -> datetime:
        place = bisect_right(self._walls, local)
        offset = self._offsets[place - 1] if place else self._first
        return (local - offset).replace(tzinfo=UTC)


def _changes(part: Component) -> list[tuple[datetime, timedelta, timedelta]]:
    """The changes of one STANDARD or DAYLIGHT: when in UTC (without zone), offset before, offset after."""
    before = parse_offset(part.one("TZOFFSETFROM"), part.line)
    after = parse_offset(part.one("TZOFFSETTO"), part.line)
    found = part.one("DTSTART")
    if found is None or not re.fullmatch(r"[0-9]{8}T[0-9]{6}", found.value):
        raise IcsFault(part.line, "a time zone without a right DTSTART")
    rules = part.all("RRULE")
    moved = bool(rules) and int(found.value[:4]) < _FIRST_YEAR  # Outlook begins in 1601
    start = parse_when((str(_FIRST_YEAR) if moved else max(found.value[:4], "1900")) + found.value[4:], found)
    assert isinstance(start, datetime)  # noqa: S101 - its form was looked at above
    local = set() if moved else {start}
    for rule in rules:
        series = IcsRule(rule, start)
        for one in series.starts(start, datetime(_LAST_YEAR, 1, 1)):
            if series.ended(one, (one - before).replace(tzinfo=UTC)):
                break
            local.add(one)
    for dates in part.all("RDATE"):
        for text in dates.value.split(","):
            when = parse_when(text.strip(), dates)
            if isinstance(when, datetime):
                local.add(when.replace(tzinfo=None))
    return [(one - before, before, after) for one in local]
