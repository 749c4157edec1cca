"""What people are told of backups: once, when it is over too, and also of hosts that say nothing any more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backups import CLIENT, NOW, SERVER, append, put, put_config, put_drill
from tests.unit.towns import MakeTown

from civicops.alerts import deliver
from civicops.alerts.outbox import boxes
from civicops.exit_status import ExitStatus
from civicops.ledger.store import Ledger, LedgerError
from civicops.runs import looks
from civicops.runs.backups import tell_backups
from civicops.runs.judge import RunResult
from civicops.runs.scheduler import Launch, Scheduler, Tick
from civicops.runs.serve import serve
from civicops.runs.tell import note_end
from civicops.state import TownState
from civicops.town import Town

from .conftest import HookServer, alert

FRESH = CLIENT | {"late_after_seconds": 32 * 3600}
HOUR = timedelta(hours=1)


@dataclass
class Office:
    """A town whose people have a webhook for backups, and what came by it."""

    town: Town
    state: TownState
    hooks: HookServer
    seen: int = 0

    def put(self, write: Callable[..., None], *args: Any, **more: Any) -> None:
        with Ledger(self.town.id, state=self.state) as ledger:
            write(ledger, *args, **more)

    def told(self, now: datetime = NOW) -> list[str]:
        """The subjects that are new when the town's backups were judged."""
        tell_backups(self.town, self.state, now)
        return self.sent(now)

    def sent(self, now: datetime = NOW) -> list[str]:
        deliver(self.town, self.state, now)
        posts = [json.loads(post.body) for post in self.hooks.posts[self.seen :]]
        self.seen = len(self.hooks.posts)
        return [part["subject"].removeprefix("Riverton: ") for post in posts for part in post["notices"]]


@pytest.fixture
def office(state: TownState, make_town: MakeTown, hooks: HookServer, trusted: Callable[..., None]) -> Office:
    trusted("/hook")
    return Office(make_town(alerts=[alert(hooks.url(), "backup", "failure")]), state, hooks)


def test_alarms_are_told_once_and_when_they_are_over(office: Office) -> None:
    office.put(put, "pc", "late", client=FRESH)
    office.put(put, "well", client=FRESH)
    [subject] = office.told()
    assert subject.startswith("backups of pc: late: <b>late</b>")
    assert office.told(NOW + HOUR) == []
    office.put(put, "pc", "canary", age=-HOUR, client=FRESH)
    assert office.told(NOW + 2 * HOUR) == [], "one matter, though it is another alarm now"
    office.put(put, "pc", age=-2 * HOUR, client=FRESH)
    assert office.told(NOW + 3 * HOUR) == ["Resolved: Riverton: the backups of pc are as they should be"]
    assert office.told(NOW + 4 * HOUR) == []


def test_what_stays_open_is_reminded_of_after_a_day(office: Office) -> None:
    office.put(put, "pc", "late", client=FRESH)
    office.told()
    [subject] = office.told(NOW + 25 * HOUR)
    assert subject.startswith("Still: Riverton: backups of pc")


def test_a_host_that_is_switched_off_is_late_and_then_not_known(office: Office) -> None:
    office.put(put, "pc", client=FRESH)
    assert office.told() == []
    assert office.told(NOW + 30 * HOUR) == ["backups of pc: late: the last complete backup ended 2026-11-30T01:05:00Z"]
    office.told(NOW + 56 * HOUR)
    assert "not known since 2026-11-30" in json.loads(office.hooks.posts[-1].body)["text"]


def test_a_host_that_nobody_asks_is_told(office: Office) -> None:
    office.put(put, "pc")
    [subject] = office.told(NOW + timedelta(days=3))
    assert subject.startswith("backups of pc: not known since 2026-11-30")


