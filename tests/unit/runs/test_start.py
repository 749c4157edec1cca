"""A run whose Ansible is killed under it goes on by itself, with the hosts that are not done, and only so often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.towns import MakeTown

from civicops.jobs import JOBS
from civicops.ledger import spool
from civicops.ledger.spool import Origin
from civicops.runs import start as starting
from civicops.runs.engine import Ended, RunRequest
from civicops.runs.journal import read_events, read_run
from civicops.runs.start import RunError, RunResult, resume, start
from civicops.state import TownState

KILLED = Ended(good=False, cancelled=False, status=None, last_words="it said nothing")
LOST_A_WORKER = Ended(good=False, cancelled=False, status=1, last_words="A worker was found in a dead state")
GOOD = Ended(good=True, cancelled=False, status=0, last_words="")
Attempt = Callable[["Night"], Ended]


@dataclass
class Night:
    """Stands for Ansible: each attempt does what the test says, and notes the hosts that it was limited to."""

    state: TownState
    job: str = "wait"
    run: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    limits: list[list[str] | None] = field(default_factory=list)

    def play(self, request: RunRequest, state: TownState, *, run: str, limit: str | None, **_: Any) -> Ended:
        self.run = run
        self.limits.append(None if limit is None else Path(limit.removeprefix("@")).read_text().split())
        return self.attempts.pop(0)(self)

    def write(self, kind: str, host: str, body: dict[str, Any]) -> None:
        spool.write(Origin("riverton", self.run, self.job), kind=kind, version=1, host=host, body=body, key=kind)

    def told(self, ended: bool, **hosts: str) -> None:
        at = "2026-11-23T22:00:00.000000Z"
        body = {"playbook": "wait", "started_at": at, "ended_at": at if ended else None, "limit": None, "user": "ann"}
        self.write("run", "", body | {"ansible": "2.19.0", "hosts": hosts})

    def done(self, host: str) -> None:
        body = {"outcome": "done", "adopted": False, "reason": "", "began": True, "rebooted": False}
        at = "2026-11-23T22:00:00Z"
        self.write("wait", host, body | {"started_at": at, "ended_at": at, "seconds": 1.0, "host_time": at})

    def begin(self, make_town: MakeTown) -> RunResult:
        return start(RunRequest(make_town(), JOBS[self.job]), self.state)


@pytest.fixture
def night(state: TownState, monkeypatch: pytest.MonkeyPatch) -> Night:
    one = Night(state)
    monkeypatch.setattr(starting, "play", one.play)
    return one


def cut_off(how: Ended) -> Attempt:
    """An attempt that does web1 and is killed before web2."""

    def attempt(night: Night) -> Ended:
        night.told(False, web1="no_answer", web2="no_answer")
        night.done("web1")
        return how

    return attempt


def to_its_end(night: Night) -> Ended:
    night.told(True, web1="not_asked", web2="changed")
    night.done("web2")
    return GOOD


@pytest.mark.parametrize("how", [KILLED, LOST_A_WORKER])
def test_it_goes_on_with_the_hosts_that_are_not_done(night: Night, make_town: MakeTown, how: Ended) -> None:
    night.attempts = [cut_off(how), to_its_end]
    result = night.begin(make_town)
    assert (result.state, result.hosts) == ("done", {"web1": "changed", "web2": "changed"})
    assert night.limits == [None, ["web2"]]
    assert [event.what for event in read_events(night.state, result.run)] == ["begun", "resumed"]


def test_killed_before_it_asked_anybody_it_begins_again(night: Night, make_town: MakeTown) -> None:
    def both(night: Night) -> Ended:
        night.told(True, web1="changed", web2="changed")
        night.done("web1")
        night.done("web2")
        return GOOD

    night.attempts = [lambda _night: KILLED, both]
    assert night.begin(make_town).state == "done"
    assert night.limits == [None, None]


def test_killed_when_every_host_was_done_it_is_done(night: Night, make_town: MakeTown) -> None:
    def all_but_its_end(night: Night) -> Ended:
        night.told(False, web1="no_answer", web2="no_answer")
        night.done("web1")
        night.done("web2")
        return KILLED

    night.attempts = [all_but_its_end]
    assert night.begin(make_town).state == "done"


def test_lost_when_every_host_was_done_it_is_done_once_resumed(night: Night, make_town: MakeTown) -> None:
    def die(night: Night) -> Ended:
        night.told(False, web1="no_answer", web2="no_answer")
        night.done("web1")
        night.done("web2")
        raise SystemExit

    night.attempts = [die]
    with pytest.raises(SystemExit):
        night.begin(make_town)
    assert read_run(night.state, night.run).state == "lost"
    result = resume(RunRequest(make_town(), JOBS["wait"]), night.state, night.run)
    assert (result.state, result.hosts) == ("done", {"web1": "changed", "web2": "changed"})


def test_what_is_killed_each_time_is_given_up(night: Night, make_town: MakeTown) -> None:
    night.attempts = [cut_off(KILLED)] * 3
    result = night.begin(make_town)
    assert (result.state, result.message) == ("failed", "the playbook did not come to its end")
    assert result.hosts == {"web1": "changed", "web2": "no_answer"}


def test_a_mistake_in_the_playbook_is_not_tried_again(night: Night, make_town: MakeTown) -> None:
    night.attempts = [lambda _night: Ended(good=False, cancelled=False, status=4, last_words="Syntax Error")]
    with pytest.raises(RunError, match="Syntax Error"):
        night.begin(make_town)


def test_what_was_cancelled_or_took_too_long_is_left_so(night: Night, make_town: MakeTown) -> None:
    night.attempts = [cut_off(Ended(good=False, cancelled=True, status=254, last_words=""))]
    assert night.begin(make_town).state == "cancelled"
    night.attempts = [cut_off(Ended(good=False, cancelled=False, status=254, last_words="", timed_out=True))]
    assert night.begin(make_town).state == "failed"


def test_a_job_that_disturbs_nobody_is_simply_run_anew_by_whoever_wants_it(night: Night, make_town: MakeTown) -> None:
    night.job = "checkup"
    night.attempts = [cut_off(KILLED)]
    assert night.begin(make_town).state == "failed"
