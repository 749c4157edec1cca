"""The single values of a town file: how they are written, and what they become.

Each type parses the file's text (`PlainValidator`), gives the same text back in a dump, and
says its form in the JSON Schema. A value that does not fit raises `misfit`: what it must be,
and an example.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from .patterns import check_pattern
from .problems import echo
from .rrule import RuleFault, parse_rrule

MAX_DURATION = timedelta(days=31)
STATES = (
    "AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND NE NH NJ NM NV NY"
    " OH OK OR PA PR RI SC SD TN TX UT VA VI VT WA WI WV WY"
)
FAULT = "civicops"
"""The type of our own errors among pydantic's; their context holds `message` and `remedy`."""


def misfit(message: str, remedy: str) -> PydanticCustomError:
    """An error that says what is wrong and what to do instead."""
    return PydanticCustomError(FAULT, "{message}; {remedy}", {"message": message, "remedy": remedy})


def _text(value: object, what: str, example: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        raise misfit(f"must be {what}, not the value {echo(value)}", f'write "{echo(value)}" in quotes')
    raise misfit(f"must be {what}, not {echo(value)}", f'such as "{example}"')


def _pattern(
    pattern: str, what: str, example: str, longest: int = 100, also: Callable[[str], None] | None = None
) -> tuple[Any, ...]:
    """A text that matches the whole pattern; `also` looks closer and raises RuleFault."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        text = _text(value, what, example)
        if len(text) > longest:
            raise misfit(f"is {len(text)} characters long", f"at most {longest} are allowed")
        if not compiled.fullmatch(text):
            raise misfit(f"must be {what}, not {echo(text)}", f'such as "{example}"')
        if also is not None:
            try:
                also(text)
            except RuleFault as fault:
                raise misfit(fault.message, fault.remedy) from None
        return text

    schema = {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": longest, "examples": [example]}
    return PlainValidator(check), WithJsonSchema(schema)


def _fits(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except (ValueError, OverflowError):
        return False
    return True


def _parsed(
    parse: Callable[[str], Any], form: Callable[[Any], str], what: str, example: str, pattern: str | None = None
) -> tuple[Any, ...]:
    """A text that `parse` turns into a value (ValueError: it does not fit), and `form` back into text."""

    def check(value: object) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool) and not _fits(parse, str(value)):
            raise misfit(f"must be {what}, not the value {echo(value)}", f'such as "{example}"')
        text = _text(value, what, example)
        try:
            return parse(text)
        except RuleFault as fault:
            raise misfit(fault.message, fault.remedy) from None
        except (ValueError, OverflowError):
            raise misfit(f"must be {what}, not {echo(text)}", f'such as "{example}"') from None

    schema: dict[str, Any] = {"type": "string", "examples": [example]}
    if pattern is not None:
        schema["pattern"] = f"^(?:{pattern})$"
    return PlainValidator(check), PlainSerializer(form, return_type=str), WithJsonSchema(schema)


# --- text ---------------------------------------------------------------------

Line = Annotated[str, *_pattern(r"[^\n\t]*[^\s][^\n\t]*", "one line of text", "City hall", longest=200)]
"""One line of text, at most 200 characters."""

Prose = Annotated[str, *_pattern(r"[\s\S]*\S[\s\S]*", "text", "Write receipts by hand.", longest=4000)]
"""Text of several lines, at most 4,000 characters."""

TownId = Annotated[str, *_pattern(r"[a-z][a-z0-9-]*", "small letters, digits and -", "fairview", longest=60)]
"""A town's id, which is its directory's name too."""

Id = Annotated[str, *_pattern(r"[a-z][a-z0-9_-]*", "small letters, digits, _ and -", "payroll-run", longest=60)]
"""An id in the town file."""

GroupId = Annotated[str, *_pattern(r"[a-z][a-z0-9_]*", "small letters, digits and _", "public_works", longest=60)]
"""An id that is part of an Ansible group's name, as in `dept_ID`: no hyphens."""

SeriesId = Annotated[str, *_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a series number", "LG-01-001", longest=60)]
"""A records series as the state's schedule numbers it."""

_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"

Email = Annotated[str, *_pattern(_EMAIL, "an e-mail address", "it@fairview.example", longest=254)]
"""An e-mail address, checked for its form only."""

Recipient = Annotated[
    str,
    *_pattern(
        rf"{_EMAIL}|https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[!-~]*)?",
        "an e-mail address or an https address",
        "it@fairview.example",
        longest=500,
    ),
]
"""Who is told: an e-mail address, or a webhook's https address."""

HostPattern = Annotated[
    str,
    *_pattern(
        r"[A-Za-z0-9_.:!&*~,\[\]-]+",
        "a host pattern of Ansible",
        "all:!dept_police",
        longest=200,
        also=check_pattern,
    ),
]
"""Which hosts, as Ansible's patterns say it: `all`, `dept_police`, `all:!dept_police`; no subscripts."""

PackagePattern = Annotated[
    str,
    *_pattern(
        r"[A-Za-z0-9*?\[][A-Za-z0-9+._:*?!\[\]~-]*", "a package's name, with * and ? for any", "linux-image-*", 255
    ),
]
"""Packages by name, as a pattern of the shell."""

UnitName = Annotated[
    str,
    *_pattern(
        r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*\.(?:service|socket|target|timer|mount|automount|path|swap|slice|device)",
        "the name of a systemd unit, with its type",
        "nginx.service",
        longest=255,
    ),
]
"""A systemd unit."""

Argument = Annotated[str, *_pattern(r"[^\n\t]+", "one argument of a command", "/usr/bin/pg_isready", longest=1000)]
"""One word of a command, which no shell reads."""


def _check_address(text: str) -> None:
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise RuleFault(f"is no address: {echo(text)}", 'such as "127.0.0.1"; the port stands in port') from None


Address = Annotated[
    str,
    *_pattern(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*", "an address or name", "127.0.0.1", longest=253, also=_check_address),
]
"""Where to connect: an IP address or a name."""


def _check_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise RuleFault("has no address or port that can be read", 'such as "https://localhost:8443/health"') from None
    if "@" in parts.netloc:
        raise RuleFault("holds a user or password", "secrets have no place in the town file: use an address without")
    if not parts.hostname or port == 0:
        raise RuleFault("names no host or a port that is none", 'such as "https://localhost:8443/health"')


Url = Annotated[
    str,
    *_pattern(r"https?://[!-~]+", "a web address with http or https", "https://localhost/health", 500, also=_check_url),
]
"""A web page that a probe asks for; without user and password."""

TownPath = Annotated[
    str,
    *_pattern(
        r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*",
        "a path inside of the town's directory",
        "calendars/council.ics",
    ),
]
"""A file inside of the town's directory, relative to it."""

Retention = Annotated[
    str,
    *_pattern(
        r"permanent|0 days|[1-9][0-9]{0,3} (?:day|month|year)s?",
        'a number of days, months or years, or "permanent"',
        "7 years",
    ),
]
"""How long records are kept after the trigger: `90 days`, `18 months`, `7 years`, `permanent`, `0 days`."""


# --- time ---------------------------------------------------------------------

_PATIENCE = r"(?:[1-9]|[1-5][0-9]|60)s|1m"
_DURATION = r"(?:([0-9]{1,3})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?"


def parse_duration(text: str) -> timedelta:
    """`90m`, `4h`, `1h30m`, `2d` as real time (a day is 24 hours); raises ValueError. At most 31 days."""
    match = re.fullmatch(_DURATION, text)
    if not text or match is None:
        raise ValueError(text)
    days, hours, minutes = (int(number or 0) for number in match.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes)
    if duration > MAX_DURATION:
        raise ValueError(text)
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` turns into this duration; seconds are dropped."""
    hours, minutes = divmod(int(duration.total_seconds()) // 60, 60)
    days, hours = divmod(hours, 24)
    text = "".join(f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if number)
    return text or "0m"


def _parse_length(text: str) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError(text)
    return duration


def _parse_patience(text: str) -> timedelta:
    if text == "1m":
        return timedelta(minutes=1)
    if not re.fullmatch(_PATIENCE, text):
        raise ValueError(text)
    return timedelta(seconds=int(text[:-1]))


def _form_patience(value: timedelta) -> str:
    return f"{int(value.total_seconds())}s"


def _parse_clock(text: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(text)
    return time.fromisoformat(text)


def _form_clock(value: time) -> str:
    return value.strftime("%H:%M")


def _parse_day(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2})?"


def _parse_begin(text: str) -> datetime:
    if not re.fullmatch(_MOMENT, text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _parse_end(text: str) -> datetime:
    moment = _parse_begin(text)
    return moment if len(text) > len("2026-11-03") else moment + timedelta(days=1)


def _form_moment(value: datetime) -> str:
    return value.isoformat(sep=" ", timespec="minutes")


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of each day in the town's time; it may pass midnight."""

    start: time
    end: time


def _parse_hours(text: str) -> Hours:
    start, _, end = text.partition("-")
    hours = Hours(_parse_clock(start), _parse_clock(end))
    if hours.start == hours.end:
        raise ValueError(text)
    return hours


def _form_hours(value: Hours) -> str:
    return f"{_form_clock(value.start)}-{_form_clock(value.end)}"


def _parse_month_day(text: str) -> str:
    if not re.fullmatch(r"[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    date.fromisoformat(f"2027-{text}")
    return text


def _parse_zone(text: str) -> str:
    """A zone of tzdata by its Area/City name, or UTC: nothing that depends on this machine."""
    if text == "UTC":
        return text
    if re.fullmatch(r"(?!posix/|right/)[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}", text):
        try:
            return zoneinfo.ZoneInfo(text).key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    known = zoneinfo.available_timezones()
    if not known:
        raise RuleFault("can't be checked: this machine has no time zones", "install the package tzdata")
    city = text[:60].strip().replace(" ", "_")
    near = get_close_matches(city, known, n=1) or [zone for zone in sorted(known) if zone.endswith("/" + city)]
    remedy = (
        f'perhaps "{near[0]}"' if near and "/" in near[0] else 'use Area/City, such as "America/New_York", or "UTC"'
    )
    raise RuleFault(f"is not a time zone: {echo(text)}", remedy)


def _parse_state(text: str) -> str:
    if text not in STATES.split():
        raise ValueError(text)
    return text


def _parse_rule(text: str) -> str:
    parse_rrule(text)
    return text


Duration = Annotated[
    timedelta, *_parsed(parse_duration, format_duration, "a time of at most 31 days", "1h30m", _DURATION)
]
"""A time such as `90m`, `4h`, `1h30m`, `2d`; `0m` for none."""

Length = Annotated[
    timedelta, *_parsed(_parse_length, format_duration, "a time of a minute to 31 days", "1h30m", _DURATION)
]
"""The same, at least a minute."""

Patience = Annotated[timedelta, *_parsed(_parse_patience, _form_patience, "a time of 1s to 60s", "10s", _PATIENCE)]
"""How long one answer is waited for, in seconds: `10s`; at most a minute."""

Clock = Annotated[
    time, *_parsed(_parse_clock, _form_clock, "a time of day in quotes", "22:30", r"([01][0-9]|2[0-3]):[0-5][0-9]")
]
"""A time of day in the town's zone, HH:MM."""

Day = Annotated[date, *_parsed(_parse_day, date.isoformat, "a day in quotes", "2027-03-14", r"\d{4}-\d{2}-\d{2}")]
"""A day, YYYY-MM-DD."""

Begin = Annotated[
    datetime, *_parsed(_parse_begin, _form_moment, "a day or moment in quotes", "2026-11-03 06:00", _MOMENT)
]
"""A moment in the town's time, without zone; a day alone means its first moment."""

End = Annotated[datetime, *_parsed(_parse_end, _form_moment, "a day or moment in quotes", "2026-11-03 22:00", _MOMENT)]
"""A moment in the town's time, without zone and excluded; a day alone means to its end."""

QuietHours = Annotated[
    Hours, *_parsed(_parse_hours, _form_hours, "two times of day", "22:00-06:00", r"\d{2}:\d{2}-\d{2}:\d{2}")
]
"""A part of each day, HH:MM-HH:MM."""

MonthDay = Annotated[str, *_parsed(_parse_month_day, str, "a month and day", "07-01", r"[0-9]{2}-[0-9]{2}")]
"""A day of each year, MM-DD."""

Zone = Annotated[str, *_parsed(_parse_zone, str, "a time zone", "America/New_York")]
"""A time zone by its name in tzdata."""

State = Annotated[str, *_parsed(_parse_state, str, "a state's two capital letters", "GA", r"[A-Z]{2}")]
"""A US state or territory."""

Rule = Annotated[str, *_parsed(_parse_rule, str, "a recurrence rule", "FREQ=MONTHLY;BYDAY=2TU")]
"""Days by a recurrence rule of RFC 5545; the time of day stands beside it."""


# --- money --------------------------------------------------------------------


def _money(value: object) -> Decimal:
    example = "write digits alone, such as 12500 or 12500.50, without quotes, signs and separators"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise misfit(f"must be an amount of money, not {echo(value)}", example)
    amount = Decimal(str(value))
    if not 0 <= amount < Decimal(10) ** 12 or amount != round(amount, 2):
        raise misfit(f"must be an amount of money from 0, with at most two decimals, not {echo(value)}", example)
    return amount


Money = Annotated[
    Decimal,
    PlainValidator(_money),
    PlainSerializer(lambda amount: int(amount) if amount == int(amount) else float(amount), return_type=int | float),
    WithJsonSchema({"type": "number", "minimum": 0, "examples": [12500]}),
]
"""An amount in the town's currency."""
