"""Towns for tests: a directory with a town file, loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civicops.town import Town, load_town

MakeTown = Callable[..., Town]


@pytest.fixture
def make_town(tmp_path: Path) -> MakeTown:
    """`make_town("riverton", maintenance={...})`: its directory is `tmp_path/inventories/riverton`."""

    def make(name: str = "riverton", *, zone: str = "UTC", maintenance: Any = None, **more: Any) -> Town:
        directory = tmp_path / "inventories" / name
        (directory / "group_vars" / "all").mkdir(parents=True, exist_ok=True)
        town = {"id": name, "name": name.title(), "timezone": zone, "maintenance": maintenance or {}} | more
        (directory / "group_vars" / "all" / "town.yml").write_text(json.dumps({"town": town}))
        (directory / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"web1": None, "web2": None}}}))
        return load_town(directory)

    return make
