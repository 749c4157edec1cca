from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.towns import make_town as make_town

from civicops.state import TownState


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TownState:
    """The state of a town called riverton, in a directory of this test."""
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CIVICOPS_LEDGER_URL", raising=False)
    return TownState("riverton")
