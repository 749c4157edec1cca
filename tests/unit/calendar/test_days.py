"""The days of a rule are those of python-dateutil."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from civicops.town.days import Rule, rule_from
from civicops.town.rrule import RuleFault, parse_rrule

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FEW_YEARS = timedelta(days=2200)


def numbers(low: int, high: int, most: int = 4) -> st.SearchStrategy[str]:
    """Some numbers, 0 left out, as a rule writes them."""
    each = st.integers(low, high).filter(bool)
    return st.lists(each, min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


PLAIN = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True).map(",".join)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, str]:
    """Every part that a town file may hold, in the combinations that it allows."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"FREQ": frequency}
    optional = {
        "INTERVAL": st.sampled_from(["1", "2", "3", "5", "13"]),
        "BYMONTH": numbers(1, 12),
        "BYMONTHDAY": numbers(-31, 31, 6),
        "BYYEARDAY": numbers(-366, 366, 6),
        # dateutil does not see that week -52 of the next year may be its first.
        "BYWEEKNO": numbers(-51, 53),
        "WKST": st.sampled_from(WEEKDAYS),
        "BYSETPOS": numbers(-4, 5, 2),
    }
    for name, values in optional.items():
        if draw(st.integers(0, 3)) == 0:
            parts[name] = draw(values)
    # dateutil fails on the 20th Monday of a month.
    most = 53 if frequency == "YEARLY" and "BYMONTH" not in parts else 5
    each = st.tuples(st.integers(-most, most).filter(bool), st.sampled_from(WEEKDAYS))
    numbered = st.lists(each, min_size=1, max_size=3).map(lambda found: ",".join(f"{n}{day}" for n, day in found))
    kind = draw(st.sampled_from(["none", "plain", "numbered"]))
    if kind != "none":
        parts["BYDAY"] = draw(PLAIN if kind == "plain" else numbered)
    try:
        parse_rrule(";".join(f"{name}={value}" for name, value in parts.items()))
    except RuleFault:
        assume(False)
    return parts


def by_dateutil(parts: dict[str, str], since: date, last: date) -> list[date]:
    """dateutil's days, with our reading of RFC 5545 where the two differ."""
    theirs, start = dict(parts), since
    if not {"BYDAY", "BYMONTHDAY", "BYYEARDAY"} & set(parts) and ("BYWEEKNO" in parts or parts["FREQ"] == "WEEKLY"):
        theirs["BYDAY"] = WEEKDAYS[since.weekday()]
    if "BYSETPOS" in parts and parts["FREQ"] == "WEEKLY":
        start -= timedelta(days=(since.weekday() - WEEKDAYS.index(parts.get("WKST", "MO"))) % 7)
    text = ";".join(f"{name}={value}" for name, value in theirs.items()) + f";UNTIL={last:%Y%m%d}"
    return [
        one.date()
        for one in rrulestr(text, dtstart=datetime(start.year, start.month, start.day))
        if one.date() >= since
    ]


def comes(rule: Rule, since: date) -> bool:
    """dateutil looks for a rule that never comes until the year 9999."""
    return next(rule.days(since, since + timedelta(days=36500)), None) is not None


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rules(), st.dates(date(2020, 1, 1), date(2028, 12, 31)))
def test_with_a_first_day(parts: dict[str, str], since: date) -> None:
    rule, last = rule_from(parts, since), since + FEW_YEARS
    ours = list(rule.days(since, last))
    if comes(rule, since):
        assert ours == by_dateutil(parts, since, last)
    for first in ours[:: max(1, len(ours) // 3)]:  # the same, wherever one begins to look
        assert list(rule.days(first, last)) == [day for day in ours if day >= first]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rules(), st.dates(date(2024, 1, 1), date(2030, 12, 31)))
def test_without_a_first_day(parts: dict[str, str], first: date) -> None:
    parts = {name: value for name, value in parts.items() if name != "INTERVAL"}
    try:
        rule = rule_from(parts, None)
    except RuleFault as fault:
        assert "since" in fault.remedy
        return
    long_ago, last = date(2018, 1, 1), first + timedelta(days=1500)
    if comes(rule, first):
        assert list(rule.days(first, last)) == [day for day in by_dateutil(parts, long_ago, last) if day >= first]


def test_where_we_differ_from_dateutil() -> None:
    """What RFC 5545 says, and dateutil does not do."""

    def days(text: str, since: date, last: date) -> list[str]:
        return [f"{day:%a %d}" for day in rule_from(parse_rrule(text), since).days(since, last)]

    assert days("FREQ=MONTHLY;BYDAY=TU,-1FR", date(2027, 1, 1), date(2027, 1, 31)) == [
        "Tue 05", "Tue 12", "Tue 19", "Tue 26", "Fri 29",
    ]  # fmt: skip
    assert days("FREQ=YEARLY;BYWEEKNO=20", date(2027, 1, 6), date(2027, 12, 31)) == ["Wed 19"]


def test_until_a_day_includes_it() -> None:
    rule = rule_from(parse_rrule("FREQ=DAILY;UNTIL=20270103"), None)
    assert list(rule.days(date(2027, 1, 2), date(2027, 2, 1))) == [date(2027, 1, 2), date(2027, 1, 3)]
