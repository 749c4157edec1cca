"""The journal tells how a run stands, also when nobody was left to write it down."""

from __future__ import annotations

import dataclasses

import pytest

from civicops.jobs import JOBS
from civicops.runs.journal import Journal, NoSuchRunError, RunOrder, ask_to_cancel, read_events, read_run, read_runs
from civicops.runs.observers import RunEvent
from civicops.state import TownState, locked
from civicops.town import vocabulary

RUN = "20261123T120000Z-checkup-0a1b2c"
ORDER = RunOrder(RUN, "riverton", "0" * 64, "checkup", None, False, "ann", 1, "2026-11-23T12:00:00Z")
EVENT = RunEvent("2026-11-23T12:00:01Z", "ok", "Ask", "web1")


def begin(state: TownState, run: str = RUN) -> Journal:
    state.run_directory(run)
    return Journal(state, dataclasses.replace(ORDER, run=run))


def test_running_while_its_lock_is_held_and_lost_after(state: TownState) -> None:
    with locked(state.run_directory(RUN) / "lock"):
        begin(state).event(EVENT)
        assert read_run(state, RUN).state == "running"
        assert ask_to_cancel(state, RUN).state == "cancelling"
    assert read_run(state, RUN).state == "lost"
    assert read_events(state, RUN) == [EVENT]


def test_an_end_is_an_end(state: TownState) -> None:
    journal = begin(state)
    assert not journal.cancel_wanted()
    journal.end(state="failed", ended_at="2026-11-23T12:01:00Z", exit_status=1, message="2 of 3 hosts")
    record = read_run(state, RUN)
    assert (record.state, record.exit_status, record.message) == ("failed", 1, "2 of 3 hosts")
    assert ask_to_cancel(state, RUN).state == "failed", "what has ended can't be cancelled"


def test_a_line_that_a_crash_cut_off_does_not_matter(state: TownState) -> None:
    begin(state).event(EVENT)
    with (state.runs / RUN / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"at":"2026-11-23T12:0')
    assert read_events(state, RUN) == [EVENT]


def test_newest_first_and_what_is_no_run_is_left_out(state: TownState) -> None:
    begin(state)
    begin(state, "20261124T120000Z-checkup-0a1b2c")
    state.directory("runs", "20261125T120000Z-checkup-0a1b2c")  # killed before it was ordered
    (state.runs / "notes").mkdir()
    assert [record.order.run[:8] for record in read_runs(state)] == ["20261124", "20261123"]


@pytest.mark.parametrize("run", ["", "../runs", RUN, f"{RUN}/..", f"{RUN}\n"])
def test_a_run_that_is_not_there_is_told(state: TownState, run: str) -> None:
    with pytest.raises(NoSuchRunError):
        read_run(state, run)


def test_the_town_files_jobs_hold_every_job_of_the_table() -> None:
    assert {job.in_windows for job in JOBS.values()} <= set(vocabulary.JOBS)
