"""Kill a patch night at a random moment: its scheduler, its processes, its hosts; and see that all is known after it.

Each night is a new state directory, so that its window is served anew; the hosts stay. A timer looks every second and
a half, as systemd's would every minute, and nobody else does anything. A handful of kills runs in CI; the campaign does
more: `python -m tests.hosts.night_kills --seed 1 --kills 100`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.hosts import podman
from tests.hosts.controller import BIN
from tests.hosts.host import Host
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

RELEASES = ("bullseye", "bookworm", "trixie")
PROCESSES = ("the scheduler", "the run", "ansible-playbook", "a worker", "everything")
HOSTS = ("a host's power", "a host, by a reboot")
VICTIMS = (*PROCESSES, *PROCESSES, *HOSTS)
LONGEST = 20.0
"""Seconds; a night of these three hosts takes about so long."""
TICK = 1.5
BOUND = 90.0
"""Seconds after the last kill within which the run must have ended."""
PATIENCE = 130.0
"""Seconds more where the kill hit between the taking of the slot and the run's beginning: the scheduler waits two
minutes before it believes that what it started is not coming."""
RUNS = "/var/lib/civicops/runs"
KNOWN = ("done", "failed", "interrupted", "unreachable", "deferred")


@dataclass
class Outcome:
    """What the kills did, and every promise that was broken."""

    nights: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    hosts: dict[str, Counter[str]] = field(default_factory=dict)
    """By what was struck, what became of the hosts."""
    states: Counter[str] = field(default_factory=Counter)
    adopted: int = 0
    seconds: list[float] = field(default_factory=list)
    unheard: int = 0
    """Hosts that were told as unreachable, and had begun their work."""
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Strike:
    """One kill: what, and how long after the night's run was first seen; for a scheduler, after its start; for a host,
    after its work has begun."""

    victim: str
    after: float
    host: str
    """For the strikes at hosts."""
    off: float
    """How long the power stays off, in seconds."""

    @classmethod
    def draw(cls, dice: random.Random) -> Strike:
        victim = dice.choice(VICTIMS)
        # Most of what can go wrong with a scheduler does so in the look that starts the run.
        first = victim == "the scheduler" and dice.random() < 0.7
        after = dice.uniform(0.0, 1.5 if first else 5.0 if victim in HOSTS else LONGEST)
        return cls(victim, after, dice.choice(RELEASES), dice.uniform(0.2, 4.0))

    def __str__(self) -> str:
        whose = f" ({self.host})" if self.victim in HOSTS else ""
        return f"{self.victim}{whose} after {self.after:.2f} s"


# --- what is seen from outside ---------------------------------------------------


@dataclass(frozen=True)
class Process:
    """A process of a town on the controller."""

    pid: int
    parent: int
    command: tuple[str, ...]

    @property
    def what(self) -> str:
        if "ssh" in self.command[0].rpartition("/")[2].split(":")[0]:
            return "ssh"
        if "serve" in self.command:
            return "the run"
        return "ansible" if any("ansible-playbook" in word for word in self.command[:2]) else "other"


def processes(town: Town) -> list[Process]:
    """The town's processes, by the state directory in their environment."""
    found = []
    mark = f"CIVICOPS_STATE={town.state}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                command = (path / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                found.append(Process(int(path.name), parent, tuple(command)))
    return found


def victims(town: Town, what: str) -> list[int]:
    """The processes that a strike hits now; none where its victim is not there."""
    found = processes(town)
    playbooks = {one.pid for one in found if one.what == "ansible"}
    workers = {one.pid for one in found if one.what == "ansible" and one.parent in playbooks}
    if what == "everything":
        return sorted(one.pid for one in found) if any(one.what == "the run" for one in found) else []
    if what == "the run":
        return sorted(one.pid for one in found if one.what == "the run")
    return sorted(playbooks - workers)[:1] if what == "ansible-playbook" else sorted(workers)[:1]


def query(town: Town, statement: str, *values: str) -> list[tuple[Any, ...]]:
    """Ask the ledger with nothing of ours."""
    path = town.state / town.name / "ledger.sqlite"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return list(connection.execute(statement, values))
        except sqlite3.OperationalError:
            return []  # killed before its tables were made


def anchor(town: Town) -> str:
    """The ledger's head, as `civicops ledger verify --anchor` wants it; empty where there is none yet."""
    found = query(town, "SELECT count, hash FROM head")
    return f"{found[0][0]}:{found[0][1]}" if found else ""


