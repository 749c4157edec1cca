"""Kill a checkup at a random moment, anywhere in its tree of processes, and see that nothing is lost.

A handful of kills runs in CI; `make campaign` does hundreds: `python -m tests.hosts.kills --seed 1 --kills 200`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts import podman
from tests.hosts.controller import BIN
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

VICTIMS = ("civicops", "ansible", "a worker", "everything")
LONGEST = 4.0  # seconds; a checkup of three hosts takes about three


@dataclass
class Outcome:
    """What the kills did, and every promise that was broken."""

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    broken: list[str] = field(default_factory=list)


def tree(pid: int) -> dict[int, str]:
    """A process and its descendants, with what each of them is."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found: dict[int, str] = {pid: "civicops"}
    for parent in found.copy():
        waiting = [(child, "ansible") for child in children.get(parent, [])]
        while waiting:
            child, what = waiting.pop()
            found[child] = what
            below = "a worker" if what == "ansible" else "below a worker"
            waiting += [(grandchild, below) for grandchild in children.get(child, [])]
    return found


def kill(process: subprocess.Popen[str], victim: str) -> None:
    """SIGKILL one kind of process of a run, or all of them at once."""
    for pid, what in sorted(tree(process.pid).items()):
        if victim in ("everything", what):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if victim == "a worker":
                return


Told = tuple[str, str, str]  # kind, host and run of a document: a later version of the same replaces it


def spooled(town: Town) -> set[Told]:
    """The documents in the spool. One that is taken in meanwhile may be missing."""
    found = set()
    with contextlib.suppress(FileNotFoundError):  # a run's directory that was emptied and removed meanwhile
        for path in town.state.glob(f"{town.name}/spool/*/*.json"):
            with contextlib.suppress(OSError):
                one = json.loads(path.read_bytes())
                found.add((one["schema"].split("/")[1], one["host"], one["run"]))
    return found


def recorded(town: Town) -> tuple[set[Told], int]:
    """The documents in the ledger, and how many of them are there twice; read with nothing of ours."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(town.state / town.name / "ledger.sqlite")) as connection:
        rows = list(connection.execute("SELECT kind, host, run, id FROM entry"))
    return {row[:3] for row in rows}, len(rows) - len({row[3] for row in rows})


def kills(town: Town, seed: int, count: int) -> Outcome:
    """Kill `count` checkups of a town, each at a moment and a place that the seed draws."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    outcome = Outcome()
    control = town.controller
    anchor = ""
    for number in range(count):
        victim, moment = dice.choice(VICTIMS), dice.uniform(0.0, LONGEST)
        where = f"kill {number} of seed {seed} ({victim} after {moment:.2f} s)"
        process = control.start(BIN / "civicops", "checkup", town.name)
        seen: set[Told] = set()
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and process.poll() is None:
            seen |= spooled(town)
            time.sleep(0.02)
        outcome.kills[victim if process.poll() is None else "nobody: it was done"] += 1
        kill(process, victim)
        seen |= spooled(town)
        process.communicate(timeout=120)
        outcome.states[f"exit {process.returncode}"] += 1
        wait_for_latecomers(town)
        seen |= spooled(town)
        listed = control.civicops("runs", town.name)
        if listed.returncode != 0:
            outcome.broken.append(f"{where}: the next command failed: {listed.stderr[-300:]}")
        verified = control.civicops("ledger", "verify", town.name, *(["--anchor", anchor] if anchor else []))
        if verified.returncode != 0:
            outcome.broken.append(f"{where}: {verified.stderr[-300:]}")
        else:
            anchor = verified.stdout.split()[-1]
        there, twice = recorded(town)
        outcome.documents += len(seen)
        if lost := seen - there:
            outcome.broken.append(f"{where}: {len(lost)} of {len(seen)} documents were lost: {sorted(lost)[:3]}")
        if twice:
            outcome.broken.append(f"{where}: {twice} documents are there twice")
    done = control.civicops("checkup", town.name, "--json")
    if done.returncode != 0:
        outcome.broken.append(f"the run after all kills of seed {seed} failed: {done.stderr[-300:]}")
    return outcome


def wait_for_latecomers(town: Town, within: float = 60) -> None:
    """Wait until no process of the town's runs is left that could still write."""
    deadline = time.monotonic() + within
    mark = f"CIVICOPS_STATE={town.state}".encode()
    while time.monotonic() < deadline:
        alive = False
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                command = (path.parent / "cmdline").read_bytes()
                alive |= mark in path.read_bytes() and b"ansible" in command and b"ssh" not in command[:20]
        if not alive:
            return
        time.sleep(0.1)


def campaign(seed: int, count: int) -> tuple[list[str], list[str]]:
    """Lines of Markdown with what the kills did, and the promises that were broken."""
    ensure_tools()
    podman.sweep()
    hosts = start_hosts({release: Spec(release) for release in ("bullseye", "bookworm", "trixie")})
    try:
        with tempfile.TemporaryDirectory() as folder:
            town = Town("demo", hosts, Path(folder))
            try:
                outcome = kills(town, seed, count)
            finally:
                town.close()
    finally:
        podman.remove(*(host.container for host in hosts.values()))
    lines = [
        f"{count} checkups of three real hosts, SIGKILL at a drawn moment in the first {LONGEST:.0f} s to a drawn part",
        "of the run. After each: the next command must work, the ledger must verify against the anchor",
        "taken before, every document that was seen in the spool must be in the ledger exactly once. After all, a",
        "checkup must be good.",
        "",
        "| killed | times |",
        "|---|---|",
        *(f"| {what} | {times} |" for what, times in sorted(outcome.kills.items())),
        "",
        f"Ends: {', '.join(f'{times} x {what}' for what, times in sorted(outcome.states.items()))}. "
        f"Documents seen in the spool: {outcome.documents}.",
    ]
    return lines, outcome.broken


def main() -> int:
    """Print what was found; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    lines, broken = campaign(options.seed, options.kills)
    print("\n".join([*lines, "", f"**Broken promises: {len(broken)}.**", *(f"- {line}" for line in broken)]))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
