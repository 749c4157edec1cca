"""What a report says of network devices: never good where it is bad or old; their texts are text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.backups import DEVICE_FACTS, NOW, append, put_config, put_network_run
from tests.unit.feeds.samples import put
from tests.unit.network.kept import sealed

from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.network.store import New, Store
from civicops.report.collect import collect
from civicops.report.devices import Devices, read_devices
from civicops.report.write import render, summary
from civicops.state import TownState


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TownState:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path))
    return TownState("riverton", tmp_path)


@pytest.fixture
def ledger(state: TownState) -> Iterator[Ledger]:
    with Ledger("riverton", state=state) as opened:
        yield opened


def read(ledger: Ledger, state: TownState) -> Devices:
    found = read_devices(ledger, state, NOW, Index())
    assert found is not None
    return found


def test_nothing_is_said_where_no_device_was_ever_asked(ledger: Ledger, state: TownState) -> None:
    assert read_devices(ledger, state, NOW, Index()) is None


def test_good_bad_old_and_never_answered(ledger: Ledger, state: TownState) -> None:
    put_network_run(
        ledger, good="ok", partial="failed", old="unreachable", never="unreachable", loud="ok", pc="not_asked"
    )
    put_config(ledger, "good")
    append(ledger, "device-facts", "good", DEVICE_FACTS, timedelta(hours=1))
    put_config(ledger, "partial", outcome="refused", reason="its end marker is missing")
    put_config(ledger, "old", age=timedelta(days=20), whole_at="2026-11-10T11:00:00Z")
    put_config(ledger, "loud", unsaved=True)
    put_config(ledger, "gone")
    told = read(ledger, state)
    assert {line.name: line.state for line in told.lines} == {
        "good": "good",
        "partial": "bad",
        "old": "bad",
        "loud": "soon",
    }
    assert told.none_known == ["never"]
    assert told.lines[-1].name == "good", "the worst stand first"
    good = told.lines[-1]
    assert (good.kind, good.serial, good.up) == ("Cisco C9200L <b>", "JAE24", "1 day")
    assert good.software == "17.9.4a, made 2023-10-20"
    assert good.support_state == "unknown", "there is no feed"


def test_software_that_is_not_supported_any_more_is_told(ledger: Ledger, state: TownState, tmp_path: Path) -> None:
    feed = tmp_path / "endoflife-2026-11-01.json"
    cycles = [{"releaseCycle": "17.9", "eol": "2026-07-29"}]
    feed.write_text(json.dumps({"cisco-ios-xe": {"releases": cycles}}))
    put(feed)
    put_network_run(ledger, old="ok", bare="ok")
    put_config(ledger, "old")
    append(ledger, "device-facts", "old", DEVICE_FACTS, timedelta(hours=1))
    put_config(ledger, "bare")
    bare, old = sorted(read(ledger, state).lines, key=lambda line: line.name)
    assert (bare.support_state, bare.support) == ("unknown", "which software it runs is not known")
    assert (old.support_state, old.state) == ("bad", "good")
    report = collect(ledger, "Riverton", NOW, state=state)
    assert "not supported since 2026-07-29" in render(report)
    assert "  software without support on 1 network device: old" in summary(report)


def test_changes_are_shown_as_text_the_newest_first(ledger: Ledger, state: TownState) -> None:
    put_network_run(ledger, sw1="ok")
    put_config(ledger, "sw1")
    line = "description <script>alert(1)</script> \x1b[31m"
    for days, text in ((40, "hostname a\n"), (9, "hostname b\n"), (2, f"hostname b\n{line}\n")):
        store = Store(state, sealed, now=lambda days=days: NOW - timedelta(days=days))  # type: ignore[misc]
        store.keep([New("sw1", "cisco_ios", text.encode(), text, "words <i>")], run="r")
    told = read(ledger, state)
    assert [(one.at[:10], one.words) for one in told.changes] == [
        ("2026-11-28", "words <i>"),
        ("2026-11-21", "words <i>"),
    ]
    assert ("add", f"+{line}") in told.changes[0].lines
    assert ("cut", "-hostname a") in told.changes[1].lines
    report = collect(ledger, "Riverton", NOW, state=state)
    page = render(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert 'id="network"' in page


def test_the_summary_names_devices_without_a_good_backup(ledger: Ledger, state: TownState) -> None:
    put_network_run(ledger, sw1="failed", sw2="unreachable")
    put_config(ledger, "sw1", outcome="refused", reason="empty")
    lines = summary(collect(ledger, "Riverton", NOW, state=state))
    assert "  no good backup of the configuration on 1 network device: sw1" in lines
    assert "  no answer yet on 1 network device: sw2" in lines
