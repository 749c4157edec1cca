"""The scheduler: each opening is served once, whoever looks, whenever, and a town's trouble stays its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.towns import MakeTown

from civicops.runs.journal import Journal, RunOrder, mark_approved, mark_told, write_plan
from civicops.runs.last import Last, write_last
from civicops.runs.scheduler import Launch, Scheduler, Tick
from civicops.runs.status import write_status
from civicops.state import TownState, locked

NIGHT = {"id": "night", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "22:00", "duration": "4h"}
START = datetime(2026, 11, 23, 22, tzinfo=UTC)


@dataclass
class Site:
    """A firm's controller: towns, a clock that the test sets, and processes that are only noted, or that begin."""

    inventories: Path
    now: datetime = START - timedelta(hours=2)
    launched: list[Launch] = field(default_factory=list)
    dies: bool = False
    at_once: int = 4

    def launch(self, launch: Launch) -> None:
        self.launched.append(launch)
        if launch.action == "start" and not self.dies:
            self.order(launch)

    def order(self, launch: Launch) -> Journal:
        return Journal(TownState(launch.town), self.run_order(launch))

    @staticmethod
    def run_order(launch: Launch) -> RunOrder:
        at = "2026-11-23T22:00:00Z"
        order = RunOrder(launch.run, launch.town, "0" * 64, launch.job, None, False, "ann", 1, at)
        return RunOrder(**{**vars(order), "window": launch.window, "window_start": launch.window_start})

    def end(self, launch: Launch) -> None:
        state = TownState(launch.town)
        self.order(launch).end(state="done", ended_at="2026-11-23T22:10:00Z", exit_status=0, message=None)
        write_last(state, launch.job, Last(launch.run, "done", 0, "2026-11-23T22:10:00Z", None, False, {"changed": 2}))

    def tick(self, after: timedelta = timedelta()) -> Tick:
        self.now += after
        one = Scheduler(self.inventories, self.launch, at_once=self.at_once, clock=lambda: self.now)
        return one.tick()

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(launch.action, launch.town) for launch in self.launched]


@pytest.fixture
def site(tmp_path: Path, state: TownState) -> Site:
    return Site(tmp_path / "inventories")


def windows(*given: dict[str, Any]) -> dict[str, Any]:
    return {"windows": list(given)}


def test_an_opening_is_started_once_and_at_its_time(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT))
    assert site.tick().launched == []
    [launch] = site.tick(timedelta(hours=2)).launched
    assert (launch.action, launch.town, launch.job, launch.window) == ("start", "riverton", "wait", "night")
    site.end(launch)
    for _minute in range(250):
        assert site.tick(timedelta(minutes=1)).launched == []
    assert [one.action for one in site.tick(timedelta(hours=20)).launched] == ["start"], "the next night"


def test_what_was_decided_is_known_when_the_timetable_is_lost(
    site: Site, make_town: MakeTown, state: TownState
) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    site.end(site.tick(timedelta(hours=2)).launched[0])
    (state.root / "schedule.json").unlink()
    assert site.tick(timedelta(minutes=5)).launched == []
    (state.root / "schedule.json").write_text("{")
    assert site.tick(timedelta(minutes=5)).launched == []


def test_two_schedulers_on_one_ledger_start_it_once(site: Site, make_town: MakeTown, state: TownState) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    schedule = (state.root / "schedule.json").read_bytes()
    site.dies = True
    site.tick(timedelta(hours=2))
    (state.root / "schedule.json").write_bytes(schedule)  # the other one's, on another machine
    for _minute in range(10):
        assert site.tick(timedelta(minutes=1)).launched == [], "neither starts it nor thinks that it never began"
    assert len(site.launched) == 1


def test_who_looks_while_another_looks_does_nothing(site: Site, make_town: MakeTown, state: TownState) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    with locked(state.root.parent / ".scheduler" / "lock"):
        assert site.tick(timedelta(hours=2)).busy
    assert site.launched == []


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_clock_that_jumps_doubles_nothing(site: Site, make_town: MakeTown, jump: timedelta) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    site.end(site.tick(timedelta(hours=2, minutes=5)).launched[0])
    for _minute in range(130):
        site.tick(timedelta(minutes=1))
    site.tick(jump)
    for _minute in range(60):
        site.tick(timedelta(minutes=1))
    assert site.told == [("start", "riverton")]


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1), timedelta(hours=24)])
def test_a_clock_that_jumps_while_a_run_goes_on_starts_nothing_beside_it(
    site: Site, make_town: MakeTown, state: TownState, jump: timedelta
) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    [launch] = site.tick(timedelta(hours=2, minutes=5)).launched
    with locked(state.run_directory(launch.run) / "lock"):
        site.tick(jump)
        for _minute in range(30):
            assert site.tick(timedelta(minutes=1)).launched == []
    assert [(one.action, one.run) for one in site.tick().launched] == [("resume", launch.run)], "it was killed"


