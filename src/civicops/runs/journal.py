"""The journal of a run: what was started, what happened, how it ended, each fsynced, so that a crash loses nothing.

runs/RUN/run.json       what was asked for, by whom
runs/RUN/plan.json      what would be done, for a run that waits for an approval
runs/RUN/approved       there once somebody has approved a plan of it
runs/RUN/begun          there once the run has begun
runs/RUN/journal.jsonl  one line per event, of every attempt
runs/RUN/result.json    how it ended; missing while it runs, or when it was killed
runs/RUN/waits.json     for whose yes to a ring it waits, while it does
runs/RUN/told           there once people were told that it was lost
runs/RUN/lock           held by the process that runs it
runs/RUN/cancel         there once somebody has asked for the run to be cancelled
active/RUN              there from a run's beginning to its end, so that a lost one is found without a search
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal

from civicops.runs.observers import RunEvent
from civicops.state import TownState, locked, write_durably

State = Literal["planned", "running", "cancelling", "done", "failed", "cancelled", "lost"]

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z_]+-[0-9a-f]{6}")


class NoSuchRunError(Exception):
    """There is no such run in this town."""


@dataclass(frozen=True)
class RunOrder:
    """What was asked for: written before anything starts."""

    run: str
    town: str
    town_file_sha256: str
    job: str
    limit: str | None
    check: bool
    user: str
    pid: int
    started_at: str
    window: str | None = None
    window_start: str | None = None
    override_window: str | None = None
    approver: str | None = None
    rollback_of: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """A run as its directory tells it."""

    order: RunOrder
    state: State
    ended_at: str | None
    exit_status: int | None
    message: str | None


class Journal:
    """Writes one run's journal; an observer."""

    def __init__(self, state: TownState, order: RunOrder) -> None:
        self._directory = state.run_directory(order.run)
        self._active = state.directory("active") / order.run
        write_durably(self._active, b"")
        write_durably(self._directory / "run.json", _json(asdict(order)))
        for ended in ("result.json", "cancel", "cancel-now"):
            (self._directory / ended).unlink(missing_ok=True)
        write_durably(self._directory / "begun", b"")
        self._events: BinaryIO = (self._directory / "journal.jsonl").open("a+b", buffering=0)
        if _cut_off(self._events):
            self._events.write(b"\n")

    def event(self, event: RunEvent) -> None:
        self._events.write(_json(asdict(event)))
        os.fsync(self._events.fileno())

    def end(self, *, state: State, ended_at: str, exit_status: int, message: str | None) -> None:
        _end(self._directory, state=state, ended_at=ended_at, exit_status=exit_status, message=message)
        self._events.close()
        self._active.unlink(missing_ok=True)

    def ask_to_cancel(self) -> None:
        """Start nothing more; what has begun comes to its end."""
        write_durably(self._directory / "cancel", b"")

    def cancel_wanted(self) -> bool:
        """Whether somebody has asked for that."""
        return (self._directory / "cancel").exists()

    def stop_wanted(self) -> bool:
        """Whether somebody has asked not to wait for what has begun."""
        return (self._directory / "cancel-now").exists()


def write_plan(state: TownState, order: RunOrder, plan: dict[str, Any]) -> None:
    """Keep a run that waits for its approval, or its new plan."""
    directory = state.run_directory(order.run)
    write_durably(directory / "plan.json", _json(plan))
    write_durably(directory / "run.json", _json(asdict(order)))


def read_plan(state: TownState, run: str) -> dict[str, Any] | None:
    """The plan of a run, where it has one."""
    try:
        plan = json.loads((state.runs / run / "plan.json").read_bytes())
    except FileNotFoundError:
        return None
    return dict(plan)


def has_begun(state: TownState, run: str) -> bool:
    """Whether a run of this id has begun, however it went on."""
    return (state.runs / run / "begun").exists()


def mark_approved(state: TownState, run: str) -> None:
    """Note that somebody has approved a plan of this run; the ledger says which, and who."""
    write_durably(state.runs / run / "approved", b"")


