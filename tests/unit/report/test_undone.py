"""What a report says of work that was wanted and not done."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.report.collect import collect
from civicops.report.undone import undone
from civicops.report.write import write_report
from civicops.state import TownState

AT = "2026-11-24T02:00:00.000000Z"


def told(kind: str, host: str, body: dict[str, Any], *, run: str = "r1", check: bool = False) -> Document:
    return Document(kind, 1, str(uuid.uuid4()), "riverton", host, None, run, "wait", check, 1, AT, body)


def run(*hosts: str, name: str = "r1", check: bool = False) -> Document:
    body = {"playbook": "wait", "started_at": AT, "ended_at": AT, "hosts": dict.fromkeys(hosts, "ok")}
    return told("run", "", body, run=name, check=check)


def gate(decision: str, code: str, reason: str = "because", chance: list[str] | None = None) -> dict[str, Any]:
    return {"decision": decision, "code": code, "reason": reason, "until": None, "next": chance}


def work(outcome: str, reason: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason}


def contact(outcome: str) -> dict[str, Any]:
    return {"outcome": outcome, "task": "Wait", "reason": "No route to host"}


CHANCE = ["2026-11-25T02:00:00.000000Z", "2026-11-25T06:00:00.000000Z"]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([("gate", gate("refused", "frozen", "frozen by council", CHANCE))], ("put off", "frozen by council", False)),
        ([("gate", gate("refused", "halt", "halted: 1 of 2"))], ("put off", "halted: 1 of 2", True)),
        ([("gate", gate("refused", "pair")), ("gate", gate("open", "open")), ("wait", work("done"))], None),
        ([("gate", gate("open", "open")), ("wait", work("done"))], None),
        (
            [("gate", gate("open", "open")), ("wait", work("failed", "exit 1")), ("contact", contact("failed"))],
            ("failed", "exit 1", True),
        ),
        (
            [("gate", gate("open", "open")), ("contact", contact("unreachable"))],
            ("unreachable", "No route to host", True),
        ),
        ([("gate", gate("open", "open"))], ("began, and told no end", "", True)),
    ],
)
def test_each_host_is_told_by_its_last_word(
    state: TownState, documents: list[tuple[str, dict[str, Any]]], expected: tuple[str, str, bool] | None
) -> None:
    with Ledger("riverton", state=state) as ledger:
        ledger.append([run("web1"), *(told(kind, "web1", body) for kind, body in documents)])
        found = [(one.what, one.reason, one.needs_work) for one in undone(ledger)]
    assert found == ([expected] if expected else [])


def test_only_the_last_real_run_counts_and_the_page_says_when_next(state: TownState, tmp_path: Any) -> None:
    with Ledger("riverton", state=state) as ledger:
        ledger.append([run("web1"), told("wait", "web1", work("failed", "<b>exit 1</b>"))])
        ledger.append([run("web1", name="r2"), told("gate", "web1", gate("refused", "late", "<i>", CHANCE), run="r2")])
        locked = told("gate", "web1", gate("refused", "locked"), run="r4")
        ledger.append([run("web1", name="r3", check=True), run("web1", name="r4"), locked])
        assert [(one.what, one.next) for one in undone(ledger)] == [("put off", CHANCE[0])]
        assert not collect(ledger, "Riverton").missed, "work that was put off is no host that did not answer"
    page = write_report("riverton", "Riverton", state, tmp_path).path.read_text()
    assert "Work that was not done" in page and "2026-11-25 02:00 UTC" in page
    assert "<i>" not in page


def test_a_run_for_a_few_hosts_does_not_hide_what_became_of_the_others(state: TownState) -> None:
    with Ledger("riverton", state=state) as ledger:
        ledger.append([run("web1", "web2"), told("wait", "web1", work("failed", "exit 1"))])
        ledger.append([run("web2", name="r2"), told("wait", "web2", work("done"), run="r2")])
        assert [(one.host, one.what) for one in undone(ledger)] == [("web1", "failed")]
        ledger.append([run("web1", name="r3"), told("wait", "web1", work("done"), run="r3")])
        assert undone(ledger) == []


def test_a_run_is_listed_once_with_what_became_of_its_hosts(state: TownState) -> None:
    begun = {
        "playbook": "wait",
        "started_at": AT,
        "ended_at": None,
        "hosts": {"web1": "no_answer", "web2": "no_answer"},
    }
    with Ledger("riverton", state=state) as ledger:
        ledger.append([told("run", "", begun), told("gate", "web1", gate("refused", "frozen"))])
        ledger.append(
            [told("gate", "web2", gate("open", "open")), told("wait", "web2", work("done")), run("web1", "web2")]
        )
        (only,) = collect(ledger, "Riverton").runs
    assert (only.finished, only.outcomes) == (True, {"deferred": 1, "changed": 1})