def told(town: Town, run: str) -> dict[str, dict[str, Any]]:
    """What the ledger's documents say of each host: the host's own word first, then contact, then the gate's."""
    rows = query(
        town,
        "SELECT entry.kind, entry.host, body.packed FROM entry JOIN body ON body.hash = entry.body "
        "WHERE entry.run = ? AND entry.status = 'accepted' AND entry.host != '' ORDER BY entry.seq",
        run,
    )
    found: dict[str, dict[str, Any]] = {}
    order = ("gate", "contact", "wait")
    for kind, host, packed in rows:
        if kind not in order or order.index(kind) < order.index(found.get(host, {}).get("kind", "gate")):
            continue
        body = json.loads(zlib.decompress(packed))
        outcome = body.get("outcome") or ("deferred" if body["decision"] == "refused" else "opened and never heard of")
        found[host] = body | {"kind": kind, "told": "deferred" if outcome == "refused" else outcome}
    return found


def begins(host: Host, run: str) -> int:
    """How often the run's work has begun on a host, by the host's own log."""
    return host.run(f"cat {RUNS}/{run}/*/log 2>/dev/null || true").stdout.count(" began ")


def kept(host: Host) -> set[str]:
    """The runs that had work on a host."""
    return set(host.run(f"ls {RUNS} 2>/dev/null || true").stdout.split())


# --- a night -----------------------------------------------------------------------


