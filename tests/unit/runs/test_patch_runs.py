"""Runs of the patch night: what a plan says, what became of hosts, a yes to a ring, and a rollback of one run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.test_patch_gate import record, row, updates
from tests.unit.towns import MakeTown
from typer.testing import CliRunner

from civicops.alerts import outbox
from civicops.cli.main import app
from civicops.gate.waiting import Wait, mark
from civicops.jobs import JOBS
from civicops.ledger.documents import DocumentError, check_body
from civicops.ledger.store import Ledger
from civicops.runs import engine, plan
from civicops.runs.engine import RunRequest
from civicops.runs.journal import Journal, NoSuchRunError, RunOrder, read_run
from civicops.runs.judge import RunResult, judge
from civicops.runs.plan import CHANGES, approve_ring, make_plan
from civicops.runs.start import RunError
from civicops.runs.tell import RingAsking, tell_ring_approved
from civicops.state import TownState, locked
from civicops.text import printable
from civicops.town import Town

RUN = "20261124T020000Z-patch-0a1b2c"
NIGHT: dict[str, Any] = {"id": "night", "jobs": ["patch"], "rrule": "FREQ=DAILY", "start": "22:00", "duration": "4h"}
NOW = datetime.now(UTC)


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    alerts = [{"to": "it@riverton.example", "kind": ["approval"]}]
    return make_town(maintenance={"windows": [NIGHT], "ring_approval": ["broad"]}, alerts=alerts)


def begun(state: TownState, job: str = "patch", run: str = RUN, **more: Any) -> Journal:
    order = RunOrder(run, "riverton", "0" * 64, job, None, False, "root", 1, "2026-11-24T02:00:00Z", **more)
    return Journal(state, order)


def command(town: Town, *arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--inventories", str(town.directory.parent)])


# --- plans ---


def lines(town: Town, state: TownState, *hosts: str) -> dict[str, list[str]]:
    with Ledger("riverton", state=state) as ledger:
        return CHANGES["patch"](town, ledger, list(hosts))


def test_a_plan_says_what_would_be_installed_and_what_to_expect(town: Town, state: TownState) -> None:
    packages = [row("openssl"), row("bash", security=None), row("vim", chosen=False), row("new", **{"from": None})]
    body = updates(
        *packages,
        rollback={"possible": False, "missing": ["bash 1.0"]},
        blockers=[{"code": "disk", "text": "/boot is full"}],
    )
    record(state, "updates", "web1", body, at=NOW)
    assert lines(town, state, "web1", "web2") == {
        "web1": [
            "bash 1.0 -> 1.1",
            "new new -> 1.1 (security)",
            "openssl 1.0 -> 1.1 (security)",
            "reboot expected",
            "not rolled back automatically: bash 1.0",
            "stands in the way: /boot is full",
        ],
        "web2": ["not known: civicops run patch_stage riverton first"],
    }
    window = town.maintenance.windows[0]
    whole = make_plan(town, state, JOBS["patch"], window=window, starts_at=NOW, limit=None)
    check_body("plan", 1, whole)


def test_a_plan_of_nothing(make_town: MakeTown, state: TownState) -> None:
    town = make_town(patch={"reboot": "never"})
    nothing = {"possible": False, "missing": []}
    record(state, "updates", "web1", updates(row("vim", chosen=False), rollback=nothing), at=NOW)
    assert lines(town, state, "web1") == {"web1": ["nothing is to be installed", "reboot wanted, and never done here"]}


def test_a_plan_is_the_same_until_the_work_changes(town: Town, state: TownState) -> None:
    record(state, "updates", "web1", updates(row("a")), at=NOW - timedelta(days=1))
    first = lines(town, state, "web1")
    record(state, "updates", "web1", updates(row("a")) | {"host_time": "2026-11-24T00:00:00Z"}, at=NOW)
    assert lines(town, state, "web1") == first
    record(state, "updates", "web1", updates(row("a"), row("b")), at=NOW)
    assert lines(town, state, "web1") != first


@given(st.lists(st.text(max_size=600), max_size=400), st.integers(0, 20_000))
def test_whatever_hosts_say_a_plan_is_printable_and_bounded(told: list[str], room: int) -> None:
    kept = plan._bounded(told, room)
    assert len(kept) <= 201
    assert sum(len(json.dumps(line)) for line in kept[:-1]) <= room
    assert all(line == printable(line, 500) for line in kept)
    if told:
        assert plan._bounded([*told[:-1], told[-1] + "x"], room) != kept, "what is not shown counts all the same"


# --- what became of hosts ---


def judged(state: TownState, host: str) -> tuple[str, str | None]:
    with Ledger("riverton", state=state) as ledger:
        told = judge(RUN, ledger, cancelled=False)
    assert isinstance(told, RunResult)
    return told.hosts[host], told.reasons.get(host)


CHANGED = {"columns": ["name", "arch", "before", "after"], "rows": [["a", "amd64", "1", "2"]]}
NOTHING = {"columns": ["name", "arch", "before", "after"], "rows": []}
REBOOTED = {"wanted": True, "reasons": [], "done": True, "why_not": "", "kernel_before": None, "kernel_after": None}


@pytest.mark.parametrize(
    ("body", "became"),
    [
        ({"outcome": "done", "changes": CHANGED}, "changed"),
        ({"outcome": "done", "changes": NOTHING}, "ok"),
        ({"outcome": "done", "changes": NOTHING, "reboot": REBOOTED}, "changed"),
        ({"outcome": "done"}, "changed"),
        ({"outcome": "failed", "changes": NOTHING}, "failed"),
        ({"outcome": "rolled_back", "changes": NOTHING}, "failed"),
        ({"outcome": "blocked", "changes": NOTHING}, "failed"),
        ({"outcome": "interrupted"}, "failed"),
        ({"outcome": "overrun", "changes": CHANGED}, "overrun"),
        ({"outcome": "refused"}, "deferred"),
        ({"outcome": "planned", "changes": CHANGED}, "ok"),
    ],
)
def test_what_a_hosts_own_word_means(state: TownState, body: dict[str, Any], became: str) -> None:
    record(state, "patch", "web1", body | {"reason": "the disk is full"}, run=RUN, at=NOW)
    outcome, reason = judged(state, "web1")
    assert outcome == became
    assert reason == (None if body["outcome"] == "done" else "the disk is full")


@pytest.mark.parametrize("changed", [True, False])
def test_hardening_that_mended_nothing_changed_nothing(state: TownState, changed: bool) -> None:
    columns = ["id", "state", "changed", "was", "wanted", "reason"]
    rows = [["a", "compliant", False, "", "", ""], ["b", "changed" if changed else "failed", changed, "", "", ""]]
    body = {"outcome": "done", "results": {"columns": columns, "rows": rows}}
    record(state, "baseline", "web1", body, run=RUN, at=NOW, job="baseline")
    assert judged(state, "web1")[0] == ("changed" if changed else "ok")


def test_the_last_word_counts(state: TownState) -> None:
    record(state, "patch", "web1", {"outcome": "done", "changes": NOTHING}, run=RUN, at=NOW)
    record(state, "patch", "web1", {"outcome": "done", "changes": CHANGED}, run=RUN, at=NOW)
    assert judged(state, "web1")[0] == "changed"


# --- a yes to a ring ---


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"ring": "broad", "by": "Ann", "user": "root"}, True),
        ({"plan_sha256": "0" * 64, "window": "night", "hosts": [], "by": "Ann", "user": "root"}, True),
        ({"by": "Ann", "user": "root"}, False),
        ({"plan_sha256": "0" * 64, "by": "Ann", "user": "root"}, False),
        ({"ring": "broad", "user": "root"}, False),
    ],
)
def test_an_approval_is_of_a_plan_or_of_a_ring(body: dict[str, Any], good: bool) -> None:
    if good:
        check_body("approval", 1, body)
    else:
        with pytest.raises(DocumentError):
            check_body("approval", 1, body)


def test_somebody_says_yes_by_the_command(town: Town, state: TownState) -> None:
    journal = begun(state)
    with locked(state.runs / RUN / "lock"):
        done = command(town, "runs", "riverton", "approve", RUN, "--ring", "broad", "--by", "Ann Manager")
    assert (done.exit_code, done.stdout) == (0, f"{RUN}: the ring broad was approved by Ann Manager\n")
    with Ledger("riverton", state=state) as ledger:
        (entry,) = ledger.of_run(RUN)
        check_body("approval", 1, ledger.body(entry))
        assert ledger.body(entry)["ring"] == "broad"
    shown = command(town, "runs", "riverton", "show", RUN)
    assert "the ring broad was approved by Ann Manager" in shown.stdout
    journal.end(state="done", ended_at="2026-11-24T03:00:00Z", exit_status=0, message=None)
    with pytest.raises(RunError, match="is done"):
        approve_ring(town, state, RUN, "broad", by="Ann")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ring", "early", "--by", "Ann"], "waits for nobody's yes; those that do: broad"),
        (["--ring", "broad", "--by", " "], "name the person who approves"),
        (["--ring", "broad"], "approve wants --by NAME"),
        (["--ring", "broad", "--by", "Ann", "--plan", "0" * 12], "two approvals"),
    ],
)
def test_a_yes_to_nothing_is_refused(town: Town, state: TownState, arguments: list[str], told: str) -> None:
    begun(state)
    done = command(town, "runs", "riverton", "approve", RUN, *arguments)
    assert done.exit_code != 0
    assert told in f"{done.exception} {' '.join(done.stderr.replace('│', ' ').split())}"


def test_a_run_that_civicops_did_not_start_can_wait_for_a_yes_too(town: Town, state: TownState) -> None:
    with pytest.raises(NoSuchRunError):
        approve_ring(town, state, "awx-17", "broad", by="Ann")
    refused = {"decision": "refused", "code": "ring_approval", "reason": "waits", "until": None, "next": None}
    record(state, "gate", "web1", refused | {"town_file_sha256": "0" * 64}, run="awx-17")
    approve_ring(town, state, "awx-17", "broad", by="Ann")
    with Ledger("riverton", state=state) as ledger:
        assert [entry.kind for entry in ledger.of_run("awx-17")] == ["gate", "approval"]


def test_a_job_that_asks_nobody(town: Town, state: TownState) -> None:
    run = RUN.replace("patch", "rollback")
    begun(state, "rollback", run)
    with pytest.raises(RunError, match="does not wait for anybody's yes"):
        approve_ring(town, state, run, "broad", by="Ann")


def subjects(state: TownState) -> list[tuple[str, bool]]:
    """The matters in the outbox: what is told first, and whether they are over."""
    found = []
    for box in outbox.boxes(state):
        for matter in box.all().values():
            text = repr(matter)
            found.append((RUN if f"ring:{RUN}:broad" in text else text, "resolved" in text))
    return found


def test_people_are_asked_once_for_each_ring(town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[datetime] = []
    monkeypatch.setattr("civicops.runs.tell._send", lambda _town, _state, now: sent.append(now))
    begun(state)
    mark(state, RUN, Wait(NOW, frozenset({"broad"}), ""))
    asking = RingAsking(town, state, RUN)
    asking.look()
    assert subjects(state) == [], "what a killed attempt has left asks nobody"
    mark(state, RUN, Wait(NOW, frozenset({"broad"}), ""))
    asking.look()
    asking.look()
    assert len(subjects(state)) == 1
    assert len(sent) == 1
    asking.end()
    assert len(subjects(state)) <= 1


def test_those_who_were_asked_are_told_of_the_yes(town: Town, state: TownState) -> None:
    tell_ring_approved(town, state, RUN, "broad", "Ann", NOW)
    assert subjects(state) == [], "nobody was asked"


# --- taking back one run ---


def test_a_rollback_of_a_run_is_handed_on(town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    record(state, "patch", "web1", {"outcome": "done", "reason": ""}, run=RUN)
    asked: list[RunRequest] = []

    def play(request: RunRequest, *_: Any, **__: Any) -> engine.Ended:
        asked.append(request)
        return engine.Ended(good=False, cancelled=False, status=4, last_words="no")

    monkeypatch.setattr("civicops.runs.start.play", play)
    command(town, "run", "rollback", "riverton", "--of", RUN)
    assert [one.rollback_of for one in asked] == [RUN]
    (path,) = [one for one in state.runs.iterdir() if "rollback" in one.name]
    assert read_run(state, path.name).order.rollback_of == RUN
    command(town, "run", "rollback", "riverton")
    assert asked[-1].rollback_of is None


@pytest.mark.parametrize("of", [RUN, None])
def test_the_playbook_gets_the_run_by_its_environment(
    town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch, of: str | None
) -> None:
    import ansible_runner

    seen: dict[str, str] = {}

    def init(**_: Any) -> None:
        import os

        seen.update(os.environ)

    monkeypatch.setenv("CIVICOPS_ROLLBACK_OF", "somebody's else")
    monkeypatch.setattr(ansible_runner.interface, "init_runner", init)
    request = RunRequest(town=town, job=JOBS["rollback"], rollback_of=of)
    engine._prepare(request, state, "r1", 1, None, lambda _raw: False, lambda: False)
    assert seen.get("CIVICOPS_ROLLBACK_OF") == of


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rollback", "riverton", "--of", "../x"], "is no run's id"),
        (["rollback", "riverton", "--of", "20261124T020000Z-patch-ffffff"], "knows no host on which it did its work"),
        (["patch", "riverton", "--of", RUN], "belongs to the jobs rollback and"),
        (["rollback", "riverton", "--of", RUN, "--plan"], "belongs to the jobs rollback and"),
    ],
)
def test_what_can_not_be_taken_back(town: Town, state: TownState, arguments: list[str], told: str) -> None:
    done = command(town, "run", *arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
