"""The gate's verdicts, rule by rule: who is opened, and what the others are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicops.calendar import Answer, Span
from civicops.gate.decide import Allowed, Question, Verdict, decide
from civicops.gate.need import Need
from civicops.gate.rings import RINGS, ordered, partners
from civicops.ledger.claims import GRACE, WHOLE_TOWN, Claim
from civicops.moments import stamp
from civicops.town.model import Halt

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
END = NOW + timedelta(hours=2)
NEXT = Span(NOW + timedelta(days=7), NOW + timedelta(days=7, hours=4))
OPEN = Answer(True, until=END, window="night", windows=("night",))
CLOSED = Answer(False, reason="no window for wait is open", next=NEXT)
FROZEN = Answer(False, reason="frozen by council (council)", freeze="council", next=NEXT)
SHORT = Need(600.0, 60.0, "job's default")

GROUPS: dict[str, list[str]] = {
    "all": ["can1", "can2", "ear1", "bro1", "bro2", "bro3", "las1", "scada"],
    "ring_canary": ["can1", "can2"],
    "ring_early": ["ear1"],
    "ring_last": ["las1"],
    "pair_web": ["bro1", "bro2"],
    "observe_only": ["scada"],
}


def claim(host: str, outcome: str | None = "done", *, run: str = "r1", ago: float = 1, **more: Any) -> Claim:
    opened = NOW - timedelta(hours=ago)
    until = more.pop("until", END)
    return Claim(
        host=host,
        run=run,
        job=more.pop("job", "wait"),
        window="night",
        opened_at=stamp(opened),
        until=stamp(until),
        expires_at=stamp(until + GRACE),
        settled_at=None if outcome is None else stamp(opened + timedelta(minutes=10)),
        outcome=outcome,
    )


CANARIES = [claim("can1"), claim("can2")]


def ask(*hosts: str, groups: Mapping[str, Collection[str]] = GROUPS, **more: Any) -> dict[str, Verdict]:
    claims = more.pop("claims", CANARIES)
    question = Question(
        town="riverton",
        run="r1",
        job="wait",
        now=NOW,
        hosts=hosts,
        groups=groups,
        halt=more.pop("halt", Halt()),
        claims=claims,
        live=more.pop("live", [one for one in claims if one.live(NOW)]),
        calendar=more.pop("calendar", lambda _host: OPEN),
        need=more.pop("need", lambda _host: SHORT),
        **more,
    )
    return decide(question)


def codes(*hosts: str, **more: Any) -> list[str]:
    return [verdict.code for verdict in ask(*hosts, **more).values()]


def test_a_host_in_its_window_is_opened_until_the_windows_end() -> None:
    verdict = ask("can1", claims=[])["can1"]
    assert (verdict.opens, verdict.may_start, verdict.until, verdict.window) == (True, True, END, "night")
    assert verdict.ring == "canary"


def test_out_of_the_window_and_in_a_freeze_it_is_told_why_and_when_next() -> None:
    closed = ask("can1", claims=[], calendar=lambda _host: CLOSED)["can1"]
    assert (closed.code, closed.next, closed.reason) == ("window", NEXT, "no window for wait is open")
    frozen = ask("can1", claims=[], calendar=lambda _host: FROZEN)["can1"]
    assert (frozen.code, frozen.freeze) == ("frozen", "council")


def test_what_is_observed_only_is_never_opened_not_even_by_override() -> None:
    for override in (lambda _h, _a: None, lambda _h, _a: Allowed(END, "override")):
        assert codes("scada", override=override) == ["observe_only"]


def test_a_host_that_the_inventory_does_not_know_is_not_opened() -> None:
    assert codes("stranger") == ["observe_only"]


def test_an_override_opens_out_of_the_window_but_past_no_halt() -> None:
    override = lambda _host, _answer: Allowed(END, "override")  # noqa: E731
    shut = {"calendar": lambda _host: FROZEN, "override": override}
    assert codes("bro3", **shut) == ["open"]
    harmed = [claim("can1"), claim("can2", "failed")]
    assert codes("bro3", claims=harmed, **shut) == ["halt"]


def test_a_later_ring_waits_for_a_canary_that_was_done_well() -> None:
    assert codes("ear1", claims=[]) == ["canary"]
    assert codes("ear1", claims=[claim("can1", None)]) == ["canary"]
    assert codes("ear1", claims=[claim("can1")]) == ["open"], "one will do"
    assert codes("ear1", claims=[claim("can1", run="r0", ago=24)]) == ["open"], "last night's too"
    assert codes("ear1", claims=[claim("can1", "refused")]) == ["canary"], "nothing was done there"


def test_a_town_without_canaries_needs_none() -> None:
    groups = {"all": ["a", "b"], "ring_last": ["b"]}
    assert codes("a", groups=groups, claims=[]) == ["open"]
    assert codes("b", groups=groups, claims=[]) == ["open"]


def test_hosts_of_several_rings_in_one_batch_come_one_ring_after_the_other() -> None:
    """An engineer's own play may have a whole town in one batch, its canaries proven last week."""
    proven = [claim("can1", run="r0", ago=24)]
    verdicts = ask("bro3", "can2", "ear1", claims=proven)
    assert [verdict.code for verdict in verdicts.values()] == ["ring", "open", "ring"]
    assert verdicts["bro3"].reason == "the ring canary is being worked on (can2): this one comes after it"
    assert codes("ear1", claims=[*proven, claim("can2", None)]) == ["ring"], "opened by an earlier batch"
    assert codes("ear1", claims=[claim("can1"), claim("can2")]) == ["open"]
    assert codes("bro3", "bro2", claims=proven) == ["open", "open"]


