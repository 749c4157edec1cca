"""The gate's task: on a controller whose clock was set while the run went on, and while a ring waits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.action import gate
from ansible_collections.civicops.town.plugins.action.gate import ActionModule
from ansible_collections.civicops.town.plugins.plugin_utils import known, ticket
from tests.unit.towns import MakeTown

from civicops.gate.waiting import marked
from civicops.ledger.claims import Claim, add_claims, claims_of_run
from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.state import TownState

HOUR = 3600.0
Ask = Callable[[], dict[str, Any]]


@pytest.fixture
def ask(state: TownState, make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask the gate for web1, in a window that is open all day, in a run that has begun."""
    window = {"id": "all-day", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "00:00", "duration": "24h"}
    directory = make_town(maintenance={"windows": [window]}).directory
    values = {"TOWN": "riverton", "RUN": "r1", "JOB": "wait", "DIRECTORY": str(directory)}
    for name, value in values.items():
        monkeypatch.setenv(f"CIVICOPS_ACTIVE_{name}", value)
    monkeypatch.setenv("CIVICOPS_ACTIVE_CLOCK", "")
    monkeypatch.setattr(ticket, "_key", b"k" * 32)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    monkeypatch.setattr(known, "_groups", {"all": ["web1"], "ring_canary": ["web1"]})
    ticket.start_clock()

    def run() -> dict[str, Any]:
        task = SimpleNamespace(
            args={"job": "wait"},
            play=SimpleNamespace(strategy="linear"),
            run_once=True,
            loop=None,
            delegate_to=None,
            check_mode=False,
            action="civicops.town.gate",
        )
        action = ActionModule(task, None, None, None, None, None)
        answer: dict[str, Any] = action.run(None, {"ansible_play_batch": ["web1"]})
        return answer

    return run


