"""A plan is used again only while everything that it was made from is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._patch import kept_plan
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import Plan, Policy, Update


class Manager:
    """Makes the same plan each time, and counts how often."""

    name = "apt"

    def __init__(self, ground: list[str]) -> None:
        self.paths = ground
        self.asked = 0

    def ground(self) -> list[str]:
        return self.paths

    def plan(self, policy: Policy) -> Plan:
        self.asked += 1
        chosen = Update("a", "amd64", "1", "2", True, "Here", "src", 9, True, None, ["DSA-1"], True)
        other = Update("b", "amd64", "1", "2", why="on the deny list")
        return Plan([chosen, other], 9, 10, ["c"])


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    lists = tmp_path / "lists"
    (lists / "deep").mkdir(parents=True)
    (lists / "Release").write_text("x")
    (lists / "deep" / "Packages").write_text("y")
    (tmp_path / "status").write_text("z")
    (tmp_path / "elsewhere").write_text("linked")
    (lists / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(kept_plan, "FOLDER", str(tmp_path / "kept"))
    return Manager([str(lists), str(tmp_path / "status"), str(tmp_path / "never")])


def test_a_kept_plan_comes_back_whole_but_for_what_is_kept_on_the_disk(manager: Manager) -> None:
    made = manager.plan(Policy())
    kept_plan.keep(manager, Policy(), made)  # type: ignore[arg-type]
    back = kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 1
    made.updates[0].kept = None
    assert back == made


def test_what_is_made_for_it_is_roots_alone(manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_plan, "FOLDER", str(tmp_path / "civicops" / "patch"))
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("civicops", "civicops/patch")}
    assert modes == {0o700}


def test_nothing_is_used_that_was_never_kept(manager: Manager) -> None:
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 2


def _same_time_and_size(path: Path) -> None:
    info = path.stat()
    path.write_text("Q" * info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: (root / "status").write_text("zz"), id="packages"),
        pytest.param(lambda root: (root / "lists" / "new").write_text(""), id="a list more"),
        pytest.param(lambda root: (root / "lists" / "deep" / "Packages").unlink(), id="a list less"),
        pytest.param(lambda root: (root / "never").write_text(""), id="what was not there"),
        pytest.param(lambda root: (root / "elsewhere").write_text("other"), id="what a link leads to"),
        pytest.param(lambda root: _same_time_and_size(root / "status"), id="with the time set back"),
    ],
)
def test_whatever_changes_makes_a_new_plan(manager: Manager, tmp_path: Path, change: Callable[[Path], object]) -> None:
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    change(tmp_path)
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 2


def test_another_policy_wants_another_plan(manager: Manager) -> None:
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    kept_plan.plan_of(manager, Policy(deny=("a",)))  # type: ignore[arg-type]
    assert manager.asked == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"for": 1}'])
def test_a_broken_file_is_no_plan(manager: Manager, text: str) -> None:
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    Path(kept_plan.FOLDER, kept_plan.NAME).write_text(text)
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 2


def test_what_others_can_write_to_is_no_plan(manager: Manager) -> None:
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    Path(kept_plan.FOLDER).chmod(0o777)
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 2


def test_a_manager_that_can_not_name_its_ground_is_always_asked(manager: Manager) -> None:
    manager.paths = []
    kept_plan.keep(manager, Policy(), manager.plan(Policy()))  # type: ignore[arg-type]
    kept_plan.plan_of(manager, Policy())  # type: ignore[arg-type]
    assert manager.asked == 2
