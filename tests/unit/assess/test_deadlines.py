"""By when a vulnerability is to be mended, and what is not known of that."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.assess.deadlines import Case, Deadline, Points, deadlines, earliest, rules

SEEN = date(2026, 11, 1)
FORMER = SEEN - timedelta(days=30)
Bits = tuple[bool | None, bool | None, bool | None, bool | None]


def case(bits: Bits, *, handles: str = "", may: str = "", severity: str = "high", listed: date | None = None) -> Case:
    exposed, exploited, automatable, total = bits
    points = Points(exploited, automatable, total, listed if exploited else None)
    cves = (("CVE-2026-1000", points, SEEN),)
    return Case(severity, exposed, frozenset(handles.split()), frozenset(may.split()), cves)  # type: ignore[arg-type]


def bod(told: list[Deadline]) -> Deadline:
    return next(one for one in told if one.rule == "BOD 26-04")


def days(when: date | None) -> int | None:
    return (when - SEEN).days if when else None


# exposed, exploited: by automatable and total, automatable and partial, not and total, not and partial.
TABLE = {
    (True, True): (3, 3, 3, 14),
    (True, False): (3, 14, 14, 60),
    (False, True): (3, 14, 14, 14),
    (False, False): (60, 60, None, None),
}
COLUMNS = ((True, True), (True, False), (False, True), (False, False))


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("column", range(4))
def test_the_directive_s_table(row: tuple[bool, bool], column: int) -> None:
    told = bod(deadlines(case((*row, *COLUMNS[column]))))
    assert days(told.due) == days(told.earliest) == TABLE[row][column]
    assert told.triage == (row[1] and TABLE[row][column] == 3 and COLUMNS[column][1])
    assert not told.unknown


def test_what_is_not_known_is_said_and_makes_a_range() -> None:
    told = bod(deadlines(case((None, True, None, None))))
    assert (days(told.earliest), days(told.due)) == (3, 14)
    assert not told.triage
    assert told.unknown == ("exposure not known", "automatable or not: not known", "impact not known")
    nothing = bod(deadlines(case((None, None, None, None))))
    assert (days(nothing.earliest), nothing.due) == (3, None)
    # Whatever it is, it makes no difference there: nothing is said of it.
    assert bod(deadlines(case((False, False, True, None)))).unknown == ()


def test_the_clock_starts_at_the_listing_or_the_detection() -> None:
    assert bod(deadlines(case((True, True, True, True), listed=FORMER))).due == FORMER + timedelta(days=3)
    assert bod(deadlines(case((True, True, True, True), listed=SEEN + timedelta(days=5)))).due == SEEN + timedelta(
        days=3
    )


def test_departments_bring_their_own_rules_and_the_earliest_counts() -> None:
    calm = (False, False, False, False)
    told = deadlines(case(calm, handles="cji chd", severity="critical"))
    assert [(one.rule, days(one.due)) for one in told] == [
        ("CJIS 6.0", 15),
        ("PCI DSS 4 6.3.3", 30),
        ("BOD 26-04", None),
    ]
    first = earliest(told)
    assert first is not None and first.rule == "CJIS 6.0"
    assert [one.rule for one in deadlines(case(calm, handles="chd", severity="low"))] == ["BOD 26-04"]
    may = earliest(deadlines(case(calm, may="cji", severity="critical")))
    assert may is not None and may.due is None and days(may.earliest) == 15
    assert any("CJIS 6.0" in one or "cji" in one for one in may.unknown)


def test_what_has_no_cve_has_no_deadline() -> None:
    assert deadlines(replace(case((True, True, True, True)), cves=())) == []


def test_of_several_the_cve_that_decides_is_named() -> None:
    calm, bad = Points(False, False, False), Points(True, True, True, FORMER)
    told = bod(
        deadlines(replace(case((True, True, True, True)), cves=(("CVE-2026-1", calm, SEEN), ("CVE-2026-2", bad, SEEN))))
    )
    assert told.cve == "CVE-2026-2"


def test_every_rule_says_where_it_is_from() -> None:
    assert {one.name for one in rules()} == {"BOD 26-04", "CJIS 6.0", "PCI DSS 4 6.3.3"}
    for one in rules():
        assert one.source and one.binding and one.clock and one.checked_on
    table = next(one for one in rules() if one.rows)
    assert sorted(row for row, _, _ in table.rows) == sorted(product((False, True), repeat=4))


BIT = st.sampled_from([True, None, False])
BITS = st.tuples(BIT, BIT, BIT, BIT)


@settings(deadline=None)
@given(
    BITS,
    st.integers(0, 3),
    st.sampled_from(["", "cji", "chd", "cji chd"]),
    st.sampled_from(["low", "high", "critical"]),
)
def test_worse_is_never_later_and_unknown_never_passes_for_safe(
    bits: Bits, at: int, handles: str, severity: str
) -> None:
    def told(value: bool | None) -> Deadline:
        changed = (*bits[:at], value, *bits[at + 1 :])
        found = deadlines(case(changed, handles=handles, severity=severity))  # type: ignore[arg-type]
        first = earliest(found)
        assert first is not None
        assert all((first.due or date.max) <= (one.due or date.max) for one in found), "the earliest counts"
        assert all((first.earliest or date.max) <= (one.earliest or date.max) for one in found)
        assert (first.earliest or date.max) <= (first.due or date.max)
        return first

    bad, unknown, safe = told(True), told(None), told(False)
    for one, other in ((bad, unknown), (unknown, safe)):
        assert (one.due or date.max) <= (other.due or date.max)
    assert (unknown.earliest or date.max) <= (bad.earliest or date.max) <= (bad.due or date.max)
    assert (unknown.earliest or date.max) <= (safe.earliest or date.max)
    assert (unknown.due, unknown.earliest) == (safe.due, safe.earliest) or unknown.unknown, "it is said"