def test_a_clock_that_jumps_past_a_windows_end_and_back_neither_skips_nor_doubles(
    site: Site, make_town: MakeTown
) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    site.end(site.tick(timedelta(hours=2)).launched[0])
    assert site.tick(timedelta(hours=23)).launched == [], "an hour too late for tonight, an hour early for tomorrow"
    for back in (timedelta(hours=-23), timedelta(hours=1), timedelta(hours=-1), timedelta(hours=2)):
        assert site.tick(back).launched == []
    assert [one.action for one in site.tick(timedelta(hours=22)).launched] == ["start"], "the next night comes"


@pytest.mark.parametrize(
    ("catch_up", "late", "expected"),
    [
        ("run", timedelta(hours=1), [("start", "riverton")]),
        ("skip", timedelta(hours=1), []),
        ("skip", timedelta(minutes=5), [("start", "riverton")]),
        ("run", timedelta(hours=5), []),
    ],
)
def test_after_downtime_the_windows_own_rule_counts(
    site: Site, make_town: MakeTown, catch_up: str, late: timedelta, expected: list[tuple[str, str]]
) -> None:
    make_town(maintenance=windows(NIGHT | {"catch_up": catch_up}))
    site.tick()
    tick = site.tick(timedelta(hours=2) + late)
    assert site.told == (expected or [("tell", "riverton")])
    assert bool(tick.problems) == (not expected), "what is skipped is said"
    assert site.tick(timedelta(minutes=1)).problems == [], "once"


def test_a_job_that_disturbs_nobody_is_caught_up_after_its_window(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT | {"jobs": ["checkup"], "duration": "1h"}))
    site.tick()
    assert [one.job for one in site.tick(timedelta(hours=6)).launched] == ["checkup"]


def test_what_nobody_was_to_start_is_not_missed(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT))
    site.now = START + timedelta(hours=10)
    assert site.tick().problems == []


def test_what_was_taken_and_never_began_begins_under_its_own_id(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    site.dies = True
    [first] = site.tick(timedelta(hours=2)).launched
    assert site.tick(timedelta(minutes=1)).launched == [], "it may still be starting"
    [again] = site.tick(timedelta(minutes=2)).launched
    assert (again.action, again.run) == ("start", first.run)


def test_a_lost_run_is_resumed_and_an_engineers_is_left_to_the_engineer(
    site: Site, make_town: MakeTown, state: TownState
) -> None:
    make_town(maintenance=windows(NIGHT))
    site.tick()
    [launch] = site.tick(timedelta(hours=2)).launched
    assert [one.action for one in site.tick(timedelta(minutes=1)).launched] == ["resume"]
    assert site.launched[-1].run == launch.run
    site.end(launch)
    by_hand = Launch("start", "riverton", Path(), "checkup", "20261123T230000Z-checkup-0a1b2c")
    order = site.run_order(by_hand)
    Journal(state, RunOrder(**{**vars(order), "window": None}))
    tick = site.tick(timedelta(minutes=1))
    assert [one.action for one in tick.launched] == ["tell"]
    assert "civicops runs riverton resume 20261123T230000Z-checkup-0a1b2c" in tick.problems[0]
    mark_told(state, by_hand.run)
    assert site.tick(timedelta(minutes=1)).launched == [], "told once"


def test_a_bad_town_stops_alone_and_says_so(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT))
    bad = make_town("beeville", maintenance=windows(NIGHT))
    site.tick()
    bad.path.write_text("town: {id: beeville, name: B, timezone: Nowhere/Land}\n")
    tick = site.tick(timedelta(hours=2))
    assert site.told == [("start", "riverton")]
    assert [line for line in tick.problems if line.startswith("beeville: ") and "town.yml:1" in line]


def test_a_calendar_file_that_breaks_is_told_at_the_next_look(site: Site, make_town: MakeTown) -> None:
    council = {"id": "council", "kind": "council", "ics": "calendars/council.ics"}
    directory = site.inventories / "riverton"
    (directory / "calendars").mkdir(parents=True)
    calendar = directory / "calendars" / "council.ics"
    calendar.write_text("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n")
    make_town(maintenance=windows(NIGHT) | {"freezes": [council]})
    assert site.tick().problems == []
    calendar.unlink()
    [problem] = site.tick(timedelta(minutes=1)).problems
    assert "council.ics" in problem


def test_a_town_without_a_town_file_is_told_what_to_do(site: Site, make_town: MakeTown) -> None:
    make_town().path.unlink()
    [problem] = site.tick().problems
    assert "there is no such file; begin a town" in problem


