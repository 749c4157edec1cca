"""Strike a patch night at a random moment, go on as an operator would, and see what is true on the hosts after it.

Each night is a new town on the same two or three hosts: our own packages at 1.0, 1.1 waiting, one of them in a part of
the nights a bad one. One strike a night, at the controller, a host, the line or the mirror. Then the run is resumed as
long as it says that it can be, and every promise is looked at from outside. A handful runs in CI; the campaign does
more: `python -m tests.hosts.patch_kills --seed 1 --nights 20`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts import podman
from tests.hosts.controller import BIN
from tests.hosts.host import Host
from tests.hosts.night_kills import RELEASES, anchor, processes, query
from tests.hosts.nights import FORGET, ask_ledger
from tests.hosts.patching import PURGE, patch, stage, state, town_file, versions, whole
from tests.hosts.repository import SOURCE, Repository, configured, failing, slow, wants_reboot, web, writes_etc
from tests.hosts.tools import ensure_tools
from tests.hosts.tools import run as run_here
from tests.hosts.town import Spec, Town, start_hosts

CONTROLLER = ("civicops", "ansible-playbook", "a worker", "everything")
POWER = ("a host's power", "a host, by a reboot")
LINE = ("the line to a host", "a host's sshd", "the mirror")
PACKAGES = ("dpkg", "apt-get", "the unit", "the program", "the wrapper")
HOST = (*POWER, *LINE, *PACKAGES)
LONGEST = 24.0
"""Seconds; a night of these hosts takes about so long, where none is started anew."""
SIDES = 2
"""How many nights pass side by side, each on hosts of its own: most of a night is waiting."""
BOUND = 400.0
"""Seconds within which one command of the operator must have ended."""
RESUMES = 5
RUNS = "/var/lib/civicops/runs"
SLOW_LOG = "/var/log/fv-slow.log"
OVER = "nothing: it was over"
WEB = {"id": "site", "name": "The town's pages", "probes": [{"kind": "http", "url": "http://127.0.0.1:8080/"}]}
PROBE = "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/', timeout=5).read())\""
# Kills a process by its name when one is there, and some time later; exit 3 where none came, or none was left.
_KILL_BY_NAME = """
n=0; until pgrep -x {name} >/dev/null; do [ $n -lt 400 ] || exit 3; n=$((n+1)); sleep 0.05; done
sleep {after}; pkill -KILL -x {name} || exit 3
"""
# The same for a part of the night's own work: the unit with all in it, the program in it, or what started that.
_KILL_WORK = {
    "the unit": "systemctl kill -s KILL $(systemctl list-units --plain --no-legend --state=activating,active "
    "'civicops-patch*.service' | grep -w start | cut -d' ' -f1)",
    "the program": "pkill -KILL -f 'runs/[^ ]*/program.pyz'",
    "the wrapper": "pkill -KILL -f 'runs/[^ ]*/work.py'",
}


@dataclass(frozen=True)
class Plan:
    """What a night is made of, and its strike: drawn before it begins."""

    victim: str
    host: str
    anchor: str
    """What `after` (seconds) is counted from: the command's begin, or a phase of the work on that host."""
    after: float
    off: float
    """How long the host, its line or its sshd is away, in seconds."""
    bad: str
    """What is wrong with the new versions: nothing (empty), broken (a service that does not start) or failing."""
    rings: bool
    """The first host alone in the canary's ring, or all at once."""
    staged: bool
    reboot: bool
    seconds: float
    """How long fv-slow's script takes."""

    @classmethod
    def draw(cls, dice: random.Random, hosts: tuple[str, ...], only: tuple[str, ...] = ()) -> Plan:
        victim = dice.choice(only or (CONTROLLER if dice.random() < 0.6 else HOST))
        bad = dice.choice(("", "", "", "broken", "failing"))
        package = victim in PACKAGES
        phase = dice.choice(("install", "rollback") if bad else ("install", "install" if package else "probes_after"))
        anchored = package or dice.random() < 0.4
        after = dice.uniform(0.0, (2.0 if package else 6.0) if anchored else LONGEST)
        rings = dice.random() < 0.5
        return cls(
            victim=victim,
            host=hosts[0] if rings and bad else dice.choice(hosts),
            anchor=phase if anchored else "begin",
            after=after,
            off=dice.uniform(0.5, 25.0),
            bad=bad,
            rings=rings,
            staged=dice.random() < 0.7,
            reboot=dice.random() < 0.25,
            seconds=round(dice.uniform(3.0, 5.0), 1),
        )

    def __str__(self) -> str:
        whose = f" ({self.host})" if self.victim in HOST else ""
        what = [f"{self.bad} version"] * bool(self.bad) + ["rings"] * self.rings + ["reboot"] * self.reboot
        what += [] if self.staged else ["not staged"]
        more = f" [{', '.join(what)}]" if what else ""
        return f"{self.victim}{whose} {self.after:.2f} s after {self.anchor}{more}"


