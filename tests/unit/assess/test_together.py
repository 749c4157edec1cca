"""What is worked out once for many hosts is for each of them what it would be alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.assess.assessed import NOW, estate, judged
from tests.unit.assess.test_waived import waiver

from civicops.assess.finding import Evidence, Finding, Judged, Told
from civicops.assess.finding import judged as together
from civicops.assess.ranking import Ranking
from civicops.assess.recorded import NOTHING, Recorded, Row, as_body
from civicops.assess.waived import Waivers

TODAY = NOW.date()
HOSTS = ("web1", "web2", "cad1", "cad2")
GROUPS = {"exposed": ["web1"], "internal": ["cad1"], "dept_police": ["cad1", "cad2"]}
CVES = ("CVE-2026-1000", "CVE-2026-1001")
WAIVERS = st.lists(
    st.sampled_from(
        [
            waiver("vulnerable-a", hosts="web*"),
            waiver("vulnerable-a", hosts="group:dept_police", days=-1),
            waiver(CVES[0].lower(), hosts="web2"),
            waiver("cve-*", hosts="cad1"),
        ]
    ),
    max_size=3,
)
FINDINGS = st.lists(
    st.builds(
        lambda name, about, state, cves: judged(name, *sorted(about), state=state, cves=tuple(sorted(cves))),
        st.sampled_from(["vulnerable-a", "vulnerable-b"]),
        st.frozensets(st.sampled_from(HOSTS), min_size=1),
        st.sampled_from(["found", "unknown"]),
        st.frozensets(st.sampled_from(CVES)),
    ),
    max_size=2,
    unique_by=lambda one: one.id,
)
DAYS = st.dictionaries(st.sampled_from(HOSTS), st.integers(0, 60), max_size=4)


@pytest.fixture(autouse=True, scope="module")
def _no_feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVICOPS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


def alone(findings: Iterable[Judged]) -> list[Judged]:
    """Each finding of each host by itself."""
    return [replace(one, about=(name,)) for one in findings for name in one.about]


def placed(findings: Iterable[Judged], waivers: Collection[Any], before: Recorded) -> tuple[dict[Any, Any], Any]:
    """What is said of each finding of each host, and what is recorded of all."""
    there = estate(*HOSTS, groups=GROUPS)
    weighed = Waivers(waivers, TODAY, GROUPS).weigh(findings)
    ranked = Ranking(there, lambda one: before.seen(one, TODAY)).rank(weighed)
    said = {
        (one.judged.id, name): one._replace(weighed=one.weighed._replace(judged=replace(one.judged, about=(name,))))
        for one in ranked
        for name in one.judged.about
    }
    assert len(said) == sum(len(one.judged.about) for one in ranked), "each is told once"
    return said, as_body(ranked, before, TODAY)


def recorded(days: dict[str, int]) -> Recorded:
    """Some hosts have had the finding for so many days."""

    def row(since: date) -> Row:
        return Row("found", "medium", "", since, {CVES[0]: since})

    return Recorded(rows={("vulnerable-a", "host"): {name: row(TODAY - timedelta(ago)) for name, ago in days.items()}})


@settings(max_examples=60, deadline=None)
@given(FINDINGS, WAIVERS, DAYS)
def test_together_is_as_alone(findings: list[Judged], waivers: list[Any], days: dict[str, int]) -> None:
    before = recorded(days) if days else NOTHING
    assert placed(findings, waivers, before) == placed(alone(findings), waivers, before)


class Clock(Finding[Collection[Evidence]]):
    id = "clock"
    title = "Wrong clock"
    severity = "low"
    frameworks = ()
    remedy = "Set it."
    effort = "low"

    def look(self, town: Collection[Evidence]) -> Iterable[Evidence]:
        return town


@given(
    st.lists(
        st.builds(
            lambda name, state, text, old: Evidence(name, state, text, (Told({}, NOW - timedelta(9), old),)),
            st.sampled_from(HOSTS),
            st.sampled_from(["found", "unknown", "fine"]),
            st.sampled_from(["a", "b"]),
            st.booleans(),
        ),
        max_size=8,
        unique_by=lambda one: one.about,
    )
)
def test_evidence_together_is_as_alone(every: list[Evidence]) -> None:
    finding = Clock()
    found = together(finding, finding.look(every))
    assert sorted(alone(found), key=lambda one: one.rank) == sorted(
        (told for one in every for told in together(finding, [one])), key=lambda one: one.rank
    )
    assert len(found) == len({replace(one, about=()) for one in found}), "the same once"
