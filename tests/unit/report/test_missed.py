"""Why a host's newest state is not known: the newest reason counts."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from civicops.exit_status import ExitStatus
from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.report.collect import collect
from civicops.runs.judge import judge
from civicops.state import TownState


def document(kind: str, body: Any, **more: Any) -> Document:
    return Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town="riverton",
        host="web1",
        target=None,
        run=str(uuid.uuid4()),
        job="checkup",
        check=False,
        attempt=1,
        collected_at="2026-11-23T12:00:00Z",
        body=body,
        **more,
    )


def test_the_newest_reason_is_told(state: TownState) -> None:
    refused = document("host-facts", {}, status="rejected", reason="too large")
    unreachable = document("contact", {"outcome": "unreachable", "task": "t", "reason": "no route"})
    answer = document("host-facts", {"host_time": None, "seen_as_root": True, "unread": []})
    with Ledger("riverton", state=state) as ledger:
        for one, told in (
            (refused, "its answer was refused: too large"),
            (unreachable, "unreachable: no route"),
            (answer, None),
        ):
            ledger.append([one])
            (host,) = collect(ledger, "Riverton").hosts
            assert host.missed == told


def test_a_run_that_was_killed_marks_who_had_not_answered(state: TownState) -> None:
    """Old figures without a mark would look like today's."""
    facts = {"host_time": None, "seen_as_root": True, "unread": []}
    outcomes = {"web1": "no_answer", "web2": "no_answer", "web3": "no_answer", "switch1": "not_asked"}
    began = {"playbook": "checkup", "started_at": "x", "ended_at": None, "hosts": outcomes}
    answers = [
        replace(document("host-facts", facts), host=host, run=run)
        for host, run in (("web1", "old"), ("web2", "old"), ("web2", "killed"))
    ]
    with Ledger("riverton", state=state) as ledger:
        ledger.append([*answers, replace(document("run", began), host="", run="killed")])
        report = collect(ledger, "Riverton")
    told = {host.name: host.missed for host in report.asked}
    assert told == {
        "web1": "the run ended before it answered",
        "web2": None,
        "web3": "the run ended before it answered",
    }
    assert [host.name for host in report.not_asked] == ["switch1"]
    assert not report.runs[0].finished


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_run_without_an_end_is_not_done(state: TownState, cancelled: bool) -> None:
    facts = {"host_time": None, "seen_as_root": True, "unread": []}
    outcomes = {"web1": "no_answer", "web2": "no_answer", "switch1": "not_asked"}
    began = {"playbook": "checkup", "started_at": "x", "ended_at": None, "hosts": outcomes}
    with Ledger("riverton", state=state) as ledger:
        ledger.append(
            [replace(document("host-facts", facts), run="r"), replace(document("run", began), host="", run="r")]
        )
        result = judge("r", ledger, cancelled=cancelled)
    assert result is not None
    assert result.hosts == {"web1": "ok", "web2": "no_answer", "switch1": "not_asked"}
    assert result.exit_status == (ExitStatus.CANCELLED if cancelled else ExitStatus.HOSTS_FAILED)
