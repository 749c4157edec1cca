"""The days that a recurrence rule names (RFC 5545), one period after the other: a day, week, month or year.

Every search has an end, also for a rule that never comes. Checked in tests against python-dateutil.
Where it differs: a week of BYWEEKNO without a weekday means the weekday of the first day, as RFC 5545 says (dateutil
takes all seven), BYDAY=TU,-1FR is every Tuesday and the last Friday (dateutil: what is both), and BYSETPOS counts in
the whole of the first week, also from a day before the first one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from .rrule import RuleFault, parse_rrule

NEVER_AFTER_YEARS = 100
"""A rule without a day in so many years never comes."""

_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_YEAR = 9990
_NO_SINCE = date(2001, 1, 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as numbers: weekdays count from Monday 0, everything else as RFC 5545 does."""

    frequency: str
    interval: int
    weekdays: tuple[int, ...]
    numbered: tuple[tuple[int, int], ...]
    """Weekdays with their number in the month or year: (2, 1) is the second Tuesday."""
    month_days: tuple[int, ...]
    year_days: tuple[int, ...]
    weeks: tuple[int, ...]
    months: tuple[int, ...]
    positions: tuple[int, ...]
    week_start: int
    until: date | datetime | None
    """The last day, or the last moment in UTC at which one may begin."""
    since: date | None
    """The first day, which INTERVAL counts from."""

    @property
    def last_moment(self) -> datetime | None:
        """The last moment, in UTC, at which an occurrence may begin, where the rule says it as a moment."""
        return self.until if isinstance(self.until, datetime) else None

    def days(self, first: date, last: date) -> Iterator[date]:
        """The rule's days from `first` to `last`, both included.

        An UNTIL that is a moment ends them a day or two late: who knows the time of day and the zone compares it.
        """
        low, high = first.toordinal(), self._high(last)
        if self.since is not None:
            low = max(low, self.since.toordinal())
        fromordinal = date.fromordinal
        for period in self.periods(low, high):
            for day in chosen(period, self.positions) if self.positions else period:
                if low <= day <= high:
                    yield fromordinal(day)

    def _high(self, last: date) -> int:
        if self.until is None:
            return last.toordinal()
        day = self.until.date().toordinal() + 1 if isinstance(self.until, datetime) else self.until.toordinal()
        return min(last.toordinal(), day)

    def periods(self, low: int, high: int) -> Iterator[list[int]]:
        """The days of each period that reaches into low to high, as ordinals, before BYSETPOS chooses among them."""
        if low > high:
            return iter(())
        match self.frequency:
            case "DAILY":
                return self._by_day(low, high)
            case "WEEKLY":
                return self._by_week(low, high)
            case "MONTHLY":
                return self._by_month(low, high)
        return self._by_year(low, high)

    def _by_day(self, low: int, high: int) -> Iterator[list[int]]:
        base = (self.since or _NO_SINCE).toordinal()
        step = self.interval
        if not (self.weekdays or self.month_days or self.months):
            for day in range(low + (base - low) % step, high + 1, step):
                yield [day]
            return
        first = date.fromordinal(low)
        year, month = first.year, first.month
        while True:
            start = date(year, month, 1).toordinal()
            if start > high:
                return
            if not self.months or month in self.months:
                for number in self._in_month(start, year, month):
                    day = start + number - 1
                    if low <= day <= high and (day - base) % step == 0:
                        yield [day]
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)

    def _by_week(self, low: int, high: int) -> Iterator[list[int]]:
        start, base = self._week(low), self._week((self.since or _NO_SINCE).toordinal())
        step = 7 * self.interval
        start -= (start - base) % step
        offsets = sorted({(weekday - self.week_start) % 7 for weekday in self.weekdays})
        for week in range(start, high + 1, step):
            days = [week + offset for offset in offsets]
            yield [day for day in days if date.fromordinal(day).month in self.months] if self.months else days

    def _week(self, day: int) -> int:
        """The first day of the week in which a day lies."""
        return day - ((day - 1) % 7 - self.week_start) % 7

    def _by_month(self, low: int, high: int) -> Iterator[list[int]]:
        first, base = date.fromordinal(low), self.since or _NO_SINCE
        index = first.year * 12 + first.month - 1
        index -= (index - base.year * 12 - base.month + 1) % self.interval
        while True:
            year, month = index // 12, index % 12 + 1
            if year > _LAST_YEAR:
                return
            if not self.months or month in self.months:
                start = date(year, month, 1).toordinal()
                if start > high:
                    return
                yield [start + number - 1 for number in self._in_month(start, year, month)]
            elif year > date.fromordinal(high).year:
                return
            index += self.interval

    def _in_month(self, start: int, year: int, month: int) -> tuple[int, ...]:
        length = 29 if month == 2 and _leap(year) else _LENGTHS[month - 1]
        return _month(self.month_days, self.weekdays, self.numbered, (start - 1) % 7, length)

    def _by_year(self, low: int, high: int) -> Iterator[list[int]]:
        first, base = date.fromordinal(low).year, (self.since or _NO_SINCE).year
        first -= (first - base) % self.interval
        last = min(date.fromordinal(high).year, _LAST_YEAR)
        for year in range(first, last + 1, self.interval):
            yield self._in_year(year)

    def _in_year(self, year: int) -> list[int]:
        start = date(year, 1, 1).toordinal()
        length = 366 if _leap(year) else 365
        if self.year_days or self.weeks:
            return self._of_numbers(year, start, length)
        if not self.months and self.numbered:
            days = set(_weekdays_of(self.weekdays, self.numbered, start, length))
            if self.month_days:
                days &= set(self._of_months(year, (), ()))
            return sorted(days)
        return self._of_months(year, self.weekdays, self.numbered)

    def _of_months(self, year: int, weekdays: tuple[int, ...], numbered: tuple[tuple[int, int], ...]) -> list[int]:
        days = []
        for month in self.months or range(1, 13):
            start = date(year, month, 1).toordinal()
            length = 29 if month == 2 and _leap(year) else _LENGTHS[month - 1]
            days += [start + n - 1 for n in _month(self.month_days, weekdays, numbered, (start - 1) % 7, length)]
        return days

    def _of_numbers(self, year: int, start: int, length: int) -> list[int]:
        """The days of BYYEARDAY and BYWEEKNO, as far as the other parts allow them."""
        days = {start + (n - 1 if n > 0 else length + n) for n in self.year_days if abs(n) <= length}
        if self.weeks:
            days = days & self._of_weeks(year, start, length) if self.year_days else self._of_weeks(year, start, length)
        if self.months or self.month_days:
            days &= set(self._of_months(year, self.weekdays, self.numbered if self.months else ()))
        elif self.weekdays and not self.numbered:
            return sorted(day for day in days if (day - 1) % 7 in self.weekdays)
        if self.numbered and not self.months:
            days &= set(_weekdays_of(self.weekdays, self.numbered, start, length))
        return sorted(days)

    def _of_weeks(self, year: int, start: int, length: int) -> set[int]:
        """The days of this calendar year in the weeks of BYWEEKNO; week 1 is the one that 4 January lies in."""
        days: set[int] = set()
        for week_year in (year - 1, year, year + 1):
            one = self._week(date(week_year, 1, 4).toordinal())
            count = (self._week(date(week_year + 1, 1, 4).toordinal()) - one) // 7
            for number in self.weeks:
                if abs(number) <= count:
                    week = one + 7 * (number - 1 if number > 0 else count + number)
                    days.update(range(week, week + 7))
        return {day for day in days if start <= day < start + length}


