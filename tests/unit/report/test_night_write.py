"""The pages, the command, and what people are told when a night has ended."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.report.nights import CHANCE, HOSTILE, Evening, inventory_of_sixty, sixty, town_parts
from tests.unit.towns import MakeTown
from typer.testing import CliRunner

from civicops.alerts import Notice, waiting
from civicops.alerts.matter import Matter, opened
from civicops.alerts.outbox import boxes
from civicops.cli.main import app
from civicops.cli.main import run as command
from civicops.ledger.store import Ledger
from civicops.report import night_write, pages
from civicops.report.night_write import conclude_night, write_night
from civicops.runs.inventory import InventoryError
from civicops.runs.journal import NoSuchRunError
from civicops.state import StateError, TownState
from civicops.town import Town

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
ALERTS = [{"to": "manager@riverton.example", "kind": ["report"]}, {"to": "it@riverton.example", "kind": ["failure"]}]


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    made = make_town(zone="America/New_York", alerts=ALERTS, **town_parts())
    inventory_of_sixty(made)
    return made


def kept(state: TownState, evening: Evening | None = None) -> Evening:
    evening = evening or sixty()
    with Ledger("riverton", state=state) as ledger:
        evening.write(ledger)
    return evening


def notices(state: TownState) -> list[Matter]:
    return [matter for box in boxes(state) for matter in box.all().values() if matter is not None]


def test_both_pages_are_written_and_stand_alone(state: TownState, town: Town) -> None:
    evening = kept(state)
    written = write_night(town, state, "last")
    names = [path.name for path in written.paths]
    assert names == [f"riverton-patch-{evening.run}-{one}.html" for one in ("manager", "engineer")]
    for path in written.paths:
        page = path.read_text()
        assert "default-src 'none'" in page and "<script" not in page
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.parent == state.root / "reports"
    manager, engineer = (path.read_text() for path in written.paths)
    assert "Police, with dispatch" in manager and "openssl" not in manager and "cups" not in manager
    for told in (
        "linux-image-amd64",
        "6.1.148-1",
        "post-installation script failed",
        "frozen by payroll",
        "ssh.service",
    ):
        assert told in engineer
    assert f"/var/lib/civicops/runs/{evening.run}/patch/" in engineer
    assert "4: not a security update" in engineer
    assert "Morgan Reyes" in engineer


def test_without_an_inventory_the_page_does_without_departments(
    state: TownState, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[str, list[str]]:
        raise InventoryError("hosts.yml: broken")

    kept(state)
    monkeypatch.setattr(night_write, "groups_of_run", broken)
    page = write_night(town, state, "last").paths[0].read_text()
    assert "nothing is told by department or system" in page
    assert "55 of 60" in page and "Police, with dispatch" not in page


def test_the_command_prints_the_managers_lines_and_the_paths(
    state: TownState, town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evening = kept(state)
    arguments = ["report", "riverton", "--inventories", str(town.directory.parent)]
    result = CliRunner().invoke(
        app, [*arguments, "--run", evening.run, "--edition", "manager", "--output", str(tmp_path)]
    )
    assert result.exit_code == 0
    assert "55 of 60 computers done" in result.output
    assert f"Report: {tmp_path}/riverton-patch-{evening.run}-manager.html" in result.output
    assert "engineer.html" not in result.output
    told = json.loads(CliRunner().invoke(app, [*arguments, "--run", "last", "--json"]).output)
    assert (told["run"], told["counts"]["done"], len(told["hosts"])) == (evening.run, 55, 60)
    assert told["hosts"][0]["name"] == "clerk-pc-02" and told["hosts"][0]["away_at_most"] is None
    for wrong, said in (
        (["--run", "20200101T000000Z-patch-ffffff"], "has no run"),
        (["--edition", "manager"], "--edition belongs to --run"),
        (["--run", "last", "--edition", "mayor"], "there are manager and engineer"),
    ):
        with pytest.raises(SystemExit) as ended:
            command([*arguments, *wrong])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_without_a_run_the_report_is_as_before(state: TownState, town: Town, tmp_path: Path) -> None:
    kept(state)
    arguments = ["report", "riverton", "--inventories", str(town.directory.parent), "--output", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "patch" not in result.output.split("Report:")[1].rpartition("/")[2]


def test_who_wants_reports_is_told_when_a_night_has_ended(state: TownState, town: Town) -> None:
    evening = kept(state)
    written = conclude_night(town, state, evening.run)
    assert written is not None and written.problem is None
    assert all(path.is_file() for path in written.paths)
    (notice,) = notices(state)
    assert (notice.kind, notice.key) == ("report", f"report:{evening.run}")
    assert notice.subject.startswith("Riverton: patch night of Monday 23 November 2026: 55 of 60 computers done")
    assert "IT to repair it before people use it: clerk-pc-02" in notice.text
    assert all(str(path) in notice.text for path in written.paths)
    conclude_night(town, state, evening.run)
    assert waiting(state) == 1, "told once"


def test_a_resumed_night_that_says_something_else_is_told_anew(state: TownState, town: Town) -> None:
    evening = Evening()
    evening.begun("srv-web", "srv-fin")
    evening.patched("srv-web")
    kept(state, evening)
    first = conclude_night(town, state, evening.run)
    evening.begun("srv-fin")
    evening.patched("srv-fin")
    evening.ended({"srv-fin": "changed"})
    kept(state, evening)
    second = conclude_night(town, state, evening.run)
    assert first is not None and second is not None
    assert "1 of 2 computers done" in first.subject and "all 2 computers done" in second.subject
    (notice,) = notices(state)
    assert "all 2 computers done" in notice.subject, "what waits gets the newest words"


def test_a_report_that_was_told_is_told_again_only_in_other_words() -> None:
    def words(text: str) -> Notice:
        return Notice("report", "report:r1", "Patch night", text)

    matter = opened(words("1 of 2"), NOW)
    told = matter.tried(NOW).told(matter, NOW)
    assert told is not None
    assert told.raised(words("1 of 2"), NOW + timedelta(days=3)) is told, "nobody is reminded of a report"
    anew = told.raised(words("2 of 2"), NOW + timedelta(hours=1))
    assert (anew.telling, anew.text) == ("problem", "2 of 2")


def test_rehearsals_and_other_jobs_have_no_morning_report(state: TownState, town: Town) -> None:
    for run, job, check in (("r1", "wait", False), ("r2", "patch", True)):
        evening = Evening(run=run, job=job, check=check)
        evening.begun("srv-web")
        kept(state, evening)
        assert conclude_night(town, state, run) is None
    assert conclude_night(town, state, "r3") is None
    waits = Evening(run="r4")
    plan = {"job": "patch", "window": "night", "starts_at": CHANCE[0], "hosts": {}}
    waits.add("plan", "", plan)
    kept(state, waits)
    assert conclude_night(town, state, "r4") is None, "a plan is no night"
    assert waiting(state) == 0
    with pytest.raises(NoSuchRunError):
        write_night(town, state, "r3")


def test_a_page_that_can_not_be_written_is_told_and_the_people_too(
    state: TownState, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    evening = kept(state)
    monkeypatch.setattr(pages, "write_durably", full)
    written = conclude_night(town, state, evening.run)
    assert written is not None and written.problem is not None
    assert "No space left on device" in written.problem
    assert f"civicops report riverton --run {evening.run} --output DIR" in written.problem
    assert waiting(state) == 1
    with pytest.raises(StateError, match="choose another --output"):
        write_night(town, state, evening.run)


def test_hostile_words_are_harmless_in_pages_and_mail(state: TownState, town: Town) -> None:
    evening = Evening()
    evening.begun("srv-web")
    evening.patched("srv-web", "failed", reason=HOSTILE, told=[HOSTILE], conffiles=[HOSTILE])
    evening.approved(HOSTILE[:200], ["srv-web"])
    evening.ended({"srv-web": "failed"})
    kept(state, evening)
    written = conclude_night(town, state, evening.run)
    assert written is not None
    (notice,) = notices(state)
    for text in (*(path.read_text() for path in written.paths), notice.text, *written.summary):
        assert not set(text) & {"\x1b", "\u202e"}
    for path in written.paths:
        assert "<script>" not in path.read_text() and "<img" not in path.read_text()
