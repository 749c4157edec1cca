"""The chain of pieces, with real files and a launcher that starts nothing: whoever asks takes it one step further."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_work import work, wrapper
from ansible_collections.civicops.town.plugins.module_utils._host_work.place import Place
from ansible_collections.civicops.town.plugins.module_utils._host_work.work import Permit
from ansible_collections.civicops.town.plugins.module_utils._patch import chain, snapshot
from ansible_collections.civicops.town.plugins.module_utils._patch.chain import (
    LONGEST,
    Chain,
    cut_off,
    patched_runs,
    way_back,
)

GONE = 2**22 + 1  # above the kernel's largest process id


class Host:
    """A host on which pieces are started, begin, end and vanish as the test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = Place(str(folder), ("civicops", "runs"))
        self.started: list[str] = []
        self.boots = 0
        monkeypatch.setattr(work, "launcher", lambda: self)
        monkeypatch.setattr(work, "boot", self.boot)
        monkeypatch.setattr(chain, "boot", self.boot)
        monkeypatch.setattr(chain.bundle, "program", lambda main, parts: b"zip")

    def boot(self) -> dict[str, Any]:
        return {"boot_id": str(self.boots), "init": 1}

    def start(self, unit: str, program: str, lock: int) -> str | None:
        self.started.append(unit)
        return None

    def waits(self, unit: str) -> bool | None:
        return False

    def chain(self, may_start: bool = True, seconds: float = 600.0, needed: float = 5.0) -> Chain:
        part = {"run": "r1", "job": "patch", "seconds": seconds, "needed": needed, "may_start": may_start}
        return Chain(Permit.read(part, wrapper.boottime()), {"stage": "install", "reboot": "when_wanted"}, self.place)

    def step(self, dry: bool = False, first: Callable[[], dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
        begin = first or (lambda: {"request": {"manager": "apt"}})
        told: dict[str, Any] = self.chain(**more).step(begin, dry)
        return told

    def piece(self, number: int) -> Path:
        return Path(self.place.path, "r1", "patch" if number == 1 else f"patch-{number}")

    @property
    def base(self) -> Path:
        return self.piece(1)

    def begin(self, number: int, pid: int | None = None) -> None:
        pid = pid or os.getpid()
        mark = {"pid": pid, "start": wrapper.start_of(os.getpid()), "boottime": wrapper.boottime(), "at": "t"}
        assert wrapper.create(str(self.piece(number)), wrapper.BEGAN, mark)

    def end(self, number: int, status: int = 0, seconds: float = 10.0, **details: Any) -> None:
        if not (self.piece(number) / wrapper.BEGAN).exists():
            self.begin(number, GONE)
        told = {"status": status, "late": False, "seconds": seconds, "started_at": "a", "ended_at": "b"}
        assert wrapper.create(str(self.piece(number)), wrapper.RESULT, told)
        if details:
            snapshot.write_json(str(self.base), chain.DETAILS, details)

    def request(self, number: int) -> dict[str, Any]:
        return json.loads((self.piece(number) / chain.REQUEST).read_text())  # type: ignore[no-any-return]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_the_first_call_begins_and_later_ones_look(host: Host) -> None:
    first = host.step()
    assert (first["state"], first["adopted"], first["stage"]) == ("running", False, "")
    assert first["watch"] == str(host.base / wrapper.RESULT)
    assert first["details"] is None
    request = host.request(1)
    assert (request["stage"], request["base"], request["deadline"]) == ("install", str(host.base), None)
    assert (request["manager"], request["job"], request["needed"], request["rebooted"]) == ("apt", "patch", 5.0, False)
    assert (host.base / "program.pyz").read_bytes() == b"zip"
    host.begin(1)
    for _ in range(3):
        again = host.step()
        assert (again["state"], again["adopted"], again["began"]) == ("running", True, True)
    assert host.started == ["civicops-patch-r1"]


def test_an_end_is_told_with_what_was_found_out(host: Host) -> None:
    host.step()
    host.end(1, outcome="done", reason="all of it", _late=True, _phase="probes_after", phases={"install": 4.0})
    told = host.step()
    assert (told["state"], told["status"], told["late"], told["reason"]) == ("finished", 0, True, "all of it")
    assert told["details"] == {"outcome": "done", "phases": {"install": 4.0}}, "nothing of the program's own"
    assert told["seconds"] == 10.0
    assert host.step() == told | {"host_time": host.step()["host_time"]}
    assert len(host.started) == 1


def test_a_reboot_that_is_pending_is_waited_for_and_gone_on_after(host: Host) -> None:
    host.step()
    host.end(1, outcome="done", _next="after", phases={})
    waiting = host.step()
    assert (waiting["state"], waiting["reason"], waiting["watch"]) == ("running", "it is being restarted", None)
    assert waiting["details"] is None
    assert len(host.started) == 1
    host.boots = 1
    second = host.step(may_start=False)
    assert (second["state"], second["stage"], second["watch"]) == (
        "running", "patch-2", str(host.piece(2) / wrapper.RESULT)
    )  # fmt: skip
    assert host.started[1:] == ["civicops-patch-2-r1"], "what was begun is gone on with"
    request = host.request(2)
    assert (request["stage"], request["rebooted"], request["base"]) == ("after", True, str(host.base))
    assert request["deadline"] is not None
    host.begin(2)
    snapshot.write_json(str(host.base), chain.DETAILS, {"outcome": "done", "reason": "it is being restarted"})
    still = host.step()
    assert (still["state"], still["details"]) == ("running", None), "the first piece's outcome is not the end"
    host.end(2, seconds=3.0, outcome="done", reason="", phases={"reboot": 60.0})
    told = host.step()
    assert (told["state"], told["details"]["outcome"], told["seconds"]) == ("finished", "done", 73.0)
    assert told["adopted"] is True
    assert len(host.started) == 2


def test_a_reboot_that_never_comes_is_gone_on_without(host: Host) -> None:
    host.step()
    host.end(1, outcome="done", _next="after")
    long_ago = (host.base / wrapper.RESULT).stat().st_mtime - chain.REBOOT_SECONDS - 1
    os.utime(host.base / wrapper.RESULT, (long_ago, long_ago))
    host.step()
    assert (host.request(2)["stage"], host.request(2)["rebooted"]) == ("after", False)


@pytest.mark.parametrize("rebooted", [True, False])
def test_what_was_interrupted_is_recovered(host: Host, rebooted: bool) -> None:
    host.step()
    host.begin(1, GONE)
    host.boots = int(rebooted)
    told = host.step(may_start=False)
    assert (told["state"], told["stage"], told["rebooted"]) == ("running", "patch-2", rebooted)
    assert (host.request(2)["stage"], host.request(2)["rebooted"]) == ("recover", True)


def test_a_second_piece_that_is_interrupted_is_recovered(host: Host) -> None:
    host.step()
    host.end(1, outcome="done", _next="after")
    host.boots = 1
    host.step()
    host.begin(2, GONE)
    snapshot.write_json(str(host.base), chain.DETAILS, {"outcome": "done", "_phase": "probes_after"})
    told = host.step()
    assert (told["state"], told["stage"], host.request(3)["stage"]) == ("running", "patch-3", "recover")


def test_what_never_began_is_not_recovered(host: Host) -> None:
    host.step()
    host.boots = 1
    told = host.step()
    assert (told["state"], told["began"], told["details"]) == ("interrupted", False, None)
    assert len(host.started) == 1
    assert (host.base / wrapper.BEGAN).exists(), "and never will"


def test_a_host_that_is_cut_off_for_ever_is_left_to_somebody(host: Host) -> None:
    host.step()
    snapshot.write_json(str(host.base), chain.DETAILS, {"outcome": "done", "phases": {}, "_phase": "install"})
    for number in range(1, LONGEST + 1):
        host.begin(number, GONE)
        told = host.step()
    assert told["reason"] == f"it was interrupted {LONGEST} times"
    assert (told["state"], told["details"]["outcome"], told["began"]) == ("interrupted", "interrupted", True)
    assert host.started == ["civicops-patch-r1", *(f"civicops-patch-{n}-r1" for n in range(2, LONGEST + 1))]
    assert host.step()["state"] == "interrupted"
    assert len(host.started) == LONGEST


def test_a_program_that_failed_is_the_end(host: Host) -> None:
    host.step()
    host.end(1, status=1, outcome="done", _next="after")
    told = host.step()
    assert (told["state"], told["status"]) == ("finished", 1)
    assert len(host.started) == 1


def test_a_program_that_was_killed_is_put_right_by_the_next_piece(host: Host) -> None:
    host.step()
    host.end(1, status=-9, _phase="install")
    assert cut_off(host.place) == ["r1"]
    told = host.step(may_start=False)
    assert (told["state"], told["stage"]) == ("running", "patch-2")
    assert (host.request(2)["stage"], host.request(2)["rebooted"]) == ("recover", False)
    host.end(2, outcome="done", phases={})
    assert host.step()["details"]["outcome"] == "done"
    assert cut_off(host.place) == []
    assert len(host.started) == 2


# --- what starts nothing -------------------------------------------------------------------------------------------


def never() -> dict[str, Any]:
    raise AssertionError("the host is not looked at")


def test_a_ticket_that_does_not_let_it_start_starts_nothing(host: Host) -> None:
    told = host.step(may_start=False, first=never)
    assert (told["state"], told["began"]) == ("absent", False)
    assert "does not let it start" in told["reason"]
    assert not host.base.exists()


def test_too_little_time_starts_nothing(host: Host) -> None:
    told = host.step(seconds=3.0, needed=5.0)
    assert (told["state"], told["began"]) == ("refused", False)
    assert host.started == []


@pytest.mark.parametrize("outcome", ["blocked", "done", "planned"])
def test_what_is_settled_at_once_starts_nothing(host: Host, outcome: str) -> None:
    told = host.step(first=lambda: {"outcome": outcome, "reason": "why", "manager": "apt"})
    assert (told["state"], told["reason"], told["began"]) == ("settled", "why", False)
    assert told["details"] == {"outcome": outcome, "manager": "apt"}
    assert not host.base.exists()


def test_check_mode_starts_nothing(host: Host) -> None:
    host.step(dry=True, first=lambda: {"outcome": "planned"})
    host.step(dry=True)
    assert not host.base.exists()
    host.step()
    host.begin(1, GONE)
    host.boots = 1
    told = host.step(dry=True)
    assert (told["state"], len(host.started)) == ("running", 1)
    assert not host.piece(2).exists()


def test_check_mode_keeps_nothing_from_beginning(host: Host) -> None:
    host.step()
    host.boots = 1
    assert host.step(dry=True)["state"] == "interrupted"
    assert not (host.base / wrapper.BEGAN).exists()


# --- the runs that are kept --------------------------------------------------------------------------------------


def test_the_runs_that_can_be_taken_back(host: Host) -> None:
    assert patched_runs(host.place) == []
    for number, (run, names) in enumerate(
        {"old": ["before.json"], "new": ["before.json"], "back": ["before.json", "taken-back.json"], "none": []}.items()
    ):
        folder = host.place.of(run, "patch", make=True)
        for name in names:
            snapshot.write_json(folder, name, {"packages": [["a", "amd64", "1"], ["gone", "all", "1"]]})
            os.utime(Path(folder, name), (number, number))
    assert patched_runs(host.place) == ["new", "old"]

    class Manager:
        def installed(self) -> dict[tuple[str, str], str]:
            return {("a", "amd64"): "2", ("more", "all"): "1"}

    table = way_back(Manager(), host.place.of("old", "patch", make=False))
    assert table["rows"] == [["a", "amd64", "2", "1"], ["gone", "all", None, "1"], ["more", "all", "1", None]]


def test_the_runs_that_were_cut_off_here(host: Host) -> None:
    assert cut_off(host.place) == []
    host.step()
    assert cut_off(host.place) == [], "it has not begun"
    host.begin(1)
    assert cut_off(host.place) == [], "it goes on"
    (host.base / wrapper.BEGAN).unlink()
    host.begin(1, GONE)
    assert cut_off(host.place) == ["r1"]
    host.step()
    assert cut_off(host.place) == [], "the second piece is on its way"
    host.begin(2, GONE)
    assert cut_off(host.place) == ["r1"]
    host.end(2, outcome="done")
    assert cut_off(host.place) == []
    Path(host.place.path, "r2").touch()
    Path(host.place.of("r3", "patch", make=True), wrapper.BEGAN).write_text("{")
    assert cut_off(host.place) == []
