"""The controller's side of a patch night: whatever a host answers, what is told of it is checked and can be shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.action.patch import ActionModule as Patch
from ansible_collections.civicops.town.plugins.action.patch_info import ActionModule as Info
from ansible_collections.civicops.town.plugins.action.patch_stage import ActionModule as Stage
from ansible_collections.civicops.town.plugins.action.rollback import ActionModule as Rollback
from ansible_collections.civicops.town.plugins.plugin_utils import host_work_action, patch_actions, ticket
from ansible_collections.civicops.town.plugins.plugin_utils.host_work_action import Answer, _Heard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civicops.ledger import spool
from civicops.ledger.documents import DocumentError, check_body
from civicops.state import TownState

START = 1000.0
ROW = ["nginx", "amd64", "1.0", "1.1"]
CHANGES = {"columns": ["name", "arch", "before", "after"], "rows": [ROW]}


def details(**more: Any) -> dict[str, Any]:
    """What the program leaves, as far as a document must have it."""
    return {"outcome": "done", "manager": "apt", "changes": CHANGES} | more


def finished(**more: Any) -> dict[str, Any]:
    told = {"state": "finished", "adopted": False, "began": True, "status": 0, "seconds": 5.0, "reason": ""}
    return told | {"details": details()} | more


RUNNING = {"state": "running", "adopted": False, "began": True, "seconds": 0.0}
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(state: TownState, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run a task against a host that answers from a script; the ticket has 600 seconds."""
    origin = spool.Origin("riverton", "r1", "patch")
    for name in ("town", "run", "job"):
        monkeypatch.setenv(f"CIVICOPS_ACTIVE_{name.upper()}", getattr(origin, name))
    monkeypatch.setattr(ticket, "_key", b"k" * 32)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    now = [START]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(ticket, "boottime", lambda: now[0])
    monkeypatch.setattr(host_work_action.time, "sleep", sleep)

    def run(*script: Any, module: type = Patch, check: bool = False, diff: bool = False, **args: Any) -> dict[str, Any]:
        now[0] = START
        answers = list(script)
        asked: list[dict[str, Any]] = []

        def answer(module_args: dict[str, Any] | None = None, task_vars: Any = None) -> dict[str, Any]:
            asked.append(module_args or {})
            one = answers.pop(0) if len(answers) > 1 else answers[0]
            return {"document": one if isinstance(one, str) else json.dumps(one)}

        opening = ticket.Ticket("riverton", "r1", "patch", "web1", "02:00", START + 600, 5.0, True, False, check)
        task = SimpleNamespace(
            args={"gate": ticket.seal(opening)} | args, async_val=0, delegate_to=None, check_mode=check, diff=diff,
            action="civicops.town.patch", _uuid="u",
        )  # fmt: skip
        action = module(task, SimpleNamespace(reset=lambda: None), None, None, None, None)
        action._execute_module = answer
        action._low_level_execute_command = lambda command, sudoable: sleep(2.0)
        result: dict[str, Any] = action.run(None, {"inventory_hostname": "web1"})
        return result | {"asked": asked}

    return run


def bodies(state: TownState) -> list[dict[str, Any]]:
    return [json.loads(path.read_text())["body"] for path in Path(state.spool).glob("*/*.json")]


