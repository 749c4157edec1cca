"""Calendar files of other programs become the right spans, or an error; never silently nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civicops.calendar import load_calendar
from civicops.calendar.events import MAX_BYTES
from civicops.calendar.ics import Property
from civicops.calendar.ics_rule import IcsRule
from civicops.town import TownFileError

from .conftest import MakeTown

FILES = Path(__file__).parent / "files"
FREEZE = {"id": "c", "kind": "council", "ics": "calendars/c.ics"}


def spans(make_town: MakeTown, content: bytes | str, zone: str = "America/New_York", **more: Any) -> list[str]:
    """Every frozen span from 2026 to 2029, in UTC."""
    town = make_town([], [{**FREEZE, **more}], zone=zone, files={"calendars/c.ics": content})
    found = load_calendar(town).freezes_between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))
    return [f"{one.span.start:%Y-%m-%d %H:%M} {one.span.end:%Y-%m-%d %H:%M} {one.title}".strip() for one in found]


def event(*lines: str) -> str:
    """A calendar with one event."""
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:oak-1"]
    return "\r\n".join([*head, *lines, "END:VEVENT", "END:VCALENDAR", ""])


EXPORTS = {
    "google": [
        "2027-03-03 00:00 2027-03-03 02:00 Council, regular meeting",
        "2027-04-07 22:00 2027-04-08 00:00 Council, moved to Wednesday",
        "2027-07-04 04:00 2027-07-06 04:00 Independence Day",
    ],
    "outlook": [
        "2027-03-11 13:00 2027-03-11 22:00 Court",
        "2027-03-25 12:00 2027-03-25 21:00 Court",
        "2027-03-28 01:30 2027-03-28 02:30 A zone that only this file describes",
        "2027-03-29 00:30 2027-03-29 02:30 A zone that only this file describes",
        "2027-03-30 00:30 2027-03-30 02:30 A zone that only this file describes",
        "2027-04-08 12:00 2027-04-08 21:00 Court",
    ],
    "apple": [
        "2027-03-05 18:00 2027-03-05 18:30 Vendor call",
        "2027-03-12 18:00 2027-03-12 18:30 Vendor call",
        "2027-03-13 05:00 2027-03-15 04:00 Founders' weekend",
        "2027-03-19 17:00 2027-03-19 17:30 Vendor call",
        "2027-04-01 13:30 2027-04-01 14:15 Floating",
    ],
    "thunderbird": [
        "2027-03-31 22:00 2027-04-01 00:00 Billing run",
        "2027-06-15 12:00 2027-06-15 12:30 Billing run",
    ],
    "calcurse": [
        "2026-11-25 00:00 2026-11-25 02:30 Planning board",
        "2026-11-26 05:00 2026-11-27 05:00 Thanksgiving",
        "2026-12-03 23:00 2026-12-04 01:00 Budget hearing",
        "2026-12-09 00:00 2026-12-09 02:30 Planning board",
        "2026-12-16 00:00 2026-12-16 02:30 Planning board",
        "2026-12-24 05:00 2026-12-25 05:00 Christmas Eve",
        "2027-12-24 05:00 2027-12-25 05:00 Christmas Eve",
        "2028-12-24 05:00 2028-12-25 05:00 Christmas Eve",
    ],
}


@pytest.mark.parametrize("program", EXPORTS)
def test_exports(make_town: MakeTown, program: str) -> None:
    assert spans(make_town, (FILES / f"{program}.ics").read_bytes()) == EXPORTS[program]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["DTSTART:20270314T023000", "DURATION:PT1H"], ["2027-03-14 07:30 2027-03-14 08:30"]),
        (["DTSTART:20271107T013000", "DURATION:PT1H"], ["2027-11-07 05:30 2027-11-07 06:30"]),
        (["DTSTART;VALUE=DATE:20270314"], ["2027-03-14 05:00 2027-03-15 04:00"]),
        (["DTSTART;VALUE=DATE:20270314", "DTEND;VALUE=DATE:20270314"], ["2027-03-14 05:00 2027-03-15 04:00"]),
        (["DTSTART;VALUE=DATE:20270313", "DURATION:P2D"], ["2027-03-13 05:00 2027-03-15 04:00"]),
        (
            ["DTSTART:20270101T120000Z", "DTEND;TZID=Europe/Berlin:20270101T140000"],
            ["2027-01-01 12:00 2027-01-01 13:00"],
        ),
        (["DTSTART:20270101T120000Z"], []),  # RFC 5545: it takes no time
        (["DTSTART:20270101T120000Z", "DURATION:PT1H", "STATUS:CANCELLED"], []),
        (
            ["DTSTART:20270101T120000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;BYHOUR=9,17;COUNT=2"],
            [
                "2027-01-01 12:00 2027-01-01 13:00",
                "2027-01-01 17:00 2027-01-01 18:00",
                "2027-01-02 09:00 2027-01-02 10:00",
            ],
        ),
        (
            ["DTSTART:20270101T120000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY;INTERVAL=5;COUNT=3"],
            [
                "2027-01-01 12:00 2027-01-01 13:00",
                "2027-01-01 17:00 2027-01-01 18:00",
                "2027-01-01 22:00 2027-01-01 23:00",
            ],
        ),
        (
            ["DTSTART;VALUE=DATE:20270305", "RRULE:FREQ=DAILY;UNTIL=20270307T000000Z"],  # as some write a last day
            [f"2027-03-0{day} 05:00 2027-03-0{day + 1} 05:00" for day in (5, 6, 7)],
        ),
        (
            # the series begins on the day of the change: later days are as long as the clocks say, or longer
            ["DTSTART:20270314T013000", "DTEND:20270314T033000", "RRULE:FREQ=DAILY;COUNT=2"],
            ["2027-03-14 06:30 2027-03-14 07:30", "2027-03-15 05:30 2027-03-15 07:30"],
        ),
        (
            ["DTSTART:20270101T120000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"],
            ["2027-01-01 12:00 2027-01-01 13:00"],
        ),
    ],
)
def test_one_event(make_town: MakeTown, lines: list[str], expected: list[str]) -> None:
    assert spans(make_town, event(*lines)) == expected


def test_padding_counts_real_time_over_a_change(make_town: MakeTown) -> None:
    text = event("DTSTART;VALUE=DATE:20270314")
    assert spans(make_town, text, pad="12h") == ["2027-03-13 17:00 2027-03-15 16:00"]
    assert spans(make_town, event("DTSTART:20270101T120000Z"), pad="30m") == ["2027-01-01 11:30 2027-01-01 12:30"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "1: not a calendar"),
        (b"hello\r\n", "1: not a calendar"),
        (b"x" * (MAX_BYTES + 1), "larger than 2000000 bytes"),
        (
            event("DTSTART:20270101T120000").replace("END:VEVENT\r\nEND:VCALENDAR\r\n", ""),
            "6: ends within VEVENT, which begins on line 4",
        ),
        (event("DTSTART:20270101T120000", "NONSENSE"), "7: not a line of a calendar"),
        (event("SUMMARY:x"), '4: event "oak-1": has no DTSTART'),
        (event("DTSTART:2027-01-01"), '6: event "oak-1": DTSTART is not a day or time'),
        (event("DTSTART:20270231"), "DTSTART is not a day or time"),
        (event("DTSTART:20270101", "DTSTART:20270102"), "7: a second DTSTART, first on line 6"),
        (event("DTSTART;TZID=Nowhere:20270101T120000"), "6: event \"oak-1\": the time zone 'Nowhere' is not known"),
        (
            event("DTSTART:20270101T120000", "DTEND:20270101T110000"),
            '7: event "oak-1": the event ends before it begins',
        ),
        (event("DTSTART:20270101T120000", "DURATION:-PT1H"), "the event ends before it begins"),
        (event("DTSTART:20270101", "DTEND:20270101T110000"), "one is a day and the other a time"),
        (event("DTSTART:20270101", "RRULE:FREQ=DAILY;INTERVAL=0"), "RRULE has INTERVAL=0"),
        (event("DTSTART:20270101", "RRULE:FREQ=HOURLY;INTERVAL=0"), "RRULE has INTERVAL=0"),
        (event("DTSTART:20270101", "RRULE:FREQ=SECONDLY"), "RRULE has FREQ=SECONDLY"),
        (event("DTSTART:20270101", "RRULE:FREQ=MINUTELY;INTERVAL=30"), "RRULE has FREQ=MINUTELY"),
        (event("DTSTART:20270101", "RRULE:FREQ=DAILY;COUNT=99999999"), "RRULE has COUNT=99999999; COUNT is a number"),
        (event("DTSTART:20270101", "RRULE:FREQ=WEEKLY;BYDAY=XX"), "RRULE has BYDAY=XX"),
        (event("DTSTART:20270101", "RRULE:FREQ=DAILY;UNTIL=soon"), "RRULE is not a day or time"),
        (event("DTSTART:20270101", "RRULE:BYDAY=MO"), "RRULE has"),
        (event("DTSTART:20270101", "DURATION:P"), "DURATION can't be read"),
        (event("DTSTART:20270101", "RDATE;VALUE=PERIOD:20270103T000000/20270102T000000"), "ends before it begins"),
        (event("DTSTART:20270101", "EXDATE:tomorrow"), "EXDATE is not a day or time"),
        (event("DTSTART:20270101", "RECURRENCE-ID;RANGE=THISANDFUTURE:20270101"), "changes a whole rest of a series"),
        (
            "BEGIN:VCALENDAR\r\n" + "BEGIN:VEVENT\r\nDTSTART:20270101\r\nEND:VEVENT\r\n" * 5001 + "END:VCALENDAR\r\n",
            "more than 5000 events",
        ),
        ("BEGIN:VCALENDAR\r\n" + "BEGIN:X\r\n" * 50, "a BEGIN that can't stand here"),
    ],
)
def test_told(make_town: MakeTown, content: bytes | str, said: str) -> None:
    with pytest.raises(TownFileError) as caught:
        spans(make_town, content)
    (problem,) = caught.value.problems
    assert said in str(problem).partition("calendars/c.ics:")[2]
    assert problem.remedy


def test_every_event_that_is_wrong_is_told(make_town: MakeTown) -> None:
    bad = event("DTSTART:x").replace(
        "END:VCALENDAR\r\n", "BEGIN:VEVENT\r\nUID:oak-2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    with pytest.raises(TownFileError) as caught:
        spans(make_town, bad)
    assert [problem.line for problem in caught.value.problems] == [6, 8]


def test_titles_of_others_do_no_harm(make_town: MakeTown) -> None:
    text = event("DTSTART:20270101", "SUMMARY:a\x1b[31m\u202eb\xa0{{ x }}")
    assert spans(make_town, text) == ["2027-01-01 05:00 2027-01-02 05:00 a [31m b\xa0{{ x }}"]
    latin = event("DTSTART:20270101", "SUMMARY:caf\xe9").encode("latin-1")
    assert spans(make_town, b"\xef\xbb\xbf" + latin) == ["2027-01-01 05:00 2027-01-02 05:00 caf\ufffd"]


RULES = st.sampled_from(
    [
        "FREQ=DAILY;INTERVAL=3;BYHOUR=8,20",
        "FREQ=WEEKLY;BYDAY=MO,WE;BYMINUTE=0,30",
        "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;COUNT=9",
        "FREQ=MONTHLY;BYMONTHDAY=1,15;BYHOUR=8,20;BYSETPOS=-1",
        "FREQ=YEARLY;COUNT=3",
        "FREQ=HOURLY;INTERVAL=7;BYDAY=MO,TU",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=8,9,10;COUNT=20",
    ]
)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(RULES, st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda when: when.replace(microsecond=0)))
def test_rules_with_times_are_dateutils(text: str, start: datetime) -> None:
    last = start + timedelta(days=500)
    ours = list(IcsRule(Property(1, "RRULE", {}, text), start).starts(start, last))
    assert ours == list(rrulestr(text, dtstart=start).between(start, last, inc=True))
