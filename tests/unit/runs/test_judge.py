"""What became of hosts: Ansible's "ok" counts only where the host's answer was kept."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from civicops.exit_status import ExitStatus
from civicops.jobs import JOBS
from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.runs.judge import RunResult, judge
from civicops.state import TownState

AT = "2026-11-23T22:00:00Z"
REFUSED = {"decision": "refused", "code": "window", "reason": "no window is open", "next": None}
OWING = [name for name, job in JOBS.items() if job.owed]


def document(job: str, kind: str, host: str, body: dict[str, Any], **more: Any) -> Document:
    fields: dict[str, Any] = {
        "version": 1,
        "check": False,
        "attempt": 1,
        "collected_at": AT,
        "run": "r",
        "target": None,
    }
    return Document(kind=kind, id=str(uuid.uuid4()), town="riverton", host=host, job=job, body=body, **fields | more)


def told(job: str, *, ended: bool = True, **hosts: str) -> Document:
    return document(job, "run", "", {"started_at": AT, "ended_at": AT if ended else None, "hosts": hosts})


def judged(state: TownState, *documents: Document, cancelled: bool = False) -> RunResult:
    with Ledger("riverton", state=state) as ledger:
        ledger.append(documents)
        result = judge("r", ledger, cancelled=cancelled)
    assert result is not None
    return result


def test_every_job_owes_something() -> None:
    assert set(OWING) == set(JOBS)


@pytest.mark.parametrize("job", OWING)
@pytest.mark.parametrize("outcome", ["ok", "changed"])
def test_a_host_that_is_well_and_gave_no_document_has_failed(state: TownState, job: str, outcome: str) -> None:
    kind = JOBS[job].owed[0]
    answer = document(job, kind, "web1", {"outcome": "done"})
    result = judged(state, answer, told(job, web1=outcome, web2=outcome))
    assert (result.exit_status, result.hosts["web2"]) == (ExitStatus.HOSTS_FAILED, "failed")
    assert result.reasons == {"web2": f"it answered {outcome} and gave no document: {kind}"}
    assert result.hosts["web1"] in ("ok", "changed")


@pytest.mark.parametrize("job", OWING)
@pytest.mark.parametrize("outcome", ["not_asked", "unreachable", "no_answer", "failed"])
def test_who_was_not_served_owes_nothing(state: TownState, job: str, outcome: str) -> None:
    assert judged(state, told(job, web1=outcome)).hosts == {"web1": outcome}


def test_who_was_not_let_through_owes_nothing(state: TownState) -> None:
    refused = document("patch", "gate", "web1", REFUSED)
    result = judged(state, refused, told("patch", web1="ok"))
    assert (result.hosts, result.exit_status) == ({"web1": "deferred"}, ExitStatus.NOT_ALLOWED)


def test_what_an_earlier_attempt_gave_counts(state: TownState) -> None:
    earlier = document("wait", "wait", "web1", {"outcome": "done"})
    later = document("wait", "wait", "web2", {"outcome": "done"})
    cut_off = told("wait", ended=False, web1="no_answer", web2="no_answer")
    result = judged(state, cut_off, earlier, told("wait", web1="not_asked", web2="changed"), later)
    assert (result.state, result.hosts) == ("done", {"web1": "changed", "web2": "changed"})


def test_an_answer_that_a_newer_version_can_read_was_given(state: TownState) -> None:
    newer = document("checkup", "host-facts", "web1", {}, version=99, status="pending")
    assert judged(state, newer, told("checkup", web1="ok")).hosts == {"web1": "ok"}


def test_an_answer_that_was_refused_says_why(state: TownState) -> None:
    refused = document("checkup", "host-facts", "web1", {}, status="rejected", reason="too large")
    assert judged(state, refused, told("checkup", web1="ok")).reasons == {"web1": "its answer was refused: too large"}


@pytest.mark.parametrize("cancelled", [True, False])
def test_while_a_run_has_not_ended_nothing_is_missed(state: TownState, cancelled: bool) -> None:
    gate = document("checkup", "baseline", "web1", {"outcome": "planned"})
    result = judged(state, gate, told("checkup", ended=cancelled, web1="ok"), cancelled=cancelled)
    assert result.hosts == {"web1": "ok"}


def test_a_playbook_of_ones_own_owes_nothing(state: TownState) -> None:
    assert judged(state, told("site", web1="changed")).hosts == {"web1": "changed"}
