"""However a patch run is started, its morning report is written when it has ended, and people are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.nights import patch_body
from tests.unit.towns import MakeTown
from typer.testing import CliRunner

from civicops.alerts import waiting
from civicops.cli.main import app
from civicops.ledger import spool
from civicops.ledger.spool import Origin
from civicops.runs import start as starting
from civicops.runs.engine import Ended, RunRequest
from civicops.runs.rotate import KEPT_REPORTS, rotate
from civicops.runs.start import new_run_id
from civicops.state import TownState

WINDOW = {"id": "night", "jobs": ["patch", "wait"], "rrule": "FREQ=DAILY", "start": "00:00", "duration": "24h"}
Command = Callable[..., Any]


def quiet_now() -> str:
    """Quiet hours, in a town's time of UTC, that have begun an hour ago."""
    now = datetime.now(UTC)
    return f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"


@pytest.fixture
def run(state: TownState, make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`civicops ARGUMENTS` for a town of one host, with Ansible stood in for."""

    def play(request: RunRequest, _state: TownState, *, run: str, **_: Any) -> Ended:
        origin = Origin("riverton", run, request.job.name)
        at = spool.now()
        told = {"playbook": "patch_night", "started_at": at, "ended_at": at, "hosts": {"web1": "changed"}}
        bodies = {"patch": patch_body(), "host-facts": {"host_time": None, "seen_as_root": True, "unread": []}}
        for kind in request.job.owed:
            spool.write(origin, kind=kind, version=1, host="web1", body=bodies[kind])
        spool.write(origin, kind="run", version=1, host="", body=told)
        return Ended(good=True, cancelled=False, status=0, last_words="")

    monkeypatch.setattr(starting, "play", play)
    monkeypatch.setattr("civicops.alerts.delivery.CHANNELS", ())
    alerts = [{"to": "https://chat.riverton.example/x", "kind": ["report"], "quiet_hours": quiet_now()}]
    town = make_town(alerts=alerts, maintenance={"windows": [WINDOW]})

    def command(*arguments: str) -> Any:
        place = ["--directory", str(town.directory)] if arguments[0] == "serve" else []
        place = place or ["--inventories", str(town.directory.parent)]
        return CliRunner().invoke(app, [*arguments, *place])

    return command


def reports(state: TownState) -> list[str]:
    return sorted(path.name for path in (state.root / "reports").glob("*.html"))


def test_by_hand(run: Command, state: TownState) -> None:
    result = run("run", "patch", "riverton")
    assert result.exit_code == 0
    assert len(reports(state)) == 2
    assert all(name in result.output for name in reports(state))
    assert waiting(state) == 1
    told = json.loads(run("run", "patch", "riverton", "--json").stdout)
    assert told["state"] == "done", "one JSON document and nothing else"


def test_by_a_scheduler(run: Command, state: TownState) -> None:
    name = new_run_id("patch")
    arguments = ["--job", "patch", "--run", name, "--window", "night", "--window-start", spool.now()]
    result = run("serve", "riverton", "start", *arguments)
    assert result.exit_code == 0
    assert reports(state) == [f"riverton-patch-{name}-{edition}.html" for edition in ("engineer", "manager")]
    assert waiting(state) == 1


def test_other_jobs_have_none(run: Command, state: TownState) -> None:
    assert run("run", "checkup", "riverton").exit_code == 0
    assert not (state.root / "reports").exists()


def test_the_oldest_reports_go_whatever_their_names(state: TownState) -> None:
    import os

    folder: Path = state.directory("reports")
    names = [f"riverton-patch-{number:03}-manager.html" for number in range(KEPT_REPORTS)]
    for at, name in enumerate([*names, "riverton-2026-11-24T070000Z.html"]):
        (folder / name).write_text("")
        os.utime(folder / name, (at, at))
    rotate(state)
    left = reports(state)
    assert len(left) == KEPT_REPORTS
    assert "riverton-2026-11-24T070000Z.html" in left and names[0] not in left
