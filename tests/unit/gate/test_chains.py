"""Who is worked on before whom: what a host needs comes first, and whatever the groups are, everybody gets a turn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.test_decide import CLOSED, NOW, OPEN, SHORT, claim

from civicops.calendar import Answer
from civicops.gate.chains import Chains
from civicops.gate.decide import Question, Verdict, decide
from civicops.gate.need import Need
from civicops.gate.rings import RINGS, ordered, partners
from civicops.ledger.claims import Claim
from civicops.town.model import Halt

NEEDS = {"app": ["db"], "db": ["san"]}
GROUPS: dict[str, list[str]] = {
    "all": ["app1", "app2", "db1", "san1", "pc1"],
    "system_app": ["app1", "app2"],
    "system_db": ["db1"],
    "system_san": ["san1"],
}


def chains(groups: Mapping[str, Collection[str]], needs: Mapping[str, Collection[str]] = NEEDS) -> Chains:
    return Chains(needs, groups, ordered(groups))


def ask(*hosts: str, groups: Mapping[str, Collection[str]] = GROUPS, **more: Any) -> dict[str, Verdict]:
    claims: list[Claim] = more.pop("claims", [])
    return decide(
        Question(
            town="riverton",
            run="r1",
            job="wait",
            now=more.pop("now", NOW),
            hosts=hosts,
            groups=groups,
            halt=more.pop("halt", Halt(ring=100, town=100)),
            claims=claims,
            live=more.pop("live", [one for one in claims if one.live(NOW)]),
            calendar=more.pop("calendar", lambda _host: OPEN),
            need=more.pop("need", lambda _host: SHORT),
            before=chains(groups, more.pop("needs", NEEDS)).before,
            **more,
        )
    )


def codes(*hosts: str, **more: Any) -> list[str]:
    return [verdict.code for verdict in ask(*hosts, **more).values()]


def test_what_a_needed_system_needs_comes_before_both() -> None:
    found = chains(GROUPS)
    assert found.before("app1") == {"db1", "san1"}
    assert found.before("db1") == {"san1"}
    assert found.before("san1") == found.before("pc1") == frozenset()
    without_the_middle = GROUPS | {"all": ["app1", "san1"], "system_db": []}
    assert chains(without_the_middle).before("app1") == {"san1"}


def test_another_ring_keeps_nobody_waiting() -> None:
    groups = GROUPS | {"ring_last": ["db1"]}
    assert chains(groups).before("app1") == {"san1"}
    assert chains(GROUPS | {"observe_only": ["db1", "san1"]}).before("app1") == frozenset()


def test_hosts_that_need_each_other_round_about_wait_for_none() -> None:
    groups = {"all": ["a", "b"], "system_app": ["a"], "system_san": ["a"], "system_db": ["b"]}
    found = chains(groups)
    assert (found.before("a"), found.before("b")) == (frozenset(), frozenset())
    assert list(found.circles()) == [{"a", "b"}]
    assert codes("a", "b", groups=groups) == ["open", "open"]
    assert list(chains(GROUPS).circles()) == []


def test_one_machine_with_a_system_and_what_it_needs() -> None:
    groups = {"all": ["one", "app1"], "system_app": ["one", "app1"], "system_db": ["one"]}
    assert chains(groups).before("app1") == {"one"}
    assert chains(groups).before("one") == frozenset()


def test_the_needed_hosts_are_opened_first_whatever_the_order_of_the_batch() -> None:
    verdicts = ask("app1", "db1", "san1", "pc1")
    assert [one.code for one in verdicts.values()] == ["order", "order", "open", "open"]
    assert verdicts["app1"].reason == "san1, which it needs, is being worked on"
    assert ask("app1")["app1"].reason == "db1, san1, which it needs, comes first", "in another batch of the pass"


def test_each_pass_opens_the_next() -> None:
    done = [claim("san1"), claim("pc1")]
    assert codes("app1", "app2", "db1", claims=done) == ["order", "order", "open"]
    assert codes("app1", "app2", claims=[*done, claim("db1")]) == ["open", "open"]


@pytest.mark.parametrize("outcome", ["failed", "rolled_back", "unreachable", "overrun", "interrupted"])
def test_when_a_needed_host_came_to_harm_the_others_are_left_alone(outcome: str) -> None:
    verdict = ask("app1", claims=[claim("db1", outcome), claim("san1")])["app1"]
    assert (verdict.code, verdict.reason) == ("order", "db1, which it needs, came to harm in this run")
    last_night = [claim("db1", outcome, run="r0", ago=24), claim("san1")]
    assert codes("app1", claims=last_night) == ["order"], "it is tried again first"
    assert codes("app1", claims=last_night, coming=["app1"]) == ["open"], "and nothing but this run counts"


@pytest.mark.parametrize("outcome", ["refused", "blocked"])
def test_a_needed_host_that_was_left_untouched_does_not_stand_in_the_way(outcome: str) -> None:
    assert codes("app1", claims=[claim("db1", outcome), claim("san1")]) == ["open"]


def test_a_needed_host_that_is_not_to_be_worked_on_tonight_does_not_stand_in_the_way() -> None:
    done = [claim("san1")]

    def closed(host: str) -> Answer:
        return CLOSED if host == "db1" else OPEN

    def long(host: str) -> Need:
        return Need(99999.0, 0.0, "") if host == "db1" else SHORT

    assert codes("app1", claims=done, calendar=closed) == ["open"]
    assert codes("app1", claims=done, need=long) == ["open"], "too late for it"
    assert codes("app1", claims=done, coming=["app1", "app2", "san1"]) == ["open"], "outside of --limit"
    assert codes("app1", claims=done, approved=lambda host, _answer: host != "db1") == ["open"]
    assert codes("app1", claims=done, coming=["app1", "db1"]) == ["order"]


def test_a_needed_host_that_another_run_works_on_is_waited_for() -> None:
    other = claim("db1", None, run="r2", job="baseline")
    assert codes("app1", claims=[claim("san1")], live=[other]) == ["order"]


def test_a_needed_host_whose_partner_is_busy_is_waited_for_and_not_if_it_never_comes() -> None:
    groups = GROUPS | {"all": [*GROUPS["all"], "db2"], "system_db": ["db1", "db2"], "pair_db": ["db1", "db2"]}
    at_work = [claim("san1"), claim("db1", None)]
    assert codes("db2", "app1", groups=groups, claims=at_work) == ["pair", "order"]
    assert codes("db2", "app1", groups=groups, claims=[claim("san1"), claim("db1")]) == ["open", "order"]


def test_what_is_adopted_begins_nothing_before_what_it_needs() -> None:
    verdict = ask("app1", claims=[claim("san1"), claim("app1", None)])["app1"]
    assert (verdict.code, verdict.may_start) == ("adopt", False)


# --- soak and somebody's yes ---

RINGED: dict[str, list[str]] = {"all": ["c1", "e1", "b1"], "ring_canary": ["c1"], "ring_early": ["e1"]}
HALF = timedelta(minutes=30)


def test_a_ring_waits_until_the_former_was_watched() -> None:
    done = claim("c1", ago=0.5)  # settled ten minutes after it was opened: twenty minutes ago
    verdict = ask("e1", groups=RINGED, claims=[done], soak=HALF)["e1"]
    assert (verdict.code, verdict.opens, verdict.waits) == ("soak", False, NOW + timedelta(minutes=10))
    later = {"now": NOW + timedelta(minutes=10), "groups": RINGED, "claims": [done], "soak": HALF}
    assert codes("e1", **later) == ["open"]
    assert codes("c1", groups=RINGED, claims=[], soak=HALF) == ["open"], "nothing came before"
    assert codes("e1", groups=RINGED, claims=[claim("c1", run="r0", ago=0.5)], soak=HALF) == ["open"], "another run's"
    untouched = [claim("c1", "blocked", ago=0.5), claim("c1", run="r0", ago=24)]
    assert codes("e1", groups=RINGED, claims=untouched, soak=HALF) == ["open"], "nothing to watch"


def test_a_ring_that_would_be_too_late_after_it_does_not_wait() -> None:
    done = claim("c1", ago=0.5)
    verdict = ask("e1", groups=RINGED, claims=[done], soak=timedelta(hours=2, minutes=15))["e1"]
    assert (verdict.code, verdict.waits) == ("late", None), "the window ends in two hours"
    assert "watched until 2026-11-24 03:55Z; 5 min are left after that" in verdict.reason


def test_a_ring_that_wants_a_yes_waits_as_long_as_it_could_begin() -> None:
    asked: dict[str, Any] = {"groups": RINGED, "claims": [claim("c1")], "unapproved": {"early"}}
    verdict = ask("e1", **asked)["e1"]
    assert (verdict.code, verdict.opens) == ("ring_approval", False)
    assert "civicops runs riverton approve r1 --ring early --by NAME" in verdict.reason
    assert verdict.waits == NOW + timedelta(hours=2) - timedelta(seconds=SHORT.seconds + SHORT.reserve)
    over = ask("e1", now=verdict.waits, **asked)["e1"]
    assert (over.code, over.waits) == ("ring_approval", None)
    assert codes("e1", groups=RINGED, claims=[claim("c1")], unapproved={"broad"}) == ["open"]
    assert codes("e1", groups=RINGED, claims=[claim("c1", "failed")], unapproved={"early"}) == ["canary"]


def test_a_halted_ring_asks_nobody() -> None:
    harmed = [claim("c1", "failed"), claim("c1", run="r0", ago=24)]
    assert codes("e1", groups=RINGED, claims=harmed, unapproved={"early"}, halt=Halt()) == ["halt"]


def test_work_that_is_taken_back_wants_no_canary() -> None:
    assert codes("b1", groups=RINGED, claims=[]) == ["canary"]
    assert codes("b1", "c1", groups=RINGED, claims=[], in_turn=False) == ["open", "open"], "and no turns"


@st.composite
def towns(draw: st.DrawFn) -> dict[str, Any]:
    hosts = [f"h{number}" for number in range(draw(st.integers(1, 10)))]
    some = st.lists(st.sampled_from(hosts), max_size=5, unique=True)
    systems = ["s0", "s1", "s2", "s3"]
    needs = {one: draw(st.lists(st.sampled_from(systems), max_size=2, unique=True)) for one in systems}
    groups: dict[str, list[str]] = {"all": hosts, "observe_only": draw(st.lists(st.sampled_from(hosts), max_size=1))}
    groups |= {f"ring_{ring}": draw(some) for ring in RINGS}
    groups |= {f"system_{one}": draw(some) for one in systems}
    groups |= {"pair_0": draw(st.lists(st.sampled_from(hosts), max_size=2, unique=True))}
    answers = {host: draw(st.sampled_from([OPEN, OPEN, CLOSED])) for host in hosts}
    outcomes = {host: draw(st.sampled_from(["done", "done", "blocked", "failed"])) for host in hosts}
    return {
        "groups": groups,
        "needs": needs,
        "answers": answers,
        "outcomes": outcomes,
        "batch": draw(st.integers(1, 4)),
        "coming": draw(st.none() | some),
    }


@given(towns())
def test_whatever_needs_what_nobody_is_begun_too_early_and_everybody_gets_a_turn(town: dict[str, Any]) -> None:
    """A night in batches, with passes enough: at its end nobody waits for somebody who never comes."""
    groups, needs, answers, coming = town["groups"], town["needs"], town["answers"], town["coming"]
    order, found = ordered(groups), chains(groups, needs)
    claims: list[Claim] = []
    last: dict[str, Verdict] = {}
    for ring in RINGS:
        members = sorted(host for host in order.rings[ring] if coming is None or host in coming)
        for _pass in range(len(members) + 1):
            for first in range(0, len(members), town["batch"]):
                batch = members[first : first + town["batch"]]
                last |= ask(
                    *batch,
                    groups=groups,
                    needs=needs,
                    claims=claims,
                    calendar=answers.__getitem__,
                    coming=None if coming is None else members,
                    in_turn=False,
                )
                opened = [host for host in batch if last[host].may_start]
                settled = {one.host: one.outcome for one in claims}
                for host in opened:
                    assert not found.before(host) & set(opened)
                    assert all(settled.get(one) != "failed" for one in found.before(host))
                    for one in found.before(host) - set(settled):
                        assert answers[one] is CLOSED or one not in members or last[one].code in ("pair", "order")
                claims += [replace(claim(host), outcome=town["outcomes"][host]) for host in opened]
    harmed = {one.host for one in claims if one.outcome == "failed"}
    for host, verdict in last.items():
        assert verdict.code in ("settled", "window", "order", "pair", "halt")
        if verdict.code == "order":
            assert harmed & found.before(host), "it waits for nobody who could still come"
        if verdict.code == "pair":
            assert harmed & partners(host, groups)