@dataclass
class Outcome:
    """What the strikes did, and every promise that was broken."""

    nights: int = 0
    strikes: Counter[str] = field(default_factory=Counter)
    in_rollback: int = 0
    hosts: dict[str, Counter[str]] = field(default_factory=dict)
    """By what was struck, what became of the hosts."""
    resumed: int = 0
    recovered: int = 0
    seconds: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Strikes that came before the night was over."""
        return self.strikes.total() - self.strikes[OVER]

    def add(self, other: Outcome) -> None:
        """Take in what other nights found."""
        self.nights += other.nights
        self.strikes += other.strikes
        self.in_rollback += other.in_rollback
        for struck, found in other.hosts.items():
            self.hosts.setdefault(struck, Counter()).update(found)
        self.resumed += other.resumed
        self.recovered += other.recovered
        self.seconds += other.seconds
        self.broken += other.broken


def prepare(hosts: Mapping[str, Host], mirror: Repository, plan: Plan, folder: Path) -> Town:
    """The night's packages on the hosts, and its town."""
    mirror.stop()  # a strike may have ended it, or a fault of a former night
    mirror.start()
    mirror.packages.clear()
    new = {"broken": lambda: web("1.2", broken=True), "failing": lambda: failing("1.1")}
    mirror.add(web("1.0"), web("1.1"), configured("1.0"), configured("1.1"), writes_etc("1.0"), writes_etc("1.1"))
    mirror.add(slow("1.0", 0), slow("1.1", plan.seconds), failing("1.0", fails=False))
    mirror.add(*([wants_reboot("1.0"), wants_reboot("1.1")] if plan.reboot else []))
    if plan.bad:
        mirror.add(new[plan.bad]())
    mirror.publish()
    names = sorted({name for name, version in mirror.packages if version == "1.0"})

    def one(host: Host) -> None:
        host.run(FORGET + PURGE + "rm -f /var/cache/apt/archives/fv-*", timeout=120)
        host.write(SOURCE, mirror.source_line(host.machine))
        mirror.refresh(host)
        words = " ".join(f"{name}=1.0" for name in names)
        host.run(f"DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install {words}", timeout=120)
        host.run("apt-mark -qq auto fv-conf; echo 'edited = here' >>/etc/fv-conf.conf")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, hosts.values()))
    first = next(iter(hosts))
    groups = {name: ("ring_canary" if plan.rings and name == first else "ring_broad", "system_site") for name in hosts}
    folder.mkdir(parents=True, exist_ok=True)
    town = Town(
        "demo",
        dict(hosts),
        folder,
        {name: Spec(name, groups=groups[name]) for name in hosts},
        timezone="UTC",
        town=town_file(systems=[WEB]),
        vars={"patch_probe_grace": "6s", "patch_lock_wait": "20s"},
    )
    if plan.staged:
        stage(town)
    return town


