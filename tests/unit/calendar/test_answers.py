"""May this job touch this host now, until when, and if not: why not, and when next?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from civicops.calendar import Answer, Calendar, Span, load_calendar
from civicops.town import TownFileError

from .conftest import MakeTown

GROUPS = {"all": ["pc1", "pc2", "plc"], "web": ["pc1"], "observe_only": ["plc"], "ungrouped": []}
DAILY = {"rrule": "FREQ=DAILY"}
TUESDAYS = {"rrule": "FREQ=WEEKLY;BYDAY=TU"}
# 24 November 2026 is a Tuesday; New York is five hours behind UTC, so 22:00 there is 03:00 of the next day.
OPENS = datetime(2026, 11, 25, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def may(calendar: Calendar, now: datetime, host: str = "pc1", job: str = "patch") -> Answer:
    return calendar.may(job, host, now, GROUPS)


def freeze(begin: str, end: str, **more: Any) -> dict[str, Any]:
    return {"from": begin, "to": end, **more}


def test_the_edges_of_a_window_that_passes_midnight(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([TUESDAYS]))
    before = may(calendar, OPENS - timedelta(seconds=1))
    assert before == Answer(False, reason="no window for patch is open", next=Span(OPENS, OPENS + 4 * HOUR))
    for now in (OPENS, OPENS + 3 * HOUR, OPENS + 4 * HOUR - timedelta(microseconds=1)):
        assert may(calendar, now) == Answer(True, until=OPENS + 4 * HOUR, window="w0", windows=("w0",))
    week = timedelta(days=7)
    assert may(calendar, OPENS + 4 * HOUR).next == Span(OPENS + week, OPENS + week + 4 * HOUR)


def test_windows_that_touch_are_joined(make_town: MakeTown) -> None:
    late = {**DAILY, "start": "02:00", "duration": "1h"}
    inside = {**TUESDAYS, "start": "23:00", "duration": "90m", "hosts": "web"}
    calendar = load_calendar(make_town([TUESDAYS, late, inside]))
    assert may(calendar, OPENS) == Answer(True, until=OPENS + 5 * HOUR, window="w0", windows=("w0",))
    both = may(calendar, OPENS + HOUR)
    assert (both.until, both.window, both.windows) == (OPENS + 5 * HOUR, "w0", ("w0", "w2"))
    assert may(calendar, OPENS + HOUR, "pc2").windows == ("w0",)


def test_a_freeze_in_the_middle(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([TUESDAYS], [freeze("2026-11-24 23:00", "2026-11-25 00:00", pad="15m")]))
    begin, end = OPENS + 45 * timedelta(minutes=1), OPENS + 2 * HOUR + 15 * timedelta(minutes=1)
    assert may(calendar, OPENS).until == begin
    for now in (begin, end - timedelta(microseconds=1)):
        frozen = may(calendar, now)
        assert frozen.reason == "frozen by f0 (event) until Wed 25 Nov 00:15 EST"
        assert (frozen.freeze, frozen.next) == ("f0", Span(end, OPENS + 4 * HOUR))
    assert may(calendar, end).until == OPENS + 4 * HOUR


def test_freezes_at_a_windows_edges_take_nothing(make_town: MakeTown) -> None:
    around = [freeze("2026-11-24 20:00", "2026-11-24 22:00"), freeze("2026-11-25 02:00", "2026-11-25 09:00")]
    calendar = load_calendar(make_town([TUESDAYS], around))
    assert may(calendar, OPENS).until == OPENS + 4 * HOUR
    assert may(calendar, OPENS - timedelta(microseconds=1)).freeze == "f0"
    after = may(calendar, OPENS + 4 * HOUR)
    assert after.reason == "frozen by f1 (event) until Wed 25 Nov 09:00 EST; no window for patch is open"


def test_a_freeze_counts_for_its_hosts(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([TUESDAYS], [freeze("2026-11-24", "2026-11-30", hosts="all:!web")]))
    assert may(calendar, OPENS, "pc1").allowed
    frozen = may(calendar, OPENS, "pc2")
    assert frozen.reason == "frozen by f0 (event) until Tue 1 Dec 00:00 EST"
    assert frozen.next == Span(OPENS + timedelta(days=7), OPENS + timedelta(days=7) + 4 * HOUR)


def test_of_two_freezes_the_one_that_lasts_is_told(make_town: MakeTown) -> None:
    two = [freeze("2026-11-24", "2026-11-25"), freeze("2026-11-20", "2027-02-01")]
    calendar = load_calendar(make_town([TUESDAYS], two))
    frozen = may(calendar, OPENS)
    assert frozen.reason == "frozen by f1 (event) until Tue 2 Feb 2027 00:00 EST"
    assert frozen.next is not None
    assert frozen.next.start == datetime(2027, 2, 3, 3, tzinfo=UTC)


def test_nothing_within_400_days(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([TUESDAYS], [{"rrule": "FREQ=DAILY"}]))
    assert may(calendar, OPENS).next is None
    seldom = load_calendar(make_town([{"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"}]))
    assert may(seldom, OPENS).next is None
    assert [one.span.start.year for one in seldom.next_start("patch", OPENS)] == [2028]


def test_always_open_ends_at_the_horizon(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([{**DAILY, "start": "00:00", "duration": "25h"}]))
    assert may(calendar, OPENS).until == OPENS + timedelta(days=400)


def test_observe_only_is_never_changed(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([DAILY]))
    assert may(calendar, OPENS, "plc") == Answer(False, reason="observe_only: never changed")


def test_what_no_window_is_for(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([{**DAILY, "hosts": "web"}]))
    assert may(calendar, OPENS, job="drill") == Answer(False, reason="no window of oak is for drill")
    assert may(calendar, OPENS, "pc2") == Answer(False, reason="no window for patch is for this host")


def test_moments_without_zone_are_refused(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([DAILY]))
    naive = datetime(2026, 11, 25, 3)
    for ask in (
        lambda: may(calendar, naive),
        lambda: calendar.open_now(naive),
        lambda: calendar.next_start(None, naive),
        lambda: calendar.occurrences("w0", naive, OPENS),
        lambda: calendar.freezes_between(OPENS, naive),
    ):
        with pytest.raises(ValueError, match="without time zone"):
            ask()


def test_groups_changed_in_place_are_looked_at_again(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([{**DAILY, "hosts": "web"}]))
    groups = {"all": ["pc1", "pc2"], "web": ["pc1"]}
    assert calendar.may("patch", "pc1", OPENS, groups).allowed
    groups["web"][0] = "pc2"
    assert not calendar.may("patch", "pc1", OPENS, groups).allowed
    assert calendar.may("patch", "pc2", OPENS, groups).allowed


def test_occurrences_are_as_the_town_file_says(make_town: MakeTown) -> None:
    calendar = load_calendar(make_town([TUESDAYS], [freeze("2026-11-24", "2026-11-25")]))
    (one,) = calendar.occurrences("w0", OPENS + HOUR, OPENS + timedelta(days=7))
    assert one.span == Span(OPENS, OPENS + 4 * HOUR)  # it began before, and freezes are not cut
    assert calendar.open_now(OPENS) == [one]
    assert calendar.open_now(OPENS + 4 * HOUR) == []
    assert calendar.next_start(None, OPENS)[0].span.start == OPENS + timedelta(days=7)  # strictly after
    assert calendar.next_start("drill", OPENS) == []
    with pytest.raises(LookupError):
        calendar.occurrences("w9", OPENS, OPENS)


def test_a_padded_rule_over_a_change_of_the_clocks(make_town: MakeTown) -> None:
    """A whole day of 23 hours, with 12 hours of real time on each side."""
    calendar = load_calendar(make_town([], [{"rrule": "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU", "pad": "12h"}]))
    (one,) = calendar.freezes_between(datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC))
    assert one.span == Span(datetime(2027, 3, 13, 17, tzinfo=UTC), datetime(2027, 3, 15, 16, tzinfo=UTC))


def test_freezes_do_not_depend_on_where_one_begins_to_look(make_town: MakeTown) -> None:
    rules = [{"rrule": rule, "pad": "7h"} for rule in ("FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY", "FREQ=WEEKLY")]
    town = make_town([], [{**rule, "since": "2026-01-31"} for rule in rules])
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    every = load_calendar(town).freezes_between(first, last)
    assert len(every) > 300
    for days in (1, 33, 64, 128, 400):
        start = first + timedelta(days=days, hours=5)
        part = load_calendar(town).freezes_between(start, start + timedelta(days=70))
        assert part == [one for one in every if one.span.end > start and one.span.start < start + timedelta(days=70)]


@pytest.mark.parametrize(
    ("zone", "opens"),
    [("Pacific/Apia", 9), ("Australia/Lord_Howe", 11), ("Asia/Kathmandu", 16.25)],
)
def test_far_away_towns(make_town: MakeTown, zone: str, opens: float) -> None:
    calendar = load_calendar(make_town([TUESDAYS], zone=zone))
    start = datetime(2026, 11, 24, tzinfo=UTC) + opens * HOUR
    assert may(calendar, start) == Answer(True, until=start + 4 * HOUR, window="w0", windows=("w0",))
    assert not may(calendar, start - timedelta(seconds=1)).allowed


def test_a_calendar_that_cannot_be_read_is_no_calendar(make_town: MakeTown) -> None:
    town = make_town(
        [DAILY], [{"ics": "calendars/c.ics"}], files={"calendars/c.ics": "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"}
    )
    assert load_calendar(town).freezes_between(OPENS, OPENS + HOUR) == []
    (town.directory / "calendars/c.ics").unlink()
    with pytest.raises(TownFileError, match="No such file"):
        load_calendar(town)
