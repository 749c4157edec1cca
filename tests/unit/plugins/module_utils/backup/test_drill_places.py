"""Where what was restored has come to: inside, whatever the host's backup holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup.drill import inside


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "real" / "srv" / "data").mkdir(parents=True)
    (tmp_path / "real" / "srv" / "away").symlink_to(tmp_path)
    (tmp_path / "var").symlink_to(tmp_path / "real")  # as /var is on some hosts
    return str(tmp_path / "var")


@pytest.mark.parametrize("path", ["/srv/data/letter", "/letter", "/srv/data/.hidden", "/srv/data/a *[b]"])
def test_what_is_inside(target: str, path: str) -> None:
    assert inside(target, path) == target + path


@pytest.mark.parametrize("path", ["/../own", "/srv/../../own", "/srv/away/own", "/srv/data/.."])
def test_what_leads_elsewhere(target: str, path: str) -> None:
    with pytest.raises(OSError, match="it leads elsewhere"):
        inside(target, path)