# --- outcomes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome", "failed"),
    [
        (finished(), "done", False),
        (finished(late=True), "overrun", False),
        (finished(details=details(outcome="rolled_back"), late=True), "rolled_back", True),
        (finished(details=details(outcome="failed")), "failed", True),
        (finished(details=details(outcome="blocked")), "blocked", True),
        (finished(details=details(outcome="refused")), "refused", False),
        (finished(details=details(outcome="interrupted")), "interrupted", True),
        (finished(details=details(outcome="planned")), "failed", True),
        (finished(details=details(outcome="unknown")), "failed", True),
        (finished(details=details(outcome=["done"])), "failed", True),
        (finished(details=None), "failed", True),
        (finished(status=1), "failed", True),
        (finished(status=None), "failed", True),
        ({"state": "settled", "began": False, "details": details(outcome="blocked")}, "blocked", True),
        ({"state": "settled", "began": False, "details": details()}, "done", False),
        ({"state": "settled", "began": False, "details": details(outcome="rolled_back")}, "failed", True),
        ({"state": "settled", "began": False}, "failed", True),
        ({"state": "absent", "began": False}, "refused", False),
        ({"state": "refused", "began": False}, "refused", False),
        ({"state": "interrupted", "began": True, "details": details()}, "interrupted", True),
    ],
)
def test_outcomes(play: Play, state: TownState, answer: dict[str, Any], outcome: str, failed: bool) -> None:
    result = play(answer)
    assert (result["outcome"], result.get("failed", False)) == (outcome, failed)
    (body,) = bodies(state)
    check_body("patch", 1, body)
    assert body["outcome"] == outcome, "the host's own word does not stand in for what was made of it"


@pytest.mark.parametrize(
    ("first", "last", "changed"),
    [
        (RUNNING, finished(), True),
        (RUNNING, finished(adopted=True), True),
        (RUNNING | {"adopted": True}, finished(), False),
        (RUNNING, finished(details=details(changes={"columns": CHANGES["columns"], "rows": []})), False),
        (RUNNING, finished(details=details(changes={}, restarts={"done": ["a.service"]})), True),
        (RUNNING, finished(details=details(changes={}, restarts={"done": []})), False),
        (RUNNING, finished(details=details(changes={}, reboot={"done": True})), True),
        (RUNNING, finished(details=details(changes={}, reboot={"done": "yes"})), False),
        (RUNNING, finished(details=details(changes={}, rollback={"done": True})), True),
        (RUNNING, finished(details=None), False),
        (RUNNING, {"state": "interrupted", "began": True}, True),
        (RUNNING, {"state": "interrupted", "began": False}, False),
        (finished(), finished(), False),
        ({"state": "refused"}, {"state": "refused"}, False),
    ],
)
def test_changed_is_what_this_call_has_changed(
    play: Play, first: dict[str, Any], last: dict[str, Any], changed: bool
) -> None:
    assert play(first, last)["changed"] is changed


def test_the_hosts_own_fields_can_not_be_overwritten_by_details(play: Play, state: TownState) -> None:
    play(finished(details=details(adopted=True, reason="x", seconds=-1, began="?", host_time=7)))
    (body,) = bodies(state)
    assert (body["adopted"], body["reason"], body["seconds"], body["began"]) == (False, "", 5.0, True)


@pytest.mark.parametrize("more", [{"surprise": 1}, {"changes": 7}, {"probes": "x"}, {"phases": {"install": "long"}}])
def test_what_is_no_document_is_refused_by_its_schema_alone(play: Play, state: TownState, more: dict[str, Any]) -> None:
    assert play(finished(details=details(**more)))["outcome"] == "done"
    (body,) = bodies(state)
    with pytest.raises(DocumentError):
        check_body("patch", 1, body)


def test_the_controllers_time_goes_with_the_policy_and_nothing_with_a_rollback(play: Play) -> None:
    assert "controller_time" in play(finished())["asked"][0]
    assert "controller_time" not in play(finished(), module=Rollback)["asked"][0]


# --- the diff --------------------------------------------------------------------------------------------------------


def test_versions_are_shown_as_a_diff_in_check_mode(play: Play) -> None:
    rows = [ROW, ["new", "all", None, "2"], ["gone", "all", "3", None]]
    planned = {"state": "settled", "began": False, "details": details(outcome="planned", changes={"rows": rows})}
    result = play(planned, check=True, diff=True)
    assert (result["outcome"], result["changed"]) == ("planned", False)
    assert result["diff"]["before"] == "nginx:amd64 1.0\ngone:all 3\n"
    assert result["diff"]["after"] == "nginx:amd64 1.1\nnew:all 2\n"
    assert "diff" not in play(planned, check=True)
    assert "diff" not in play({"state": "refused"}, diff=True)


