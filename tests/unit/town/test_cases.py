"""Town files and what is said of them, from the table `cases.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from civicops.town import TownFileError, load_town, nodes

BASE = "town:\n  id: oak\n  name: Oak\n  timezone: UTC\n"
CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yml").read_text(encoding="utf-8"))


def text_of(case: dict[str, Any]) -> str:
    return case["text"] if "text" in case else BASE + case["more"] + case.get("after", "")


def errors_of(directory: Path) -> list[str]:
    """Each error from its line on."""
    try:
        load_town(directory)
    except TownFileError as error:
        return [str(problem).split("town.yml:", 1)[-1] for problem in error.problems]
    return []


@pytest.mark.parametrize("parser", ["c", "python"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any], parser: str, write_town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if parser == "python":
        monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    errors = errors_of(write_town(text_of(case)))
    assert len(errors) == len(case["expect"]), "\n".join(errors)
    for error, expected in zip(errors, case["expect"], strict=True):
        assert expected in error
        assert "; " in error or "expected" in error, "every error has a remedy"
        assert error.isprintable()


TEN = """\
town:
  id: oak
  name: Oak
  state: NO
  timezone: America/New_Yrok
  popluation: 8400
  contacts:
    - role: it_lead
      name: Jordan Ellis
      email: it at oak.example
  systems:
    - id: payroll
      name: Payroll
      department: finance
      criticality: 9
  maintenance:
    windows:
      - id: night
        jobs: [pach]
        rrule: FREQ=HOURLY
        start: 22:30
        duration: 4 hours
"""


def test_ten_mistakes_give_ten_errors_with_their_lines(write_town: Any) -> None:
    directory = write_town(TEN)
    with pytest.raises(TownFileError) as caught:
        load_town(directory)
    found = [(problem.line, problem.key) for problem in caught.value.problems]
    assert found == [
        (4, "town.state"),
        (5, "town.timezone"),
        (6, "town.popluation"),
        (10, "town.contacts[0].email"),
        (14, "town.systems[0].department"),
        (15, "town.systems[0].criticality"),
        (19, "town.maintenance.windows[0].jobs[0]"),
        (20, "town.maintenance.windows[0].rrule"),
        (21, "town.maintenance.windows[0].start"),
        (22, "town.maintenance.windows[0].duration"),
    ]
