"""What a killed run leaves behind is ended before the run goes on: its own processes, and nobody else's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civicops.ledger import spool
from civicops.runs.orphans import OrphansError, end_orphans
from civicops.state import TownState

RUN = "20261123T220000Z-wait-0a1b2c"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(state: TownState, tmp_path: Path) -> Iterator[Start]:
    """`start(run=..., name=...)`: a process with a run's identity, deaf to SIGTERM and to SIGHUP."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(run: str = RUN, name: str = "ansible-playbook", root: str = "") -> subprocess.Popen[bytes]:
        program = tmp_path / name
        if not program.exists():
            shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
        environment = {"CIVICOPS_RUN": run, "CIVICOPS_STATE": root or str(state.root.parent)}
        process = subprocess.Popen(
            [program, "60"],
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_its_ansible_is_ended_and_nothing_else(state: TownState, start: Start) -> None:
    playbook, worker = start(), start()
    others = [
        start(run="20261123T220000Z-wait-ffffff"),
        start(name="ssh"),  # a connection that may serve another job
        start(root="/somewhere/else"),
    ]
    assert end_orphans(state, RUN) == 2
    assert [playbook.wait(), worker.wait()] == [-signal.SIGKILL] * 2
    assert [other.poll() for other in others] == [None] * 3
    assert end_orphans(state, RUN) == 0


def test_who_asks_is_not_an_orphan(state: TownState) -> None:
    ask = "from civicops.runs.orphans import end_orphans; from civicops.state import TownState; import sys; "
    ask += "print(end_orphans(TownState('riverton'), sys.argv[1]))"
    environment = os.environ | {"CIVICOPS_RUN": RUN, "CIVICOPS_STATE": str(state.root.parent)}
    command = [sys.executable, "-c", ask, RUN]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "0\n"


def test_a_run_that_is_still_written_for_does_not_go_on(state: TownState) -> None:
    alive = spool.hold_alive(spool.Origin("riverton", RUN, "wait"))
    with pytest.raises(OrphansError, match=r"does not end, so it does not go on: who holds .*\.alive"):
        end_orphans(state, RUN, within=0.3)
    os.close(alive)
    assert end_orphans(state, RUN, within=0.3) == 0


def test_a_run_that_never_wrote_anything_has_no_spool_made_for_it(state: TownState) -> None:
    assert end_orphans(state, RUN) == 0
    assert list(state.spool.iterdir()) == []