def test_a_version_does_not_steer_a_terminal(play: Play) -> None:
    rows = [["a\x1b[2J", "b\n\r", "1\x1b]0;x\x07", "\u202e2"], ["x"], [1, {}, [3], "9" * 2000], "row", None]
    shown = play(finished(details=details(changes={"rows": rows * 900})), diff=True)["diff"]
    text = shown["before"] + shown["after"]
    assert all(one.isprintable() or one == "\n" for one in text)
    assert text.count("\n") <= 2000
    assert max(map(len, text.splitlines())) <= 300


# --- hostile answers -------------------------------------------------------------------------------------------------

HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("\x1b]0;x\x07" * 400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PARTS = ("outcome", "changes", "restarts", "reboot", "rollback", "blockers", "probes", "reason", "state", "adopted")
DETAILS = st.dictionaries(st.sampled_from(PARTS), HOSTILE | st.fixed_dictionaries({"rows": HOSTILE, "done": HOSTILE}))
STATES = st.sampled_from(["absent", "refused", "planned", "running", "finished", "interrupted", "settled"])
ANSWERS = st.fixed_dictionaries(
    {"state": STATES}, optional={"details": DETAILS | HOSTILE, "status": st.just(0) | HOSTILE, "watch": HOSTILE}
)
OURS = {"outcome", "adopted", "reason", "began", "rebooted", "started_at", "ended_at", "seconds", "host_time"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(first=ANSWERS, last=ANSWERS | HOSTILE)
def test_whatever_a_host_answers_is_told_and_what_is_ours_is_in_order(first: Any, last: Any) -> None:
    answers = [Answer.read(json.dumps(one)) for one in (first, last)]
    assert answers[0] is not None
    heard = _Heard(answers[0], answers[1] or answers[0])
    action = Patch.__new__(Patch)
    body = action.body(heard)
    check_body("patch", 1, {name: value for name, value in body.items() if name in OURS})
    assert action.changed(heard, body) in (True, False)
    assert action.more(body)["packages"] >= 0
    for row in patch_actions._rows(body.get("changes")):
        assert all(patch_actions._line(row, column).count("\n") <= 1 for column in (2, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(body=st.dictionaries(st.sampled_from(["updates", "blockers", "staged"]), HOSTILE, max_size=3))
def test_whatever_waits_on_a_host_is_summed_up(body: dict[str, Any]) -> None:
    action = Info.__new__(Info)
    told = action.summary(body)
    assert told["waiting"] >= told["selected"] >= 0
    assert "\x1b" not in json.dumps(told)
    assert action.changed(body) in (True, False)


# --- what waits ------------------------------------------------------------------------------------------------------


def updates(**more: Any) -> dict[str, Any]:
    row = ["a", "amd64", "1", "2", True, "o", None, 1, True, None, [], None]
    return {"updates": {"rows": [row, [*row[:8], False, *row[9:]], ["short"]]}, "blockers": [{"code": "disk"}]} | more


@pytest.mark.parametrize(
    ("staged", "changed"),
    [(None, False), ({"downloaded_bytes": 0}, False), ({"downloaded_bytes": 7}, True), ("x", False), ({}, False)],
)
def test_staging_has_changed_what_was_downloaded(play: Play, staged: Any, changed: bool) -> None:
    result = play(updates(staged=staged), module=Stage)
    assert result["changed"] is changed
    assert result["summary"] == {"waiting": 3, "selected": 1, "blockers": ["disk"]}
    assert isinstance(result["asked"][0]["controller_time"], float)


@pytest.mark.parametrize("text", ["no json", "[" * 90_000, "[]", "7"])
def test_an_answer_that_is_none_fails(play: Play, text: str) -> None:
    result = play(text, module=Info)
    assert (result["failed"], result["msg"]) == (True, "the host's answer is not a document")
