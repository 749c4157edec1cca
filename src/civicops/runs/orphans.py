"""What a run whose process was killed leaves on the controller: its Ansible, which must be gone before the run goes on.

Ansible's processes outlive the process that started them: the playbook until it next writes a line, its workers until
their task is done. Beside a resumed run they would ask the gate and talk to hosts in the same run's name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from civicops.ledger.spool import ALIVE
from civicops.state import TownState, locked

WITHIN = 20.0
"""How long orphans are given to be gone once they were killed, in seconds."""
_AGAIN = 0.1


class OrphansError(Exception):
    """Processes of a run can't be ended; the message names them."""


def end_orphans(state: TownState, run: str, *, within: float = WITHIN) -> int:
    """End what is left of a run's Ansible, and return how many processes that were. The caller holds the run's lock.

    They get no SIGTERM first: an end that Ansible handles is told as hosts that failed, and they have not. What was
    begun on hosts belongs to them and goes on. Connections are left alone: they may serve another job of the town.

    :raises OrphansError: some are still there after `within` seconds.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + within
    while True:
        found = set(_orphans(state, run))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= found
        if not found and _silent(state, run):
            return len(ended)
        if time.monotonic() >= deadline:
            who = f"processes {', '.join(map(str, sorted(found)))}" if found else f"who holds {_alive(state, run)}"
            raise OrphansError(f"{run}: what is left of its Ansible does not end, so it does not go on: {who}")
        time.sleep(_AGAIN)


def _orphans(state: TownState, run: str) -> Iterator[int]:
    """The processes that were started with this run's identity, by their environment."""
    marks = {f"CIVICOPS_RUN={run}".encode(), b"CIVICOPS_STATE=" + os.fsencode(state.root.parent)}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or ended meanwhile
            if (
                marks <= set((directory / "environ").read_bytes().split(b"\0"))
                and (directory / "comm").read_text().strip() != "ssh"
                and int(directory.name) != os.getpid()
            ):
                yield int(directory.name)


def _alive(state: TownState, run: str) -> Path:
    return state.spool / run / ALIVE


def _silent(state: TownState, run: str) -> bool:
    """Whether nobody can write documents of the run any more."""
    path = _alive(state, run)
    if not path.exists():
        return True
    try:
        with locked(path) as free:
            return free
    except FileNotFoundError:
        return True  # taken in meanwhile
