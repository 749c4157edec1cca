"""The form of a calendar file (RFC 5545): lines, components and single values, read strictly and with bounds.

A line that can't be read is an error with its number: a freeze could hang on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from icalendar.parser import Contentline
from icalendar.prop import vDuration

MAX_EVENTS = 5000
"""Events in one calendar file."""
_MAX_DEPTH = 4
_EXPORT = "export the calendar again from the program that keeps it"

_PLAIN = re.compile(r"[A-Za-z0-9-]+((?:;[A-Za-z0-9-]+=[^\";:,\\^]*)*):([^\\]*)")
_NAME = re.compile(r"[A-Za-z0-9-]+(?=[;:])")
_READ = {
    "VEVENT": {
        "UID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "STATUS", "SUMMARY",
        "SEQUENCE",
    },
    "VTIMEZONE": {"TZID", "X-LIC-LOCATION"},
    "STANDARD": {"DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE"},
    "DAYLIGHT": {"DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE"},
}  # fmt: skip
_MANY = {"RRULE", "RDATE", "EXDATE"}


class IcsFault(Exception):
    """What is wrong in a calendar file, where, and the remedy."""

    def __init__(self, line: int, message: str, remedy: str = _EXPORT) -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


@dataclass(frozen=True, slots=True)
class Property:
    """One line: its number in the file, counted from 1, its parameters in capitals, and its value as it stands."""

    line: int
    name: str
    parameters: dict[str, str]
    value: str


@dataclass(slots=True)
class Component:
    """What stands between BEGIN and END, as far as it is read here."""

    kind: str
    line: int
    properties: dict[str, list[Property]] = field(default_factory=dict)
    parts: list[Component] = field(default_factory=list)

    def one(self, name: str) -> Property | None:
        """The property of this name, if there is one."""
        found = self.properties.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list[Property]:
        return self.properties.get(name, [])


def read_components(content: bytes) -> Iterator[Component]:
    """The events and time zones of a file's calendars, in the order of the file; raises `IcsFault`."""
    # Titles in other encodings do no harm: names, times and rules are ASCII.
    text = content.decode("utf-8-sig", "replace")
    if not re.match(r"\s*BEGIN:VCALENDAR\s*[\r\n]", text, re.IGNORECASE):
        raise IcsFault(1, "not a calendar: it does not begin with BEGIN:VCALENDAR")
    stack: list[Component] = []
    events = number = 0
    for number, line in _unfolded(text):
        match = _NAME.match(line)
        if match is None:
            raise IcsFault(number, "not a line of a calendar (NAME:VALUE)")
        name = match[0].upper()
        if name == "BEGIN":
            kind = line[6:].strip().upper()
            if (kind == "VCALENDAR") != (not stack) or len(stack) >= _MAX_DEPTH:
                raise IcsFault(number, "a BEGIN that can't stand here")
            events += kind == "VEVENT"
            if events > MAX_EVENTS:
                raise IcsFault(number, f"more than {MAX_EVENTS} events", "leave out the events of past years")
            component = Component(kind, number)
            if stack:
                stack[-1].parts.append(component)
            stack.append(component)
        elif name == "END":
            if not stack or stack[-1].kind != line[4:].strip().upper():
                raise IcsFault(number, "an END without its BEGIN")
            ended = stack.pop()
            if len(stack) == 1:
                stack[0].parts.clear()
                if ended.kind in ("VEVENT", "VTIMEZONE"):
                    yield ended
        elif not stack:
            raise IcsFault(number, "a line outside of the calendar")
        elif name in _READ.get(stack[-1].kind, ()):
            _add(stack[-1], _property(number, name, line))
    if stack:
        raise IcsFault(
            number, f"ends within {stack[-1].kind}, which begins on line {stack[-1].line}: a part is missing"
        )


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first line; empty lines are passed over."""
    first, held = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line[:1] in (" ", "\t") and held:
            held += line[1:]
            continue
        if held.strip():
            yield first, held
        first, held = number, line
    if held.strip():
        yield first, held


def _property(number: int, name: str, line: str) -> Property:
    plain = _PLAIN.fullmatch(line) if name != "SUMMARY" else None
    if plain is not None:  # most lines: no quotes, nothing escaped
        pairs = (pair.partition("=") for pair in plain[1].split(";")[1:])
        return Property(number, name, {key.upper(): one for key, _, one in pairs}, plain[2].strip())
    try:
        _, parameters, value = Contentline(line).parts()  # type: ignore[no-untyped-call]
    except ValueError:
        raise IcsFault(number, f"a {name} that can't be read") from None
    known = {key.upper(): one if isinstance(one, str) else ",".join(one) for key, one in parameters.items()}
    return Property(number, name, known, str(value).strip())


def _add(component: Component, found: Property) -> None:
    same = component.properties.setdefault(found.name, [])
    if same and found.name not in _MANY:
        raise IcsFault(found.line, f"a second {found.name}, first on line {same[0].line}")
    same.append(found)


def parse_when(text: str, found: Property) -> date | datetime:
    """A date, or a local date-time without zone; a date-time in UTC comes with the zone UTC."""
    try:
        if re.fullmatch(r"[0-9]{8}", text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z?", text):
            text = re.sub(r"60(Z?)$", r"59\1", text)  # a leap second
            when = datetime.strptime(
                text[:15] + "+0000" * text.endswith("Z"), "%Y%m%dT%H%M%S" + "%z" * (len(text) > 15)
            )
            if 1900 <= when.year <= 9000:
                return when
    except ValueError:
        pass
    raise IcsFault(found.line, f"{found.name} is not a day or time: {text[:40]!r}")


def parse_length(found: Property) -> timedelta:
    """A DURATION, not negative."""
    try:
        if not re.search("[0-9]", found.value):
            raise ValueError(found.value)
        length: timedelta = vDuration.from_ical(found.value)  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError):
        raise IcsFault(found.line, f"DURATION can't be read: {found.value[:40]!r}") from None
    if length < timedelta(0):
        raise IcsFault(found.line, "the event ends before it begins", "mend the event in the program that keeps it")
    return length


def parse_offset(found: Property | None, line: int) -> timedelta:
    """A UTC offset such as -0500."""
    match = re.fullmatch(r"([+-])(\d\d)(\d\d)(\d\d)?", found.value) if found else None
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise IcsFault(found.line if found else line, "a time zone without a right TZOFFSETFROM or TZOFFSETTO")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -offset if match[1] == "-" else offset
