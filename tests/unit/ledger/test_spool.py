"""The spool: whole or not at all, and nothing lost when 50 workers write at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civicops.ledger import spool
from civicops.ledger.documents import parse
from civicops.ledger.ingest import ingest
from civicops.ledger.spool import Origin
from civicops.ledger.store import Ledger
from civicops.state import StateError, TownState, locked

ORIGIN = Origin("riverton", "run-1", "checkup")
BODY = {"outcome": "failed", "task": "t", "reason": "r"}


def put(host: str, body: object = BODY, *, key: str = "", origin: Origin = ORIGIN) -> Path:
    return spool.write(origin, kind="contact", version=1, host=host, body=body, key=key)[1]


def test_of_a_tasks_retries_the_last_attempt_stays(state: TownState) -> None:
    first = put("web1", BODY | {"reason": "first"}, key="task-7")
    second = put("web1", BODY | {"reason": "second"}, key="task-7")
    assert first == second
    assert json.loads(second.read_bytes())["attempt"] == 2
    with Ledger("riverton", state=state) as ledger:
        ingest(ledger, state)
        (entry,) = ledger.of_run("run-1")
        assert (entry.attempt, ledger.body(entry)["reason"]) == (2, "second")


DEEP = json.loads("[" * 300 + "]" * 300)


@pytest.mark.parametrize("body", [float("nan"), {"x": object()}, "x" * (spool.SPOOL_LIMIT + 1), DEEP, {"x": 10**400}])
def test_what_is_no_json_or_too_large_becomes_a_rejection(state: TownState, body: object) -> None:
    path = put("web1", body)
    assert path.stat().st_size < 1000
    with Ledger("riverton", state=state) as ledger:
        assert ingest(ledger, state).rejected == 1
        assert ledger.of_run("run-1")[0].status == "rejected"


def _write_many(worker: int) -> None:
    for number in range(20):
        put(f"host-{worker}-{number}")


def test_fifty_forks_at_once_lose_nothing(state: TownState) -> None:
    with multiprocessing.get_context("fork").Pool(50) as pool:
        pool.map(_write_many, range(50), chunksize=1)
    with Ledger("riverton", state=state) as ledger:
        assert ingest(ledger, state).documents == 1000
        assert len({entry.host for entry in ledger.of_run("run-1")}) == 1000
    assert list(state.spool.iterdir()) == []


def test_a_run_that_is_alive_is_left_alone_until_it_has_ended(state: TownState) -> None:
    alive = spool.hold_alive(ORIGIN)
    put("web1")
    with Ledger("riverton", state=state) as ledger:
        assert ingest(ledger, state).documents == 0
        os.close(alive)
        assert ingest(ledger, state).documents == 1


def test_a_worker_that_outlives_its_parent_is_waited_for(state: TownState) -> None:
    alive = spool.hold_alive(ORIGIN)
    proceed, reached = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(proceed, 1)
        put("late")
        os._exit(0)
    os.close(alive)  # as a SIGKILL of the parent would
    with Ledger("riverton", state=state) as ledger:
        assert ingest(ledger, state).documents == 0
        os.write(reached, b"x")
        os.waitpid(child, 0)
        assert ingest(ledger, state).documents == 1


def test_a_run_that_goes_on_while_its_documents_are_taken_in_waits_for_that(state: TownState) -> None:
    put("web1")
    directory = state.spool_of("run-1")
    with ThreadPoolExecutor(1) as pool:
        with locked(directory / spool.ALIVE):
            waiting = pool.submit(spool.hold_alive, ORIGIN)
            time.sleep(0.2)
            assert not waiting.done()
            shutil.rmtree(directory)
        alive = waiting.result(timeout=10)
    put("web1")
    assert list(spool.ended_runs(state)) == [], "the directory that is there now is the one that it holds"
    os.close(alive)
    assert list(spool.ended_runs(state)) == [directory]


def test_a_symbolic_link_in_the_spool_is_not_followed(state: TownState, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"secret": "hunter2"}')
    (state.spool_of("run-1") / "00000000-0000-0000-0000-000000000000.json").symlink_to(secret)
    with Ledger("riverton", state=state) as ledger:
        ingest(ledger, state)
        (entry,) = ledger.newest("unknown", 5)
        assert "hunter2" not in json.dumps(ledger.body(entry))
    assert secret.exists()


@pytest.mark.parametrize("run", ["../x", "a/b", "", ".", "x" * 200, "a\n"])
def test_a_runs_id_can_not_leave_the_spool(state: TownState, run: str) -> None:
    with pytest.raises(StateError):
        state.spool_of(run)


@pytest.mark.parametrize("town", ["../x", "Upper", "", "a\n", "1a", "a b"])
def test_a_towns_id_can_not_leave_the_state(town: str) -> None:
    with pytest.raises(StateError):
        TownState(town)


def test_a_state_directory_open_to_others_is_refused(state: TownState) -> None:
    state.directory().chmod(0o755)
    with pytest.raises(StateError, match="0700"):
        _ = state.spool


@given(st.binary(max_size=500))
def test_any_bytes_become_a_document_never_an_exception(data: bytes) -> None:
    document = parse(data, "riverton", now=datetime.now(UTC))
    assert document.status == "rejected"
    assert document.reason


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(_json_values, st.text(min_size=1, max_size=40))
def test_whatever_a_host_answers_ends_in_the_ledger_once(state: TownState, body: object, host: str) -> None:
    put(host, body)
    with Ledger("riverton", state=state) as ledger:
        before = ledger.anchor().count
        ingest(ledger, state)
        assert ledger.anchor().count == before + 1
        assert list(state.spool.iterdir()) == []


def test_an_ingest_that_another_one_overtakes_goes_on(state: TownState, monkeypatch: pytest.MonkeyPatch) -> None:
    put("web1")
    put("web2", origin=Origin("riverton", "run-2", "checkup"))
    listed = sorted(state.spool.iterdir())
    for path in listed[0].iterdir():
        path.unlink()
    listed[0].rmdir()
    monkeypatch.setattr(Path, "iterdir", lambda _path: iter(listed))
    monkeypatch.setattr(Path, "is_dir", lambda _path: True)
    assert [path.name for path in spool.ended_runs(state)] == ["run-2"]


def test_a_state_that_others_could_replace_is_refused(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        TownState("riverton", tmp_path / "new" / "state").directory("spool")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "state").stat().st_mode & 0o022 == 0
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(StateError, match="chmod o-w"):
        TownState("riverton", open_to_all).directory()
    open_to_all.chmod(0o1777)
    TownState("riverton", open_to_all).directory()
