"""The gate's task on a controller whose clock was set while the run went on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.action.gate import ActionModule
from ansible_collections.civicops.town.plugins.plugin_utils import known, ticket
from tests.unit.towns import MakeTown

from civicops.ledger.claims import claims_of_run
from civicops.ledger.store import Ledger
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