def was_approved(state: TownState, run: str) -> bool:
    """Whether somebody has approved a plan of this run, be it the one of now or not."""
    return (state.runs / run / "approved").exists()


def mark_told(state: TownState, run: str) -> None:
    """Note that people were told that this run was lost."""
    write_durably(state.runs / run / "told", b"")


def was_told(state: TownState, run: str) -> bool:
    """Whether people were told that this run was lost."""
    return (state.runs / run / "told").exists()


def drop_planned(state: TownState, run: str, *, ended_at: str, exit_status: int, message: str) -> None:
    """End a run that never began."""
    _end(state.runs / run, state="cancelled", ended_at=ended_at, exit_status=exit_status, message=message)


def read_runs(state: TownState) -> list[RunRecord]:
    """Every run of a town, newest first."""
    names = sorted((path.name for path in state.runs.iterdir() if _ID.fullmatch(path.name)), reverse=True)
    return [record for name in names if (record := _read(state.runs / name)) is not None]


def active_runs(state: TownState) -> list[RunRecord]:
    """The runs that have begun and not come to an end: running, cancelling or lost."""
    names = sorted(path.name for path in state.directory("active").iterdir() if _ID.fullmatch(path.name))
    records = []
    for name in names:
        record = _read(state.runs / name)
        if record is None or record.state not in ("running", "cancelling", "lost"):
            (state.directory("active") / name).unlink(missing_ok=True)  # killed between its end and this
        else:
            records.append(record)
    return records


def read_run(state: TownState, run: str) -> RunRecord:
    """One run.

    :raises NoSuchRunError: there is none of that id.
    """
    record = _read(state.runs / run) if _ID.fullmatch(run) else None
    if record is None:
        raise NoSuchRunError(f"{state.town} has no run {run[:80]!r}; `civicops runs {state.town}` lists them")
    return record


def read_events(state: TownState, run: str) -> list[RunEvent]:
    """The events of one run; a line that a crash cut off is left out."""
    events = []
    try:
        lines = (state.runs / run / "journal.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []  # killed before its first event
    for line in lines:
        try:
            events.append(RunEvent(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return events


def ask_to_cancel(state: TownState, run: str) -> RunRecord:
    """Ask a run to stop. A job that disturbs starts nothing more and waits for what has begun; asked twice, it does
    not wait. A run that waits for an approval is ended at once.

    :raises NoSuchRunError: there is none of that id.
    """
    record = read_run(state, run)
    if record.state in ("running", "cancelling"):
        write_durably(state.runs / run / ("cancel" if record.state == "running" else "cancel-now"), b"")
        return read_run(state, run)
    return record


def _read(directory: Path) -> RunRecord | None:
    try:
        kept = json.loads((directory / "run.json").read_bytes())
        order = RunOrder(**{one.name: kept[one.name] for one in fields(RunOrder) if one.name in kept})
    except FileNotFoundError:
        return None  # killed before it was ordered: nothing had begun
    # The lock is asked first: a run that ends in between has then written its result.
    with locked(directory / "lock") as free:
        alive = not free
    try:
        result = json.loads((directory / "result.json").read_bytes())
    except FileNotFoundError:
        return RunRecord(order, _unended(directory, alive), None, None, None)
    return RunRecord(order, result["state"], result["ended_at"], result["exit_status"], result["message"])


def _unended(directory: Path, alive: bool) -> State:
    if alive:
        return "cancelling" if (directory / "cancel").exists() else "running"
    begun = (directory / "begun").exists() or (directory / "journal.jsonl").exists()
    return "lost" if begun or not (directory / "plan.json").exists() else "planned"


def _cut_off(lines: BinaryIO) -> bool:
    """Whether a crash has left the last line without its end."""
    if not lines.seek(0, os.SEEK_END):
        return False
    lines.seek(-1, os.SEEK_END)
    return lines.read(1) != b"\n"


def _end(directory: Path, **result: Any) -> None:
    write_durably(directory / "result.json", _json(result))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