class Night:
    """One night, its strike, and what is found after it."""

    def __init__(self, town: Town, mirror: Repository, plan: Plan) -> None:
        self.town, self.mirror, self.plan = town, mirror, plan
        self.struck = ""
        self.in_rollback = False
        self.resumed = 0
        self.run = ""
        self.problems: list[str] = []
        self._before = {name: state(host) for name, host in town.hosts.items()}
        self._anchor = ""
        self._ended = threading.Event()

    def pass_(self) -> float:
        """Let it pass, and go on with it as long as it says that one can; how long that took, in seconds."""
        begun = time.monotonic()
        command = self.town.controller.start(BIN / "civicops", "run", "patch", "demo", "--json")
        striker = threading.Thread(target=self._strike)
        striker.start()
        self._heard(command)
        self._go_on(while_struck=striker)
        self._ended.set()
        striker.join(BOUND)
        self._go_on(while_struck=None)
        return time.monotonic() - begun

    def _heard(self, command: Any) -> None:
        try:
            said = command.communicate(timeout=BOUND)[0]
        except Exception as error:  # a command that does not end is what is looked for
            os.killpg(command.pid, signal.SIGKILL)
            self.problems.append(f"a command did not end: {type(error).__name__}")
            return
        if command.returncode not in (0, 1, 3, -signal.SIGKILL) or "Traceback" in said:
            self.problems.append(f"a command ended with {command.returncode}: {said[-500:]}")

    def _go_on(self, while_struck: threading.Thread | None) -> None:
        """Resume the run, as `civicops runs` says that one can; where nothing had begun, begin anew."""
        for _again in range(RESUMES):
            runs = json.loads(self.town.controller.civicops("runs", "demo", "--json").stdout or "[]")
            mine = [one for one in runs if one["order"]["job"] == "patch"]
            self._anchor = self._anchor or anchor(self.town)
            if mine and mine[-1]["state"] not in ("lost", "cancelled") and not self._goes_on(mine[-1]["order"]["run"]):
                self.run = mine[-1]["order"]["run"]
                if mine[-1]["state"] == "running":
                    self.problems.append(f"{self.run} runs, and its command has ended")
                return
            words = ["runs", "demo", "resume", mine[-1]["order"]["run"]] if mine else ["run", "patch", "demo"]
            self.resumed += bool(mine)
            self._heard(self.town.controller.start(BIN / "civicops", *words, "--json"))
        if while_struck is None:
            self.problems.append(f"the run is not over after {RESUMES} resumes")

    def _goes_on(self, run: str) -> bool:
        """Whether a host's last word is that its work may still go on, which is told with `runs TOWN resume RUN`."""
        last = {one["host"]: one["outcome"] for one in ask_ledger(self.town, "patch") if one["run"] == run}
        return bool({"running", "unknown"} & set(last.values()))

    # --- the strike ---

    def _strike(self) -> None:
        plan = self.plan
        if not self._reached():
            return
        end = time.monotonic() + plan.after
        while time.monotonic() < end:
            if plan.victim in CONTROLLER and self._ended.is_set():
                return
            time.sleep(0.02)
        try:
            hit = self._hit_controller() if plan.victim in CONTROLLER else self._hit_host()
        except Exception as error:  # told with the night, as a thread's own end is told nobody
            self.problems.append(f"the strike itself failed: {error}"[:300])
            return
        if hit:
            self.struck = plan.victim

    def _reached(self) -> bool:
        """Wait for the phase from which the strike is counted; False where the night ended before."""
        if self.plan.anchor == "begin":
            return True
        mark = f'"_phase": "{self.plan.anchor}"'
        script = f"grep -qs '{mark}' {RUNS}/*/patch/details.json"
        while not self._ended.is_set():
            if self.town.host(self.plan.host).run(script, check=False).returncode == 0:
                self.in_rollback = self.plan.anchor == "rollback"
                return True
            time.sleep(0.1)
        return False

    def _hit_controller(self) -> bool:
        while not self._ended.is_set():
            found = processes(self.town)
            playbooks = {one.pid for one in found if one.what == "ansible"}
            workers = sorted(one.pid for one in found if one.what == "ansible" and one.parent in playbooks)
            ours = [
                one.pid
                for one in found
                if any(word.endswith("/civicops") for word in one.command[:2]) and {"run", "resume"} & set(one.command)
            ]
            hit = {
                "civicops": ours,
                "ansible-playbook": sorted(playbooks - set(workers))[:1],
                "a worker": workers[:1],
                "everything": [one.pid for one in found] if ours else [],
            }[self.plan.victim]
            if hit:
                self._anchor = anchor(self.town)
                for pid in hit:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return True
            time.sleep(0.02)
        return False

    def _hit_host(self) -> bool:
        plan, host = self.plan, self.town.host(self.plan.host)
        if self._ended.is_set() and plan.victim not in POWER:
            return False
        self._anchor = anchor(self.town)
        if plan.victim == "a host's power":
            host.stop()
            time.sleep(plan.off)
            host.start_again()
        elif plan.victim == "a host, by a reboot":
            reboot(host)
        elif plan.victim == "the line to a host":
            with host.unreachable():
                time.sleep(plan.off)
        elif plan.victim == "a host's sshd":
            host.kill_sshd()
            time.sleep(plan.off)
            host.start_sshd()
        elif plan.victim == "the mirror":
            self.mirror.stop()
        elif plan.victim in _KILL_WORK:
            return host.run(_KILL_WORK[plan.victim], check=False).returncode == 0
        else:
            script = _KILL_BY_NAME.format(name=plan.victim, after=round(plan.off / 8, 2))
            return host.run(script, check=False, timeout=120).returncode == 0
        return True

    # --- what is found after it ---

    def check(self, outcome: Outcome) -> None:
        """Every promise, from outside."""
        found = [*self.problems]
        try:
            found += self._check(outcome)
        except Exception as error:  # a host that does not answer, say: the campaign goes on
            found.append(f"it could not be looked at: {type(error).__name__}: {error}"[:600])
        struck = self.struck or OVER
        outcome.broken += [f"night {outcome.nights} ({self.plan}; struck: {struck}): {line}" for line in found]

    def _check(self, outcome: Outcome) -> Iterator[str]:
        town, control = self.town, self.town.controller
        self.mirror.start()
        for host in town.hosts.values():
            host.wait_ready()
        if left := [one.command for one in processes(town) if one.what != "ssh"]:
            yield f"processes of the run are left: {left}"[:300]
        told = {one["host"]: one for one in ask_ledger(town, "patch") if one["run"] == self.run}
        yield from self._check_controller(told)
        shown = json.loads(control.civicops("runs", "demo", "show", self.run, "--json").stdout or "{}")
        counted = outcome.hosts.setdefault(self.struck or OVER, Counter())
        is_now = {}
        for name, host in town.hosts.items():
            body = told.get(name, {})
            word = shown.get("hosts", {}).get(name)
            is_now[name] = self._is_now(name, host)
            counted[str(body.get("outcome") or word)] += 1
            outcome.recovered += body.get("recovered") is True
            if word is None or (not body and word not in ("deferred", "unreachable", "failed")):
                yield f"{name}: what became of it is not told: {word}"
            told_as = f"told as {body.get('outcome') or word} ({body.get('reason')})"
            for line in self._check_host(host, body, str(word), is_now[name]):
                yield f"{name}: {line}: {told_as}, is {is_now[name]}"
        yield from self._check_later()

    def _check_controller(self, told: Mapping[str, dict[str, Any]]) -> Iterator[str]:
        verify = ["ledger", "verify", "demo", *(["--anchor", self._anchor] if self._anchor else [])]
        verified = self.town.controller.civicops(*verify)
        if verified.returncode:
            yield f"the ledger does not verify: {verified.stdout}{verified.stderr}"[:400]
        for host, settled in query(self.town, "SELECT host, settled_at FROM claim WHERE run = ?", self.run):
            if settled is None and told.get(host, {}).get("outcome") not in ("running", "unknown"):
                yield f"the claim on {host or 'the town'} is left open ({told.get(host, {}).get('outcome')})"

    def _is_now(self, name: str, host: Host) -> str:
        """What a host is, by itself: as before, wholly new, or something between."""
        if state(host) == self._before[name]:
            return "as before"
        wanted = dict(sorted(self.mirror.packages))
        return "new" if whole(host) and versions(host) == wanted else f"between: {self._differs(name, host)}"

    def _differs(self, name: str, host: Host) -> str:
        lines = set(state(host).splitlines()) ^ set(self._before[name].splitlines())
        return f"{versions(host)}; {sorted(lines)[:6]}"[:500]

    def _check_host(self, host: Host, body: dict[str, Any], word: str, is_now: str) -> Iterator[str]:
        outcome = str(body.get("outcome") or word)
        if not whole(host):
            yield f"dpkg finds halves: {host.run('dpkg --audit').stdout.strip()[-300:]}"
        if is_now.startswith("between") and outcome not in ("failed", "interrupted", "unknown", "running"):
            yield "it is neither new nor as before"
        if outcome in ("done", "overrun") and is_now != "new":
            yield "done, and it is not new"
        if outcome in ("rolled_back", "blocked", "refused", "deferred", "unreachable") and is_now != "as before":
            yield "it should be as before"
        if outcome in ("done", "rolled_back") and host.run(PROBE, check=False).returncode:
            yield "its probe is red"
        begins = host.run(f"cat {SLOW_LOG} 2>/dev/null || true").stdout.count("begin 1.1")
        stumbled = body.get("recovered") is True or any("stumbled" in line for line in body.get("told", ()))
        if begins > 1 + stumbled + (self.struck in PACKAGES):
            yield f"fv-slow's script began {begins} times"
        pieces = host.run(f"grep -c ' began ' {RUNS}/{self.run}/*/log /dev/null || true").stdout.split()
        if again := [one for one in pieces if int(one.rpartition(":")[2]) > 1]:
            yield f"a piece of work began more than once: {again}"
        if active := host.run("systemctl list-units --plain --no-legend --state=activating 'civicops-*'").stdout:
            yield f"work goes on: {active}"
        if host.run("fuser /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock 2>/dev/null", check=False).stdout.strip():
            yield "the lock of dpkg is held"
        good: tuple[str, ...] = ("rolled_back", "deferred") if self.plan.bad else ("done",)
        if self.struck in LINE:
            good += ("unreachable", "deferred", "blocked")
        if self.struck in (*CONTROLLER, *LINE, "") and outcome not in good:
            yield f"nothing on the host was struck, and it is none of {', '.join(good)}"

    def _check_later(self) -> Iterator[str]:
        """Another night with good versions ends with all of them; one more changes nothing."""
        if self.plan.bad:
            good = web("1.3") if self.plan.bad == "broken" else failing("1.2", fails=False)
            self.mirror.add(good)
            self.mirror.publish()
        wanted = dict(sorted(self.mirror.packages))
        hosts = self.town.hosts
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(self.mirror.refresh, hosts.values()))
        later = patch(self.town, timeout=BOUND)
        for name, host in hosts.items():
            if versions(host) != wanted:
                yield f"{name}: a later night leaves {versions(host)}: {later['hosts']} {later.get('reasons')}"[:700]
        before = {name: state(host) for name, host in hosts.items()}
        again = patch(self.town, timeout=BOUND)
        if set(again["hosts"].values()) != {"ok"}:
            yield f"one night more finds something: {again['hosts']} {again.get('reasons')}"[:500]
        if {name: state(host) for name, host in hosts.items()} != before:
            yield "one night more changes something"


