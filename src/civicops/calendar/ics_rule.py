"""A recurrence rule of a calendar file: days by `civicops.town.days`, times of day on top.

python-dateutil is not used here: it looks for a rule that never comes until the year 9999, and can't be stopped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import product

from civicops.town.days import Rule, rule_from
from civicops.town.rrule import RuleFault, parse_rrule

from .ics import IcsFault, Property, parse_when

MAX_COUNT = 10_000
"""The largest COUNT."""
_MAX_TIMES = 100
_MEND = "write the series with DAILY, WEEKLY, MONTHLY or YEARLY, as calendar programs do"
_TIMES = {"BYHOUR": 23, "BYMINUTE": 59, "BYSECOND": 59}
_WHOLE = {"FREQ", "INTERVAL", "COUNT", "UNTIL", *_TIMES}
_HOUR = timedelta(hours=1)


class IcsRule:
    """The local starts that a rule gives an event, from its DTSTART on."""

    def __init__(self, found: Property, start: datetime) -> None:
        """`start` is the event's DTSTART in its own zone, without zone; midnight for an event of whole days."""
        parts = _parts(found)
        self._start, self._line = start, found.line
        self._hourly = parts.get("FREQ") == "HOURLY"
        self._interval = _number(parts.get("INTERVAL", "1"), 999, "INTERVAL", found) if self._hourly else 1
        self._count = _number(parts["COUNT"], MAX_COUNT, "COUNT", found) if "COUNT" in parts else None
        self.until = parse_when(parts["UNTIL"], found) if "UNTIL" in parts else None
        hours, minutes, seconds = (_times(parts.get(name), most, found) for name, most in _TIMES.items())
        self._hours = hours
        self._times = sorted(
            time(*clock)
            for clock in product(
                (0,) if self._hourly else hours or (start.hour,), minutes or (start.minute,), seconds or (start.second,)
            )
        )
        if len(self._times) > _MAX_TIMES:
            raise IcsFault(found.line, f"RRULE has more than {_MAX_TIMES} times a day", _MEND)
        self._rule = self._days_rule(parts, found)
        self._counted: list[datetime] | None = None

    def _days_rule(self, parts: dict[str, str], found: Property) -> Rule:
        days = {name: value for name, value in parts.items() if name not in _WHOLE}
        days["FREQ"] = "DAILY" if self._hourly else parts.get("FREQ", "")
        if "INTERVAL" in parts and not self._hourly:
            days["INTERVAL"] = parts["INTERVAL"]
        positions = days.get("BYSETPOS") if self._hours or len(self._times) > 1 or self._hourly else None
        if positions and len(days) == 2:  # BYSETPOS among times alone
            del days["BYSETPOS"]
        try:
            checked = parse_rrule(";".join(f"{name}={value}" for name, value in days.items()))
            return rule_from(checked | ({"BYSETPOS": positions} if positions else {}), self._start.date())
        except RuleFault as fault:
            raise IcsFault(found.line, f"RRULE {fault.message.removeprefix('rrule ')}", fault.remedy) from None

    def starts(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The local starts from `first` to `last`, in order. UNTIL is the caller's, who knows the zone."""
        if self._count is None:
            yield from self._between(first, last)
            return
        if self._counted is None:
            self._counted = []
            end = datetime(min(self._start.year + 200, 9000), 1, 1)
            for one in self._between(self._start, end):
                self._counted.append(one)
                if len(self._counted) == self._count:
                    break
        for one in self._counted[bisect_left(self._counted, first) :]:
            if one > last:
                return
            yield one

    def _between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        first = max(first, self._start)
        for period in self._rule.periods(first.date().toordinal(), last.date().toordinal()):
            for times in self._of_period(period):
                for one in times:
                    if first <= one <= last:
                        yield one

    def _of_period(self, period: list[int]) -> Iterator[list[datetime]]:
        days = [date.fromordinal(day) for day in period]
        if not self._hourly:
            yield self._chosen([datetime.combine(day, clock) for day in days for clock in self._times])
            return
        base = self._start.replace(minute=0, second=0)
        for day in days:
            for hour in range(24):
                at = datetime.combine(day, time(hour))
                if (not self._hours or hour in self._hours) and ((at - base) // _HOUR) % self._interval == 0:
                    yield self._chosen([at.replace(minute=one.minute, second=one.second) for one in self._times])

    def _chosen(self, found: list[datetime]) -> list[datetime]:
        positions = self._rule.positions
        if not positions:
            return found
        count = len(found)
        return sorted({found[p - 1 if p > 0 else p] for p in positions if -count <= p <= count})

    def ended(self, local: datetime, start: datetime) -> bool:
        """Whether a start, given locally and in UTC, comes after UNTIL. Where UNTIL can be read in two ways, no."""
        until = self.until
        if until is None:
            return False
        if not isinstance(until, datetime):
            return local.date() > until
        if until.tzinfo is None:
            return local > until
        if start <= until.astimezone(UTC):
            return False
        # Some programs end a series of whole days with the last day's midnight in UTC.
        return not (local.time() == time() and local.date() <= until.date() and until.time() == time())


def _parts(found: Property) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in found.value.upper().replace(" ", "").split(";"):
        name, _, value = part.partition("=")
        if name in parts:
            raise IcsFault(found.line, f"RRULE has {name} twice", _MEND)
        if name.startswith("BY"):
            value = re.sub(r"(?<![0-9])0+(?=[0-9])", "", value)
        if name:
            parts[name] = value
    if parts.get("FREQ") in ("SECONDLY", "MINUTELY"):
        raise IcsFault(found.line, f"RRULE has FREQ={parts['FREQ']}", _MEND)
    if parts.get("FREQ") == "HOURLY" and {"BYWEEKNO", "BYYEARDAY"} & set(parts):
        raise IcsFault(found.line, "RRULE has days of the year with FREQ=HOURLY", _MEND)
    return parts


def _number(text: str, most: int, name: str, found: Property) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise IcsFault(found.line, f"RRULE has {name}={text[:20]}", f"{name} is a number from 1 to {most}")
    return int(text)


def _times(text: str | None, most: int, found: Property) -> tuple[int, ...]:
    if text is None:
        return ()
    numbers = text.split(",")
    if not all(re.fullmatch(r"[0-9]{1,2}", number) and int(number) <= most for number in numbers):
        raise IcsFault(found.line, "RRULE has a BYHOUR, BYMINUTE or BYSECOND that is no time", _MEND)
    return tuple(sorted({int(number) for number in numbers}))