@pytest.mark.parametrize("outcome", ["failed", "unreachable", "overrun", "probe_failed", "interrupted", "rolled_back"])
def test_harm_in_the_ring_before_halts_the_night(outcome: str) -> None:
    verdict = ask("bro1", claims=[claim("can1"), claim("can2", outcome)])["bro1"]
    assert verdict.code == "halt"
    assert "1 of 2 hosts of the ring canary came to harm (can2), 0 allowed" in verdict.reason


def test_work_that_has_not_ended_by_its_end_is_harm() -> None:
    late = claim("can2", None, until=NOW - timedelta(minutes=1))
    assert codes("ear1", claims=[claim("can1"), late]) == ["halt"]


def test_the_newest_word_about_a_host_counts() -> None:
    healed = [claim("can1", "failed", run="r0", ago=20), claim("can1"), claim("can2")]
    assert codes("ear1", claims=healed) == ["open"]


def test_the_limit_of_a_ring_and_of_the_town() -> None:
    many = [f"b{number:02}" for number in range(40)]
    groups = {"all": [*many, "c"], "ring_canary": ["c"]}
    harmed = [claim("c"), *(claim(host, "failed") for host in many[:4])]
    assert codes(many[30], groups=groups, claims=harmed, halt=Halt(ring=10, town=100)) == ["open"], "4 of 40"
    assert codes(many[30], groups=groups, claims=harmed, halt=Halt(ring=9, town=100)) == ["halt"]
    assert codes(many[30], groups=groups, claims=harmed, halt=Halt(ring=100, town=5)) == ["halt"], "2 of 41"
    assert codes(many[30], groups=groups, claims=harmed[:3], halt=Halt(ring=100, town=5)) == ["open"]


def test_never_two_of_a_pair_and_the_second_gets_its_turn() -> None:
    first = ask("bro1", "bro2", "bro3")
    assert [verdict.code for verdict in first.values()] == ["open", "pair", "open"]
    second = [*CANARIES, claim("bro1"), claim("bro3")]
    assert codes("bro1", "bro2", "bro3", claims=second) == ["settled", "open", "settled"]


def test_a_pair_partner_that_another_run_works_on_is_busy() -> None:
    other = claim("bro1", None, run="r2", job="baseline")
    assert codes("bro2", live=[other]) == ["pair"]


def test_when_one_of_a_pair_came_to_harm_the_other_is_left_alone() -> None:
    groups = GROUPS | {"all": [*GROUPS["all"], *(f"x{number}" for number in range(60))]}
    verdict = ask("bro2", groups=groups, claims=[*CANARIES, claim("bro1", "failed")])["bro2"]
    assert (verdict.code, "bro1 came to harm" in verdict.reason) == ("pair", True)


def test_a_host_that_another_run_works_on_is_left_alone() -> None:
    verdict = ask("bro3", live=[claim("bro3", None, run="r2", job="baseline")])["bro3"]
    assert (verdict.code, "baseline works on it already: r2" in verdict.reason) == ("claimed", True)


