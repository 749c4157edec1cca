"""`civicops town` from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from civicops.cli.town import app

GOOD = "town: {id: oak, name: Oak, timezone: UTC, state: GA}\n"
BAD = 'town:\n  id: elm\n  name: Elm\n  timezone: UTC\n  state: NO\n  population: "a\\eb"\n'


@pytest.fixture
def towns(write_town: Any) -> Path:
    """The towns `oak`, which is good, and `elm`, which has two mistakes."""
    root: Path = write_town(GOOD).parent
    file = root / "elm" / "group_vars" / "all" / "town.yml"
    file.parent.mkdir(parents=True)
    file.write_text(BAD)
    return root


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def test_check_tells_every_error_of_every_town(towns: Path) -> None:
    result = invoke("check", "--inventories", str(towns))
    assert result.exit_code == 2
    assert result.stdout == "oak: good (0 departments, 0 systems, 0 windows)\n"
    file = towns / "elm/group_vars/all/town.yml"
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{file}:5: town.state: NO without quotes is false to YAML; ")
    assert lines[1].startswith(f'{file}:6: town.population: a control character in "a\\x1bb"; ')
    assert len(lines) == 2


def test_check_by_name(towns: Path) -> None:
    assert invoke("check", "oak", "oak", "--inventories", str(towns)).stdout.count("good") == 1
    result = invoke("check", "oka", "oak", "--inventories", str(towns))
    assert result.exit_code == 2
    assert "oak: good" in result.stdout
    assert 'there is no town "oka"; perhaps "oak"' in result.stderr


def test_check_as_json(towns: Path) -> None:
    result = invoke("check", "--json", "--inventories", str(towns))
    assert result.exit_code == 2
    elm, oak = json.loads(result.stdout)["towns"]
    assert oak["id"] == "oak"
    assert oak["problems"] == []
    assert len(oak["sha256"]) == 64
    assert [(problem["line"], problem["key"]) for problem in elm["problems"]] == [
        (5, "town.state"),
        (6, "town.population"),
    ]
    assert set(elm["problems"][0]) == {"file", "line", "column", "key", "message", "remedy"}
    assert result.stderr == ""


def test_checking_nothing_is_not_good(tmp_path: Path) -> None:
    result = invoke("check", "--inventories", str(tmp_path))
    assert result.exit_code == 2
    assert "there is no town to check" in result.stderr


def test_list(towns: Path) -> None:
    result = invoke("list", "--inventories", str(towns))
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["oak"] == ["oak", "Oak", "GA", "UTC", "0", "0", "0"]
    assert rows["elm"] == ["elm", "2", "errors"]


def test_list_as_json(towns: Path) -> None:
    result = invoke("list", "--json", "--inventories", str(towns))
    assert result.exit_code == 0
    assert [(town["id"], len(town["problems"])) for town in json.loads(result.stdout)["towns"]] == [
        ("elm", 2),
        ("oak", 0),
    ]