def rule_of(text: str, since: date | None = None) -> Rule:
    """A town file's rule; raises `RuleFault`, also where it needs `since` to name a day at all."""
    return _rule_of(text, since)


@lru_cache(maxsize=4096)
def _rule_of(text: str, since: date | None) -> Rule:
    return rule_from(parse_rrule(text), since)


def rule_from(parts: Mapping[str, str], since: date | None) -> Rule:
    """The rule of parts that `parse_rrule` gave, with what DTSTART supplies in RFC 5545 taken from `since`."""
    frequency = parts["FREQ"]
    weekdays, numbered = _byday(parts.get("BYDAY"))
    month_days, year_days, weeks, months = (
        _numbers(parts.get(name)) for name in ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH")
    )
    if not (weekdays or numbered or month_days or year_days):
        if frequency == "WEEKLY" or weeks:
            weekdays = (_needed(since, "the day of the week", "BYDAY=TU").weekday(),)
        elif frequency == "MONTHLY":
            month_days = (_needed(since, "the day of the month", "BYDAY=2TU or BYMONTHDAY=1").day,)
        elif frequency == "YEARLY":
            day = _needed(since, "the day of the year", "BYMONTH=3;BYMONTHDAY=1")
            months, month_days = months or (day.month,), (day.day,)
    return Rule(
        frequency=frequency,
        interval=int(parts.get("INTERVAL", "1")),
        weekdays=weekdays,
        numbered=numbered,
        month_days=month_days,
        year_days=year_days,
        weeks=weeks,
        months=months,
        positions=_numbers(parts.get("BYSETPOS")),
        week_start=_WEEKDAYS.index(parts.get("WKST", "MO")),
        until=_until(parts.get("UNTIL")),
        since=since,
    )