def make_town(folder: Path, hosts: Mapping[str, Host], seconds: Mapping[str, int], name: str = "demo") -> Town:
    """A town whose window is open now: one canary, and two hosts that are never worked on at the same time."""
    groups = {"bullseye": ("ring_canary",), "bookworm": ("pair_web",), "trixie": ("pair_web",)}
    specs = {host: Spec(host, groups=groups[host], vars={"wait_seconds": seconds[host]}) for host in hosts}
    opened = datetime.now(UTC) - timedelta(minutes=10)
    window = {"id": "now", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": f"{opened:%H:%M}", "duration": "3h"}
    folder.mkdir(exist_ok=True)
    return Town(name, dict(hosts), folder, specs, timezone="UTC", town={"maintenance": {"windows": [window]}})


class Night:
    """One night of a town, its strikes, and what is found after them."""

    def __init__(self, town: Town, strikes: list[Strike]) -> None:
        self.town = town
        self.strikes = strikes
        self.struck: list[str] = []
        self.problems: list[str] = []
        self._anchor = ""
        self._faults: list[threading.Thread] = []
        self._before = {name: kept(host) for name, host in town.hosts.items()}
        self._seen: float | None = None

    def pass_(self) -> float:
        """Let it pass; returns how long it took."""
        begun = time.monotonic()
        deadline = begun + LONGEST + BOUND
        waiting = list(self.strikes)
        while time.monotonic() < deadline:
            started = time.monotonic()
            tick = self.town.controller.start(BIN / "civicops", "scheduler", "--once")
            while (tick.poll() is None or time.monotonic() < started + TICK) and time.monotonic() < deadline:
                if waiting and self._strike(waiting[0], started, tick):
                    self._anchor = self._anchor or anchor(self.town)
                    deadline = max(deadline, time.monotonic() + BOUND)
                    waiting.pop(0)
                time.sleep(0.02)
            self._heard(tick)
            if self._over() and not any(one.is_alive() for one in self._faults):
                break
            if self.struck and not list(self._runs()):
                deadline = max(deadline, begun + BOUND + PATIENCE)
        for fault in self._faults:
            fault.join(120)
        return time.monotonic() - begun

    def _strike(self, strike: Strike, tick_started: float, tick: subprocess.Popen[str]) -> bool:
        """Strike if it is time and the victim is there."""
        now = time.monotonic()
        if self._seen is None and victims(self.town, "the run"):
            self._seen = now
        if strike.victim == "the scheduler":
            since = now - tick_started if strike.after < TICK else now - (self._seen or now)
            if since < strike.after or tick.poll() is not None:
                return False
            tick.kill()
        elif strike.victim in HOSTS:
            if not list(self._runs()):
                return False
            self._faults.append(threading.Thread(target=self._fault, args=(strike,)))
            self._faults[-1].start()
            return True
        elif self._seen is None or now - self._seen < strike.after or self._over():
            return False
        else:
            hit = victims(self.town, strike.victim)
            for pid in hit:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not hit:
                return False
            if strike.victim == "everything":
                tick.kill()
        self.struck.append(strike.victim)
        return True

    def _fault(self, strike: Strike) -> None:
        """Wait for the host's work to begin, and strike the host."""
        host = self.town.host(strike.host)
        [run] = [path.parent.name for path in self._runs()]
        while host.run(f"test -e {RUNS}/{run}/wait/log", check=False).returncode:
            if self._over():
                return
            time.sleep(0.1)
        time.sleep(strike.after)
        self.struck.append(strike.victim)
        self._anchor = self._anchor or anchor(self.town)
        if strike.victim == "a host, by a reboot":
            host.reboot()
        else:
            host.stop()
            time.sleep(strike.off)
            host.start_again()

    def _heard(self, tick: subprocess.Popen[str]) -> None:
        try:
            said = tick.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            tick.kill()
            self.problems.append("a look of the scheduler did not end")
            return
        if tick.returncode not in (0, 1, -signal.SIGKILL):
            self.problems.append(f"a look of the scheduler ended with {tick.returncode}: {said[-300:]}")

    def _runs(self) -> Iterator[Path]:
        yield from (self.town.state / self.town.name / "runs").glob("*/run.json")

    def _over(self) -> bool:
        runs = list(self._runs())
        return bool(runs) and all((path.parent / "result.json").exists() for path in runs)

    # --- what is found after it ---

    def check(self, outcome: Outcome) -> None:
        """Every promise, from outside."""
        for line in self._check(outcome):
            outcome.broken.append(f"night {outcome.nights} ({'; '.join(map(str, self.strikes))}): {line}")

    def _check(self, outcome: Outcome) -> Iterator[str]:
        yield from self.problems
        town, control = self.town, self.town.controller
        left = self._wait_for_silence()
        if left:
            yield f"processes of the run are left: {left}"
        log = town.state / town.name / "scheduler.log"
        if log.exists() and "Traceback" in log.read_text():
            yield f"the run met a fault of ours: {log.read_text()[-600:]}"
        again = control.civicops("scheduler", "--once")
        if again.returncode or again.stdout or again.stderr:
            yield f"the look after it finds something: {again.returncode} {again.stdout}{again.stderr}"[:600]
        verified = control.civicops("ledger", "verify", town.name, *(["--anchor", self._anchor] * bool(self._anchor)))
        if verified.returncode:
            yield f"the ledger does not verify: {verified.stderr[-300:]}"
        slots = query(town, "SELECT run FROM slot")
        runs = sorted(path.parent.name for path in self._runs())
        if [(run,) for run in runs] != slots:
            yield f"one slot, one run: slots {slots}, runs {runs}"
        if len(runs) == 1:
            yield from self._check_run(runs[0], outcome)

    def _check_run(self, run: str, outcome: Outcome) -> Iterator[str]:
        town = self.town
        shown = json.loads(town.controller.civicops("runs", town.name, "show", run, "--json").stdout or "{}")
        state = shown.get("state")
        outcome.states[str(state)] += 1
        if state not in ("done", "failed"):
            yield f"the run is {state}"
        documents = told(town, run)
        without_power = not set(self.struck) & set(HOSTS)
        struck = " + ".join(sorted(set(self.struck))) or "nothing: it was over"
        for name, host in town.hosts.items():
            body = documents.get(name, {})
            what, begun = str(body.get("told", "nothing")), begins(host, run)
            outcome.hosts.setdefault(struck, Counter())[what] += 1
            outcome.adopted += what == "done" and body.get("adopted") is True
            if what not in KNOWN:
                yield f"{name}: what became of it is not known: {what}; it began {begun} times"
            if (shows := shown.get("hosts", {}).get(name)) != _WORDS.get(what, what):
                yield f"{name}: is {what} by its documents, and civicops runs show says {shows}"
            if begun > 1 or (what == "done" and begun != 1) or (what == "deferred" and begun):
                yield f"{name}: is {what}, and its work began {begun} times"
            if what == "unreachable" and begun:
                outcome.unheard += 1
            if without_power and what != "done":
                yield f"{name}: is {what}, and no power was cut: {body.get('reason')}"
            if strange := kept(host) - self._before[name] - {run}:
                yield f"{name}: work of {sorted(strange)} is there too"
        yield from self._check_claims(run, documents)

    def _check_claims(self, run: str, documents: dict[str, dict[str, Any]]) -> Iterator[str]:
        rows = query(self.town, "SELECT host, run, settled_at, outcome FROM claim")
        for host, of_run, settled, outcome in rows:
            if of_run != run:
                yield f"a claim of another run: {host} {of_run}"
            elif settled is None:
                yield f"a claim is left open: {host or 'the whole town'} ({documents.get(host, {}).get('told')})"
            elif host and (what := documents.get(host, {}).get("told")) not in (outcome, "deferred"):
                yield f"{host}: is {what}, and its claim was settled as {outcome}"
        if len(again := [host for host, *_ in rows if host]) != len(set(again)):
            yield f"a host was claimed twice: {again}"

    def _wait_for_silence(self, within: float = 15) -> list[str]:
        deadline = time.monotonic() + within
        while left := [" ".join(one.command)[:120] for one in processes(self.town) if one.what != "ssh"]:
            if time.monotonic() >= deadline:
                return left
            time.sleep(0.1)
        return []


# What `civicops runs show` calls what the documents say.
_WORDS = {"done": "changed", "interrupted": "failed"}


def nights(hosts: Mapping[str, Host], folder: Path, seed: int, count: int, progress: bool = False) -> Outcome:
    """Let nights pass until `count` kills have been tried, drawn by the seed."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    outcome = Outcome()
    tried = 0
    while tried < count:
        strikes = sorted((Strike.draw(dice) for _ in range(dice.choice((1, 1, 2)))), key=lambda one: one.after)
        tried += len(strikes)
        seconds = {name: dice.randint(1, 5) for name in hosts}
        outcome.nights += 1
        town = make_town(folder / f"night-{outcome.nights}", hosts, seconds)
        try:
            night = Night(town, strikes)
            outcome.seconds.append(night.pass_())
            outcome.kills.update(night.struck)
            outcome.kills["nothing: it was over"] += len(strikes) - len(night.struck)
            broken = len(outcome.broken)
            night.check(outcome)
        finally:
            town.close()
        if progress:
            what = "; ".join(map(str, strikes))
            print(f"night {outcome.nights}: {what}: {outcome.seconds[-1]:.0f} s", file=sys.stderr, flush=True)
            for line in outcome.broken[broken:]:
                print(f"  BROKEN {line}", file=sys.stderr, flush=True)
    return outcome


def campaign(seed: int, kills: int, keep: Path | None = None) -> tuple[list[str], list[str]]:
    """Lines of Markdown with what the kills did, and the promises that were broken."""
    ensure_tools()
    podman.sweep()
    hosts = start_hosts({release: Spec(release) for release in RELEASES})
    try:
        with contextlib.ExitStack() as stack:
            folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            outcome = nights(hosts, folder, seed, kills, progress=True)
    finally:
        podman.remove(*(host.container for host in hosts.values()))
    return report(seed, outcome), outcome.broken


def report(seed: int, outcome: Outcome) -> list[str]:
    """What was found, as Markdown."""
    columns = sorted({what for found in outcome.hosts.values() for what in found})
    whole = [found for struck, found in outcome.hosts.items() if not any(host in struck for host in HOSTS)]
    done, every = sum(one["done"] for one in whole), sum(sum(one.values()) for one in whole)
    return [
        f"{outcome.nights} nights of the job `wait` on three real hosts (a canary, and a pair), started by a scheduler",
        f"that looks every {TICK} s; seed {seed}. SIGKILL at a drawn moment to a drawn process, or a host's power is",
        "cut or the host rebooted; one or two such strikes a night. Nobody does anything afterwards but the scheduler.",
        "After each night, from outside: the run has ended, what became of each host is known and the same in the",
        "documents and in `civicops runs show`, each host's own log has at most one beginning (exactly one where it is",
        "told as done), the ledger verifies against the anchor taken at the kill, no claim is open, nothing runs on,",
        "and the window was served by exactly one run.",
        "",
        "| struck | times |",
        "|---|---|",
        *(f"| {what} | {times} |" for what, times in sorted(outcome.kills.items()) if times),
        "",
        f"| what a night was struck by | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {struck} | {' | '.join(str(found[what]) for what in columns)} |"
            for struck, found in sorted(outcome.hosts.items())
        ),
        "",
        f"Without a cut or a reboot, {done} of {every} hosts were done; {outcome.adopted} hosts in all were adopted. "
        f"Runs: {', '.join(f'{times} {state}' for state, times in sorted(outcome.states.items()))}. "
        f"A night took {min(outcome.seconds):.0f} to {max(outcome.seconds):.0f} s. "
        f"Hosts told as unreachable that had begun their work: {outcome.unheard}.",
    ]


def main() -> int:
    """Print what was found; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.night_kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="a directory in which the nights' state is kept, to look into")
    options = parser.parse_args()
    lines, broken = campaign(options.seed, options.kills, options.keep)
    print("\n".join([*lines, "", f"**Broken promises: {len(broken)}.**", *(f"- {line}" for line in broken)]))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
