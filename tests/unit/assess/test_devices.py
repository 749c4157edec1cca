"""How network devices' backups stand: bad news stays, good news grows old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.backups import CONFIG, NOW, put_config

from civicops.assess.devices import DUE, devices
from civicops.ledger.store import Ledger
from civicops.state import TownState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger("riverton", state=TownState("riverton", tmp_path)) as opened:
        yield opened


def alarms(ledger: Ledger, days: float = 0) -> dict[str, tuple[str, ...]]:
    return {name: one.alarms for name, one in devices(ledger, NOW + timedelta(days=days), ()).items()}


def test_a_whole_one_is_well_until_it_is_old(ledger: Ledger) -> None:
    put_config(ledger, "sw1")
    assert alarms(ledger) == {"sw1": ()}
    assert alarms(ledger, 7.9) == {"sw1": ()}
    assert alarms(ledger, 8.1) == {"sw1": ("late: the last whole configuration is of 2026-11-30",)}
    [age] = devices(ledger, NOW, ())["sw1"].ages
    assert age == NOW - timedelta(hours=1) + DUE


def test_one_that_is_refused_alarms_at_once_and_keeps_the_age_of_the_last_good_one(ledger: Ledger) -> None:
    put_config(ledger, "sw1", age=timedelta(days=2))
    put_config(ledger, "sw1", outcome="refused", reason="its end is missing \x1b[2J")
    [alarm] = alarms(ledger)["sw1"]
    assert alarm == "refused: its end is missing  [2J"
    put_config(ledger, "new", outcome="refused", reason="empty", whole_at=None, sha256=None, commit=None)
    assert alarms(ledger)["new"] == ("refused: empty", "none: no whole configuration was ever kept")


def test_only_the_inventorys_devices_count(ledger: Ledger) -> None:
    put_config(ledger, "sw1")
    put_config(ledger, "gone")
    assert devices(ledger, NOW, {"sw1", "pc"}).keys() == {"sw1"}


def test_remarks_tell_what_is_on_and_never_what_is_unknown(ledger: Ledger) -> None:
    unknown = dict.fromkeys(CONFIG["signs"])
    put_config(ledger, "quiet", signs=unknown, unsaved=None)
    on = {"telnet": True, "http": True, "https": True, "default_community": True, "time": False, "log": False}
    put_config(ledger, "loud", signs=on, unsaved=True, transport="telnet", tested=False)
    found = devices(ledger, NOW, ())
    assert found["quiet"].remarks == ()
    assert len(found["loud"].remarks) == 8
