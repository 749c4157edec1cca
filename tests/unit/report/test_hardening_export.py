"""JSON, CSV and SARIF of how hosts stand: complete, valid in structure, and safe whatever a host says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.assess.samples import HOSTILE, add, body, contact, row

from civicops.assess.hardening import Hardening, read_hardening
from civicops.ledger.store import Ledger
from civicops.report.hardening_export import COLUMNS, EXPORTS, as_csv, as_sarif, cell, plain
from civicops.state import TownState

WAIVER = {"control": "ssh-banner", "until": "2027-05-31", "approver": "J. Ortiz", "reason": "The vendor forbids it."}
OVER = {"control": "ssh-root-keys", "until": "2026-11-01", "approver": "J. Ortiz", "reason": "Was needed."}


@pytest.fixture
def told(state: TownState) -> Iterator[Hardening]:
    with Ledger("riverton", state=state) as ledger:
        rows = [
            row("ssh-config-files", "compliant"),
            row("ssh-private-keys", "failed", was=HOSTILE, wanted="0600", why="=HYPERLINK(1)"),
            row("ssh-root-folder", "changed", was="0755", wanted="0700"),
            row("ssh-banner", "waived"),
            row("ssh-root-keys", "waived"),
            row("ssh-public-keys", "error", why="unreadable"),
            row("unheard-of", "not_enforceable"),
            row("ssh-who-may-log-in", "not_applicable"),
        ]
        add(ledger, body(*rows, waivers=[WAIVER, OVER]))
        add(ledger, contact("civicops.town.baseline"), kind="contact", host="=web2")
        yield read_hardening(ledger, now=datetime(2026, 11, 27, tzinfo=UTC))


def test_json_has_every_control_and_no_score_of_what_is_not_known(told: Hardening) -> None:
    made = json.loads(EXPORTS["json"](told))
    assert made == json.loads(json.dumps(plain(told)))
    unknown, known = made["hosts"]
    assert (unknown["host"], unknown["known"], unknown["scores"]) == ("=web2", False, {})
    assert len(known["controls"]) == 8
    assert known["scores"]["own"] == {"met": 1, "total": 7, "waived": 2, "unknown": 1, "percent": 14}
    assert known["controls"][1]["severity"] == "high"
    assert known["controls"][1]["identifiers"]["cis_debian12"] == ["5.1.2"]


def test_csv_is_one_line_a_control_and_no_formula(told: Hardening) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(told), newline="")))
    assert list(lines[0]) == list(COLUMNS)
    assert [line["state"] for line in lines].count("not_known") == 1
    assert len(lines) == 9
    assert lines[0]["host"] == "'=web2"
    failed = next(line for line in lines if line["state"] == "failed")
    assert failed["reason"] == "'=HYPERLINK(1)"
    assert "\x1b" not in as_csv(told)


@given(st.text())
def test_no_text_becomes_a_formula_or_a_second_line(text: str) -> None:
    made = cell(text)
    assert not made.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 for one in made)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1", '"=1', "\u200b=1"])  # noqa: RUF001
def test_ways_to_begin_a_formula(text: str) -> None:
    assert cell(text).startswith("'")


def test_sarif_has_what_the_standard_demands(told: Hardening) -> None:
    made = as_sarif(told)
    assert (made["version"], made["$schema"].endswith("sarif-2.1.0.json")) == ("2.1.0", True)
    [run] = made["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "civicops"
    assert len({rule["id"] for rule in rules}) == len(rules) == 8
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] in ("fail", "review")
        # 3.27.10: a kind other than fail has the level none.
        assert (result["level"] == "none") == (result["kind"] != "fail")
        assert result["message"]["text"]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "web1"
    assert run["invocations"][0]["executionSuccessful"] is False
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 1
    assert "\x1b" not in EXPORTS["sarif"](told)


def test_sarif_tells_what_is_not_met_and_suppresses_what_is_waived(told: Hardening) -> None:
    by_rule: dict[str, Any] = {one["ruleId"]: one for one in as_sarif(told)["runs"][0]["results"]}
    assert set(by_rule) == {
        "ssh-private-keys", "ssh-root-folder", "ssh-banner", "ssh-root-keys", "ssh-public-keys", "unheard-of",
    }  # fmt: skip
    assert by_rule["ssh-private-keys"]["level"] == "error"
    assert by_rule["ssh-public-keys"]["kind"] == "review"
    [held] = by_rule["ssh-banner"]["suppressions"]
    assert (held["kind"], held["status"]) == ("external", "accepted")
    assert held["justification"] == "The vendor forbids it. (J. Ortiz, until 2027-05-31)"
    assert by_rule["ssh-root-keys"]["suppressions"][0]["status"] == "rejected"
    assert all(
        "suppressions" not in one for name, one in by_rule.items() if not name.startswith(("ssh-b", "ssh-root-k"))
    )
