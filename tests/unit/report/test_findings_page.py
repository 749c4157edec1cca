"""The findings in the report: all of them counted, the first ones shown, what hosts say shown as text."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.unit.assess.package_samples import body, debian_feeds, resolved, row
from tests.unit.assess.samples import HOSTILE
from tests.unit.backups import NOW, append
from tests.unit.towns import MakeTown

from civicops.ledger.store import Ledger
from civicops.report import write
from civicops.report.write import figures, write_report
from civicops.runs.inventory import InventoryError
from civicops.state import TownState
from civicops.town import Town

TODAY = datetime.now(UTC).date()


@pytest.fixture
def town(make_town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(write, "read_groups", lambda *_: {"all": ["web1", "web2"], "old": ["web2"]})
    return make_town()


def answered(town: Town, **hosts: dict[str, Any]) -> TownState:
    """Hosts that have answered just now."""
    state = TownState(town.id)
    with Ledger(town.id, state=state) as ledger:
        for host, facts in hosts.items():
            append(ledger, "host-facts", host, facts, NOW - datetime.now(UTC))
    return state


def told(town: Town, state: TownState) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(figures(town.id, town.name, state, wanted=town)))["findings"]
    return found


def waive(town: Town, finding: str, hosts: str, expires: int = 30) -> None:
    days = {"granted": TODAY - timedelta(days=60), "expires": TODAY + timedelta(days=expires)}
    one = {"finding": finding, "hosts": hosts, "reason": "rebuilt <b>", "approver": "Ann Ruiz"}
    waiver = one | {name: day.isoformat() for name, day in days.items()}
    (town.directory / "waivers.yml").write_text(json.dumps({"waivers": [waiver]}))


def page(town: Town, state: TownState, place: Path) -> str:
    return write_report(town.id, town.name, state, place, wanted=town).path.read_text()


def test_nothing_is_said_where_no_host_was_ever_asked(town: Town, tmp_path: Path) -> None:
    state = TownState(town.id)
    assert figures(town.id, town.name, state, wanted=town)["findings"] is None
    assert 'id="findings"' not in page(town, state, tmp_path / "out")


def test_counts_colours_feeds_and_the_line_for_a_terminal(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "feeds"
    folder.mkdir()
    debian_feeds(folder, {"openssl": {"CVE-2026-1000": resolved("3.0.9-2")}}, day=TODAY.isoformat())
    state = answered(town, web1=body(row("openssl", "3.0.9-1")), web2=body(row("openssl", "3.0.9-2")))
    found = told(town, state)
    [line] = [one for one in found["found_lines"] if one["package"] == "openssl"]
    assert (line["about"], line["cves"], line["id"]) == (["web1"], ["CVE-2026-1000"], "vulnerable-openssl")
    assert sum(found["counts"].values()) >= len(found["found_lines"])
    assert sum(found["colours"].values()) == 2
    assert found["feeds"]["debian-tracker"] == TODAY.isoformat()
    summary = write_report(town.id, town.name, state, tmp_path / "out", wanted=town).summary
    [said] = [one for one in summary if one.startswith("  findings: ")]
    assert said.endswith(": civicops findings riverton")
    assert f"{found['unknown']} not known" in said


def test_what_a_host_says_is_text(town: Town, tmp_path: Path) -> None:
    names = [f"evil{number}{HOSTILE}" for number in range(3)]
    state = answered(town, web1=body(*(row(name, HOSTILE, origin=HOSTILE) for name in names)))
    shown = page(town, state, tmp_path / "out")
    assert 'id="findings"' in shown
    assert "<script" not in shown
    assert html.escape("<script>alert(1)</script>", quote=False) in shown
    assert not {"\x1b", "\u202e"} & set(shown)


def test_what_is_accepted_stands_apart_and_what_has_expired_comes_back(town: Town, tmp_path: Path) -> None:
    state = answered(town, web1=body(), web2=body())
    before = told(town, state)
    waive(town, "recovery-no-backup", "group:old")
    found = told(town, state)
    assert found["waived"] == 1
    assert found["counts"]["critical"] == before["counts"]["critical"] - 1
    [line] = found["waived_lines"]
    assert (line["about"], line["state"]) == (["web2"], "plain")
    assert "Ann Ruiz" in str(line["remarks"])
    assert "rebuilt &lt;b&gt;" in page(town, state, tmp_path / "out")
    waive(town, "recovery-no-backup", "group:old", expires=-1)
    found = told(town, state)
    assert (found["waived"], found["counts"]) == (0, before["counts"])
    assert "expired" in str(found["found_lines"])


def test_waivers_and_inventories_that_can_not_be_read_are_told(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = answered(town, web1=body())
    (town.directory / "waivers.yml").write_text("waivers: yes\n")
    assert "no waiver holds" in str(told(town, state)["doubts"])

    def unreadable(*_: object) -> NoReturn:
        raise InventoryError("no")

    monkeypatch.setattr(write, "read_groups", unreadable)
    assert "inventory can't be read" in str(told(town, state)["doubts"])
    assert "no waiver holds" in html.unescape(page(town, state, tmp_path / "out"))


def test_a_long_list_is_cut_and_counted(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "SHOWN", 1)
    state = answered(town, web1=body())
    found = told(town, state)
    assert len(found["found_lines"]) > 1
    shown = page(town, state, tmp_path / "out")
    assert f"and {len(found['found_lines']) - 1} more, which come later" in shown
