"""The events of a town's calendar files as spans of time. A file that can't be read is an error, never "no freeze"."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from civicops.text import printable
from civicops.town import Problem, TownFileError
from civicops.town.problems import cant_read, echo

from .frozen import Source, Titled

if TYPE_CHECKING:
    from civicops.town import Town

    from .ics import Component, Property
    from .ics_rule import IcsRule
    from .ics_zones import ToUtc, Zones

MAX_BYTES = 2_000_000
"""The largest calendar file."""
_MAX_PROBLEMS = 20
_LONGEST_SERIES = timedelta(days=366)
_TWO_DAYS = timedelta(days=2)
_DAY = timedelta(days=1)
_MEND = "mend the event in the program that keeps the calendar, and export it again"


def load_events(town: Town) -> list[Source | None]:
    """For each freeze of the town, the events of its calendar file, or None if it names none.

    :raises TownFileError: with the problems of all calendar files.
    """
    problems: list[Problem] = []
    read: dict[str, Source | None] = {}
    for freeze in town.maintenance.freezes:
        if freeze.ics is not None and freeze.ics not in read:
            try:
                read[freeze.ics] = read_events(town, freeze.ics)
            except TownFileError as error:
                problems += error.problems
                read[freeze.ics] = None
    if problems:
        raise TownFileError(problems)
    return [read[freeze.ics] if freeze.ics is not None else None for freeze in town.maintenance.freezes]


def read_events(town: Town, name: str) -> Source:
    """The events of one calendar file in the town's directory; raises TownFileError."""
    path = town.directory / name
    try:
        return _Events(_content(path, town.directory), path, town)
    except OSError as error:
        raise _whole(path, cant_read(error), "make it a file that this user can read") from None


def _whole(path: Path, message: str, remedy: str) -> TownFileError:
    return TownFileError([Problem(str(path), 0, 0, "", message, remedy)])


def _content(path: Path, directory: Path) -> bytes:
    if not path.resolve(strict=True).is_relative_to(directory.resolve(strict=True)):
        raise _whole(path, "a link that leads out of the town's directory", "keep the file itself there")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise _whole(path, "not a file", "a calendar is plain text")
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _whole(path, f"larger than {MAX_BYTES} bytes", "leave out the events of past years")
    return content


class _Events:
    """All events of a file."""

    def __init__(self, content: bytes, path: Path, town: Town) -> None:
        from .ics import IcsFault, read_components
        from .ics_zones import Zones, in_zone

        problems: list[Problem] = []
        try:
            components = list(read_components(content))
        except IcsFault as fault:
            raise TownFileError([Problem(str(path), fault.line, 0, "", fault.message, fault.remedy)]) from None
        described: dict[str, Component] = {}
        for one in components:
            name = one.one("TZID")
            if one.kind == "VTIMEZONE" and name is not None:
                described.setdefault(name.value.strip('"'), one)
        zones, floating = Zones(described), in_zone(town.zone)
        events = []
        for one in components:
            if one.kind != "VEVENT":
                continue
            try:
                events.append(_Event(one, zones, floating))
            except IcsFault as fault:
                uid = one.one("UID")
                key = f"event {echo(uid.value)}" if uid else f"event of line {one.line}"
                problems.append(Problem(str(path), fault.line, 0, key, fault.message, fault.remedy))
        if problems:
            raise TownFileError(problems[:_MAX_PROBLEMS])
        _take_out_moved(events)
        self._events = [event for event in events if not event.cancelled]

    def titled(self, after: datetime, before: datetime) -> Iterator[Titled]:
        """The spans that end at `after` or later and begin before `before`."""
        for event in self._events:
            yield from event.titled(after, before)


