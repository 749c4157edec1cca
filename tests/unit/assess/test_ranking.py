"""The order in which findings are to be worked on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.assess.assessed import NOW, estate, facts, judged
from tests.unit.feeds.samples import kev, put
from tests.unit.towns import MakeTown

from civicops.assess.estate import Estate
from civicops.assess.finding import Judged
from civicops.assess.ranking import Ranked, Ranking, Seen
from civicops.assess.waived import Weighed
from civicops.state import TownState

TODAY = NOW.date()
OPEN = facts(("::", "all"), addresses=["8.8.8.8/24"])


def rank(there: Estate, findings: Iterable[Judged], *, since: int = 0) -> list[Ranked]:
    first = TODAY - timedelta(days=since)
    return Ranking(there, lambda one: {Seen(first, (first,) * len(one.cves)): one.about}).rank(map(Weighed, findings))


def names(ranked: Iterable[Ranked]) -> list[str]:
    return [f"{one.judged.id} {name}" for one in ranked for name in one.judged.about]


@pytest.fixture
def feeds(state: TownState, tmp_path: Path) -> None:
    """Of three CVEs: exploited by extortionists; points that say it is bad; points that say it is not."""
    (tmp_path / "kev.json").write_text(kev("CVE-2026-1000"))
    put(tmp_path / "kev.json")
    epss = "#model_version:v2025.03.14,score_date:2026-11-29T12:55:00Z\ncve,epss,percentile\n"
    (tmp_path / "epss.csv").write_text(epss + "CVE-2026-1001,0.9,0.99\nCVE-2026-1002,0.001,0.1\n")
    put(tmp_path / "epss.csv")


def package(cve: str, about: str = "web1", **more: Any) -> Judged:
    return judged(f"vulnerable-{cve[-4:]}", about, cves=(cve,), package="acme", **more)


@pytest.mark.parametrize(("released", "exploited"), [("2026-11-29", False), ("2026-11-21", None)])
def test_an_old_catalogue_does_not_say_that_something_is_not_exploited(
    state: TownState, tmp_path: Path, released: str, exploited: bool | None
) -> None:
    (tmp_path / "kev.json").write_text(kev("CVE-2026-1000", released=f"{released}T16:45:47.0648Z"))
    put(tmp_path / "kev.json")
    there = estate("web1", groups={})
    told = {one.judged.id: one.inputs for one in rank(there, [package("CVE-2026-1000"), package("CVE-2026-1001")])}
    assert told["vulnerable-1000"].exploited is True, "bad news stays"
    assert (told["vulnerable-1001"].exploited, told["vulnerable-1001"].ransomware) == (exploited, exploited)


@pytest.mark.usefixtures("feeds")
def test_what_is_due_comes_by_its_deadline_and_all_else_by_severity() -> None:
    there = estate("web1", body=OPEN, groups={})
    findings = [
        judged("small", severity="low"),
        judged("no-backup", severity="critical"),
        package("CVE-2026-1000", severity="low"),
        package("CVE-2026-1001", severity="medium"),
        judged("guess", state="unknown", severity="critical"),
    ]
    ranked = rank(there, findings)
    assert names(ranked) == [
        "vulnerable-1000 web1",
        "no-backup web1",
        "vulnerable-1001 web1",
        "small web1",
        "guess web1",
    ]
    first = ranked[0]
    assert first.overdue and first.due is not None and first.due.rule == "BOD 26-04"
    assert first.inputs.exploited is True and first.inputs.ransomware is True and first.inputs.exposed is True
    assert ranked[1].due is None and ranked[1].inputs.exploited is False
    assert ranked[-1].due is None, "what is not known has no deadline"


@pytest.mark.usefixtures("feeds")
def test_what_is_not_known_is_no_zero() -> None:
    there = estate("web1", groups={"internal": ["web1"]})
    likely, unlikely, unknown = (package(f"CVE-2026-100{one}") for one in (1, 2, 3))
    ranked = rank(there, [unlikely, unknown, likely])
    assert names(ranked) == ["vulnerable-1001 web1", "vulnerable-1003 web1", "vulnerable-1002 web1"]
    assert ranked[1].inputs.epss is None and ranked[1].inputs.epss_unknown == 1
    assert ranked[2].inputs.epss is not None and ranked[2].inputs.epss.score == 0.001


def test_exposure_goes_before_what_is_not_known_of_it(state: TownState) -> None:
    there = estate("a", "b", "c", groups={"internal": ["a"], "exposed": ["c"]}, body=facts(("::", "all")))
    ranked = rank(there, [package("CVE-2026-1000", about) for about in "abc"])
    assert names(ranked) == ["vulnerable-1000 c", "vulnerable-1000 b", "vulnerable-1000 a"]
    assert all(one.inputs.exploited is None for one in ranked), "there is no feed"


def test_systems_and_what_leaders_said(make_town: MakeTown, state: TownState) -> None:
    said = {"text": "First.", "said_by": "Council", "said_on": "2026-03-16"}
    town = make_town(
        departments=[{"id": "police", "name": "Police", "handles": ["cji"]}, {"id": "library", "name": "Library"}],
        systems=[{"id": "cad", "name": "Dispatch", "criticality": 5}, {"id": "opac", "name": "Opac", "criticality": 1}],
        priorities=[
            {"id": "restores", "tags": ["backup"], "weight": 1.5} | said,
            {"id": "library-can-wait", "departments": ["library"], "weight": 0.5} | said,
        ],
    )
    groups = {
        "system_cad": ["cad1"],
        "system_opac": ["opac1"],
        "dept_police": ["cad1"],
        "dept_library": ["opac1", "pc1"],
    }
    there = estate("cad1", "opac1", "pc1", "free1", town=town, groups=groups)
    ranked = rank(there, [judged("telnet", one) for one in ("opac1", "pc1", "free1", "cad1")])
    assert names(ranked) == ["telnet cad1", "telnet free1", "telnet pc1", "telnet opac1"]
    assert ranked[1].inputs.criticality is None
    assert ranked[3].inputs.weight == 0.5 and ranked[3].inputs.priorities == ("library-can-wait",)
    assert rank(there, [judged("recovery-no-backup", "free1")])[0].inputs.weight == 1.5
    of_system = rank(there, [judged("recovery-time", "cad", kind="system")])[0]
    assert of_system.inputs.criticality == 5


def test_cji_has_its_own_deadline_and_may_have_where_the_inventory_can_not_be_read(
    make_town: MakeTown, state: TownState
) -> None:
    town = make_town(departments=[{"id": "police", "name": "Police", "handles": ["cji"]}])
    finding = package("CVE-2026-1000", "cad1", severity="critical")
    (one,) = rank(
        estate("cad1", town=town, groups={"dept_police": ["cad1"], "internal": ["cad1"]}), [finding], since=16
    )
    assert one.due is not None and one.due.rule == "CJIS 6.0" and one.overdue
    (one,) = rank(estate("cad1", town=town, groups=None), [finding], since=16)
    assert one.due is not None and one.due.due is None and one.due.earliest is not None and one.due.earliest < TODAY


def test_an_advisory_without_a_cve_is_not_known_to_be_harmless(feeds: None) -> None:
    (one,) = rank(estate("web1", body=OPEN, groups={}), [judged("vulnerable-acme", cves=("DSA-5678-1",))])
    assert one.inputs.exploited is None and one.due is not None and one.due.earliest is not None


VALUE = st.sampled_from(["found", "unknown"])
FINDING = st.builds(
    lambda at, about, state, severity, cve: judged(
        f"finding-{at}", about, state=state, severity=severity, cves=(f"CVE-2026-{cve}",) if cve else ()
    ),
    st.integers(0, 3),
    st.sampled_from(["web1", "web2"]),
    VALUE,
    st.sampled_from(["low", "medium", "high", "critical"]),
    st.sampled_from([0, 1000, 1001, 1002, 1003]),
)


@pytest.mark.usefixtures("feeds")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(FINDING, max_size=8), st.permutations(range(8)), st.integers(0, 100))
def test_it_is_one_order_and_worse_never_comes_later(findings: list[Judged], order: list[int], since: int) -> None:
    there = estate("web1", "web2", groups={"exposed": ["web1"]})
    ranked = rank(there, findings, since=since)
    shuffled = [findings[at] for at in order if at < len(findings)]
    assert [one.place for one in rank(there, shuffled, since=since)] == [one.place for one in ranked]
    assert json.dumps([one.judged.id for one in ranked])
    for one in ranked:
        if one.judged.severity != "critical" and one.judged.state == "found":
            worse = judged(one.judged.id, *one.judged.about, severity="critical", cves=one.judged.cves)
            assert rank(there, [worse], since=since)[0].place < one.place
        more = judged(
            one.judged.id,
            *one.judged.about,
            state=one.judged.state,
            severity=one.judged.severity,
            cves=(*one.judged.cves, "CVE-2026-1000"),
        )
        assert rank(there, [more], since=since)[0].place <= one.place
