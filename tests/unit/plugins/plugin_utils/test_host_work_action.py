"""The controller's side of work on a host: polling, lost connections, hostile answers, and what leaves the twin."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.action.wait import ActionModule
from ansible_collections.civicops.town.plugins.module_utils._host_work import work
from ansible_collections.civicops.town.plugins.plugin_utils import host_work_action, ticket
from ansible_collections.civicops.town.plugins.plugin_utils.host_work_action import GRACE
from hypothesis import given
from hypothesis import strategies as st

from civicops.ledger import spool
from civicops.ledger.documents import check_body
from civicops.state import TownState

START = 1000.0


class Host:
    """Answers from a script, on a clock that only sleeping moves; the last answer stays."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.now = START
        self.asked: list[tuple[float, dict[str, Any]]] = []
        self.resets = 0

    def answer(self, module_args: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
        self.asked.append((self.now, module_args))
        one = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(one, Exception):
            raise one
        return one if "document" in one or "failed" in one else {"document": json.dumps(one)}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def reset(self) -> None:
        self.resets += 1

    @property
    def moments(self) -> list[float]:
        return [round(moment - START) for moment, _args in self.asked]


def state(name: str, **more: Any) -> dict[str, Any]:
    return {"state": name, "adopted": False, "began": True, "seconds": 1.0, "reason": ""} | more


RUNNING, DONE = state("running"), state("finished", status=0)
LOST = AnsibleConnectionFailure("no route\x1b[31m to host")
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(state: TownState, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Run the task `wait` against a host; the ticket has 600 seconds."""
    origin = spool.Origin("riverton", "r1", "wait")
    for name in ("town", "run", "job"):
        monkeypatch.setenv(f"CIVICOPS_ACTIVE_{name.upper()}", getattr(origin, name))
    monkeypatch.setattr(ticket, "_key", b"k" * 32)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})

    def run(
        host: Host, *, check: bool = False, ticket_for: str = "web1", adopts: bool = False, **arguments: Any
    ) -> dict[str, Any]:
        monkeypatch.setattr(ticket, "boottime", lambda: host.now)
        monkeypatch.setattr(host_work_action.time, "sleep", host.sleep)
        opening = ticket.Ticket("riverton", "r1", "wait", ticket_for, "02:00", START + 600, 5.0, True, adopts, check)
        task = SimpleNamespace(
            args={"seconds": 60, "gate": ticket.seal(opening)} | arguments,
            async_val=0,
            delegate_to=None,
            check_mode=check,
            action="civicops.town.wait",
        )
        action = ActionModule(task, SimpleNamespace(reset=host.reset), None, None, None, None)
        action._execute_module = host.answer
        return action.run(None, {"inventory_hostname": "web1"})

    yield run


def documents(state: TownState) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in Path(state.spool).glob("*/*.json")]
    for one in found:
        check_body("wait", 1, one["body"])
    return found


def test_it_asks_when_the_work_should_be_done_and_then_ever_more_rarely(play: Play) -> None:
    host = Host(*[RUNNING] * 8, DONE)
    assert play(host)["outcome"] == "done"
    assert host.moments == [0, 59, 61, 65, 73, 89, 119, 149, 179]


def test_what_goes_to_the_host_is_the_hosts_part_alone(play: Play) -> None:
    host = Host(RUNNING, DONE)
    play(host)
    first, second = (args for _moment, args in host.asked)
    assert first["gate"] == {"run": "r1", "job": "wait", "seconds": 600.0, "needed": 5.0, "may_start": True}
    assert second["gate"] == first["gate"] | {"seconds": 541.0, "may_start": False}


def test_the_document_replaces_the_runs_earlier_one(play: Play, state: TownState) -> None:
    assert play(Host(RUNNING, DONE))["changed"] is True
    result = play(Host(DONE | {"adopted": True}))
    assert result["changed"] is False
    (document,) = documents(state)
    assert (document["attempt"], document["body"]["adopted"]) == (2, True)


@pytest.mark.parametrize(
    ("answer", "outcome", "failed"),
    [
        (DONE, "done", False),
        (DONE | {"late": True}, "overrun", False),
        (DONE | {"status": 3}, "failed", True),
        (DONE | {"status": -9, "late": True}, "failed", True),
        (DONE | {"status": None}, "interrupted", True),
        (state("interrupted", began=False, reason="never began"), "interrupted", True),
        (state("refused", began=False, reason="too late"), "refused", False),
        (state("absent", began=False), "refused", False),
        (state("planned", began=False), "planned", False),
    ],
)
def test_outcomes(play: Play, state: TownState, answer: dict[str, Any], outcome: str, failed: bool) -> None:
    result = play(Host(answer))
    assert (result["outcome"], result.get("failed", False), result["changed"]) == (outcome, failed, False)
    assert [document["body"]["outcome"] for document in documents(state)] == [outcome]


def test_a_connection_that_comes_back_has_lost_nothing(play: Play) -> None:
    host = Host(RUNNING, LOST, LOST, {"failed": True, "msg": "no python"}, DONE)
    assert play(host)["outcome"] == "done"
    assert host.resets == 3


def test_a_host_that_stays_away_does_not_hold_its_batch_all_night(play: Play, state: TownState) -> None:
    host = Host(RUNNING, LOST)
    result = play(host)
    assert (result["outcome"], result["failed"], result["changed"]) == ("unknown", True, True)
    assert "civicops runs riverton resume r1 adopts it" in result["msg"]
    assert 5 + GRACE < host.now - START <= 5 + GRACE + 31, "what it needs, the grace, and a pause"
    (document,) = documents(state)
    assert document["body"]["outcome"] == "unknown"
    assert "\x1b" not in document["body"]["reason"] + result["msg"]


def test_a_host_that_was_worked_on_before_and_is_away_now_is_not_unreachable(play: Play, state: TownState) -> None:
    result = play(Host(LOST), adopts=True)
    assert (result["outcome"], result["failed"], result["changed"]) == ("unknown", True, False)
    (document,) = documents(state)
    assert (document["body"]["outcome"], document["body"]["adopted"]) == ("unknown", True)
    back = play(Host(LOST, LOST, RUNNING | {"adopted": True}, DONE | {"adopted": True}), adopts=True)
    assert (back["outcome"], back["summary"]["adopted"]) == ("done", True)
    never = play(Host(LOST, state_of_nothing()), adopts=True)
    assert never["outcome"] == "refused", "it was opened, and nothing had begun when the run died"


def state_of_nothing() -> dict[str, Any]:
    return {"state": "absent", "adopted": False, "began": False, "reason": "nothing was started by this run"}


def test_a_host_that_says_running_for_ever_is_left(play: Play) -> None:
    host = Host(RUNNING)
    assert play(host)["outcome"] == "running"
    assert host.now - START == pytest.approx(600 + GRACE)
    assert len(host.asked) < 40


def test_a_record_that_vanishes_is_an_interruption(play: Play) -> None:
    assert play(Host(RUNNING, state("absent", began=False)))["outcome"] == "interrupted"


def test_the_first_question_unanswered_is_as_for_every_module(play: Play, state: TownState) -> None:
    with pytest.raises(AnsibleConnectionFailure):
        play(Host(LOST))
    assert play(Host({"failed": True, "msg": "no python"})) == {"failed": True, "changed": False, "msg": "no python"}
    assert documents(state) == []


def test_an_expired_ticket_starts_nothing_and_adopts(play: Play) -> None:
    host = Host(DONE | {"adopted": True})
    host.now = START + 597
    assert play(host)["outcome"] == "done"
    assert host.asked[0][1]["gate"]["may_start"] is False


def test_another_hosts_ticket_asks_nobody(play: Play) -> None:
    host = Host(DONE)
    with pytest.raises(AnsibleActionFail, match="another host or run"):
        play(host, ticket_for="web2")
    for gate in (None, {}, "x", [], {"seal": "x"}):
        with pytest.raises(AnsibleActionFail):
            play(host, gate=gate)
    assert host.asked == []


def test_seconds_that_are_none_ask_nobody(play: Play) -> None:
    host = Host(DONE)
    with pytest.raises(AnsibleActionFail, match="seconds"):
        play(host, seconds="soon")
    assert host.asked == []


def test_a_worker_whose_parent_is_gone_ends(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(RUNNING)
    parents = iter([1, 1, 2])
    monkeypatch.setattr(host_work_action.os, "getppid", lambda: next(parents))
    with pytest.raises(AnsibleActionFail, match="the playbook is gone"):
        play(host)
    assert len(host.asked) == 1


def test_an_answer_that_never_ends_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_work_action, "CALL_LIMIT", 0.1)

    class Endless(Host):
        def answer(self, module_args: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
            while True:
                pass

    with pytest.raises(AnsibleConnectionFailure, match="no end of the answer"):
        play(Endless())
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_record_false_returns_the_body(play: Play, state: TownState) -> None:
    assert play(Host(DONE), record=False)["document"]["outcome"] == "done"
    assert documents(state) == []


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("\x1b]0;x\x07" * 400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
STATES = st.sampled_from(["absent", "refused", "planned", "running", "finished", "interrupted"])
FIELDS = ("adopted", "began", "rebooted", "status", "late", "seconds", "started_at", "ended_at", "reason", "host_time")


@given(
    first=st.fixed_dictionaries({"state": STATES}, optional=dict.fromkeys(FIELDS, HOSTILE)) | HOSTILE,
    second=st.fixed_dictionaries({"state": STATES | HOSTILE}, optional=dict.fromkeys(FIELDS, HOSTILE)) | HOSTILE,
)
def test_whatever_a_host_answers_the_document_is_in_order(first: Any, second: Any) -> None:
    answers = [host_work_action.Answer.read(json.dumps(one)) for one in (first, second)]
    if answers[0] is None:
        return
    body = host_work_action._Heard(answers[0], answers[1] or answers[0]).body()
    check_body("wait", 1, body)
    assert "\x1b" not in json.dumps(body)


def test_the_longest_answer_fits_its_document() -> None:
    longest = state(
        "interrupted", **dict.fromkeys(("reason", "started_at", "ended_at", "host_time"), "\U0001f525" * 999)
    )
    answer = host_work_action.Answer.read(json.dumps(longest, ensure_ascii=False))
    assert answer is not None
    check_body("wait", 1, host_work_action._Heard(answer, answer).body())


@pytest.mark.parametrize(
    "text", ["", "[" * 50_000, "x" * 70_000, "{" + '"a":1,' * 9000, None, 7, b"{}", '{"state": []}']
)
def test_what_is_no_answer_is_none(text: Any) -> None:
    assert host_work_action.Answer.read(text) is None


# --- waiting on the host ---------------------------------------------------------------------------------------------

WATCH = "/var/lib/civicops/runs/r1/patch/result.json"


@pytest.mark.parametrize("path", [WATCH, "/x", "/home/ops/.local/state/a_b-c.d"])
def test_a_plain_path_is_watched(path: str) -> None:
    answer = host_work_action.Answer.read(json.dumps(RUNNING | {"watch": path}))
    assert answer is not None
    assert answer.watch == path


@pytest.mark.parametrize(
    "path",
    ["/x; reboot", "/x$(reboot)", "/x`id`", "/x y", "/x\n", "/x'", '/x"', "/x|y", "/x>y", "/x*", "/x\\", "/ä", "x", "",
     "/", "~/x", "-e", "/" + "x" * 501, "/x\u202e", 7, None, ["/x"], {"a": "/x"}, True],
)  # fmt: skip
def test_a_path_that_a_shell_could_read_otherwise_is_not_watched(path: Any) -> None:
    answer = host_work_action.Answer.read(json.dumps(RUNNING | {"watch": path}))
    assert answer is not None
    assert answer.watch is None


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Host, list[str], Callable[[float], None]]]:
    """The scripts that a host was asked to wait with; it waits for as long as the test says."""
    scripts: list[str] = []
    host = Host(RUNNING | {"watch": WATCH}, RUNNING | {"watch": WATCH}, DONE)
    waits = [30.0]

    def execute(self: Any, script: str, sudoable: bool) -> dict[str, Any]:
        scripts.append(script)
        host.sleep(waits[0])
        return {"rc": 0}

    monkeypatch.setattr(ActionModule, "_low_level_execute_command", execute)

    def take(seconds: float) -> None:
        waits[0] = seconds

    yield host, scripts, take


def test_the_end_is_waited_for_on_the_host(play: Play, watching: Any) -> None:
    host, scripts, _take = watching
    assert play(host)["outcome"] == "done"
    assert host.moments == [0, 30, 60]
    assert len(scripts) == 2
    assert f"[ ! -e {WATCH} ] && [ $n -lt 50 ]" in scripts[0]


@pytest.mark.parametrize("locked", [True, False])
def test_the_script_ends_when_the_work_does(play: Play, watching: Any, tmp_path: Path, locked: bool) -> None:
    """With the lock that the work holds, and without one as before it has begun."""
    host, scripts, _take = watching
    play(host)
    (tmp_path / work.PROGRAM).touch()
    script = scripts[0].replace(WATCH.rpartition("/")[0], str(tmp_path))
    assert str(tmp_path / work.PROGRAM) in script
    with (tmp_path / work.PROGRAM).open() as held:
        if locked:
            fcntl.flock(held, fcntl.LOCK_EX)
        waiting = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.5)
        (tmp_path / "result.json").touch()
    ended = time.monotonic()
    assert waiting.communicate(timeout=30)[0] == ""
    assert time.monotonic() - ended < 5


def test_a_script_that_has_waited_long_enough_says_so(play: Play, watching: Any, tmp_path: Path) -> None:
    host, scripts, _take = watching
    play(host)
    script = scripts[0].replace(WATCH.rpartition("/")[0], str(tmp_path)).replace("-lt 50", "-lt 2")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "waits\n"


def test_a_host_whose_work_goes_on_is_waited_for_again_before_the_module_is_asked(
    play: Play, watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _scripts, _take = watching
    host.script = [RUNNING | {"watch": WATCH}, DONE]
    said = iter(["waits\n", "waits\n", ""])

    def execute(self: Any, script: str, sudoable: bool) -> dict[str, Any]:
        host.sleep(50.0)
        return {"rc": 0, "stdout": next(said)}

    monkeypatch.setattr(ActionModule, "_low_level_execute_command", execute)
    assert play(host)["outcome"] == "done"
    assert host.moments == [0, 150]


def test_a_host_that_says_for_ever_that_its_work_goes_on_is_asked_now_and_then_and_not_for_ever(
    play: Play, watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _scripts, _take = watching
    host.script = [RUNNING | {"watch": WATCH}]

    def execute(self: Any, script: str, sudoable: bool) -> dict[str, Any]:
        host.sleep(50.0)
        return {"rc": 0, "stdout": "waits"}

    monkeypatch.setattr(ActionModule, "_low_level_execute_command", execute)
    assert play(host)["outcome"] == "running"
    assert host.moments[1] == 300
    assert host.moments[-1] <= 600 + GRACE + 50


def test_a_host_that_does_not_wait_does_not_make_us_spin(play: Play, watching: Any) -> None:
    host, scripts, take = watching
    take(0.0)
    host.script = [RUNNING | {"watch": WATCH}]
    assert play(host)["outcome"] == "running"
    assert len(host.asked) <= 600 + GRACE + 2, "a question a second at most"
    assert len(scripts) == len(host.asked) - 1


def test_a_host_that_goes_away_while_it_waits_is_asked_as_ever(
    play: Play, watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _scripts, _take = watching

    def lost(self: Any, script: str, sudoable: bool) -> dict[str, Any]:
        host.sleep(5.0)
        raise LOST

    monkeypatch.setattr(ActionModule, "_low_level_execute_command", lost)
    host.script = [RUNNING | {"watch": WATCH}, LOST, DONE]
    assert play(host)["outcome"] == "done"
    assert host.resets == 1


def test_details_that_are_no_object_are_none() -> None:
    told: list[Any] = ["x", 7, [], None, True]
    for details in told:
        answer = host_work_action.Answer.read(json.dumps(DONE | {"details": details}))
        assert answer is not None
        assert answer.details is None
    huge = json.dumps(DONE | {"details": {"x": "y" * (4 << 20)}})
    assert host_work_action.Answer.read(huge) is None


def test_details_that_are_nested_as_deep_as_can_be_read_end_no_task(play: Play, state: TownState) -> None:
    """The ledger refuses them, and says so; the task must come so far."""
    nest = "[" * 900 + "]" * 900
    deep = {"document": json.dumps(DONE)[:-1] + f', "details": {{"x": {nest}}}}}'}
    assert play(Host(deep))["outcome"] == "done"