def set_clock(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    before = time.time
    monkeypatch.setattr(time, "time", lambda: before() + by)


@pytest.mark.parametrize("by", [-HOUR, HOUR, 61.0])
def test_a_clock_that_was_set_opens_nothing(
    ask: Ask, state: TownState, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    set_clock(monkeypatch, by)
    with pytest.raises(AnsibleActionFail, match=r"clock was set by -?\d+ seconds during this run"):
        ask()
    with Ledger("riverton", state=state) as ledger, ledger.transaction() as connection:
        assert claims_of_run(connection, "r1") == []


@pytest.mark.parametrize("by", [-5.0, 0.0, 5.0])
def test_a_clock_that_is_kept_right_by_a_few_seconds_is_trusted(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    set_clock(monkeypatch, by)
    assert ask()["hosts"]["web1"]["open"]


def test_a_clock_that_nobody_remembers_is_not_trusted(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVICOPS_ACTIVE_CLOCK")
    with pytest.raises(AnsibleActionFail, match="nothing is opened"):
        ask()


def test_a_ticket_does_not_last_longer_because_the_clock_was_put_back(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = ask()["hosts"]["web1"]
    meant = {"town": "riverton", "run": "r1", "job": "wait", "host": "web1", "check": False}
    before = ticket.opened(opened["ticket"], **meant).remaining
    until = datetime.fromisoformat(opened["until"])
    assert abs(before - (until - datetime.now(UTC)).total_seconds()) < 5
    set_clock(monkeypatch, -HOUR)
    assert ticket.opened(opened["ticket"], **meant).remaining <= before


# --- waiting ---

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Stage:
    """A controller's clocks, put forward by sleeping; what was displayed; and what happens meanwhile."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.shown: list[str] = []
        self.happens: list[tuple[float, Callable[[], None]]] = []
        self.parent = 1000

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        while self.happens and self.happens[0][0] <= self.slept:
            self.happens.pop(0)[1]()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.slept)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return stage.now()

    monkeypatch.setattr(gate, "datetime", Clock)
    monkeypatch.setattr(gate, "time", SimpleNamespace(sleep=stage.sleep))
    monkeypatch.setattr(gate.os, "getppid", lambda: stage.parent)
    monkeypatch.setattr(ticket, "boottime", lambda: 5000.0 + stage.slept)
    monkeypatch.setattr(ticket, "clock_jump", lambda: 0.0)
    return stage


@pytest.fixture
def night(state: TownState, make_town: MakeTown, monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Callable[..., Any]:
    """A run whose canary was done at noon; gives the answer for web1, of the next ring."""
    window = {"id": "noon", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "10:00", "duration": "4h"}

    def ask(check: bool = False, **maintenance: Any) -> dict[str, Any]:
        town = make_town(maintenance={"windows": [window], **maintenance})
        values = {"TOWN": "riverton", "RUN": "r1", "JOB": "wait", "DIRECTORY": str(town.directory)}
        for name, value in values.items():
            monkeypatch.setenv(f"CIVICOPS_ACTIVE_{name}", value)
        monkeypatch.setattr(ticket, "_key", b"k" * 32)
        monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
        groups = {"all": ["can1", "web1"], "ring_canary": ["can1"]}
        monkeypatch.setattr(known, "_groups", groups)
        ended = stamp(NOON)
        done = Claim("can1", "r1", "wait", "all-day", ended, ended, ended, settled_at=ended, outcome="done")
        with Ledger("riverton", state=state) as ledger, ledger.transaction() as connection:
            add_claims(connection, [done])
        task = SimpleNamespace(
            args={"job": "wait"},
            play=SimpleNamespace(strategy="linear"),
            run_once=True,
            loop=None,
            delegate_to=None,
            check_mode=check,
            action="civicops.town.gate",
        )
        action = ActionModule(task, None, None, None, None, None)
        action._display = SimpleNamespace(display=stage.shown.append)
        hosts = {"ansible_play_batch": ["web1"], "ansible_play_hosts_all": ["web1"]}
        answer: dict[str, Any] = action.run(None, hosts)["hosts"]["web1"]
        return answer

    return ask


def test_it_waits_while_a_ring_is_watched_and_goes_on(night: Callable[..., Any], stage: Stage) -> None:
    assert night(soak="30m")["code"] == "open"
    assert stage.slept == 1800
    assert stage.shown == [
        "Waiting until 2026-11-24T12:30:00Z at most: the rings before broad are watched until 2026-11-24 12:30Z"
    ]


def test_a_check_never_waits(night: Callable[..., Any], stage: Stage) -> None:
    assert night(check=True, soak="30m", ring_approval=["broad"])["code"] == "open"
    assert stage.slept == 0


def test_somebodys_yes_ends_the_wait_within_seconds(night: Callable[..., Any], stage: Stage, state: TownState) -> None:
    state.run_directory("r1")
    asked: list[Any] = []
    stage.happens = [
        (400.0, lambda: asked.append(marked(state, "r1"))),
        (600.0, lambda: say_yes(state)),
    ]
    assert night(ring_approval=["broad"])["code"] == "open"
    assert 600 <= stage.slept <= 616
    assert asked[0][0] == ["broad"]
    assert marked(state, "r1") is None, "nobody is asked any more"
    assert len(stage.shown) == 1


def test_without_a_yes_it_is_refused_when_too_little_time_is_left(night: Callable[..., Any], stage: Stage) -> None:
    answer = night(ring_approval=["broad"])
    assert (answer["code"], answer["open"]) == ("ring_approval", False)
    assert 1.5 * HOUR < stage.slept < 2 * HOUR, "the window ends at two"
    assert "too little time is left" in answer["reason"]


def test_a_run_that_is_cancelled_waits_no_longer(night: Callable[..., Any], stage: Stage, state: TownState) -> None:
    cancel = state.run_directory("r1") / "cancel"
    stage.happens = [(100.0, cancel.touch)]
    assert night(soak="30m")["code"] == "cancelled"
    assert stage.slept <= 101


def test_a_worker_whose_playbook_was_killed_does_not_wait_on(night: Callable[..., Any], stage: Stage) -> None:
    stage.happens = [(100.0, lambda: setattr(stage, "parent", 1))]
    with pytest.raises(AnsibleActionFail, match="the playbook is gone"):
        night(soak="30m")
    assert stage.slept <= 101


def test_a_clock_that_is_set_while_it_waits_opens_nothing(
    night: Callable[..., Any], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.happens = [(100.0, lambda: monkeypatch.setattr(ticket, "clock_jump", lambda: HOUR))]
    with pytest.raises(AnsibleActionFail, match="clock was set"):
        night(soak="30m")


def say_yes(state: TownState) -> None:
    body = {"ring": "broad", "by": "Ann", "user": "root"}
    document = Document(
        "approval", 1, str(uuid.uuid4()), "riverton", "", None, "r1", "wait", False, 1, stamp(NOON), body
    )
    with Ledger("riverton", state=state) as ledger:
        ledger.append([document])
