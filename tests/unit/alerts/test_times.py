"""Quiet hours and office hours over zones and changes of clocks, against dateutil's reading of local times."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.alerts.recipients import recipients
from civicops.alerts.times import Office, Outside
from civicops.town.scalars import Hours

from .conftest import alert, make_town

ZONES = [
    *("America/New_York", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"),
    *("Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham", "UTC"),
]
NEW_YORK = ZoneInfo("America/New_York")
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
moments = st.datetimes(datetime(2009, 1, 1), datetime(2036, 12, 31), timezones=st.just(UTC))


def oracle(hours: Hours, now: datetime, zone: str) -> bool:
    """Whether a moment is quiet, by dateutil: gaps are moved forward, of repeated times the first is meant."""
    place = tz.gettz(zone)

    def instant(day: date, clock: time) -> datetime:
        local = tz.resolve_imaginary(datetime.combine(day, clock, place))
        return local.astimezone(UTC)

    today = now.astimezone(place).date()
    days = [today + timedelta(days=distance) for distance in (-2, -1, 0, 1)]
    return any(
        instant(day, hours.start) <= now < instant(day + timedelta(days=0 if hours.start < hours.end else 1), hours.end)
        for day in days
    )


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), start=clocks, end=clocks, now=moments)
def test_quiet_as_dateutil_reads_the_town_s_clock(zone: str, start: time, end: time, now: datetime) -> None:
    hours = Hours(start, end)
    if start != end:
        assert Outside(hours).allow(now, ZoneInfo(zone)) is not oracle(hours, now, zone)


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), start=clocks, end=clocks, now=moments)
def test_far_from_a_change_of_clocks_the_wall_clock_says_it(zone: str, start: time, end: time, now: datetime) -> None:
    place = ZoneInfo(zone)
    near = {(now + timedelta(hours=hours)).astimezone(place).utcoffset() for hours in range(-72, 73, 6)}
    if start == end or len(near) > 1:
        return
    wall = now.astimezone(place).time()
    quiet = start <= wall < end if start < end else wall >= start or wall < end
    assert Outside(Hours(start, end)).allow(now, place) is not quiet


@pytest.mark.parametrize(
    ("day", "quiet", "ends"),
    [
        (date(2027, 3, 13), "22:00-06:00", "2027-03-14 10:00"),  # the night is an hour shorter
        (date(2027, 11, 6), "22:00-06:00", "2027-11-07 11:00"),  # and an hour longer
        (date(2027, 3, 13), "22:00-02:30", "2027-03-14 07:30"),  # 02:30 does not exist: 03:30
        (date(2027, 11, 6), "22:00-01:30", "2027-11-07 05:30"),  # the first 01:30, and it stays ended
    ],
)
def test_the_end_of_a_night_with_a_change_of_clocks(day: date, quiet: str, ends: str) -> None:
    begin, end = quiet.split("-")
    times = Outside(Hours(time.fromisoformat(begin), time.fromisoformat(end)))
    now = datetime.combine(day, time(22), NEW_YORK).astimezone(UTC)
    minutes = [now + timedelta(minutes=n) for n in range(14 * 60)]
    allowed = [times.allow(minute, NEW_YORK) for minute in minutes]
    assert minutes[allowed.index(True)] == datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert allowed == sorted(allowed)


@settings(deadline=None)
@given(now=moments)
def test_office_hours(now: datetime) -> None:
    local = now.astimezone(NEW_YORK)
    assert Office().allow(now, NEW_YORK) is (local.weekday() < 5 and 8 <= local.hour < 18)


def test_an_address_that_stands_twice_is_one_recipient_with_the_earliest_time() -> None:
    contact = {"role": "it", "name": "I. T.", "email": "IT@riverton.example", "notify_for": ["failure", "report"]}
    town = make_town(alerts=[alert("it@riverton.example", "failure", quiet="22:00-06:00")], contacts=[contact])
    (only,) = recipients(town)
    evening, night = (datetime(2027, 1, 6, hour, tzinfo=NEW_YORK) for hour in (20, 23))
    assert only.may_hear("failure", evening, NEW_YORK)
    assert not only.may_hear("failure", night, NEW_YORK)
    assert not only.may_hear("report", evening, NEW_YORK)
    assert only.may_hear("report", datetime(2027, 1, 6, 9, tzinfo=NEW_YORK), NEW_YORK)
    assert not only.wants("halt")


def test_two_webhooks_that_differ_in_case_are_two() -> None:
    town = make_town(alerts=[alert("https://chat.example/hooks/a"), alert("https://chat.example/hooks/A")])
    assert len({recipient.name for recipient in recipients(town)}) == 2
