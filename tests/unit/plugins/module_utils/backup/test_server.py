"""The server's program, on a tree of files: how fresh, how whole, and what may be forgotten."""

from __future__ import annotations

import calendar
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
    (config.parent / "srv" / "pc" / "snapshots" / HASH).write_bytes(b"no such content")

    def never(*anything: Any) -> Any:
        raise AssertionError("restic was asked")

    monkeypatch.setattr(server, "_restic", never)
    assert call(monkeypatch, "prune", config) == 1
    [alarm] = told(config, "cycle.json")["clients"]["pc"]["alarms"]
    assert alarm["kind"] == "snapshot"
    assert "ALARM pc snapshot" in capsys.readouterr().err


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
        (OUTPUT, 0, 3 * 86400),
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
