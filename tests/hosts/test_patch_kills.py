"""A handful of the campaign's struck patch nights, in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.patch_kills import OVER, nights

RELEASES = ("bookworm", "trixie")


@pytest.fixture(scope="module")
def hosts(make_module_town: MakeTown) -> dict[str, Host]:
    """Hosts of this module's own, as its nights cut their power."""
    return make_module_town("base", {release: release for release in RELEASES}).hosts


def test_patch_nights_that_are_struck_anywhere_leave_nothing_by_halves(hosts: dict[str, Host], tmp_path: Path) -> None:
    found = nights(hosts, tmp_path, seed=20261123, numbers=(1, 2))
    assert found.broken == []
    assert found.strikes[OVER] < found.nights
