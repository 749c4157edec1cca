"""Scores and drift: nothing is called met that was not seen to be so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.assess.samples import body, row

from civicops.assess.catalogue import Catalogue, Control, catalogue
from civicops.assess.standing import OWN, STATES, across, drift, score, scores, verdicts

KNOWN = Catalogue(
    {
        "a": Control("a", "A", severity="high", ids={"cis_debian12": ("1.1",), "nist_800_53": ("AC-3",)}),
        "b": Control("b", "B", severity="low", ids={"nist_800_53": ("AC-6",)}),
    }
)
NAMES = [f"c{number}" for number in range(12)]
ROWS = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(STATES), st.booleans())).map(
    lambda told: [row(name, state, changed=changed) for name, (state, changed) in told.items()]
)


def of(*rows: list[Any], check: bool = True) -> Any:
    return verdicts(body(*rows), KNOWN, check=check)


@pytest.mark.parametrize(
    ("state", "check", "met"),
    [
        ("compliant", True, True),
        ("compliant", False, True),
        ("changed", False, True),
        ("changed", True, False),
        ("failed", False, False),
        ("not_enforceable", False, False),
        ("not_applicable", False, False),
        ("waived", False, False),
        ("error", False, False),
    ],
)
def test_what_counts_as_met(state: str, check: bool, met: bool) -> None:
    [told] = of(row("a", state), check=check)
    assert told.met is met


def test_a_waiver_raises_no_score_and_what_is_not_for_the_host_lowers_none() -> None:
    told = score(of(row("a", "compliant"), row("b", "waived"), row("c", "not_applicable")))
    assert (told.met, told.total, told.waived, told.percent) == (1, 2, 1, 50)


@pytest.mark.parametrize("rows", [[], [row("a", "error")], [row("a", "not_applicable")]])
def test_where_nothing_was_looked_at_there_is_no_score(rows: list[Any]) -> None:
    assert score(of(*rows)).percent is None


def test_one_that_is_missing_is_never_rounded_away() -> None:
    rows = [row(f"x{number}", "compliant") for number in range(999)]
    assert score(of(*rows, row("a", "failed"))).percent == 99


def test_a_framework_has_its_own_controls() -> None:
    told = scores(of(row("a", "compliant"), row("b", "failed"), row("unheard-of", "failed")))
    assert {name: (one.met, one.total) for name, one in told.items()} == {
        OWN: (1, 3),
        "cis_debian12": (1, 1),
        "nist_800_53": (1, 2),
    }


def test_a_control_of_another_catalogue_is_told_by_its_id() -> None:
    [told] = of(row("unheard-of", "failed"))
    assert (told.control.title, told.control.known, told.control.severity) == ("unheard-of", False, None)


@given(ROWS, st.booleans())
def test_a_score_stays_in_its_bounds(rows: list[Any], check: bool) -> None:
    told = score(verdicts(body(*rows), KNOWN, check=check))
    assert 0 <= told.met <= told.total
    assert told.met + told.waived + told.unknown <= told.total
    if told.percent is not None:
        assert 0 <= told.percent <= 100
        assert (told.percent == 100) == (told.met == told.total)


@given(ROWS, ROWS)
def test_drift_is_the_same_seen_from_behind(first: list[Any], second: list[Any]) -> None:
    old, new = (verdicts(body(*rows), KNOWN, check=True) for rows in (first, second))
    there = drift(old, new, since="", of_run="")
    back = drift(new, old, since="", of_run="")
    assert sorted((*there.lost, *there.unseen, *there.excused)) == sorted(back.gained)
    assert there.added == back.removed
    assert drift(old, old, since="", of_run="").none
    assert there.none == back.none


def test_drift_tells_a_loss_from_what_was_not_seen_and_what_was_waived() -> None:
    old = of(
        row("a", "compliant"), row("b", "compliant"), row("c", "compliant"), row("d", "failed"), row("e", "failed")
    )
    new = of(row("a", "failed"), row("b", "error"), row("c", "waived"), row("d", "compliant"), row("f", "compliant"))
    told = drift(old, new, since="", of_run="")
    assert (told.lost, told.unseen, told.excused, told.gained) == (("a",), ("b",), ("c",), ("d",))
    assert (told.added, told.removed) == (("f",), ("e",))


def test_documents_that_are_not_alike_are_told() -> None:
    told = across(body(), body(profile="cjis", role="dispatch", catalogue="1" * 64, seen_as_root=False))
    assert told == (
        "profile town-minimum before, cjis now",
        "role server before, dispatch now",
        "another version of the catalogue",
        "looked at without root now, as root before",
    )
    assert across(body(), body()) == ()


def test_the_shipped_catalogue_is_the_one_that_hosts_are_sent() -> None:
    from ansible_collections.civicops.town.plugins.plugin_utils.catalogue import shipped

    ours, theirs = catalogue(), shipped()
    assert list(ours.controls) == list(theirs.controls)
    assert ours.sha256 == theirs.sha256
    assert all(one.title and one.severity for one in ours.controls.values())
