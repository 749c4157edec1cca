"""Everyday nights through `civicops`: who is put off and why, rings that halt, approvals, cancelling, going on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN, Done
from tests.hosts.host import Host
from tests.hosts.nights import ask_ledger, begun, forgotten, maintenance, told, untouched, window
from tests.hosts.test_checkup import NOWHERE, page, wait_for
from tests.hosts.town import Spec, Town

CANARY = Spec("bullseye", groups=("ring_canary",))
PEOPLE = {"contacts": [{"role": "clerk", "name": "Ann Clerk", "email": "ann@example.org"}]}


class MakeNight:
    """`night({"bullseye": CANARY})`: a town of these of the shared hosts, in a window that is open now."""

    def __init__(self, make_town: MakeTown, shared: Mapping[str, Host]) -> None:
        self._make, self._shared = make_town, shared
        self.towns: list[Town] = []

    def __call__(
        self, specs: dict[str, Spec], *windows: dict[str, Any], seconds: int = 1, freezes: list[Any] | None = None
    ) -> Town:
        file = maintenance(*(windows or (window(),)), freezes=freezes or []) | PEOPLE
        hosts = {name: self._shared[name] for name in specs}
        town = self._make("demo", specs, use=hosts, timezone="UTC", town=file, vars={"wait_seconds": seconds})
        self.towns.append(town)
        return town


@pytest.fixture
def night(make_town: MakeTown, shared_hosts: dict[str, Host]) -> Iterator[MakeNight]:
    made = MakeNight(make_town, shared_hosts)
    try:
        yield made
    finally:
        for town in made.towns:
            with forgotten(town):
                pass


def run(town: Town, *more: str, job: str = "wait") -> dict[str, Any]:
    return told(town.controller.civicops("run", job, town.name, "--json", *more))


def runs(town: Town) -> list[dict[str, Any]]:
    """The runs as `civicops runs` lists them, newest first."""
    found: list[dict[str, Any]] = json.loads(town.controller.civicops("runs", town.name, "--json").stdout)
    return found


def planned_runs(town: Town) -> list[str]:
    """The runs that wait for an approval, the one whose window opens first at the front."""
    waiting = [(one["order"]["window_start"], one["order"]["run"]) for one in runs(town) if one["state"] == "planned"]
    return [name for _start, name in sorted(waiting)]


def state_of(town: Town, name: str | None = None) -> tuple[str, str]:
    """A run's id and state; the newest one's where none is named."""
    found = [(one["order"]["run"], one["state"]) for one in runs(town)]
    return next((run, state) for run, state in found if name in (None, run))


def test_canary_first_then_a_pair_in_two_passes_and_a_check_beforehand(night: MakeNight) -> None:
    pair = Spec("bookworm", groups=("ring_early", "pair_web"))
    town = night({"bullseye": CANARY, "bookworm": pair, "trixie": Spec("trixie", groups=pair.groups)})
    rehearsed = run(town, "--check")
    assert rehearsed["hosts"]["bullseye"] == "ok"
    assert untouched(town)
    done = run(town)
    assert (done["exit_status"], set(done["hosts"].values())) == (0, {"changed"})
    assert begun(town) == {key: [done["run"]] for key in town.hosts}
    asked = [(one["host"], one["code"]) for one in ask_ledger(town, "gate") if one["run"] == done["run"]]
    assert asked[0] == ("bullseye", "open")
    assert sorted(asked[1:3]) in (
        [("bookworm", "open"), ("trixie", "pair")],
        [("bookworm", "pair"), ("trixie", "open")],
    )
    assert [code for _host, code in asked[3:]] == ["open"]
    waits = {one["host"]: (one["started_at"], one["ended_at"]) for one in ask_ledger(town, "wait") if not one["check"]}
    first, second = sorted((waits["bookworm"], waits["trixie"]))
    assert waits["bullseye"][1] <= first[0]
    assert first[1] <= second[0], "never both of a pair"


def test_put_off_by_a_freeze_and_who_may_override_it(night: MakeNight) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    freeze = {"id": "count", "kind": "election", "from": today, "to": tomorrow, "hosts": "bookworm"}
    ot = Spec("trixie", groups=("observe_only",))
    town = night(
        {"bullseye": CANARY, "bookworm": Spec("bookworm"), "trixie": ot}, freezes=[freeze | {"override_by": "clerk"}]
    )
    done = town.controller.civicops("run", "wait", "demo")
    assert done.returncode == 0, done.stderr
    assert "bookworm: deferred: frozen: " in done.stderr
    assert "; next 20" in done.stderr.partition("bookworm: deferred: ")[2].splitlines()[0]
    assert "trixie: deferred: observe_only: never changed" in done.stderr
    assert "done (1 changed, 2 deferred)" in done.stdout
    assert begun(town)["bookworm"] == begun(town)["trixie"] == []
    wrong = run(town, "--limit", "bookworm,trixie", "--override-window", "attacked", "--approver", "Bob Nobody")
    assert (wrong["exit_status"], set(wrong["hosts"].values()) - {"not_asked"}) == (3, {"deferred"})
    assert begun(town)["bookworm"] == []
    right = run(town, "--limit", "bookworm,trixie", "--override-window", "attacked", "--approver", "Ann Clerk")
    assert right["exit_status"] == 0
    assert begun(town) | {"bullseye": []} == {"bullseye": [], "bookworm": [right["run"]], "trixie": []}
    recorded = [one["override"] for one in ask_ledger(town, "gate") if one["run"] == right["run"]]
    assert {(one["reason"], one["approver"], one["user"]) for one in recorded} == {("attacked", "Ann Clerk", "root")}


def test_a_canary_that_fails_halts_the_night(night: MakeNight) -> None:
    bad = Spec("bullseye", groups=("ring_canary",), vars={"wait_outcome": "failed"})
    town = night({"bullseye": bad, "bookworm": Spec("bookworm"), "trixie": Spec("trixie", groups=("ring_last",))})
    done = town.controller.civicops("run", "wait", "demo")
    assert done.returncode == 1
    assert "failed (2 deferred, 1 failed): halted; " in done.stdout
    assert "trixie: deferred: halt: halted: 1 of 1 hosts of the ring canary came to harm (bullseye)" in done.stderr
    assert begun(town)["bookworm"] == begun(town)["trixie"] == []
    written = page(town.controller.civicops("report", "demo"))
    told_last = written[written.index("Work that was not done") :]
    for part in ("bullseye", "bookworm", "trixie", "the work ended with status 1", "1 of 1 hosts of the ring canary"):
        assert part in told_last


def test_a_whole_ring_that_is_unreachable_halts_the_night(night: MakeNight) -> None:
    away = Spec("bookworm", groups=("ring_early",), vars=NOWHERE.vars)
    town = night({"bullseye": CANARY, "bookworm": away, "trixie": Spec("trixie")})
    done = run(town)
    assert done["exit_status"] == 1
    assert done["halted"]
    assert done["hosts"] == {"bullseye": "changed", "bookworm": "unreachable", "trixie": "deferred"}
    assert begun(town)["trixie"] == []
    town.specs["bullseye"] = Spec("bullseye", groups=("ring_canary",), vars=NOWHERE.vars)
    town.specs["bookworm"] = Spec("bookworm", groups=("ring_early",))
    town.write()
    before = begun(town)
    again = run(town)
    assert (again["exit_status"], again["halted"]) == (1, True)
    assert again["hosts"] == {"bullseye": "unreachable", "bookworm": "deferred", "trixie": "deferred"}
    assert begun(town) == before


def look(town: Town) -> Done:
    return town.controller.civicops("scheduler", "--once")


def test_a_plan_waits_for_its_approval_and_a_changed_one_for_another(night: MakeNight) -> None:
    town = night({"bookworm": Spec("bookworm")}, window(approval="required"))
    refused = run(town)
    assert refused["exit_status"] == 3
    assert "approval" in refused["reasons"]["bookworm"]
    assert "demo: plan wait " in look(town).stdout
    wait_for(lambda: len(planned_runs(town)) >= 2)
    planned, tomorrow = planned_runs(town)[:2]
    assert town.controller.civicops("runs", "demo", "approve", tomorrow, "--by", "Ann Clerk").returncode == 0
    early = town.controller.civicops("runs", "demo", "resume", tomorrow)
    assert early.returncode == 3
    assert "begins when its window opens" in early.stderr, "what was approved for tomorrow is not for today"
    shown = town.controller.civicops("runs", "demo", "show", planned).stdout
    digest = shown.partition(f"approve {planned} --by NAME --plan ")[2].strip()
    assert "bookworm (broad): waits, and changes nothing" in shown
    assert untouched(town)
    wrong = town.controller.civicops("runs", "demo", "approve", planned, "--by", "Ann", "--plan", "0" * 12)
    assert wrong.returncode != 0
    assert "has changed" in wrong.stderr
    approve = ("runs", "demo", "approve", planned, "--by", "Ann Clerk")
    assert town.controller.civicops(*approve, "--plan", digest).returncode == 0
    town.specs["more"] = NOWHERE
    town.hosts["more"] = town.host("bookworm")
    town.write()
    late = town.controller.civicops("runs", "demo", "resume", planned)
    assert late.returncode != 0
    assert "approve" in late.stderr, "a host more is another plan"
    assert untouched(town)
    del town.specs["more"], town.hosts["more"]
    town.write()
    assert town.controller.civicops(*approve).returncode != 0, "it has changed again: read it first"
    assert town.controller.civicops(*approve).returncode == 0
    assert f"demo: begin wait {planned}" in look(town).stdout
    wait_for(lambda: bool(begun(town)["bookworm"]))
    wait_for(lambda: state_of(town, planned)[1] == "done")
    assert begun(town) == {"bookworm": [planned]}


def started(town: Town) -> Any:
    """`civicops run wait` at work on its canary."""
    process = town.controller.start(BIN / "civicops", "run", "wait", "demo")
    wait_for(lambda: bool(begun(town)["bullseye"]), within=40)
    return process


def test_a_cancelled_run_ends_what_it_began_and_is_gone_on_with(night: MakeNight) -> None:
    town = night({"bullseye": CANARY, "bookworm": Spec("bookworm"), "trixie": Spec("trixie")}, seconds=6)
    process = started(town)
    name = state_of(town)[0]
    said = town.controller.civicops("runs", "demo", "cancel", name)
    assert said.stdout.startswith(f"{name}: cancelling")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 4, output
    ended = [(one["host"], one["outcome"]) for one in ask_ledger(town, "wait")]
    assert ended == [("bullseye", "done")], "what has begun comes to its end, and is told"
    assert begun(town) == {"bullseye": [name], "bookworm": [], "trixie": []}
    again = told(town.controller.civicops("runs", "demo", "resume", name, "--json"))
    assert (again["run"], again["exit_status"], set(again["hosts"].values())) == (name, 0, {"changed"})
    assert begun(town) == {key: [name] for key in town.hosts}
    assert town.controller.civicops("runs", "demo", "resume", name).returncode == 3


def test_a_run_that_was_lost_is_gone_on_with(night: MakeNight) -> None:
    town = night({"bullseye": CANARY, "bookworm": Spec("bookworm")}, seconds=6)
    process = started(town)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    name, state = state_of(town)
    assert state == "lost"
    other = town.controller.civicops("run", "wait", "demo")
    assert other.returncode == 3
    assert f"locked: wait runs for demo already: {name}" in other.stderr
    again = told(town.controller.civicops("runs", "demo", "resume", name, "--json"))
    assert (again["exit_status"], again["hosts"]) == (0, {"bullseye": "changed", "bookworm": "changed"})
    assert begun(town) == {key: [name] for key in town.hosts}
    assert town.controller.civicops("ledger", "verify", "demo").returncode == 0
