"""Nights that are struck: a seeded handful of the campaign's, two schedulers at once, full disks and vanished towns."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN, Controller
from tests.hosts.host import Host
from tests.hosts.long import long
from tests.hosts.night_kills import RELEASES, begins, make_town, nights, processes
from tests.hosts.test_checkup import wait_for
from tests.hosts.tools import run
from tests.hosts.town import Town

LONG = long("half a minute")

NIGHT = 60.0


@pytest.fixture(scope="module")
def hosts(make_module_town: MakeTown) -> dict[str, Host]:
    """Three hosts of this module's own, as its tests switch them off."""
    return make_module_town("demo", {release: release for release in RELEASES}).hosts


@pytest.fixture
def one(hosts: dict[str, Host], tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """`one("demo")`: a town of one host whose window is open now; towns of a test share what a firm's towns share."""
    towns: list[Town] = []

    def make(name: str = "demo", host: str = "bookworm", seconds: int = 1) -> Town:
        towns.append(make_town(tmp_path, {host: hosts[host]}, {host: seconds}, name))
        return towns[-1]

    yield make
    for town in towns:
        wait_for(lambda: all(process.what == "ssh" for process in processes(town)), within=NIGHT)  # noqa: B023
        town.close()


def look(control: Controller) -> subprocess.CompletedProcess[str]:
    return control.civicops("scheduler", "--once")


def runs(control: Controller, town: str = "demo") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(control.civicops("runs", town, "--json").stdout)
    return found


def over(control: Controller, town: str = "demo") -> bool:
    listed = runs(control, town)
    return bool(listed) and all(record["state"] in ("done", "failed", "cancelled") for record in listed)


def outcome(control: Controller, town: str = "demo") -> tuple[str, str, dict[str, str]]:
    """The one run of a town: its id, how it ended, and what became of each host."""
    [record] = runs(control, town)
    shown = json.loads(control.civicops("runs", town, "show", record["order"]["run"], "--json").stdout)
    return record["order"]["run"], shown["state"], shown["hosts"]


def test_nights_that_are_struck_anywhere_lose_no_host(hosts: dict[str, Host], tmp_path: Path) -> None:
    found = nights(hosts, tmp_path, seed=20261126, count=3)
    assert found.broken == []
    assert sum(found.kills.values()) > found.kills["nothing: it was over"]


def test_two_schedulers_at_once_start_one_run(one: Callable[..., Town]) -> None:
    town = one()
    looking = [town.controller.start(BIN / "civicops", "scheduler", "--once") for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in looking]
    assert sum("start wait" in text for text in said) == 1, said
    wait_for(lambda: over(town.controller), within=NIGHT)
    name, state, told = outcome(town.controller)
    assert (state, told) == ("done", {"bookworm": "changed"})
    assert begins(town.host("bookworm"), name) == 1


def test_two_controllers_on_one_ledger_start_one_run(one: Callable[..., Town], empty_postgres_database: str) -> None:
    town = one()
    other = town.folder / "other"
    shutil.copytree(town.state, other)
    ledger = {"CIVICOPS_LEDGER_URL": empty_postgres_database}
    controls = [replace(town.controller, extra=ledger), replace(town.controller, state=other, extra=ledger)]
    for control in controls:
        control.civicops("ledger", "verify", "demo")  # makes its tables
    for _look in range(3):
        looking = [control.start(BIN / "civicops", "scheduler", "--once") for control in controls]
        for process in looking:
            process.communicate(timeout=60)
    wait_for(lambda: any(over(control) for control in controls), within=NIGHT)
    counts = sorted(len(runs(control)) for control in controls)
    assert counts == [0, 1]
    name, state, told = outcome(controls[0] if runs(controls[0]) else controls[1])
    assert (state, told) == ("done", {"bookworm": "changed"})
    assert begins(town.host("bookworm"), name) == 1
    engine = sa.create_engine(empty_postgres_database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert [row.run for row in connection.execute(sa.text("SELECT run FROM slot"))] == [name]


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A disk of its own, for a town's state."""
    place.mkdir(mode=0o700, exist_ok=True)
    kept = place.with_name(f"{place.name}-kept")
    shutil.copytree(place, kept)
    run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(place)])
    try:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        yield place
    finally:
        run(["umount", "-l", str(place)])
        shutil.rmtree(kept)


def fill(place: Path) -> Path:
    """Take every byte that is left."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


def test_a_full_disk_and_a_vanished_town_stop_themselves_alone(one: Callable[..., Town]) -> None:
    towns = {"demo": one(), "full": one("full", "trixie"), "gone": one("gone", "bullseye")}
    control = towns["demo"].controller
    away = towns["gone"].folder / "away"
    with small_disk(towns["full"].state / "full", "16m") as disk:
        schedules = [town.state / name / "schedule.json" for name, town in towns.items() if name == "gone"]
        schedules[0].write_text('{"version": 0}')  # a scheduler knew it
        towns["gone"].inventory.rename(away)
        filler = fill(disk)
        told = look(control)
        assert told.returncode == 1
        assert [line for line in told.stdout.splitlines() if not line.startswith("demo: start wait ")] == []
        full, gone = sorted(told.stderr.splitlines())
        assert full.startswith("civicops: full: ") and ("No space left" in full or "is full" in full), full
        assert gone.startswith("civicops: gone: its directory is gone"), gone
        wait_for(lambda: over(control), within=NIGHT)
        assert outcome(control)[1:] == ("done", {"bookworm": "changed"})

        filler.unlink()
        away.rename(towns["gone"].inventory)
        told = look(control)
        assert (told.returncode, told.stderr) == (0, "")
        assert sorted(line.split(":")[0] for line in told.stdout.splitlines()) == ["full", "gone"], (
            "once it can, it does"
        )
        for name in ("full", "gone"):
            wait_for(lambda: over(control, name), within=NIGHT)  # noqa: B023
            assert outcome(control, name)[1] == "done"


@LONG
def test_a_disk_that_fills_up_in_the_middle_of_a_night_loses_no_host(one: Callable[..., Town]) -> None:
    town = one("full", seconds=6)
    control = town.controller
    with small_disk(town.state / "full", "16m") as disk:
        assert look(control).returncode == 0
        wait_for(lambda: len(processes(town)) > 2 and runs(control, "full") != [], within=NIGHT)
        name = runs(control, "full")[0]["order"]["run"]
        wait_for(lambda: begins(town.host("bookworm"), name) == 1, within=NIGHT)
        filler = fill(disk)
        time.sleep(10)
        told = look(control)
        assert told.returncode in (0, 1) and "Traceback" not in told.stderr
        filler.unlink()
        deadline = time.monotonic() + NIGHT
        while not over(control, "full") and time.monotonic() < deadline:
            look(control)
            time.sleep(1)
        assert outcome(control, "full") == (name, "done", {"bookworm": "changed"})
        assert begins(town.host("bookworm"), name) == 1
        assert control.civicops("ledger", "verify", "full").returncode == 0