def test_a_job_runs_once_in_a_town() -> None:
    lock = claim(WHOLE_TOWN, None, run="r2")
    assert codes("can1", "bro3", live=[lock]) == ["locked", "locked"]
    another = claim(WHOLE_TOWN, None, run="r2", job="baseline")
    assert codes("can1", claims=[], live=[another]) == ["open"], "another job"
    assert codes("bro3", live=[claim(WHOLE_TOWN, None)]) == ["open"], "its own"


def test_a_cancelled_run_opens_nothing_more() -> None:
    assert codes("can1", "bro1", cancelled=True) == ["cancelled", "cancelled"]


def test_too_little_time_is_told_with_what_it_is_measured_by() -> None:
    verdict = ask("bro3", need=lambda _host: Need(7000, 600, "host's own history (12 runs)"))["bro3"]
    assert verdict.code == "late"
    assert "120 min are left" in verdict.reason and "host's own history (12 runs)" in verdict.reason
    assert codes("bro3", need=lambda _host: Need(6600, 600, "")) == ["open"], "to the second"


def test_what_the_run_began_before_it_died_is_adopted() -> None:
    mine = claim("bro3", None)
    verdict = ask("bro3", claims=[*CANARIES, mine])["bro3"]
    assert (verdict.code, verdict.claim) == ("open", mine)
    closed = ask("bro3", claims=[*CANARIES, mine], calendar=lambda _host: CLOSED)["bro3"]
    assert (closed.code, closed.opens, closed.may_start) == ("adopt", True, False)


def test_an_approval_that_is_wanted_and_missing() -> None:
    verdict = ask("bro3", approved=lambda _host, _answer: False)["bro3"]
    assert (verdict.code, "civicops run wait riverton --plan" in verdict.reason) == ("approval", True)


def test_a_host_in_several_rings_is_in_the_one_that_asks_for_it_first() -> None:
    order = ordered({"all": ["a"], "ring_canary": ["a"], "ring_last": ["a"]})
    assert order.of == {"a": "canary"}


OUTCOMES = st.sampled_from(["done", "failed", "unreachable", "overrun", None])


@st.composite
def nights(draw: st.DrawFn) -> dict[str, Any]:
    hosts = [f"h{number}" for number in range(draw(st.integers(1, 12)))]
    groups: dict[str, list[str]] = {"all": hosts, "observe_only": draw(st.lists(st.sampled_from(hosts), max_size=2))}
    for ring in RINGS:
        groups[f"ring_{ring}"] = draw(st.lists(st.sampled_from(hosts), max_size=4))
    for number in range(draw(st.integers(0, 2))):
        groups[f"pair_{number}"] = draw(st.lists(st.sampled_from(hosts), max_size=3, unique=True))
    runs = st.sampled_from(["r1", "r2"])
    claims = [
        claim(host, outcome, run=run, ago=draw(st.floats(0.5, 100)))
        for host, outcome, run in draw(st.lists(st.tuples(st.sampled_from(hosts), OUTCOMES, runs), max_size=8))
    ]
    batch = draw(st.lists(st.sampled_from(hosts), min_size=1, unique=True))
    answers = {host: draw(st.sampled_from([OPEN, CLOSED, FROZEN])) for host in hosts}
    return {"batch": batch, "groups": groups, "claims": claims, "answers": answers}


@given(nights())
def test_whatever_the_night_the_rules_hold(night: dict[str, Any]) -> None:
    groups, claims, answers = night["groups"], night["claims"], night["answers"]
    verdicts = ask(*night["batch"], groups=groups, claims=claims, calendar=answers.__getitem__)
    assert list(verdicts) == night["batch"]
    opened = {host for host, verdict in verdicts.items() if verdict.may_start}
    live = {one.host for one in claims if one.live(NOW)}
    order = ordered(groups)
    assert len({order.of[host] for host in opened - live}) <= 1, "one ring after the other"
    for host in opened:
        assert host not in groups["observe_only"]
        assert answers[host].allowed
        assert not partners(host, groups) & (opened | live)
        assert not [one for one in claims if one.host == host and one.live(NOW) and one.run != "r1"]
        assert not [one for one in claims if one.host == host and one.run == "r1" and one.settled_at]
    for verdict in verdicts.values():
        assert verdict.reason
        assert verdict.opens == (verdict.until is not None)