def test_a_devices_configuration_that_is_not_whole_is_told_and_that_it_is_kept_again(office: Office) -> None:
    office.put(put_config, "sw1")
    assert office.told() == []
    office.put(put_config, "sw1", age=-HOUR, outcome="refused", reason="its end is missing")
    [subject] = office.told(NOW + 2 * HOUR)
    assert subject == "configuration of sw1: refused: its end is missing"
    assert "The one of 2026-11-30T11:00Z is kept." in json.loads(office.hooks.posts[-1].body)["text"]
    office.put(put_config, "sw1", age=-2 * HOUR)
    assert office.told(NOW + 3 * HOUR) == ["Resolved: Riverton: the configuration of sw1 is kept again"]


def test_a_device_that_nobody_asks_any_more_is_late_by_time_alone(office: Office) -> None:
    office.put(put_config, "sw1")
    assert office.told() == []
    [subject] = office.told(NOW + timedelta(days=9))
    assert subject == "configuration of sw1: late: the last whole configuration is of 2026-11-30"


def test_a_failed_drill_is_a_matter_of_its_own(office: Office) -> None:
    office.put(put, "pc", client=FRESH)
    office.put(put_drill, "pc", outcome="failed", reason="7 files did not come back")
    assert office.told() == ["the restore drill of pc failed"]
    assert "7 files did not come back" in json.loads(office.hooks.posts[-1].body)["text"]
    office.put(put_drill, "pc", age=-HOUR)
    assert office.told(NOW + 2 * HOUR) == ["Resolved: Riverton: the restore drill of pc went well"]


def test_a_drill_that_nobody_holds_is_told_after_35_days(office: Office) -> None:
    for host in ("never", "once", "server"):
        more = {"client": None, "server": SERVER} if host == "server" else {"client": FRESH}
        office.put(put, host, age=timedelta(days=34), **more)
        office.put(put, host, **more)
    office.put(put_drill, "once", age=timedelta(days=34))
    assert office.told() == [], "a town that has just begun has had no time for drills"
    expected = [f"the restore drill of {host} was not held for 35 days" for host in ("never", "once")]
    told = office.told(NOW + timedelta(days=1, hours=1))
    assert sorted(subject for subject in told if "drill" in subject) == expected


def test_a_host_that_has_left_the_inventory_is_not_told_of_for_ever(office: Office) -> None:
    office.put(put, "pc", "late")
    office.put(put, "old", "late")
    assert len(office.told()) == 2
    at = "2026-11-30T12:30:00Z"
    body = {"playbook": "p", "started_at": at, "ended_at": at, "limit": None, "user": "ann", "ansible": "2.19.0"}
    office.put(append, "run", "", body | {"hosts": {"pc": "not_asked"}}, -HOUR)
    assert office.told(NOW + 2 * HOUR) == [
        "Resolved: Riverton: old is not backed up any more, or is no longer in the inventory"
    ]


def test_what_hosts_say_steers_nothing_and_has_an_end(office: Office) -> None:
    words = "x\r\nBcc: everybody\x1b[2J\u202e" + "y" * 200
    office.put(put, "pc", client=FRESH | {"complete": None})
    body = {"host_time": None, "seen_as_root": True, "client": FRESH, "server": None}
    office.put(append, "backup-status", "pc", body | {"alarms": [{"kind": "\n\n-- \n", "text": words}] * 100}, -HOUR)
    office.put(put_drill, "pc", outcome="failed", reason="\x1b[2J\n" * 50)
    office.told(NOW + 2 * HOUR)
    posted = json.loads(office.hooks.posts[-1].body)
    assert not {"\x1b", "\r", "\u202e"} & set(posted["text"])
    assert "\n" not in posted["subject"] and len(posted["subject"]) <= 200
    assert "and 92 more" in posted["text"] and "\nBcc" not in posted["text"] and len(posted["text"]) < 6000


