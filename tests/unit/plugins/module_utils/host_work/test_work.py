"""The state machine of work on a host, with real files and a launcher of the test's own."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_work import launch, wrapper
from ansible_collections.civicops.town.plugins.module_utils._host_work.launch import Process, waits
from ansible_collections.civicops.town.plugins.module_utils._host_work.place import Place, WorkError
from ansible_collections.civicops.town.plugins.module_utils._host_work.work import Permit, Work
from hypothesis import given
from hypothesis import strategies as st

GONE = 2**22 + 1  # above the kernel's largest process id


class Fake:
    """A launcher that starts nothing, or something when the test says so."""

    def __init__(self, error: str | None = None, waiting: bool | None = False) -> None:
        self.error = error
        self.waiting = waiting
        self.started: list[str] = []
        self.on_start: Callable[[str], object] = lambda program: None

    def start(self, unit: str, program: str, lock: int) -> str | None:
        self.started.append(program)
        self.on_start(program)
        return self.error

    def waits(self, unit: str) -> bool | None:
        return self.waiting


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path), ("civicops", "runs"))


def a_work(
    place: Place, start: Any = None, command: tuple[str, ...] = ("/bin/true",), run: str = "r1", **more: Any
) -> Work:
    part = {"run": run, "job": "wait", "seconds": 60.0, "needed": 1.0, "may_start": True} | more
    return Work(Permit.read(part, wrapper.boottime()), list(command), place, start or Fake())


def folder(place: Place, run: str = "r1") -> Path:
    return Path(place.path) / run / "wait"


def run_program(program: str) -> None:
    subprocess.run([sys.executable, "-I", program], check=True)


# --- starting and adopting ---------------------------------------------------


def test_it_is_started_once_and_its_result_adopted(place: Place) -> None:
    fake = Fake()
    fake.on_start = run_program
    first = a_work(place, fake).start_or_adopt()
    assert (first.state, first.adopted, first.changed) == ("running", False, True)
    again = a_work(place, fake).start_or_adopt()
    assert (again.state, again.status, again.adopted, again.changed) == ("finished", 0, True, False)
    assert len(fake.started) == 1
    run_program(fake.started[0])
    assert (folder(place) / "log").read_text().count(" began ") == 1, "the program itself begins nothing twice"


def test_another_run_starts_its_own(place: Place) -> None:
    fake = Fake()
    for run in ("r1", "r2"):
        assert a_work(place, fake, run=run).start_or_adopt().changed
    assert len(fake.started) == 2


def test_a_failure_is_told_with_its_status(place: Place) -> None:
    fake = Fake()
    fake.on_start = run_program
    for run, command, status in (
        ("r1", ("/bin/sh", "-c", "echo hello; exit 3"), 3),
        ("r2", ("/nowhere/at-all",), 127),
        ("r3", ("/bin/sh", "-c", "kill -9 $$"), -9),
    ):
        a_work(place, fake, command, run).start_or_adopt()
        state = a_work(place, fake, command, run).start_or_adopt()
        assert (state.state, state.status) == ("finished", status)
    assert (folder(place, "r1") / "output").read_text() == "hello\n"


def test_the_command_knows_its_directory_and_its_end(place: Place) -> None:
    fake = Fake()
    fake.on_start = run_program
    work = a_work(place, fake, ("/bin/sh", "-c", "echo $CIVICOPS_WORK $CIVICOPS_DEADLINE $HOME; pwd"))
    work.start_or_adopt()
    told = (folder(place) / "output").read_text().split()
    assert told[:2] == [str(folder(place)), str(work.permit.deadline)]
    assert told[-1] == "/"


def test_check_mode_writes_nothing(place: Place, tmp_path: Path) -> None:
    assert a_work(place).start_or_adopt(dry=True).state == "planned"
    assert list(tmp_path.iterdir()) == []
    a_work(place).start_or_adopt()
    before = sorted(path.name for path in folder(place).iterdir())
    assert a_work(place).start_or_adopt(dry=True).state == "interrupted"
    assert sorted(path.name for path in folder(place).iterdir()) == before


def test_without_leave_it_only_looks(place: Place, tmp_path: Path) -> None:
    assert a_work(place, may_start=False).start_or_adopt().state == "absent"
    assert list(tmp_path.iterdir()) == []


def test_too_little_time_is_a_refusal(place: Place, tmp_path: Path) -> None:
    state = a_work(place, seconds=10.0, needed=11.0).start_or_adopt()
    assert state.state == "refused"
    assert "10 s are left and 11 s are needed" in state.reason
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_comes_to_run_too_late_begins_nothing(place: Place) -> None:
    fake = Fake()
    a_work(place, fake, seconds=2.0, needed=1.5).start_or_adopt()
    time.sleep(0.6)
    run_program(fake.started[0])
    state = a_work(place, fake).start_or_adopt()
    assert (state.state, state.began) == ("interrupted", False)
    assert "too little time" in state.reason


def test_an_end_after_the_deadline_is_late(place: Place) -> None:
    fake = Fake()
    fake.on_start = run_program
    a_work(place, fake, ("/bin/sleep", "1.3"), seconds=1.0, needed=0.0).start_or_adopt()
    assert a_work(place).start_or_adopt().late


# --- deaths ------------------------------------------------------------------


def test_what_never_began_never_will(place: Place) -> None:
    """The start died between the claim and systemd-run; later something starts the program after all."""
    fake = Fake()
    a_work(place, fake).start_or_adopt()
    state = a_work(place, fake).start_or_adopt()
    assert (state.state, state.began, state.rebooted) == ("interrupted", False, False)
    run_program(fake.started[0])
    assert not (folder(place) / "log").exists()
    assert a_work(place, fake).start_or_adopt().state == "interrupted"
    assert len(fake.started) == 1


def test_a_failed_start_is_told_and_not_tried_again(place: Place) -> None:
    fake = Fake(error="Unit already exists")
    state = a_work(place, fake).start_or_adopt()
    assert (state.state, state.began, state.changed) == ("interrupted", False, False)
    assert "Unit already exists" in state.reason
    assert a_work(place, fake).start_or_adopt().began is False
    assert len(fake.started) == 1


@pytest.mark.parametrize("waiting", [True, None])
def test_a_queued_unit_is_left_to_come_to_run(place: Place, waiting: bool | None) -> None:
    fake = Fake(waiting=waiting)
    a_work(place, fake).start_or_adopt()
    assert a_work(place, fake).start_or_adopt().state == "running"
    run_program(fake.started[0])
    assert a_work(place, fake).start_or_adopt().state == "finished"


def test_a_start_under_way_is_not_an_interruption(place: Place) -> None:
    a_work(place).start_or_adopt()
    handle = os.open(folder(place), os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert a_work(place).start_or_adopt().state == "running"
    os.close(handle)
    assert a_work(place).start_or_adopt().state == "interrupted"


def test_a_process_that_is_gone_is_an_interruption(place: Place) -> None:
    a_work(place).start_or_adopt()
    mark = {"pid": GONE, "start": 1, "boottime": 1.0, "at": "2026-11-23T02:00:00Z"}
    (folder(place) / "began.json").write_text(json.dumps(mark))
    state = a_work(place).start_or_adopt()
    assert (state.state, state.began, state.rebooted) == ("interrupted", True, False)
    (folder(place) / "began.json").write_text(json.dumps(mark | {"pid": os.getpid()}))
    assert a_work(place).start_or_adopt().state == "interrupted", "another process of the same number"


@pytest.mark.parametrize("changed", ["boot_id", "init"])
def test_a_new_boot_is_told_even_where_the_process_number_is_taken(place: Place, changed: str) -> None:
    a_work(place).start_or_adopt()
    me = os.getpid()
    mark = {"pid": me, "start": wrapper.start_of(me), "boottime": wrapper.boottime(), "at": "2026-11-23T02:00:00Z"}
    (folder(place) / "began.json").write_text(json.dumps(mark))
    assert a_work(place).start_or_adopt().state == "running"
    claim = json.loads((folder(place) / "claim.json").read_text())
    claim["boot"][changed] = 4711
    (folder(place) / "claim.json").write_text(json.dumps(claim))
    state = a_work(place).start_or_adopt()
    assert (state.state, state.began, state.rebooted) == ("interrupted", True, True)


@given(
    name=st.sampled_from(["claim.json", "began.json", "result.json"]),
    text=st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps),
)
def test_whatever_the_files_hold_nothing_is_started_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: bytes | str
) -> None:
    place = Place(str(tmp_path_factory.mktemp("host")), ("civicops", "runs"))
    fake = Fake()
    a_work(place, fake).start_or_adopt()
    (folder(place) / name).write_bytes(text.encode() if isinstance(text, str) else text)
    assert a_work(place, fake).start_or_adopt().state == "interrupted"
    assert len(fake.started) == 1


# --- a real process, no systemd ----------------------------------------------


def start_in_parallel(anchor: str, number: int) -> str:
    work = a_work(Place(anchor, ("civicops", "runs")), Process(), ("/bin/sleep", "0.5"))
    state = work.start_or_adopt()
    return f"{state.state} {state.adopted}"


def test_twenty_parallel_starts_without_systemd_are_one(place: Place, tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(20) as pool:
        told = pool.starmap(start_in_parallel, [(str(tmp_path), number) for number in range(20)])
    assert sum(line.endswith("False") for line in told) == 1
    assert {line.split()[0] for line in told} <= {"running", "finished"}
    deadline = time.monotonic() + 10
    while a_work(place, Process()).start_or_adopt().state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert a_work(place, Process()).start_or_adopt().status == 0
    assert (folder(place) / "log").read_text().count(" began ") == 1


def test_the_process_outlives_its_starter_and_is_nobodys_child(place: Place, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    starter = context.Process(target=start_in_parallel, args=(str(tmp_path), 0))
    starter.start()
    starter.join()
    state = a_work(place, Process()).start_or_adopt()
    assert state.state == "running"
    time.sleep(0.8)
    assert a_work(place, Process()).start_or_adopt().state == "finished"


# --- systemd's words ----------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "waiting"),
    [
        ("LoadState=not-found\nActiveState=inactive\nJob=\n", False),
        ("LoadState=not-found\nActiveState=inactive\nResult=success\n", False),
        ("LoadState=loaded\nActiveState=inactive\nJob=812\n", True),
        ("LoadState=loaded\nActiveState=activating\n", True),
        ("LoadState=loaded\nActiveState=active\nJob=0\n", False),
        ("LoadState=loaded\nActiveState=failed\n", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_what_systemctl_shows(shown: str, waiting: bool) -> None:
    assert waits(shown) is waiting


def test_systemctl_that_fails_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "run_command", lambda argv, seconds: (1, b"LoadState=not-found"))
    assert launch.Systemd().waits("civicops-wait-r1") is None


# --- what comes from the controller --------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "-x", "x" * 129, "a\n", "é", "@", 7, None])
@pytest.mark.parametrize("field", ["run", "job"])
def test_a_name_that_is_no_name_is_refused(field: str, name: Any) -> None:
    with pytest.raises(WorkError):
        Permit.read({"run": "r", "job": "j", "seconds": 1, "needed": 1, "may_start": True} | {field: name}, 0.0)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1, "60", True, None])
@pytest.mark.parametrize("field", ["seconds", "needed"])
def test_a_number_that_is_no_time_is_refused(field: str, number: Any) -> None:
    with pytest.raises(WorkError):
        Permit.read({"run": "r", "job": "j", "seconds": 1, "needed": 1, "may_start": True} | {field: number}, 0.0)


@pytest.mark.parametrize("part", [None, [], "x", {}, {"run": "r"}])
def test_no_ticket_is_refused(part: Any) -> None:
    with pytest.raises(WorkError):
        Permit.read(part, 0.0)
