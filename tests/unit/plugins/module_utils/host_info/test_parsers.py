"""Case tables: the text of a file or a command's output, and what must come out. One file in cases/ a module."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

PACKAGE = "ansible_collections.civicops.town.plugins.module_utils._host_info"
CASES = [
    (path.stem, case)
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
]


def plain(value: object) -> object:
    """Tuples and sets as lists, bytes as text: what YAML can say."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    ("module", "case"), CASES, ids=[f"{module}.{case['call']}: {case['name']}" for module, case in CASES]
)
def test_case(module: str, case: dict[str, object]) -> None:
    function = getattr(importlib.import_module(f"{PACKAGE}.{module}"), str(case["call"]))
    arguments = case["with"] if isinstance(case["with"], list) else [case["with"]]
    answer = plain(function(*arguments))
    if isinstance(case["gives"], dict) and isinstance(answer, dict):
        answer = {key: answer[key] for key in case["gives"]}  # only what the case is about
    assert answer == case["gives"]
