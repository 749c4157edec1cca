"""A town's directory made from a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WriteTown = Callable[[str | bytes], Path]


@pytest.fixture
def write_town(tmp_path: Path) -> WriteTown:
    """Write the town file of the town `oak`, and give the town's directory."""

    def write(text: str | bytes) -> Path:
        directory = tmp_path / "towns" / "oak"
        file = directory / "group_vars" / "all" / "town.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return directory

    return write


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVICOPS_INVENTORIES", raising=False)