def reboot(host: Host) -> None:
    """Type `reboot`, and return when the host is back: it may wait for the work that goes on, or be on its way down."""
    before = host.started_at()
    host.run("systemctl reboot", check=False)
    end = time.monotonic() + 240
    while time.monotonic() < end:
        done = host.run("cut -d' ' -f22 /proc/1/stat", check=False)
        if done.returncode == 0 and int(done.stdout) != before:
            return host.wait_ready()
        time.sleep(0.3)
    raise TimeoutError(f"{host.name} did not come back from its reboot")


def mend(host: Host) -> None:
    """Bring a host back from whatever a strike has left."""
    if run_here(["podman", "inspect", "--format", "{{.State.Running}}", host.container]).stdout.strip() != "true":
        host.start_again()
    host.run("systemctl start ssh", check=False)


def nights(
    hosts: Mapping[str, Host],
    folder: Path,
    seed: int,
    numbers: Iterable[int],
    progress: bool = False,
    only: tuple[str, ...] = (),
    over: Callable[[Outcome], bool] = lambda dummy: False,
) -> Outcome:
    """Let nights pass, each drawn by the seed and its number, so that one can be had again by itself.

    `only`: the victims; `over`: asked after each night whether it was the last.
    """
    outcome = Outcome()
    with Repository() as mirror:
        for number in numbers:
            outcome.nights += 1
            plan = Plan.draw(random.Random(f"{seed}:{number}"), tuple(hosts), only)  # noqa: S311  not for secrets
            broken = len(outcome.broken)
            town = prepare(hosts, mirror, plan, folder / f"night-{number}")
            try:
                night = Night(town, mirror, plan)
                outcome.seconds.append(night.pass_())
                night.check(outcome)
            finally:
                town.close()
                for host in hosts.values():
                    mend(host)
            outcome.strikes[night.struck or OVER] += 1
            outcome.in_rollback += bool(night.struck and night.in_rollback)
            outcome.resumed += night.resumed
            if progress:
                told = [f"night {number}: {plan}: {night.struck or OVER}: {outcome.seconds[-1]:.0f} s"]
                told += [f"  BROKEN {line}" for line in outcome.broken[broken:]]
                print("\n".join(told), file=sys.stderr, flush=True)
            if over(outcome):
                break
    return outcome