class _Event:
    """One VEVENT: a span, or a series of them."""

    def __init__(self, component: Component, zones: Zones, floating: ToUtc) -> None:
        from .ics import IcsFault
        from .ics_rule import IcsRule

        self._zones, self._floating = zones, floating
        found = component.one("DTSTART")
        if found is None:
            raise IcsFault(component.line, "has no DTSTART", _MEND)
        title, uid, status = (component.one(name) for name in ("SUMMARY", "UID", "STATUS"))
        self.title = printable(title.value, 200) if title else ""
        self.uid = uid.value if uid else f"line {component.line}"
        self.cancelled = status is not None and status.value.upper() == "CANCELLED"
        when = self._when(found.value, found)
        self._to_utc = self._zone_of(found, found.value)
        self._whole_days = not isinstance(when, datetime)
        self._local = _naive(when)
        self.start = self._to_utc(self._local)
        self._length, self._wall = self._lasting(component, when)
        self._rules: list[IcsRule] = [IcsRule(rule, self._local) for rule in component.all("RRULE")]
        self._more = [pair for dates in component.all("RDATE") for pair in self._added(dates)]
        self._without = {self._instant(text, dates) for dates in component.all("EXDATE") for text in _texts(dates)}
        recurrence = component.one("RECURRENCE-ID")
        self.replaces: datetime | None = None
        if recurrence is not None:
            if recurrence.parameters.get("RANGE", "").upper() == "THISANDFUTURE":
                raise IcsFault(recurrence.line, "changes a whole rest of a series (RANGE=THISANDFUTURE)", _MEND)
            self.replaces = self._instant(recurrence.value, recurrence)
        if (self._rules or self._more) and self._end(self._local, self.start) - self.start > _LONGEST_SERIES:
            raise IcsFault(found.line, "a series of events that last longer than a year each", _MEND)

    def take_out(self, moment: datetime) -> None:
        """One occurrence of the series stands in the file as an event of its own."""
        self._without.add(moment)

    def titled(self, after: datetime, before: datetime) -> Iterator[Titled]:
        """The spans that end at `after` or later and begin before `before`."""
        for start, end in self._spans(after, before):
            if end >= after and start < before and start not in self._without:
                yield (start, end, self.title)

    def _spans(self, after: datetime, before: datetime) -> Iterator[tuple[datetime, datetime]]:
        yield (self.start, self._end(self._local, self.start))
        yield from self._more
        if not self._rules:
            return
        reach = self._end(self._local, self.start) - self.start + 2 * _TWO_DAYS
        first, last = (after - reach).replace(tzinfo=None), (before + _TWO_DAYS).replace(tzinfo=None)
        for rule in self._rules:
            for local in rule.starts(first, last):
                start = self._to_utc(local)
                if rule.ended(local, start):
                    break
                if start != self.start:
                    yield (start, self._end(local, start))

    def _end(self, local: datetime, start: datetime) -> datetime:
        """When an occurrence ends: by the calendar and the clock on the wall, or in real time; whichever is later.

        The two differ only where an occurrence, or the first one of the series, passes a change of the clocks.
        """
        end = start + self._length
        if self._wall is None:
            return end
        by_wall = self._to_utc(local + self._wall[0]) + self._wall[1]
        return by_wall if self._whole_days else max(end, by_wall)

    def _lasting(
        self, component: Component, when: date | datetime
    ) -> tuple[timedelta, tuple[timedelta, timedelta] | None]:
        """The length in real time; and by the wall's clock, with what is real time behind that."""
        from .ics import IcsFault, parse_length

        end, length = component.one("DTEND"), component.one("DURATION")
        if end is not None:
            until = self._when(end.value, end)
            if isinstance(until, datetime) == self._whole_days:
                raise IcsFault(end.line, "of DTSTART and DTEND one is a day and the other a time", _MEND)
            zone, wall = self._zone_of(end, end.value), _naive(until) - self._local
            if self._whole_days:
                wall = wall or _DAY  # some programs write the same day for one day
            lasting = wall if self._whole_days else zone(_naive(until)) - self.start
            if lasting < timedelta(0):
                raise IcsFault(end.line, "the event ends before it begins", _MEND)
            return lasting, (wall, timedelta(0)) if zone is self._to_utc else None
        if length is not None:
            lasting = parse_length(length)
            if lasting > timedelta(days=36525):
                raise IcsFault(length.line, "lasts longer than a hundred years", _MEND)
            days = lasting.days * _DAY
            return lasting, (days, lasting - days)
        return (_DAY, (_DAY, timedelta(0))) if self._whole_days else (timedelta(0), None)

    def _when(self, text: str, found: Property) -> date | datetime:
        from .ics import parse_when

        return parse_when(text, found)

    def _zone_of(self, found: Property, text: str) -> ToUtc:
        """The zone of a value: UTC by its Z, else by its TZID, else the town's. A day is always the town's."""
        if text.endswith("Z"):
            return self._zones.find("UTC", found.line)
        name = found.parameters.get("TZID", "").strip('"')
        return self._zones.find(name, found.line) if name and "T" in text else self._floating

    def _instant(self, text: str, found: Property) -> datetime:
        return self._zone_of(found, text)(_naive(self._when(text, found)))

    def _added(self, dates: Property) -> Iterator[tuple[datetime, datetime]]:
        """The spans of RDATE: starts alone, or periods with their own end."""
        from .ics import IcsFault, Property, parse_length

        for text in _texts(dates):
            first, _, rest = text.partition("/")
            start = self._instant(first, dates)
            if not rest:
                yield (start, self._end(_naive(self._when(first, dates)), start))
            elif rest.startswith(("P", "+", "-")):
                yield (start, start + parse_length(Property(dates.line, "DURATION", {}, rest)))
            else:
                end = self._instant(rest, dates)
                if end < start:
                    raise IcsFault(dates.line, "a period of RDATE ends before it begins", _MEND)
                yield (start, end)


def _naive(when: date | datetime) -> datetime:
    return when.replace(tzinfo=None) if isinstance(when, datetime) else datetime.combine(when, time())


def _texts(found: Property) -> list[str]:
    return [text.strip() for text in found.value.split(",") if text.strip()]


def _take_out_moved(events: list[_Event]) -> None:
    """An occurrence that was moved or cancelled alone no longer stands at its old time."""
    series: dict[str, list[_Event]] = {}
    for event in events:
        if event.replaces is None:
            series.setdefault(event.uid, []).append(event)
    for event in events:
        if event.replaces is not None:
            for master in series.get(event.uid, ()):
                master.take_out(event.replaces)
