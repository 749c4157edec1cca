"""The journal of a run: what was started, what happened, how it ended, each fsynced, so that a crash loses nothing.

runs/RUN/run.json       what was asked for, by whom
runs/RUN/journal.jsonl  one line per event
runs/RUN/result.json    how it ended; missing while it runs, or when it was killed
runs/RUN/lock           held by the process that runs it
runs/RUN/cancel         there once somebody has asked for the run to be cancelled
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from civicops.runs.observers import RunEvent
from civicops.state import TownState, locked, write_durably

State = Literal["running", "cancelling", "done", "failed", "cancelled", "lost"]

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

    def __init__(self, directory: Path, order: RunOrder) -> None:
        self._directory = directory
        write_durably(directory / "run.json", _json(asdict(order)))
        self._events = (directory / "journal.jsonl").open("ab", buffering=0)

    def event(self, event: RunEvent) -> None:
        self._events.write(_json(asdict(event)))
        os.fsync(self._events.fileno())

    def end(self, *, state: State, ended_at: str, exit_status: int, message: str | None) -> None:
        result = {"state": state, "ended_at": ended_at, "exit_status": exit_status, "message": message}
        write_durably(self._directory / "result.json", _json(result))
        self._events.close()

    def cancel_wanted(self) -> bool:
        return (self._directory / "cancel").exists()


def read_runs(state: TownState) -> list[RunRecord]:
    """Every run of a town, newest first."""
    names = sorted((path.name for path in state.runs.iterdir() if _ID.fullmatch(path.name)), reverse=True)
    return [record for name in names if (record := _read(state.runs / name)) is not None]


def read_run(state: TownState, run: str) -> RunRecord:
    """One run.

    :raises NoSuchRunError: there is none of that id.
    """
    record = _read(state.runs / run) if _ID.fullmatch(run) else None
    if record is None:
        raise NoSuchRunError(f"{state.town} has no run {run[:80]!r}; `civicops runs {state.town}` lists them")
    return record


def read_events(state: TownState, run: str) -> list[RunEvent]:
    """The events of one run; a last line that a crash cut off is left out."""
    events = []
    try:
        lines = (state.runs / run / "journal.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []  # killed before its first event
    for line in lines:
        try:
            events.append(RunEvent(**json.loads(line)))
        except ValueError:
            break
    return events


def ask_to_cancel(state: TownState, run: str) -> RunRecord:
    """Ask a running run to stop; it does so within seconds and keeps what it has.

    :raises NoSuchRunError: there is none of that id.
    """
    record = read_run(state, run)
    if record.state == "running":
        write_durably(state.runs / run / "cancel", b"")
        return read_run(state, run)
    return record


def _read(directory: Path) -> RunRecord | None:
    try:
        order = RunOrder(**json.loads((directory / "run.json").read_bytes()))
    except FileNotFoundError:
        return None  # killed before it was ordered: nothing had begun
    # The lock is asked first: a run that ends in between has then written its result.
    with locked(directory / "lock") as free:
        alive = not free
    try:
        result = json.loads((directory / "result.json").read_bytes())
    except FileNotFoundError:
        running: State = "cancelling" if (directory / "cancel").exists() else "running"
        return RunRecord(order, running if alive else "lost", None, None, None)
    return RunRecord(order, result["state"], result["ended_at"], result["exit_status"], result["message"])


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
