"""No window is skipped, early, doubled or of the wrong real length, wherever the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.calendar.recurrence import Recurrence
from civicops.town.days import rule_of

ZONES = sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")
DAILY = rule_of("FREQ=DAILY")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def changes(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """Every change of a zone's offset in these years, in UTC to the second."""
    found = []
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    offset = at.astimezone(zone).utcoffset()
    while at < end:
        later = at + 4 * DAY
        if later.astimezone(zone).utcoffset() != offset:
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
            found.append(high)
            at = high
            offset = high.astimezone(zone).utcoffset()
        else:
            at = later
    return found


def right_start(local: datetime, change: datetime, before: timedelta, after: timedelta) -> datetime:
    """RFC 5545 by arithmetic, near one change: the offset before it counts up to it, over a gap and first in a fold."""
    early = (local - before).replace(tzinfo=UTC)
    late = (local - after).replace(tzinfo=UTC)
    if early < change:  # this wall clock was there before the change
        return early
    return late if late >= change else early  # neither: a gap, moved forward by it


def check(zone: ZoneInfo, change: datetime, clock: time, length: timedelta) -> None:
    before, after = ((change + step).astimezone(zone).utcoffset() for step in (-timedelta(seconds=1), timedelta()))
    assert before is not None and after is not None
    middle = (change + before).date()
    spans = list(Recurrence(DAILY, clock, length, zone).spans(change - 60 * HOUR, change + 60 * HOUR))
    expected = []
    for offset in range(-5, 6):
        start = right_start(datetime.combine(middle + offset * DAY, clock), change, before, after)
        if start + length > change - 60 * HOUR and start < change + 60 * HOUR and start not in expected:
            expected.append(start)
    assert [start for start, _ in spans] == expected, (zone, change, clock)
    assert {end - start for start, end in spans} == {length}


@cache
def near(zone: str, first: int = 2026, last: int = 2036) -> tuple[datetime, ...]:
    return tuple(changes(ZoneInfo(zone), first, last))


def test_every_change_of_every_zone() -> None:
    count = 0
    seen = set()
    for name in ZONES:
        zone = ZoneInfo(name)
        for change in near(name):
            wall = change.astimezone(zone).replace(tzinfo=None)
            was = (change - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
            key = (change, wall, was)
            if key in seen:  # dozens of zones change alike
                continue
            seen.add(key)
            for clock in {
                wall.time(),
                was.time().replace(second=0),
                (was + HOUR / 2).time().replace(second=0),
                time(12),
            }:
                check(zone, change, clock.replace(second=0, microsecond=0), 5 * HOUR)
                count += 1
    assert count > 500


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 10**6),
    st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    st.integers(1, 3000),
)
def test_some_change(name: str, choice: int, clock: time, minutes: int) -> None:
    found = near(name) or (datetime(2030, 6, 1, tzinfo=UTC),)
    check(ZoneInfo(name), found[choice % len(found)], clock, timedelta(minutes=minutes))


def test_berlin_in_the_gap_and_the_fold() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spans = Recurrence(DAILY, time(2, 30), 2 * HOUR, berlin).spans
    (gap,) = spans(datetime(2027, 3, 28, tzinfo=UTC), datetime(2027, 3, 28, 12, tzinfo=UTC))
    assert gap == (datetime(2027, 3, 28, 1, 30, tzinfo=UTC), datetime(2027, 3, 28, 3, 30, tzinfo=UTC))
    (fold,) = spans(datetime(2027, 10, 31, tzinfo=UTC), datetime(2027, 10, 31, 12, tzinfo=UTC))
    assert fold == (datetime(2027, 10, 31, 0, 30, tzinfo=UTC), datetime(2027, 10, 31, 2, 30, tzinfo=UTC))


def test_a_day_that_apia_left_out_is_no_second_window() -> None:
    """There was no 30 December 2011; its window would begin at the moment at which the next day's begins."""
    apia = ZoneInfo("Pacific/Apia")
    recurrence = Recurrence(DAILY, time(22), 4 * HOUR, apia)
    spans = list(recurrence.spans(datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 3, tzinfo=UTC)))
    days = [start.astimezone(apia).day for start, _ in spans]
    assert days == [27, 28, 29, 31, 1, 2]
    assert all(second[0] - first[0] == DAY for first, second in pairwise(spans))


def test_half_hours() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # 02:00 becomes 02:30 on 4 October 2026, and 01:30 on 4 April 2027
    (gap,) = Recurrence(DAILY, time(2, 15), HOUR, lord_howe).spans(
        datetime(2026, 10, 3, 12, tzinfo=UTC), datetime(2026, 10, 4, tzinfo=UTC)
    )
    assert gap[0] == datetime(2026, 10, 3, 15, 45, tzinfo=UTC)
    kathmandu = ZoneInfo("Asia/Kathmandu")
    (one,) = Recurrence(DAILY, time(22), HOUR, kathmandu).spans(
        datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)
    )
    assert one[0] == datetime(2027, 1, 1, 16, 15, tzinfo=UTC)


def test_a_whole_day_is_as_long_as_it_is() -> None:
    new_york = ZoneInfo("America/New_York")
    for day, hours in ((date(2027, 3, 14), 23), (date(2027, 11, 7), 25), (date(2027, 6, 1), 24)):
        noon = datetime(day.year, day.month, day.day, 16, tzinfo=UTC)
        ((start, end),) = Recurrence(DAILY, None, None, new_york).spans(noon, noon + HOUR)
        assert end - start == hours * HOUR
        assert start.astimezone(new_york).replace(tzinfo=None) == datetime(day.year, day.month, day.day)


def test_until_a_moment_counts_the_start() -> None:
    rule = rule_of("FREQ=DAILY;UNTIL=20270103T030000Z")
    spans = Recurrence(rule, time(22), HOUR, ZoneInfo("America/New_York")).spans
    starts = [start.day for start, _ in spans(datetime(2027, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 9, tzinfo=UTC))]
    assert starts == [2, 3]  # 22:00 of the 1st and 2nd are 03:00 UTC of the 2nd and 3rd
