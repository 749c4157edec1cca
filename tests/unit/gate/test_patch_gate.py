"""The gate of a patch night, on a ledger: pending work, blocked hosts, soak, somebody's yes, and taking back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.towns import MakeTown

from civicops.gate.decide import Verdict
from civicops.gate.opening import Ask, ask
from civicops.gate.planned import FRESH, selected
from civicops.gate.settle import settle_run
from civicops.gate.waiting import Wait, approved_rings, mark, marked, waiting
from civicops.jobs import JOBS
from civicops.ledger.claims import Claim, claims_of_run
from civicops.ledger.documents import Document, check_body
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.runs.plan import approve_ring
from civicops.state import TownState
from civicops.town import Town

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
NIGHT = {"id": "night", "jobs": ["patch"], "rrule": "FREQ=DAILY", "start": "00:00", "duration": "4h"}
GROUPS = {"all": ["can1", "web1", "web2"], "ring_canary": ["can1"]}
MINUTE = timedelta(minutes=1)
COLUMNS = (
    "name",
    "arch",
    "from",
    "to",
    "security",
    "origin",
    "source",
    "bytes",
    "selected",
    "why",
    "advisories",
    "kept",
)


def row(name: str, *, chosen: bool = True, **more: Any) -> list[Any]:
    values = {"name": name, "arch": "amd64", "from": "1.0", "to": "1.1", "security": True, "origin": "Debian-Security"}
    values |= {"source": None, "bytes": 1000, "selected": chosen, "why": None, "advisories": [], "kept": True}
    return [(values | more)[column] for column in COLUMNS]


def updates(*rows: list[Any], **more: Any) -> dict[str, Any]:
    """The body of a document of kind `updates`."""
    body: dict[str, Any] = {
        "manager": "apt",
        "host_time": "2026-11-23T20:00:00Z",
        "lists_at": None,
        "policy": {"scope": "security", "allow": [], "deny": []},
        "updates": {"columns": list(COLUMNS), "rows": list(rows)},
        "download_bytes": 30_000_000,
        "disk_bytes": 0,
        "reboot": {"wanted": False, "expected": True, "reasons": []},
        "restarts": [],
        "holds": [],
        "blockers": [],
        "rollback": {"possible": True, "missing": []},
        "staged": None,
        "took_seconds": 1.0,
        "unread": [],
    } | more
    check_body("updates", 1, body)
    return body


def record(
    state: TownState, kind: str, host: str, body: Any, *, run: str = "r1", at: datetime = NOW, **more: Any
) -> None:
    document = Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town="riverton",
        host=host,
        target=None,
        run=run,
        job=more.get("job", "patch"),
        check=False,
        attempt=1,
        collected_at=stamp(at),
        body=body,
    )
    with Ledger("riverton", state=state) as ledger:
        ledger.append([document])


def answer(state: TownState, host: str, outcome: str, *, at: datetime, run: str = "r1", **more: Any) -> None:
    record(state, "patch", host, {"outcome": outcome, "reason": "why"}, run=run, at=at, **more)


def asked(*hosts: str, run: str = "r1", job: str = "patch", **more: Any) -> Ask:
    return Ask(job=JOBS[job], run=run, hosts=hosts, groups=more.pop("groups", GROUPS), **more)


def codes(verdicts: dict[str, Verdict]) -> list[str]:
    return [verdict.code for verdict in verdicts.values()]


def claims(state: TownState, run: str = "r1") -> dict[str, Claim]:
    with Ledger("riverton", state=state) as ledger, ledger.transaction() as connection:
        return {one.host: one for one in claims_of_run(connection, run)}


def recorded(state: TownState, run: str = "r1") -> list[str]:
    with Ledger("riverton", state=state) as ledger:
        return [ledger.body(entry)["code"] for entry in ledger.of_run(run) if entry.kind == "gate"]


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town(maintenance={"windows": [NIGHT]})


def test_what_is_pending_makes_the_time_that_is_needed(town: Town, state: TownState) -> None:
    body = updates(*(row(f"p{number}", chosen=number < 40) for number in range(50)))
    record(state, "updates", "can1", body, run="stage", job="patch_stage", at=NOW - timedelta(days=1))
    groups = {"all": ["can1", "can2"], "ring_canary": ["can1", "can2"]}
    verdicts = ask(town, state, asked("can1", "can2", groups=groups), NOW)
    more, less = verdicts["can1"].need, verdicts["can2"].need
    assert more is not None and less is not None
    assert more.typical > less.typical + 200
    taken = claims(state)
    assert (taken["can1"].packages, taken["can1"].megabytes, taken["can1"].reboot) == (40, 30.0, True)
    assert (taken["can2"].packages, taken["can2"].megabytes, taken["can2"].reboot) == (0, 0.0, False)


@pytest.mark.parametrize(
    ("policy", "expected", "reboot"),
    [({}, True, True), ({}, None, True), ({}, False, False), ({"reboot": "never"}, True, False)],
)
def test_time_for_a_reboot_is_kept_where_one_may_come(
    make_town: MakeTown, state: TownState, policy: dict[str, str], expected: bool | None, reboot: bool
) -> None:
    town = make_town(maintenance={"windows": [NIGHT]}, patch=policy)
    body = updates(row("a"), reboot={"wanted": None, "expected": expected, "reasons": []})
    record(state, "updates", "can1", body, at=NOW - MINUTE)
    ask(town, state, asked("can1"), NOW)
    assert claims(state)["can1"].reboot is reboot


def test_an_old_word_and_one_from_before_the_last_patching_do_not_count(town: Town, state: TownState) -> None:
    record(state, "updates", "can1", updates(row("a")), run="stage", at=NOW - FRESH - MINUTE)
    ask(town, state, asked("can1"), NOW)
    assert claims(state)["can1"].packages == 0
    record(state, "updates", "can1", updates(row("a"), row("b")), run="stage", at=NOW + MINUTE)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + 6 * MINUTE)
    ask(town, state, asked("can1", run="r2"), NOW + 10 * MINUTE)
    assert claims(state, "r2")["can1"].packages == 0, "it has been installed since"


def test_an_absurd_size_is_a_number_all_the_same(town: Town, state: TownState) -> None:
    record(state, "updates", "can1", updates(row("a"), download_bytes=2**63 - 1), at=NOW - MINUTE)
    assert codes(ask(town, state, asked("can1"), NOW)) == ["late"]


@given(st.lists(st.booleans(), max_size=30))
def test_what_is_selected_is_counted(chosen: list[bool]) -> None:
    body = updates(*(row(f"p{number}", chosen=one) for number, one in enumerate(chosen)))
    assert [one["name"] for one in selected(body)] == [f"p{number}" for number, one in enumerate(chosen) if one]


def test_a_blocked_host_is_neither_harm_nor_proof(town: Town, state: TownState) -> None:
    groups = GROUPS | {"all": [*GROUPS["all"], "can2"], "ring_canary": ["can1", "can2"]}
    ask(town, state, asked("can1", "can2", groups=groups), NOW)
    answer(state, "can1", "blocked", at=NOW + MINUTE)
    answer(state, "can2", "blocked", at=NOW + MINUTE)
    assert codes(ask(town, state, asked("web1", groups=groups), NOW + 2 * MINUTE)) == ["canary"]
    night = NOW + timedelta(days=1)
    ask(town, state, asked("can1", "can2", run="r2", groups=groups), night)
    answer(state, "can1", "done", run="r2", at=night + MINUTE)
    answer(state, "can2", "blocked", run="r2", at=night + MINUTE)
    assert codes(ask(town, state, asked("web1", run="r2", groups=groups), night + 2 * MINUTE)) == ["open"]


# --- soak ---


@pytest.fixture
def watched(make_town: MakeTown) -> Town:
    return make_town(maintenance={"windows": [NIGHT], "soak": "30m"})


def test_a_ring_is_watched_from_the_end_of_its_work_and_a_resumed_run_does_not_begin_anew(
    watched: Town, state: TownState
) -> None:
    ask(watched, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    resumed = NOW + 20 * MINUTE  # the run died before anybody settled the claim
    verdict = ask(watched, state, asked("web1"), resumed)["web1"]
    assert (verdict.code, verdict.waits) == ("soak", NOW + 35 * MINUTE)
    assert codes(ask(watched, state, asked("web1"), NOW + 35 * MINUTE)) == ["open"]


def test_while_a_batch_waits_nothing_is_claimed_and_the_reason_is_recorded_once(
    watched: Town, state: TownState
) -> None:
    ask(watched, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    told: set[tuple[str, str]] = set()
    for minute in (10, 20, 30):
        patient = asked("web1", "web2", patient=True, told=told)
        verdicts = ask(watched, state, patient, NOW + minute * MINUTE)
        found = waiting(verdicts.values())
        assert found == Wait(NOW + 35 * MINUTE, frozenset(), verdicts["web1"].reason)
        told |= {(one.host, one.code) for one in verdicts.values()}
    assert recorded(state) == ["open", "soak", "soak"]
    assert set(claims(state)) == {"", "can1"}
    assert waiting(ask(watched, state, asked("web1", "web2"), NOW + 36 * MINUTE).values()) is None
    assert recorded(state) == ["open", "soak", "soak", "open", "open"]
    with Ledger("riverton", state=state) as ledger:
        for entry in ledger.of_run("r1"):
            if entry.kind == "gate":
                check_body("gate", 1, ledger.body(entry))


def test_a_check_does_not_wait(make_town: MakeTown, state: TownState) -> None:
    town = make_town(maintenance={"windows": [NIGHT], "soak": "30m", "ring_approval": ["broad"]})
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    assert codes(ask(town, state, asked("web1", check=True), NOW + 6 * MINUTE)) == ["open"]


def test_whoever_is_opened_does_not_wait_for_the_others() -> None:
    opened = Verdict("a", "open", "", until=NOW)
    assert waiting([Verdict("b", "soak", "", waits=NOW), opened]) is None
    assert waiting([Verdict("b", "late", "")]) is None
    first, last = NOW + MINUTE, NOW + 9 * MINUTE
    asks = [Verdict(one, "ring_approval", "", ring="last", waits=end) for one, end in (("a", first), ("b", last))]
    found = waiting(asks)
    assert found is not None
    assert (found.until, found.rings) == (last, {"last"}), "as long as one of them could still begin"


# --- somebody's yes ---


@pytest.fixture
def asking(make_town: MakeTown) -> Town:
    return make_town(maintenance={"windows": [NIGHT], "ring_approval": ["broad"]})


def test_a_ring_opens_once_somebody_has_said_yes_in_this_run(asking: Town, state: TownState) -> None:
    ask(asking, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    verdict = ask(asking, state, asked("web1"), NOW + 6 * MINUTE)["web1"]
    assert (verdict.code, verdict.ring) == ("ring_approval", "broad")
    assert verdict.waits is not None
    assert approved_rings("riverton", state, "r1") == set()
    approve_ring(asking, state, "r1", "broad", by="Ann Manager")
    assert approved_rings("riverton", state, "r1") == {"broad"}
    assert codes(ask(asking, state, asked("web1"), NOW + 7 * MINUTE)) == ["open"]
    answer(state, "web1", "done", at=NOW + 8 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + 9 * MINUTE)
    assert codes(ask(asking, state, asked("web2", run="r2"), NOW + 10 * MINUTE)) == ["ring_approval"], "another run"


def test_nobody_is_asked_when_it_is_too_late(asking: Town, state: TownState) -> None:
    ask(asking, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    verdict = ask(asking, state, asked("web1"), NOW + timedelta(hours=1, minutes=59))["web1"]
    assert (verdict.code, verdict.waits) == ("ring_approval", None)
    assert "too little time is left" in verdict.reason


def test_the_mark_for_the_runs_own_process(state: TownState) -> None:
    wait = Wait(NOW, frozenset({"last", "broad"}), "")
    mark(state, "r1", wait)
    assert marked(state, "r1") is None, "a plain ansible-playbook has no directory"
    state.run_directory("r1")
    mark(state, "r1", wait)
    assert marked(state, "r1") == (["broad", "last"], stamp(NOW))
    mark(state, "r1", None)
    assert marked(state, "r1") is None


# --- taking back ---


def test_a_rollback_runs_in_the_windows_of_patch_and_wants_no_canary(town: Town, state: TownState) -> None:
    verdicts = ask(town, state, asked("web1", "can1", job="rollback"), NOW)
    assert codes(verdicts) == ["open", "open"], "and no turns"
    shut = ask(town, state, asked("web2", job="rollback", run="r2"), NOW + timedelta(hours=5))["web2"]
    assert shut.code in ("window", "locked")


def test_a_rollback_wants_no_plan_and_nobodys_yes(make_town: MakeTown, state: TownState) -> None:
    maintenance = {"windows": [NIGHT | {"approval": "required"}], "ring_approval": ["broad"], "soak": "30m"}
    town = make_town(maintenance=maintenance)
    assert codes(ask(town, state, asked("web1", run="p"), NOW)) == ["approval"]
    assert codes(ask(town, state, asked("web1", job="rollback"), NOW)) == ["open"]


@pytest.mark.parametrize("outcome", ["done", "failed", None])
def test_what_people_take_back_was_not_well(town: Town, state: TownState, outcome: str | None) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + 6 * MINUTE)
    ask(town, state, asked("can1", job="rollback", run="back"), NOW + 10 * MINUTE)
    if outcome is not None:
        answer(state, "can1", outcome, run="back", job="rollback", at=NOW + 15 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "back", NOW + 16 * MINUTE)
    night = NOW + timedelta(days=1)
    assert codes(ask(town, state, asked("web1", run="r2"), night)) == ["halt"]
    assert codes(ask(town, state, asked("can1", run="r2"), night)) == ["open"], "it is tried again"


def test_a_rollback_that_was_refused_takes_nothing_back(town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + 5 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + 6 * MINUTE)
    ask(town, state, asked("can1", job="rollback", run="back"), NOW + 10 * MINUTE)
    answer(state, "can1", "blocked", run="back", job="rollback", at=NOW + 15 * MINUTE)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "back", NOW + 16 * MINUTE)
    assert codes(ask(town, state, asked("web1", run="r2"), NOW + 20 * MINUTE)) == ["open"]


def test_needed_systems_come_first_on_a_ledger(make_town: MakeTown, state: TownState) -> None:
    systems = [{"id": "app", "name": "App", "needs": ["db"]}, {"id": "db", "name": "Database"}]
    town = make_town(maintenance={"windows": [NIGHT]}, systems=systems)
    groups = {"all": ["web1", "web2"], "system_app": ["web1"], "system_db": ["web2"]}
    assert codes(ask(town, state, asked("web1", "web2", groups=groups), NOW)) == ["order", "open"]
    answer(state, "web2", "blocked", at=NOW + MINUTE)
    assert codes(ask(town, state, asked("web1", "web2", groups=groups), NOW + 2 * MINUTE)) == ["open", "settled"]
    assert codes(ask(town, state, asked("web1", run="r2", groups=groups), NOW + 3 * MINUTE)) == ["locked"]
