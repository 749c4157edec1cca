"""The table of docs/device-facts.md, made from the platforms; `python -m tests.unit.network.facts_page` does it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from tests.unit.network.recordings import ROOT

from civicops.network.platform import About, Platform, platforms

PAGE = ROOT / "docs/device-facts.md"
BEGINS, ENDS = "<!-- made from the data: table -->", "<!-- end of table -->"
PARTS: dict[About, str] = {
    "stack": "members",
    "inventory": "modules",
    "interfaces": "interfaces",
    "neighbours": "neighbours",
    "power": "power",
    "temperature": "temperatures",
    "poe": "poe",
}
SINGLE = {"serial": "serial", "uptime_seconds": "uptime", "software_built": "built"}


def samples() -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("facts.yml").read_text(encoding="utf-8"))
    return data


def row(platform: Platform) -> str:
    """What the samples of a platform's commands tell, by the columns of the table."""
    found = {field for sample in samples()[platform.id].values() for field in sample["tells"]}
    asked = {PARTS[fact.about] for fact in platform.facts if fact.about in PARTS}
    cells = ["yes" if field in found else "" for field in SINGLE]
    cells += ["yes" if part in found | asked else "" for part in PARTS.values()]
    title = platform.title if platform.tested else f"{platform.title} (untested)"
    return f"| {title} | {' | '.join(cells)} |"


def table() -> str:
    names = ["platform", *SINGLE.values(), *PARTS.values()]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *map(row, sorted(platforms().values(), key=lambda one: one.title.lower()))])


def written(text: str) -> str:
    """The page with its table made anew."""
    made = f"{BEGINS}\n\n{table()}\n\n{ENDS}"
    text, count = re.subn(f"{BEGINS}.*?{ENDS}", lambda _: made, text, flags=re.DOTALL)
    if count != 1:
        raise AssertionError(f"{PAGE.name} has no place for its table, or several")
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
