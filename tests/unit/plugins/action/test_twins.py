"""Modules that answer with a document, and the actions that keep it: neither works without the other."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.civicops.town.plugins.plugin_utils import carried
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction

ROOT = Path(__file__).parents[4]
PLUGINS = "ansible_collections.civicops.town.plugins"
ACTIONS = sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py") if path.stem != "__init__")


def twin(name: str) -> Any:
    return import_module(f"{PLUGINS}.action.{name}").ActionModule


TWINS = [name for name in ACTIONS if issubclass(twin(name), DocumentAction)]
# What each wants beside its twin.
WANTED: dict[str, dict[str, Any]] = {
    "baseline_undo": {"of": "r1"},
    "patch": {"gate": {}},
    "rollback": {"gate": {}},
    "wait": {"gate": {}, "seconds": 1},
}


def answer(name: str, capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(WANTED.get(name, {}) | arguments), pytest.raises(SystemExit):
        import_module(f"{PLUGINS}.modules.{name}").main()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_there_are_twins() -> None:
    assert {"baseline", "baseline_undo", "patch", "rollback", "patch_stage", "host_info", "backup_info"} <= set(TWINS)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("check", [True, False])
def test_a_module_without_its_twin_does_nothing_and_says_so(
    name: str, check: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told = answer(name, capsys, _ansible_check_mode=check)
    assert told["failed"] is True
    assert told["msg"].startswith("nothing is done: ") and "ansible-galaxy collection install --force" in told["msg"]
    assert "document" not in told


@pytest.mark.parametrize("name", TWINS)
def test_nor_without_the_code_that_its_twin_sends(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(name, capsys, twin=True)["msg"].startswith("nothing is done: ")


@pytest.mark.parametrize("name", TWINS)
def test_a_module_knows_its_twin(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(name, capsys, twin=True, nonsense=1)
    assert told["msg"].startswith("Unsupported parameters") and "module: nonsense." in told["msg"]


@pytest.mark.parametrize("arguments", [None, {"of": "r1"}])
def test_a_twin_says_who_asks(arguments: dict[str, Any] | None) -> None:
    asked: list[dict[str, Any]] = []

    def execute(module_args: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
        asked.append(module_args)
        return {}

    task = SimpleNamespace(args={"record": False, "twin": False}, async_val=0)
    action = twin("host_info")(task, None, None, None, None, None)
    action._execute_module = execute
    action._ask({}, arguments)
    assert asked[0].pop("code") == carried.code_of("_host_info.main")
    assert asked == [({"record": False} if arguments is None else arguments) | {"twin": True}]
