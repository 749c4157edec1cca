"""What is recorded of findings, and what is different between two records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.assess.assessed import NOW, estate, judged

from civicops.assess.finding import Judged
from civicops.assess.ranking import Ranking
from civicops.assess.recorded import NOTHING, Recorded, as_body, changes, each, read_recorded
from civicops.assess.waived import Weighed
from civicops.ledger.documents import check_body

DAY = timedelta(days=1)
TODAY = NOW.date()


@pytest.fixture(autouse=True, scope="module")
def _no_feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVICOPS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


def record(findings: Iterable[Judged], before: Recorded = NOTHING, today: date = TODAY) -> Recorded:
    """Recorded on a day, as it is read again."""
    ranked = Ranking(estate("web1", "web2", groups={}), lambda one: before.seen(one, today)).rank(
        map(Weighed, findings)
    )
    body = as_body(ranked, before, today, systems={"cad": ["web1"]})
    check_body("findings", 1, body)
    return read_recorded("run-1", "2026-11-30T12:00:00Z", body)


def openssl(*cves: str, about: str = "web1") -> Judged:
    return judged("vulnerable-openssl", about, cves=cves, package="openssl")


def test_a_finding_and_each_cve_of_it_have_a_first_day() -> None:
    first = record([openssl("CVE-2026-1001")], today=TODAY - 9 * DAY)
    second = record([openssl("CVE-2026-1001", "CVE-2026-1002")], first)
    ((_, row),) = each(second.rows)
    assert row.since == TODAY - 9 * DAY
    assert row.cves == {"CVE-2026-1001": TODAY - 9 * DAY, "CVE-2026-1002": TODAY}
    assert second.seen(openssl("CVE-2026-1002"), TODAY + DAY) == {(TODAY - 9 * DAY, (TODAY,)): ["web1"]}
    assert second.systems == {"web1": ("cad",)}


def test_the_same_of_many_hosts_is_one_row_and_unchanged_it_is_the_same_body() -> None:
    findings = [openssl("CVE-2026-1001", about=about) for about in ("web1", "web2")]
    there = estate("web1", "web2", groups={})
    ranked = Ranking(there, lambda one: NOTHING.seen(one, TODAY)).rank(map(Weighed, findings))
    body = as_body(ranked, NOTHING, TODAY)
    assert [row["about"] for row in body["rows"]] == [["web1", "web2"]]
    again = as_body(reversed(ranked), read_recorded("run-1", "", body), TODAY + 5 * DAY)
    assert again == body


def test_no_deadline_begins_anew_while_nobody_could_look() -> None:
    first = record([openssl("CVE-2026-1001")], today=TODAY - 9 * DAY)
    blind = record([judged("vulnerable", state="unknown")], first, TODAY - 5 * DAY)
    assert {key[0]: row.state for key, row in each(blind.rows)} == {
        "vulnerable": "unknown",
        "vulnerable-openssl": "unknown",
    }
    again = record([openssl("CVE-2026-1001")], blind)
    assert again.seen(openssl("CVE-2026-1001"), TODAY) == {(TODAY - 9 * DAY, (TODAY - 9 * DAY,)): ["web1"]}
    gone = record([], first, TODAY - 5 * DAY)
    assert gone.rows == {}, "what was looked at and is not there any more is forgotten"


def different(before: Iterable[Judged], now: Iterable[Judged]) -> list[tuple[str, str, str]]:
    former = record(before, today=TODAY - DAY)
    told = changes(former.rows, record(now, former).rows, {"web1": None})
    return [(one.what, one.id, one.why) for one in told]


def test_what_is_different() -> None:
    telnet, worse = judged(), judged(severity="high")
    assert different([], [telnet]) == [("new", "telnet", "it was not found before")]
    assert different([telnet], []) == [("gone", "telnet", "it was found before, and is not there now")]
    assert different([telnet], [telnet]) == []
    assert different([telnet], [worse]) == [("worse", "telnet", "medium, now high")]
    assert different([worse], [telnet]) == [("better", "telnet", "high, now medium")]
    assert different([openssl("CVE-2026-1001")], [openssl("CVE-2026-1001", "CVE-2026-1002")]) == [
        ("worse", "vulnerable-openssl", "1 more: CVE-2026-1002")
    ]
    assert different([openssl("CVE-2026-1001", "CVE-2026-1002")], [openssl("CVE-2026-1001")]) == [
        ("better", "vulnerable-openssl", "1 fewer: CVE-2026-1002")
    ]
    assert different([judged("telnet", "old1")], []) == [("gone", "telnet", "it is not in the inventory any more")]


def test_what_is_not_known_now_is_never_gone() -> None:
    unseen = "it was found before, and is not known now"
    assert different([judged()], [judged(state="unknown")]) == [("unseen", "telnet", unseen)]
    blind = judged("vulnerable", state="unknown", severity="critical")
    assert different([openssl("CVE-2026-1001")], [blind]) == [
        ("unseen", "vulnerable-openssl", unseen),
        ("unsure", "vulnerable", "it is not known now"),
    ]
    assert different([judged(state="unknown")], [judged()]) == [("new", "telnet", "it was not known before")]
    assert different([judged(state="unknown")], []) == []


FINDINGS = st.dictionaries(
    st.tuples(
        st.sampled_from(["telnet", "vulnerable", "vulnerable-a", "vulnerable-b"]), st.sampled_from(["web1", "web2"])
    ),
    st.tuples(
        st.sampled_from(["found", "unknown", "fine"]),
        st.sampled_from(["low", "high"]),
        st.frozensets(st.sampled_from(["CVE-2026-1001", "CVE-2026-1002"])),
    ),
    max_size=6,
)


def made(told: dict[tuple[str, str], tuple[str, str, frozenset[str]]]) -> list[Judged]:
    return [
        judged(name, about, state=state, severity=severity, cves=tuple(sorted(cves)))
        for (name, about), (state, severity, cves) in told.items()
    ]


@settings(max_examples=50, deadline=None)
@given(FINDINGS, FINDINGS)
def test_nothing_changes_without_a_word(before: Any, now: Any) -> None:
    former = record(made(before), today=TODAY - DAY)
    there = record(made(now), former)
    told = changes(former.rows, there.rows)
    assert len({one[:3] for one in told}) == len(told), "each is told once"
    before_rows, now_rows = dict(each(former.rows)), dict(each(there.rows))
    found_before = {key for key, row in before_rows.items() if row.state == "found"}
    found_now = {key for key, row in now_rows.items() if row.state == "found"}
    assert {one[:3] for one in told if one.what == "new"} == {
        (key[0], key[1], key[2]) for key in found_now - found_before
    }
    left = {one[:3]: one.what for one in told if one.what in ("gone", "unseen")}
    assert set(left) == found_before - found_now
    for (name, _, about), what in left.items():
        blind = any(
            one.state == "unknown" and one.about == (about,) and (name == one.id or name.startswith(one.id + "-"))
            for one in made(now)
        )
        assert what == ("unseen" if blind else "gone")
    assert changes(there.rows, there.rows) == []
    for key, row in now_rows.items():
        if key in before_rows:
            assert row.since == before_rows[key].since