def test_a_town_that_vanishes_is_told_and_the_others_go_on(site: Site, make_town: MakeTown) -> None:
    make_town(maintenance=windows(NIGHT))
    gone = make_town("beeville", maintenance=windows(NIGHT))
    site.tick()
    shutil.rmtree(gone.directory)
    tick = site.tick(timedelta(hours=2))
    assert site.told == [("start", "riverton")]
    assert [line for line in tick.problems if line.startswith("beeville: its directory is gone")]


def test_a_state_that_can_not_be_written_stops_that_town_alone(
    site: Site, make_town: MakeTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_town(maintenance=windows(NIGHT))
    make_town("beeville", maintenance=windows(NIGHT))
    from civicops.runs import scheduler

    def save(state: TownState, _timetable: object, before: Callable[..., None] = scheduler.save) -> None:
        if state.town == "beeville":
            raise OSError(28, "No space left on device", str(state.root))
        before(state, _timetable)

    monkeypatch.setattr(scheduler, "save", save)
    site.tick()
    tick = site.tick(timedelta(hours=2))
    assert ("start", "riverton") in site.told
    assert [line for line in tick.problems if line.startswith("beeville: ") and "No space left" in line]


def test_no_more_runs_at_once_than_wanted(site: Site, make_town: MakeTown) -> None:
    for number in range(5):
        make_town(f"town-{number}", maintenance=windows(NIGHT))
    site.at_once = 2
    site.tick()
    locks = []
    tick = site.tick(timedelta(hours=2))
    assert (len(tick.launched), tick.held_back) == (2, 3)
    for launch in tick.launched:
        lock = locked(TownState(launch.town).run_directory(launch.run) / "lock")
        lock.__enter__()
        locks.append(lock)
    assert site.tick(timedelta(minutes=1)).launched == []
    for lock in locks:
        lock.__exit__(None, None, None)
    for launch in tick.launched:
        site.end(launch)
    assert len(site.tick(timedelta(minutes=1)).launched) == 2


def test_a_window_that_wants_approval_is_planned_ahead_and_begins_when_it_was_approved(
    site: Site, make_town: MakeTown, state: TownState
) -> None:
    make_town(maintenance=windows(NIGHT | {"approval": "required", "rrule": "FREQ=WEEKLY;BYDAY=MO"}))
    site.now = START - timedelta(days=4)
    assert site.tick().launched == []
    [plan] = site.tick(timedelta(days=1, minutes=1)).launched
    assert plan.action == "plan"
    write_plan(state, site.run_order(plan), {"hosts": {}})
    assert site.tick(timedelta(days=2, hours=23)).launched == []
    assert site.tick(timedelta(hours=2)).launched == [], "nobody has approved it"
    mark_approved(state, plan.run)
    [begin] = site.tick(timedelta(minutes=1)).launched
    assert (begin.action, begin.run) == ("begin", plan.run)


def test_a_plan_that_nobody_approves_expires(site: Site, make_town: MakeTown, state: TownState) -> None:
    make_town(maintenance=windows(NIGHT | {"approval": "required"}))
    [plan, *_] = site.tick().launched
    write_plan(state, site.run_order(plan), {"hosts": {}})
    tick = site.tick(timedelta(hours=6, minutes=1))
    assert ("expire", plan.run) in [(one.action, one.run) for one in tick.launched]


def test_the_status_page_and_the_metrics_tell_it(site: Site, make_town: MakeTown, tmp_path: Path) -> None:
    make_town(maintenance=windows(NIGHT))
    make_town("beeville").path.write_text("town: {}\n")
    site.tick()
    site.end(site.tick(timedelta(hours=2)).launched[0])
    write_status(site.tick(timedelta(minutes=20)), tmp_path)
    page = (tmp_path / "status.html").read_text()
    assert "2 changed" in page and "2026-11-24 22:00" in page and "beeville" in page
    metrics = (tmp_path / "civicops.prom").read_text().splitlines()
    assert 'civicops_last_run_exit_status{town="riverton",job="wait"} 0' in metrics
    assert 'civicops_last_run_hosts{town="riverton",job="wait",outcome="changed"} 2' in metrics
    assert 'civicops_town_problem{town="beeville"} 1' in metrics
    wanted = datetime(2026, 11, 24, 22, tzinfo=UTC).timestamp()
    assert f'civicops_next_run_timestamp_seconds{{town="riverton",job="wait"}} {wanted:.0f}' in metrics
    names = [line.split("{")[0].split()[0] for line in metrics if not line.startswith("#")]
    assert len({line for line in metrics if line.startswith("# TYPE")}) == len(set(names))
