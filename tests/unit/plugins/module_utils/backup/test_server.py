"""The server's program, on a tree of files: how fresh, how whole, and what may be forgotten."""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import schedule, server
from ansible_collections.civicops.town.plugins.module_utils._backup.config import ConfigError

HASH = "ab" * 32


@pytest.fixture
def config(tmp_path: Path) -> Path:
    values = {
        "town": "riverton",
        "user": "root",
        "root": str(tmp_path / "srv"),
        "state": str(tmp_path / "state"),
        "secrets": str(tmp_path / "secrets"),
        "certificate": str(tmp_path / "none.pem"),
        "keep_within": "90d",
        "clients": [{"name": "pc", "late_after": 3600}, {"name": "new", "late_after": 3600}],
    }
    path = tmp_path / "server.json"
    path.write_text(json.dumps(values))
    (tmp_path / "srv" / "pc" / "snapshots").mkdir(parents=True)
    return path


def call(monkeypatch: pytest.MonkeyPatch, verb: str, config: Path, *more: str) -> int:
    monkeypatch.setattr(server.sys, "argv", ["server.pyz", verb, str(config), *more])
    mask = os.umask(0o077)
    try:
        done: int = server.main()
        return done
    finally:
        os.umask(mask)


def told(config: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((config.parent / "state" / name).read_text())
    return found


def test_fresh_late_and_never(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = config.parent / "srv" / "pc" / "snapshots" / HASH
    snapshot.write_bytes(b"x")
    assert call(monkeypatch, "status", config) == 0
    clients = told(config, "status.json")["clients"]
    assert (clients["pc"]["late"], clients["new"]) == (False, {"snapshots": 0, "newest": None, "late": True})
    os.utime(snapshot, (time.time() - 3700, time.time() - 3700))
    call(monkeypatch, "status", config)
    assert told(config, "status.json")["clients"]["pc"]["late"] is True
    lines = (config.parent / "state" / "backup.prom").read_text().splitlines()
    assert 'civicops_backup_newest_seconds{town="riverton",client="new"} 0.000' in lines
    assert (config.parent / "state" / "backup.prom").stat().st_mode & 0o777 == 0o644
    assert (config.parent / "state" / "status.json").stat().st_mode & 0o777 == 0o600


def test_a_repository_that_is_not_whole_is_never_pruned(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = b"a snapshot"
    snapshot = config.parent / "srv" / "pc" / "snapshots" / hashlib.sha256(whole).hexdigest()
    snapshot.write_bytes(whole)
    call(monkeypatch, "cycle", config)
    snapshot.write_bytes(b"no such content")

    def never(*anything: Any) -> Any:
        raise AssertionError("restic was asked")

    monkeypatch.setattr(server, "_restic", never)
    assert call(monkeypatch, "prune", config) == 1
    [alarm] = told(config, "cycle.json")["clients"]["pc"]["alarms"]
    assert alarm["kind"] == "snapshot"
    assert "ALARM pc snapshot" in capsys.readouterr().err


def backed_up(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one snapshot, which the witness has seen."""
    whole = b"a snapshot"
    snapshot = config.parent / "srv" / "pc" / "snapshots" / hashlib.sha256(whole).hexdigest()
    snapshot.write_bytes(whole)
    call(monkeypatch, "cycle", config)
    return snapshot


def restic_says(
    monkeypatch: pytest.MonkeyPatch, *, listing: str, refusal: str = "", takes: Path | None = None
) -> list[str]:
    asked: list[str] = []

    def answer(one: Any, client: Any, seconds: float, *words: str) -> str:
        asked.append(words[0])
        if words[0] == "forget" and takes is not None:
            takes.unlink()
        if words[0] == "forget" and refusal:
            raise server.Refused(refusal)
        return listing if words[0] == "snapshots" else ""

    monkeypatch.setattr(server, "_restic", answer)
    return asked


@pytest.mark.parametrize("listing", ["null", "[]", "{", '[{"id": 1}]', '["x"]', '{"a": 1}'])
def test_whatever_restic_says_ends_nobody_elses_pruning(
    config: Path, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    backed_up(config, monkeypatch)
    restic_says(monkeypatch, listing=listing)
    call(monkeypatch, "prune", config)
    assert told(config, "prune.json")["clients"]["new"]["done"] is None
    assert set(told(config, "cycle.json")["clients"]) == {"pc", "new"}


def test_a_date_in_the_future_is_told_until_somebody_accepts_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = backed_up(config, monkeypatch)
    listing = json.dumps([{"id": snapshot.name, "time": "2099-01-01T00:00:00Z"}])
    asked = restic_says(monkeypatch, listing=listing)
    assert call(monkeypatch, "prune", config) == 1
    assert asked == ["snapshots"]
    call(monkeypatch, "cycle", config)
    [alarm] = told(config, "prune.json")["clients"]["pc"]["alarms"]
    assert (alarm["kind"], "2099" in alarm["text"]) == ("snapshot", True)
    call(monkeypatch, "accept", config, "pc")
    call(monkeypatch, "prune", config)
    assert told(config, "prune.json")["clients"]["pc"]["alarms"] == []
    assert asked == ["snapshots", "snapshots", "forget", "unlock", "forget"], "the odd one first, and then what is old"


def test_a_backup_that_is_being_made_is_let_be(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backed_up(config, monkeypatch)
    restic_says(monkeypatch, listing="[]", refusal="repository is already locked by PID 1 on pc")
    call(monkeypatch, "prune", config)
    one = told(config, "prune.json")["clients"]["pc"]
    assert (one["done"], one["alarms"], bool(one["since"])) == (None, [], True), "it is told once it takes too long"


def test_a_pruning_that_fails_is_told_and_one_that_was_cut_off_is_no_theft(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = backed_up(config, monkeypatch)
    pack = config.parent / "srv" / "pc" / "data" / "ab" / hashlib.sha256(b"pack").hexdigest()
    pack.parent.mkdir(parents=True)
    pack.write_bytes(b"pack")
    call(monkeypatch, "cycle", config)
    restic_says(monkeypatch, listing="[]", refusal="no space left", takes=pack)
    assert call(monkeypatch, "prune", config) == 1
    assert "no space left" in told(config, "prune.json")["clients"]["pc"]["alarms"][0]["text"]
    assert told(config, "cycle.json")["clients"]["pc"]["alarms"] == []
    with server.Witness(str(config.parent / "state"), str(config.parent / "srv")) as witness:
        witness.begin_pruning("pc")  # and then the power goes
    (other := snapshot.with_name(hashlib.sha256(b"other").hexdigest())).write_bytes(b"other")
    call(monkeypatch, "cycle", config)
    other.unlink()
    call(monkeypatch, "cycle", config)
    assert [one["kind"] for one in told(config, "cycle.json")["clients"]["pc"]["alarms"]] == ["snapshot"]


def test_a_clock_that_is_ahead_makes_nothing_fresh(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = backed_up(config, monkeypatch)
    os.utime(snapshot, (time.time() + 86400, time.time() + 86400))
    call(monkeypatch, "status", config)
    assert told(config, "status.json")["clients"]["pc"]["late"] is True


def test_a_certificate_that_nobody_can_read_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "cycle", config) == 1
    assert [one["kind"] for one in told(config, "cycle.json")["alarms"]] == ["certificate"]


@pytest.mark.parametrize("words", [("accept",), ("accept", "nobody"), ("accept", "pc", "x")])
def test_accepting_wants_a_clients_name(config: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    assert call(monkeypatch, words[0], config, *words[1:]) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-30T13:33:24.510241325Z", (2026, 11, 30, 13, 33, 24)),
        ("2026-11-30T13:33:24-05:00", (2026, 11, 30, 18, 33, 24)),
        ("2026-11-30T13:33:24.5+05:30", (2026, 11, 30, 8, 3, 24)),
    ],
)
def test_the_time_that_a_snapshot_claims(text: str, seconds: tuple[int, ...]) -> None:
    assert server._claimed(text) == calendar.timegm((*seconds, 0, 0, 0))


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-40T99:99:99Z", "0001-01-01"])
def test_a_time_that_is_none(text: str) -> None:
    assert server._claimed(text) is None


def test_restics_durations_at_their_least() -> None:
    assert server._seconds("1y6m15d12h") == ((365 + 6 * 28 + 15) * 24 + 12) * 3600


OUTPUT = """  Original form: Mon..Fri 01:00
Normalized form: Mon..Fri *-*-* 01:00:00
    Next elapse: Fri 2026-12-04 01:00:00 UTC
       From now: 11h left
       Iter. #2: Mon 2026-12-07 01:00:00 UTC
       From now: 3 days left
       Iter. #3: Tue 2026-12-08 01:00:00 UTC
"""


@pytest.mark.parametrize(
    ("output", "status", "answer"),
    [
        (OUTPUT, 0, 3 * 86400 + 3600),
        (OUTPUT.replace("Iter.", "Iteration"), 0, 3 * 86400 + 3600),
        ("", 1, "does not understand"),
        ("    Next elapse: Fri 2026-12-04 01:00:00 UTC\n", 0, "starts once"),
        ("    Next elapse: never\n", 0, "does not understand"),
    ],
)
def test_the_longest_time_between_two_starts(
    monkeypatch: pytest.MonkeyPatch, output: str, status: int, answer: int | str
) -> None:
    monkeypatch.setattr(schedule, "run_command", lambda argv, seconds: (status, output.encode()))
    if isinstance(answer, int):
        assert schedule.period_of("Mon..Fri 01:00") == answer
    else:
        with pytest.raises(ConfigError, match=answer):
            schedule.period_of("Mon..Fri 01:00")