def of_the_controller(seed: int, kills: int) -> tuple[list[str], list[str]]:
    """The same with the controller alone as the victim, until it was killed so many times before a night was over."""
    return campaign(seed, kills * 4, only=CONTROLLER, hits=kills)


def campaign(
    seed: int,
    count: int,
    keep: Path | None = None,
    first: int = 1,
    only: tuple[str, ...] = (),
    hits: int | None = None,
) -> tuple[list[str], list[str]]:
    """Lines of Markdown with what the strikes did, and the promises that were broken."""
    ensure_tools()
    podman.sweep()
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())  # Ctrl-C: what was found until then is told
    found: dict[int, Outcome] = {}
    names = {f"{side}-{release}": Spec(release) for side in range(SIDES) for release in RELEASES}
    started = start_hosts(names)
    sides = [{release: started[f"{side}-{release}"] for release in RELEASES} for side in range(SIDES)]

    def over(outcome: Outcome) -> bool:
        found[id(outcome)] = outcome
        return ended.is_set() or (hits is not None and sum(one.hits for one in found.values()) >= hits)

    whole = Outcome()
    try:
        with contextlib.ExitStack() as stack:
            folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            pool = stack.enter_context(ThreadPoolExecutor(SIDES))
            lots = [range(first + side, first + count, SIDES) for side in range(SIDES)]
            passing = [
                pool.submit(nights, hosts, folder, seed, lot, True, only, over)
                for hosts, lot in zip(sides, lots, strict=True)
            ]
            for one in passing:
                whole.add(one.result())
    finally:
        podman.remove(*(host.container for host in started.values()))
    return report(seed, whole), whole.broken


