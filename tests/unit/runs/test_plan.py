"""Plans and approvals: an approval is of one plan, and of no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.towns import MakeTown

from civicops.gate.opening import Ask, ask
from civicops.jobs import JOBS
from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify
from civicops.runs.journal import drop_planned, read_plan, read_run
from civicops.runs.plan import approve, begin, next_opening, plan_run
from civicops.runs.start import PlanChangedError, RunError, RunRequest
from civicops.state import TownState
from civicops.town import Town

WAIT = JOBS["wait"]
NIGHT: dict[str, Any] = {"id": "night", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "22:00", "duration": "4h"}
START = datetime(2026, 11, 23, 22, tzinfo=UTC)
GROUPS = {"all": ["web1", "web2"]}


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town(maintenance={"windows": [NIGHT | {"approval": "required"}]})


def add_host(town: Town, name: str) -> None:
    hosts = json.loads((town.directory / "hosts.yml").read_text())
    hosts["all"]["hosts"][name] = None
    (town.directory / "hosts.yml").write_text(json.dumps(hosts))


def planned(town: Town, state: TownState) -> str:
    window, _ = next_opening(town, WAIT, START)
    return plan_run(town, state, WAIT, window=window, starts_at=START).run


def test_a_plan_waits_and_says_what_would_be_done(town: Town, state: TownState) -> None:
    run = planned(town, state)
    assert read_run(state, run).state == "planned"
    plan = read_plan(state, run)
    assert plan is not None
    assert plan["hosts"]["web1"] == {"ring": "broad", "changes": ["waits, and changes nothing"]}
    with pytest.raises(PlanChangedError, match="not approved"):
        begin(RunRequest(town=town, job=WAIT), state, run)


def test_what_was_approved_opens_the_gate_for_its_hosts_alone(town: Town, state: TownState) -> None:
    run = planned(town, state)
    asked = Ask(job=WAIT, run=run, hosts=["web1", "web2"], groups=GROUPS)
    assert {verdict.code for verdict in ask(town, state, asked, START).values()} == {"approval"}
    approve(town, state, run, by="Ann Manager")
    more = Ask(job=WAIT, run=run, hosts=["web1", "web3"], groups={"all": ["web1", "web2", "web3"]})
    assert {host: one.code for host, one in ask(town, state, more, START).items()} == {
        "web1": "open",
        "web3": "approval",
    }
    other = Ask(job=WAIT, run="another", hosts=["web2"], groups=GROUPS)
    assert {verdict.code for verdict in ask(town, state, other, START).values()} <= {"approval", "locked"}
    with Ledger("riverton", state=state) as ledger:
        assert verify(ledger).good
        kinds = [entry.kind for entry in ledger.of_run(run)]
    assert kinds[:1] == ["plan"] and "approval" in kinds


def test_an_approval_is_for_one_opening(town: Town, state: TownState, make_town: MakeTown) -> None:
    run = planned(town, state)
    approve(town, state, run, by="Ann Manager")
    asked = Ask(job=WAIT, run=run, hosts=["web1"], groups=GROUPS)
    assert ask(town, state, asked, START + timedelta(days=7))["web1"].code == "approval", "resumed a week later"
    other = NIGHT | {"id": "another", "approval": "required"}
    town = make_town(maintenance={"windows": [other]})
    assert ask(town, state, asked, START)["web1"].code == "approval", "in another window"


def test_a_plan_that_has_changed_is_not_the_one_that_was_read(town: Town, state: TownState) -> None:
    run = planned(town, state)
    add_host(town, "web3")
    with pytest.raises(PlanChangedError):
        approve(town, state, run, by="Ann Manager")
    assert "web3" in (read_plan(state, run) or {})["hosts"], "the new one can be read now"
    approve(town, state, run, by="Ann Manager")
    add_host(town, "web4")
    with pytest.raises(PlanChangedError):
        begin(RunRequest(town=town, job=WAIT), state, run)
    asked = Ask(job=WAIT, run=run, hosts=["web1"], groups=GROUPS)
    assert ask(town, state, asked, START)["web1"].code == "approval", "its approval is void"


def test_another_plans_hash_approves_nothing(town: Town, state: TownState) -> None:
    run = planned(town, state)
    with pytest.raises(PlanChangedError):
        approve(town, state, run, by="Ann Manager", sha256="0" * 12)
    with pytest.raises(RunError, match="--by"):
        approve(town, state, run, by=" ")


def test_what_has_ended_or_never_was_planned_is_not_approved(town: Town, state: TownState) -> None:
    run = planned(town, state)
    drop_planned(state, run, ended_at="2026-11-23T23:00:00Z", exit_status=4, message="cancelled before it began")
    with pytest.raises(RunError, match="cancelled"):
        approve(town, state, run, by="Ann Manager")


def test_a_town_whose_windows_want_no_approval_has_nothing_to_plan(make_town: MakeTown) -> None:
    with pytest.raises(RunError, match="wants an approval"):
        next_opening(make_town(maintenance={"windows": [NIGHT]}), WAIT, START)
