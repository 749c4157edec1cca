"""The directory that no other user reaches into."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_work.place import KEPT_RUNS, Place, WorkError
from ansible_collections.civicops.town.plugins.module_utils._host_work.wrapper import start_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path), ("civicops", "runs"))


def test_it_is_made_closed(place: Place) -> None:
    previous = os.umask(0)
    try:
        folder = Path(place.of("r1", "wait", make=True))
    finally:
        os.umask(previous)
    for path in (folder, *list(folder.parents)[:3]):
        assert path.stat().st_mode & 0o777 == 0o700


def test_looking_makes_nothing(place: Place, tmp_path: Path) -> None:
    place.of("r1", "wait", make=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["civicops", "civicops/runs", "civicops/runs/r1", "civicops/runs/r1/wait"])
@pytest.mark.parametrize("planted", ["link", "file", "open", "foreign"])
@pytest.mark.parametrize("make", [True, False])
def test_what_others_planted_is_refused(place: Place, tmp_path: Path, step: str, planted: str, make: bool) -> None:
    path = tmp_path / step
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for above in path.parents:
        if above == tmp_path:
            break
        above.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if planted == "link":
        path.symlink_to(elsewhere)
    elif planted == "file":
        path.touch()
    else:
        path.mkdir(mode=0o700)
        if planted == "open":
            path.chmod(0o777)
        elif os.geteuid() == 0:
            os.chown(path, 4711, 4711)
        else:
            pytest.skip("only root can make another user's directory")
    with pytest.raises(WorkError, match=path.name):
        place.of("r1", "wait", make=make)
    assert list(elsewhere.iterdir()) == []


def test_an_open_directory_on_the_way_is_refused(tmp_path: Path) -> None:
    way = tmp_path / "way"
    way.mkdir()
    way.chmod(0o777)
    with pytest.raises(WorkError, match="open to others"):
        Place(str(way), ("civicops", "runs")).of("r1", "wait", make=True)


def test_old_runs_are_tidied_and_the_newest_kept(place: Place) -> None:
    for number in range(30):
        folder = Path(place.of(f"r{number:02}", "wait", make=True)).parent
        old = time.time() - (100 + number) * 86400
        os.utime(folder, (old, old))
    going_on = Path(place.of("r29", "wait", make=True))
    began = {"pid": os.getpid(), "start": start_of(os.getpid())}
    (going_on / "began.json").write_text(json.dumps(began))
    os.utime(going_on.parent, (1, 1))
    place.tidy(keep="r28")
    left = sorted(path.name for path in Path(place.path).iterdir())
    assert left == [f"r{number:02}" for number in range(KEPT_RUNS)] + ["r28", "r29"]


def test_young_runs_are_kept_however_many(place: Place) -> None:
    for number in range(30):
        place.of(f"r{number}", "wait", make=True)
    place.tidy(keep="r1")
    assert len(list(Path(place.path).iterdir())) == 30
