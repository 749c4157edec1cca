"""The JSON Schema that editors use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from civicops.town.schema import schema_text

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_the_models() -> None:
    committed = (ROOT / "docs" / "town.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run make docs"


def test_the_command_prints_it() -> None:
    done = subprocess.run([sys.executable, "-m", "civicops.town.schema"], capture_output=True, text=True, check=True)
    assert done.stdout == schema_text()
    assert done.stderr == ""


@pytest.mark.parametrize("town", ["fairview", "localhost"])
def test_our_towns_are_valid_by_it(town: str) -> None:
    file = ROOT / "inventories" / town / "group_vars/all/town.yml"
    text = file.read_text(encoding="utf-8")
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []
    reference = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / reference).resolve() == ROOT / "docs" / "town.schema.json"


def test_every_key_has_its_meaning() -> None:
    def walk(name: str, node: dict[str, Any]) -> list[str]:
        return [f"{name}.{key}" for key, value in node.get("properties", {}).items() if not value.get("description")]

    schema = json.loads(schema_text())
    assert [path for name, node in [("", schema), *schema["$defs"].items()] for path in walk(name, node)] == []
