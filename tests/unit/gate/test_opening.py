"""The gate on a ledger: openings are claims, atomic and recorded; on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.towns import MakeTown

from civicops.gate.decide import Verdict
from civicops.gate.opening import Ask, GateError, Override, ask
from civicops.gate.settle import settle_run
from civicops.jobs import JOBS
from civicops.ledger.claims import claims_of_run
from civicops.ledger.documents import Document, check_body
from civicops.ledger.store import Ledger, LedgerError
from civicops.moments import stamp
from civicops.state import TownState, write_durably
from civicops.town import Town

WAIT = JOBS["wait"]
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
NIGHT = {"id": "night", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "00:00", "duration": "4h"}
GROUPS = {"all": ["can1", "web1", "web2"], "ring_canary": ["can1"], "pair_web": ["web1", "web2"]}


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, state: TownState) -> None:
    """Where the ledger lies."""
    if request.param == "postgresql":
        monkeypatch.setenv("CIVICOPS_LEDGER_URL", request.getfixturevalue("empty_postgres_database"))


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town(maintenance={"windows": [NIGHT]})


def asked(*hosts: str, run: str = "r1", **more: Any) -> Ask:
    return Ask(job=WAIT, run=run, hosts=hosts, groups=more.pop("groups", GROUPS), **more)


def answer(state: TownState, host: str, outcome: str, *, run: str = "r1", at: datetime = NOW, **body: Any) -> None:
    """What a host's own document, or the callback's, says of its work."""
    kind = "contact" if outcome == "unreachable" else "wait"
    told = {"outcome": outcome} | body if kind == "wait" else {"outcome": outcome, "task": "t", "reason": "no route"}
    document = Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town="riverton",
        host=host,
        target=None,
        run=run,
        job="wait",
        check=False,
        attempt=1,
        collected_at=stamp(at),
        body=told,
    )
    with Ledger("riverton", state=state) as ledger:
        ledger.append([document])


def codes(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {host: verdict.code for host, verdict in verdicts.items()}


def entries(state: TownState, run: str = "r1") -> Iterator[tuple[str, dict[str, Any]]]:
    with Ledger("riverton", state=state) as ledger:
        for entry in ledger.of_run(run):
            yield entry.host, ledger.body(entry)


def test_each_answer_is_a_document_that_says_all(place: None, town: Town, state: TownState) -> None:
    verdicts = ask(town, state, asked("can1", "web1"), NOW)
    assert codes(verdicts) == {"can1": "open", "web1": "canary"}
    told = dict(entries(state))
    for body in told.values():
        check_body("gate", 1, body)
        assert body["town_file_sha256"] == town.sha256
    assert (told["can1"]["decision"], told["can1"]["until"]) == ("open", "2026-11-24T04:00:00.000000Z")
    assert told["can1"]["basis"] and told["can1"]["needed_seconds"] > 0
    assert told["web1"]["decision"] == "refused"


def test_a_night_goes_ring_by_ring_and_pair_by_pair(place: None, town: Town, state: TownState) -> None:
    assert codes(ask(town, state, asked("can1"), NOW)) == {"can1": "open"}
    answer(state, "can1", "done", at=NOW + timedelta(minutes=5))
    later = NOW + timedelta(minutes=6)
    assert codes(ask(town, state, asked("web1", "web2"), later)) == {"web1": "open", "web2": "pair"}
    answer(state, "web1", "done", at=later + timedelta(minutes=5))
    assert codes(ask(town, state, asked("web1", "web2"), later + timedelta(minutes=6))) == {
        "web1": "settled",
        "web2": "open",
    }


def test_two_controllers_never_open_the_same_host(place: None, town: Town, state: TownState) -> None:
    groups = {"all": [f"h{number}" for number in range(20)]}
    opened: list[tuple[str, str]] = []
    together = threading.Barrier(4)

    def controller(run: str) -> None:
        together.wait()
        verdicts = ask(town, state, asked(*groups["all"], run=run, groups=groups), NOW)
        opened.extend((host, run) for host, verdict in verdicts.items() if verdict.opens)

    threads = [threading.Thread(target=controller, args=(f"r{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({host for host, _ in opened}) == len(opened) == 20
    assert len({run for _, run in opened}) == 1, "and the job runs once in a town"


def test_a_claim_of_a_dead_run_ends_with_its_window(place: None, town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    tomorrow = NOW + timedelta(days=1)
    assert codes(ask(town, state, asked("can1", run="r2"), NOW)) == {"can1": "locked"}
    assert codes(ask(town, state, asked("can1", run="r2"), tomorrow)) == {"can1": "open"}


def test_an_ended_run_lets_go_at_once(place: None, town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + timedelta(minutes=5))
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + timedelta(minutes=5))
    assert codes(ask(town, state, asked("can1", run="r2"), NOW + timedelta(minutes=6))) == {"can1": "open"}


def test_the_same_run_goes_on_after_its_death_and_adopts(place: None, town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    again = ask(town, state, asked("can1"), NOW + timedelta(hours=1))["can1"]
    assert (again.code, again.claim is not None) == ("open", True)
    late = ask(town, state, asked("can1"), NOW + timedelta(hours=2, minutes=5))["can1"]
    assert (late.code, late.may_start) == ("adopt", False)
    with Ledger("riverton", state=state) as ledger, ledger.transaction() as connection:
        assert [claim.host for claim in claims_of_run(connection, "r1")] == ["", "can1"], "one claim, not three"


@pytest.mark.parametrize(
    ("outcome", "settled"),
    [("done", "done"), ("failed", "failed"), ("unreachable", "unreachable"), ("interrupted", "interrupted")],
)
def test_what_hosts_tell_settles_their_claims(town: Town, state: TownState, outcome: str, settled: str) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", outcome, at=NOW + timedelta(minutes=5))
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + timedelta(minutes=6))
        with ledger.transaction() as connection:
            claim = claims_of_run(connection, "r1")[-1]
    assert claim.outcome == settled
    assert claim.seconds == (300.0 if outcome == "done" else None)


@pytest.mark.parametrize("outcome", ["running", "unknown"])
def test_what_may_still_go_on_keeps_its_claim(town: Town, state: TownState, outcome: str) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", outcome)
    with Ledger("riverton", state=state) as ledger:
        settle_run(ledger, "r1", NOW + timedelta(minutes=6))
        with ledger.transaction() as connection:
            assert claims_of_run(connection, "r1")[-1].settled_at is None


def test_a_host_of_which_nobody_knows_is_no_ground_for_later_rings(town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "unknown", at=NOW + timedelta(minutes=3))
    assert ask(town, state, asked("web1"), NOW + timedelta(minutes=4))["web1"].code == "halt"
    again = ask(town, state, asked("can1"), NOW + timedelta(minutes=5))["can1"]
    assert (again.code, again.claim is not None) == ("adopt", True), "the run itself collects it"
    answer(state, "can1", "done", at=NOW + timedelta(minutes=6), adopted=True)
    assert ask(town, state, asked("web1"), NOW + timedelta(minutes=7))["web1"].code == "open"


def test_done_after_the_end_is_an_overrun(town: Town, state: TownState) -> None:
    ask(town, state, asked("can1"), NOW)
    answer(state, "can1", "done", at=NOW + timedelta(hours=2, minutes=2))
    verdict = ask(town, state, asked("web1"), NOW + timedelta(hours=2, minutes=3))["web1"]
    assert verdict.code == "window"
    night = NOW + timedelta(days=1)
    assert ask(town, state, asked("web1"), night)["web1"].code == "halt"


def test_a_check_claims_nothing(place: None, town: Town, state: TownState) -> None:
    assert codes(ask(town, state, asked("can1", check=True), NOW)) == {"can1": "open"}
    with Ledger("riverton", state=state) as ledger:
        assert all(entry.check for entry in ledger.of_run("r1"))
        with ledger.transaction() as connection:
            assert claims_of_run(connection, "r1") == []


def test_a_cancelled_run_opens_nothing_more(town: Town, state: TownState) -> None:
    write_durably(state.run_directory("r1") / "cancel", b"")
    assert codes(ask(town, state, asked("can1"), NOW)) == {"can1": "cancelled"}


def test_an_override_wants_the_freezes_own_contact(make_town: MakeTown, state: TownState) -> None:
    frozen = {"id": "council", "kind": "council", "from": "2026-11-23", "to": "2026-11-25", "override_by": "manager"}
    people = [{"role": "manager", "name": "Ann Manager"}, {"role": "it_lead", "name": "Bob Lead"}]
    town = make_town(maintenance={"windows": [NIGHT], "freezes": [frozen]}, contacts=people)
    by = {name: Override("the web server is under attack", name, "root") for name in ("Ann Manager", "Bob Lead")}
    assert codes(ask(town, state, asked("can1", override=by["Bob Lead"]), NOW)) == {"can1": "frozen"}
    assert codes(ask(town, state, asked("can1", override=by["Ann Manager"]), NOW)) == {"can1": "open"}
    told = [body["override"] for _, body in entries(state)]
    assert told[-1] == {"reason": "the web server is under attack", "approver": "Ann Manager", "user": "root"}


def test_an_override_ends_where_a_freeze_begins_that_its_approver_may_not_override(
    make_town: MakeTown, state: TownState
) -> None:
    soon = {"id": "count", "kind": "election", "from": "2026-11-24 02:30", "to": "2026-11-24 09:00", "hosts": "web1"}
    people = [{"role": "manager", "name": "Ann Manager"}, {"role": "it_lead", "name": "Bob Lead"}]
    town = make_town(maintenance={"windows": [], "freezes": [soon | {"override_by": "manager"}]}, contacts=people)
    groups = {"all": ["web1", "web2"]}
    half, all_day = NOW + timedelta(minutes=30), NOW + WAIT.timeout
    for approver, ends in (("Bob Lead", {half, all_day}), ("Ann Manager", {all_day})):
        override = Override("urgent", approver, "root")
        asks = asked("web1", "web2", groups=groups, check=True, override=override)
        assert {verdict.until for verdict in ask(town, state, asks, NOW).values()} == ends


def test_a_freeze_that_names_nobody_is_overridden_by_nobody(make_town: MakeTown, state: TownState) -> None:
    frozen = {"id": "council", "kind": "council", "from": "2026-11-23", "to": "2026-11-25"}
    town = make_town(maintenance={"windows": [NIGHT], "freezes": [frozen]})
    override = Override("urgent", "Ann", "root")
    assert codes(ask(town, state, asked("can1", override=override), NOW)) == {"can1": "frozen"}


@pytest.mark.parametrize(("reason", "approver"), [(" ", "Ann"), ("urgent", "")])
def test_an_override_without_reason_or_name_opens_nothing(
    town: Town, state: TownState, reason: str, approver: str
) -> None:
    with pytest.raises(GateError):
        ask(town, state, asked("can1", override=Override(reason, approver, "root")), NOW)


def test_without_a_ledger_nothing_is_opened(town: Town, state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVICOPS_LEDGER_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")
    with pytest.raises(LedgerError):
        ask(town, state, asked("can1"), NOW)


def test_history_is_learnt_from_what_was_done(town: Town, state: TownState) -> None:
    for day in range(8):
        night, run = NOW + timedelta(days=day), f"r{day}"
        assert codes(ask(town, state, asked("can1", run=run), night)) == {"can1": "open"}
        answer(state, "can1", "done", run=run, at=night + timedelta(minutes=10))
        with Ledger("riverton", state=state) as ledger:
            settle_run(ledger, run, night + timedelta(minutes=11))
    verdict = ask(town, state, asked("can1", run="r9"), NOW + timedelta(days=8))["can1"]
    assert verdict.need is not None and "own history" in verdict.need.basis
    assert 600 <= verdict.need.seconds <= 1200
