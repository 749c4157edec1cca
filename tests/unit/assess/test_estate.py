"""What is known of a town's hosts: the newest good answer, and why there is none since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess.estates import NOW, facts
from tests.unit.assess.samples import add, contact

from civicops.assess.estate import AUDITS, Host, read_estate
from civicops.ledger.store import Ledger
from civicops.state import TownState

FACTS: dict[str, Any] = {"kind": "host-facts", "collected_at": "2026-11-29T12:00:00.000000Z"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger("riverton", state=TownState("riverton", tmp_path)) as opened:
        yield opened


def run(ledger: Ledger, name: str, **hosts: str) -> None:
    body = {"playbook": "checkup", "started_at": "x", "ended_at": "y", "hosts": hosts}
    add(ledger, body, kind="run", host="", run=name)


def web1(ledger: Ledger) -> Host:
    return read_estate(ledger, NOW).hosts["web1"]


def test_a_host_that_has_answered_has_missed_nothing(ledger: Ledger) -> None:
    add(ledger, contact("civicops.town.host_info"), kind="contact", run="r0")
    add(ledger, facts(), run="r1", **FACTS)
    run(ledger, "r1", web1="ok", switch1="not_asked")
    assert (web1(ledger).missed, web1(ledger).asked) == ("", True)
    assert not read_estate(ledger, NOW).hosts["switch1"].asked


def test_why_there_is_no_newer_answer(ledger: Ledger) -> None:
    add(ledger, facts(), run="r1", **FACTS)
    run(ledger, "r1", web1="ok")
    add(ledger, contact("civicops.town.host_info", "unreachable", "no route"), kind="contact", run="r2")
    assert web1(ledger).missed == "unreachable: no route"


def test_a_run_that_ended_before_its_host_answered(ledger: Ledger) -> None:
    add(ledger, facts(), run="r1", **FACTS)
    run(ledger, "r1", web1="ok")
    run(ledger, "r2", web1="no_answer", web2="no_answer")
    assert web1(ledger).missed == "the run ended before it answered"
    web2 = read_estate(ledger, NOW).hosts["web2"]
    assert (web2.told, web2.asked, web2.missed) == (None, True, "the run ended before it answered")


def test_an_answer_that_was_refused(ledger: Ledger) -> None:
    add(ledger, facts(), run="r1", **FACTS)
    run(ledger, "r1", web1="ok")
    add(ledger, {}, run="r2", status="rejected", reason="larger than it may be", **FACTS)
    assert web1(ledger).missed == "its answer was refused: larger than it may be"
    assert web1(ledger).told is not None
    add(ledger, facts(), run="r3", **FACTS)
    assert web1(ledger).missed == ""


def test_an_audit_that_failed_does_not_make_an_answer_missed(ledger: Ledger) -> None:
    add(ledger, facts(), run="r1", **FACTS)
    add(ledger, contact(AUDITS), kind="contact", run="r1")
    run(ledger, "r1", web1="failed")
    assert web1(ledger).missed == ""
    add(ledger, contact(AUDITS), kind="contact", run="r2")
    assert web1(ledger).missed == "failed: the module failed"


def test_what_came_later_than_a_number_is_not_looked_at(ledger: Ledger) -> None:
    add(ledger, facts(), run="r1", **FACTS)
    head = ledger.anchor().count
    add(ledger, {}, run="r2", status="rejected", reason="x", **FACTS)
    assert read_estate(ledger, NOW, before=head + 1).hosts["web1"].missed == ""
