"""What is taken of RFC 5545, and what is not."""

from __future__ import annotations

import pytest

from civicops.town.rrule import RuleFault, parse_rrule


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=TU,TH",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2",
        "FREQ=MONTHLY;BYMONTHDAY=15,-1",
        "FREQ=YEARLY;BYMONTH=11;BYDAY=1TU;UNTIL=20301231T000000Z",
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO",
    ],
)
def test_taken(rule: str) -> None:
    assert parse_rrule(rule)["FREQ"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "has a part that is not NAME=VALUE"),
        ("RRULE:FREQ=DAILY", "begins with RRULE:"),
        ("BYDAY=MO", "has no FREQ"),
        ("FREQ=SECONDLY", "has FREQ=SECONDLY"),
        ("FREQ=HOURLY", "has FREQ=HOURLY"),
        ("freq=DAILY", "has an unknown part freq"),
        ("FREQ=DAILY;INTERVAL=0", "has INTERVAL=0"),
        ("FREQ=DAILY;INTERVAL=-1", "has INTERVAL=-1"),
        ("FREQ=DAILY;COUNT=3", "has COUNT"),
        ("FREQ=DAILY;BYHOUR=3", "has BYHOUR"),
        ("FREQ=DAILY;FREQ=DAILY", "has FREQ twice"),
        ("FREQ=DAILY;", "has a part that is not NAME=VALUE"),
        ("FREQ=WEEKLY;BYDAY=2TU", "has a numbered BYDAY"),
        ("FREQ=WEEKLY;BYDAY=TUE", "has BYDAY=TUE"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "has BYMONTHDAY with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "has BYMONTHDAY=32"),
        ("FREQ=MONTHLY;BYSETPOS=2", "has BYSETPOS alone"),
        ("FREQ=DAILY;UNTIL=2027-01-01", "has UNTIL=2027-01-01"),
        ("FREQ=DAILY\n", "has FREQ=DAILY\n"),
    ],
)
def test_refused(rule: str, message: str) -> None:
    with pytest.raises(RuleFault) as caught:
        parse_rrule(rule)
    assert caught.value.message.startswith(message)
    assert caught.value.remedy