def check_rule(text: str, since: date | None) -> None:
    """Raise `RuleFault` if the rule leaves its day open, or never comes."""
    rule = rule_of(text, since)
    first = since or date(2000, 1, 1)
    last = date(min(first.year + NEVER_AFTER_YEARS, _LAST_YEAR), 12, 31)
    if next(rule.days(first, last), None) is None:
        if rule.until is not None and rule.until.strftime("%Y-%m-%d") < first.isoformat():
            raise RuleFault("rrule has an UNTIL before its first day", "give a later UNTIL, or take the rule out")
        raise RuleFault(
            f"rrule never comes: it has no day in {NEVER_AFTER_YEARS} years", "such as FREQ=MONTHLY;BYDAY=2TU"
        )


def chosen(period: list[int], positions: tuple[int, ...]) -> list[int]:
    """What BYSETPOS chooses of a period, in order."""
    count = len(period)
    return sorted({period[p - 1 if p > 0 else p] for p in positions if -count <= p <= count})


def _needed(since: date | None, what: str, example: str) -> date:
    if since is None:
        raise RuleFault(
            f"rrule does not say {what}", f'add it, such as {example}, or the first day: since: "2027-01-05"'
        )
    return since


def _byday(text: str | None) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    weekdays, numbered = set(), set()
    for one in text.split(",") if text else ():
        weekday = _WEEKDAYS.index(one[-2:])
        if one[:-2]:
            numbered.add((int(one[:-2]), weekday))
        else:
            weekdays.add(weekday)
    return tuple(sorted(weekdays)), tuple(sorted(numbered))


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(sorted({int(number) for number in text.split(",")})) if text else ()


def _until(text: str | None) -> date | datetime | None:
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{8}", text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RuleFault(f"has UNTIL={text}, which is no day", "such as UNTIL=20271231") from None


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@lru_cache(maxsize=8192)
def _month(
    month_days: tuple[int, ...],
    weekdays: tuple[int, ...],
    numbered: tuple[tuple[int, int], ...],
    first_weekday: int,
    length: int,
) -> tuple[int, ...]:
    """The days, from 1, of a month that begins on a weekday and has a length: there are but 28 kinds of months."""
    days = set(range(1, length + 1))
    if month_days:
        days &= {number if number > 0 else length + 1 + number for number in month_days}
    if weekdays or numbered:
        days &= {day - first_weekday for day in _weekdays_of(weekdays, numbered, first_weekday + 1, length)}
    return tuple(sorted(days))


def _weekdays_of(
    weekdays: tuple[int, ...], numbered: tuple[tuple[int, int], ...], start: int, length: int
) -> Iterator[int]:
    """The ordinals of weekdays, all or by number, among the days from `start` on."""
    for weekday in weekdays:
        yield from range(start + (weekday - start + 1) % 7, start + length, 7)
    for number, weekday in numbered:
        days = range(start + (weekday - start + 1) % 7, start + length, 7)
        if -len(days) <= number <= len(days):
            yield days[number - 1 if number > 0 else number]