def report(seed: int, outcome: Outcome) -> list[str]:
    """What was found, as Markdown."""
    columns = sorted({what for found in outcome.hosts.values() for what in found})
    return [
        f"{outcome.nights} nights of the job `patch` on three real hosts (Debian 11, 12 and 13) with packages of our",
        f"own: a probed service, a script that takes seconds, a changed configuration file; seed {seed}. In two of",
        "five nights one version is bad: a service that does not start, or a script that fails. One strike a night:",
        "SIGKILL at a drawn moment on the controller; or a host's power, a typed `reboot`, the line, sshd, the",
        "mirror; or SIGKILL on the host, of dpkg, apt-get, the unit, or a program in it. Then the run is resumed for",
        "as long as it can be. After that, from outside: nothing is installed by halves; each host is wholly new,",
        "wholly as before (packages, marks, /etc), or told as neither; done is new, its probe green; rolled back is",
        "as before; where the line was struck, nobody is harmed;",
        "the controller alone was struck, each host is done (or taken back, or deferred, where a version is bad);",
        "each piece of work began once; the ledger verifies against the anchor taken at the strike; no claim and no",
        "lock is left; a later night with good versions ends with all of them, and one more changes nothing.",
        "",
        "| struck | times |",
        "|---|---|",
        *(f"| {what} | {times} |" for what, times in sorted(outcome.strikes.items())),
        "",
        f"| what a night was struck by | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {struck} | {' | '.join(str(found[what]) for what in columns)} |"
            for struck, found in sorted(outcome.hosts.items())
        ),
        "",
        f"{outcome.in_rollback} strikes came while a host was being taken back. Runs were resumed {outcome.resumed} "
        f"times; {outcome.recovered} hosts repaired an interruption. A night took "
        f"{min(outcome.seconds):.0f} to {max(outcome.seconds):.0f} s.",
    ]


def main() -> int:
    """Print what was found; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.patch_kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the number of the first night: to have one again")
    parser.add_argument(
        "--only", choices=(*CONTROLLER, *HOST), action="append", default=[], help="strike this one alone, or these"
    )
    parser.add_argument("--keep", type=Path, help="a directory in which the nights' state is kept, to look into")
    options = parser.parse_args()
    lines, broken = campaign(options.seed, options.nights, options.keep, options.first, tuple(options.only))
    print("\n".join([*lines, "", f"**Broken promises: {len(broken)}.**", *(f"- {line}" for line in broken)]))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
