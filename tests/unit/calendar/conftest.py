"""A town with windows, freezes and calendar files, made from a few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from civicops.town import Town, load_town

MakeTown = Callable[..., Town]


def write_town(
    directory: Path,
    windows: list[dict[str, Any]] = [],  # noqa: B006 - never changed
    freezes: list[dict[str, Any]] = [],  # noqa: B006
    *,
    zone: str = "America/New_York",
    files: Mapping[str, bytes | str] = {},
) -> Path:
    """Write the town `oak` below a directory; windows are for patch, from 22:00, four hours, unless they say so."""
    root = directory / "oak"
    file = root / "group_vars" / "all" / "town.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {"jobs": ["patch"], "start": "22:00", "duration": "4h"}
    maintenance = {
        "windows": [{"id": f"w{number}", **plain, **one} for number, one in enumerate(windows)],
        "freezes": [{"id": f"f{number}", "kind": "event", **one} for number, one in enumerate(freezes)],
    }
    town = {"id": "oak", "name": "Oak", "timezone": zone, "maintenance": maintenance}
    file.write_text(json.dumps({"town": town}))
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def make_town(tmp_path: Path) -> MakeTown:
    """Make the town `oak`, see `write_town`."""

    def make(*arguments: Any, **settings: Any) -> Town:
        return load_town(write_town(tmp_path, *arguments, **settings))

    return make