@pytest.mark.parametrize("ended", ["x", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", None])
def test_a_time_that_is_none_stops_nothing(office: Office, ended: str | None) -> None:
    client = FRESH | {"complete": CLIENT["complete"] | {"ended_at": ended}}  # type: ignore[operator]
    office.put(put, "pc", client=client)
    office.put(put, "other", "late")
    assert any("backups of other" in subject for subject in office.told())


@pytest.mark.parametrize("status", [ExitStatus.DONE, ExitStatus.HOSTS_FAILED])
def test_a_run_that_ends_tells_what_its_documents_say(office: Office, status: ExitStatus) -> None:
    office.put(put, "pc", "late")
    result = RunResult("20261130T120000Z-backup-0a1b2c", "done", status, {"pc": "ok"}, {}, {})
    note_end(office.town, office.state, result, NOW)
    assert any(subject.startswith("backups of pc") for subject in office.sent())


def test_who_is_killed_while_telling_leaves_nothing_open_for_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put(put, "pc", client=FRESH)
    office.told()
    office.put(put, "pc", "late", age=-HOUR, client=FRESH)
    with monkeypatch.context() as patch:
        patch.setattr("civicops.runs.backups.Look", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tell_backups(office.town, office.state, NOW + HOUR)
    assert len(office.sent(NOW + HOUR)) == 1
    office.put(put, "pc", age=-2 * HOUR, client=FRESH)
    assert office.told(NOW + 3 * HOUR) == ["Resolved: Riverton: the backups of pc are as they should be"]


# --- the scheduler, without any run ------------------------------------------------


@dataclass
class Desk:
    """A scheduler whose processes do their work at once, at the clock that the test sets."""

    inventories: Path
    now: datetime = NOW
    dies: bool = False
    launched: list[Launch] = field(default_factory=list)

    def launch(self, launch: Launch) -> None:
        self.launched.append(launch)
        if launch.action == "look" and not self.dies:
            from civicops.town import load_town

            tell_backups(load_town(launch.directory), TownState(launch.town), self.now)

    def tick(self, after: timedelta = timedelta()) -> Tick:
        self.now += after
        return Scheduler(self.inventories, self.launch, clock=lambda: self.now).tick()

    @property
    def looks(self) -> list[str]:
        return [launch.town for launch in self.launched if launch.action == "look"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "inventories")


def test_the_scheduler_tells_of_a_host_that_no_run_has_asked(office: Office, desk: Desk) -> None:
    office.put(put, "pc", client=FRESH)
    desk.tick()
    assert office.sent() == []
    for _hour in range(40):
        desk.tick(HOUR)
    assert office.sent(desk.now)[0].startswith("backups of pc: late")


def test_a_town_that_is_unchanged_costs_two_small_files(
    office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put(put, "pc", client=FRESH)
    desk.tick()
    assert desk.looks == ["riverton"]

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the ledger was opened")

    monkeypatch.setattr("civicops.ledger.store.Ledger.__init__", opened)
    for _hour in range(18):
        desk.tick(HOUR)
    assert desk.looks == ["riverton"]


def test_a_town_without_backups_starts_no_process_and_tells_nobody(
    office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "2026-11-30T11:30:00Z"
    body = {"playbook": "p", "started_at": at, "ended_at": at, "limit": None, "user": "ann", "ansible": "2.19.0"}
    for hour in range(5):
        office.put(append, "run", "", body | {"hosts": {"pc": "ok"}}, -hour * HOUR)
        desk.tick(HOUR)
    assert (desk.looks, boxes(office.state)) == ([], [])
    counted: list[object] = []
    monkeypatch.setattr(looks, "_newest", lambda *_: counted.append(1) or 0)
    for _hour in range(100):
        desk.tick(HOUR)
    assert counted == []


def test_what_has_come_is_looked_at_within_the_hour_and_not_more_often(office: Office, desk: Desk) -> None:
    office.put(put, "pc", client=FRESH)
    desk.tick()
    office.put(put, "pc", "late", age=-HOUR, client=FRESH)
    for _minute in range(59):
        desk.tick(timedelta(minutes=1))
    assert len(desk.looks) == 1
    desk.tick(timedelta(minutes=1))
    assert len(desk.looks) == 2
    assert len(office.sent(desk.now)) == 1


def test_a_process_that_dies_is_started_again_after_an_hour(office: Office, desk: Desk) -> None:
    office.put(put, "pc", "late")
    desk.dies = True
    for _minute in range(60):
        desk.tick(timedelta(minutes=1))
    assert len(desk.looks) == 1
    desk.dies = False
    desk.tick(timedelta(minutes=1))
    assert len(desk.looks) == 2
    assert len(office.sent(desk.now)) == 1


@pytest.mark.parametrize("kept", [b"{", b"[]", b'{"version": 1, "at": "x", "open": []}', b'{"version": 9}'])
def test_a_note_that_is_damaged_is_made_anew(office: Office, desk: Desk, kept: bytes) -> None:
    office.put(put, "pc", "late")
    (office.state.directory() / "backups.json").write_bytes(kept)
    assert desk.tick().problems == []
    assert len(office.sent()) == 1


def test_a_ledger_that_can_not_be_read_is_that_towns_problem_alone(
    office: Office, desk: Desk, make_town: MakeTown
) -> None:
    office.put(put, "pc", "late")
    make_town("beeville")
    desk.tick()
    (TownState("beeville").root / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    office.put(put, "pc", "late", age=-HOUR)
    tick = desk.tick(2 * HOUR)
    assert [problem.split(":")[0] for problem in tick.problems] == ["beeville"]
    assert "can't be used" in tick.problems[0]
    assert desk.looks == ["riverton", "riverton"]


def test_a_document_that_can_not_be_read_is_told_to_the_towns_people(office: Office) -> None:
    office.put(put, "pc", "late")
    with sqlite3.connect(office.state.ledger) as database:
        [kept] = database.execute("SELECT packed FROM body").fetchone()
        database.execute("UPDATE body SET packed = x'00'")
    note_end(office.town, office.state, RunResult("1-checkup-1", "done", ExitStatus.DONE, {}, {}, {}), NOW)
    launch = Launch("look", "riverton", office.town.directory)
    with pytest.raises(LedgerError):
        serve(office.town, office.state, launch)
    assert office.sent(datetime.now(UTC)) == ["the scheduler could not look"]
    with sqlite3.connect(office.state.ledger) as database:
        database.execute("UPDATE body SET packed = ?", [kept])
    assert serve(office.town, office.state, launch) is ExitStatus.DONE
    assert any(subject.startswith("Resolved") for subject in office.sent(datetime.now(UTC)))


def test_many_towns_are_looked_at_in_turn_and_hold_up_no_run(desk: Desk, make_town: MakeTown, state: TownState) -> None:
    night = {"id": "night", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "11:00", "duration": "4h"}
    for number in range(6):
        make_town(f"town-{number}")
        with Ledger(f"town-{number}", state=TownState(f"town-{number}")) as ledger:
            put(ledger, "pc")
    make_town("zoo", maintenance={"windows": [night]})
    assert [launch.action for launch in desk.tick().launched] == ["look"] * 4 + ["start"]
    desk.tick(timedelta(minutes=1))
    assert sorted(desk.looks) == [f"town-{number}" for number in range(6)]


def test_a_ledger_elsewhere_is_asked_hourly_and_daily_where_there_are_no_backups(
    office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CIVICOPS_LEDGER_URL", f"sqlite:///{tmp_path}/elsewhere-{{town}}.sqlite")
    for _hour in range(49):
        desk.tick(HOUR)
    assert len(desk.looks) == 3
    office.put(put, "pc", "late", age=NOW - desk.now)
    desk.tick(24 * HOUR)
    desk.tick(HOUR)
    assert len(desk.looks) == 5
