"""host_info against the usual way of asking the same, over SSH, on one real host and on ten."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.hosts import podman
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

from bench.meter import Connections, HostProcessor, children_seconds
from bench.result import Options, Section, Table, Target
from civicops.ledger.documents import canonical

TITLE = "Asking hosts"
HOSTS = 10
PENDING_AT_LEAST = 10
IDLE_SECONDS = 5

_SETTINGS = """[defaults]
forks = 10
retry_files_enabled = False
[ssh_connection]
pipelining = True
ssh_args = -C -o ControlMaster=auto -o ControlPersist=15m
"""
_RECORDING = {"ANSIBLE_CALLBACKS_ENABLED": "civicops.town.run"}
_LATER = {"CIVICOPS_INGEST": "later"}


@dataclass(frozen=True)
class Way:
    """One way of asking hosts: a play of our own (its tasks), or a playbook of the collection."""

    label: str
    tasks: tuple[dict[str, Any], ...] = ()
    playbook: str = ""
    env: Mapping[str, str] | None = None


PING, USUAL, QUICK, FULL = "ping", "usual", "quick", "full"
WAYS = {
    PING: Way("`ping`", ({"ansible.builtin.ping": {}},)),
    USUAL: Way(
        "usual: `setup`, `package_facts`, `service_facts`",
        tuple({f"ansible.builtin.{name}": {}} for name in ("setup", "package_facts", "service_facts")),
    ),
    QUICK: Way("`host_info` without updates", ({"civicops.town.host_info": {"updates": False}},), env=_LATER),
    FULL: Way("`host_info`", ({"civicops.town.host_info": {}},), env=_LATER),
    "recorded": Way("`host_info`, taken into the ledger", ({"civicops.town.host_info": {}},), env={}),
    "checkup": Way("`civicops.town.checkup`, taken into the ledger", playbook="civicops.town.checkup", env={}),
}


@dataclass(frozen=True)
class Cost:
    """What one play cost; `host` is per host."""

    wall: float
    controller: float
    host: float


def run(options: Options) -> Section:
    """Measure every way on one host and on ten, in turns."""
    with _town() as bench:
        one, ten = bench.measure(1, options.rounds_one), bench.measure(HOSTS, options.rounds_ten)
        body = bench.document()
        pending = bench.pending
        idle = bench.idle
    size = len(canonical(body))
    notes = [
        f"Hosts: {HOSTS} Debian 12 systems (systemd, sshd) on this machine, with the package lists of main and "
        f"security, {len(body['packages']['rows'])} packages and {pending} pending updates each.",
        "All ways: pipelining, 10 forks, interpreter named, no other fact gathering, SSH connections already open, "
        "each way once before the first that counts; then in turns, so that all meet the same load. Medians of "
        f"{options.rounds_one} rounds with one host, {options.rounds_ten} with ten.",
        "Controller: user and system time of ansible-playbook, of all that it starts and of the open SSH connections. "
        "Host: its control group's processor time, sshd included, less what it uses when idle "
        f"({idle * 1000:.1f} ms a second).",
        "`host_info` writes its document to the spool (fsynced), the callback `civicops.town.run` enabled and ingest "
        "left for later (`CIVICOPS_INGEST=later`); the last two ways have the callback take it into the ledger too, as "
        "a plain `ansible-playbook` does. `checkup` is the whole job: two plays, a role, the check that the run is "
        "recorded.",
    ]
    targets = [target for count, costs in ((1, one), (HOSTS, ten)) for target in _targets(count, costs)]
    targets += [
        Target(f"the document, {len(body['packages']['rows'])} packages: JSON", size, 30_000, "bytes"),
        Target("the same, zlib as in the ledger", len(zlib.compress(canonical(body), 6)), 8_000, "bytes"),
    ]
    tables = [_table("One host:", one), _table(f"{HOSTS} hosts, the host's time per host:", ten), _growth(one, ten)]
    return Section([*notes, *_explained(one, ten)], tables, targets)


def _explained(one: Mapping[str, Cost], ten: Mapping[str, Cost]) -> list[str]:
    """What to know when reading the ratios, with this run's own figures."""
    floor = one[PING].controller / one[USUAL].controller
    cores = os.cpu_count() or 1
    shared = HOSTS * (ten[QUICK].host - ten[PING].host) / cores
    return [
        f"With one host, `ping` alone takes {floor:.2f} of the usual way's controller CPU, nearly all of it Ansible's "
        "own start: no module can take less. What is beyond `ping` is spent once per play, when Ansible parses "
        "the module's source to find its imports; further hosts cost what the last table shows.",
        f"All hosts share the controller's {cores} cores here. With {HOSTS} of them, {shared:.2f} s of the wall time "
        "beyond `ping` is the hosts' own processor time, which hosts with processors of their own spend side by side.",
    ]


def _growth(one: Mapping[str, Cost], ten: Mapping[str, Cost]) -> Table:
    each = {key: (ten[key].controller - one[key].controller) / (HOSTS - 1) for key in WAYS}
    rows = [[WAYS[key].label, f"{seconds:.3f}", f"{seconds / each[USUAL]:.2f}"] for key, seconds in each.items()]
    return Table("Each further host (from one to ten):", ("", "controller CPU s", "/ usual"), rows)


def _targets(count: int, costs: Mapping[str, Cost]) -> list[Target]:
    where = "1 host" if count == 1 else f"{count} hosts"
    ping, usual, quick, full = (costs[key] for key in (PING, USUAL, QUICK, FULL))
    return [
        Target(f"{where}: without updates, host CPU / usual", quick.host / usual.host, 1 / 5),
        Target(f"{where}: with updates, host CPU / usual", full.host / usual.host, 1 / 2),
        Target(f"{where}: without updates, controller CPU / usual", quick.controller / usual.controller, 1 / 2),
        Target(f"{where}: with updates, controller CPU / usual", full.controller / usual.controller, 1 / 2),
        Target(f"{where}: without updates, wall time / ping", quick.wall / ping.wall, 1.15),
        Target(f"{where}: without updates, controller CPU / ping", quick.controller / ping.controller, 1.15),
    ]


def _table(caption: str, costs: Mapping[str, Cost]) -> Table:
    ping, usual = costs[PING], costs[USUAL]
    headings = ("", "wall s", "/ ping", "controller CPU s", "/ ping", "/ usual", "host CPU s", "/ usual")
    rows = [
        [
            WAYS[key].label,
            f"{cost.wall:.2f}",
            f"{cost.wall / ping.wall:.2f}",
            f"{cost.controller:.2f}",
            f"{cost.controller / ping.controller:.2f}",
            f"{cost.controller / usual.controller:.2f}",
            f"{cost.host:.2f}",
            f"{cost.host / usual.host:.2f}",
        ]
        for key, cost in costs.items()
    ]
    return Table(caption, headings, rows)


@contextmanager
def _town() -> Iterator[_Bench]:
    ensure_tools()
    podman.sweep()
    specs = {f"host{number:02}": Spec(updates=True) for number in range(1, HOSTS + 1)}
    hosts = start_hosts(specs)
    try:
        folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
        town = Town("bench", hosts, folder, specs)
        try:
            yield _Bench(town)
        finally:
            Connections(town.sockets).close()
            town.close()
            shutil.rmtree(folder, ignore_errors=True)  # an interrupted play may still be writing
    finally:
        podman.remove(*(host.container for host in hosts.values()))


class _Bench:
    """A town of real hosts with meters on all of them."""

    def __init__(self, town: Town) -> None:
        self._town = town
        # A copy, so that it can be installed anew meanwhile and one version is measured.
        library = Path(sysconfig.get_path("purelib"), "ansible_collections", "civicops")
        shutil.copytree(library, town.folder / "collections" / "ansible_collections" / "civicops")
        (town.folder / "ansible.cfg").write_text(_SETTINGS)
        for key, way in WAYS.items():
            play = {"hosts": "all", "gather_facts": False, "tasks": list(way.tasks)}
            self._playbook(key).write_text(json.dumps([play]))
        self._connections = Connections(town.sockets)
        self._processors = {name: HostProcessor(host) for name, host in town.hosts.items()}
        self.pending = next(iter(town.hosts.values())).pending_updates()
        if self.pending < PENDING_AT_LEAST:
            raise RuntimeError(f"{self.pending} updates are pending; at least {PENDING_AT_LEAST} are needed")
        self.idle = self._idle_rate()

    def document(self) -> dict[str, Any]:
        """The body of the newest full answer."""
        found = [one["body"] for one in self._town.documents("host-facts")]
        return next(body for body in found if isinstance(body, dict) and body.get("updates"))

    def measure(self, count: int, rounds: int) -> dict[str, Cost]:
        """The median cost of each way on the first `count` hosts; the ways take turns, each round begins elsewhere."""
        keys = list(WAYS)
        names = list(self._town.hosts)[:count]
        taken: dict[str, list[Cost]] = {key: [] for key in keys}
        for key in keys:
            self._play(key, names)
        for number in range(rounds):
            shift = number % len(keys)
            for key in keys[shift:] + keys[:shift]:
                taken[key].append(self._play(key, names))
        return {
            key: Cost(
                median(cost.wall for cost in costs),
                median(cost.controller for cost in costs),
                median(cost.host for cost in costs),
            )
            for key, costs in taken.items()
        }

    def _play(self, key: str, names: list[str]) -> Cost:
        way = WAYS[key]
        env: dict[str, Any] = {
            "ANSIBLE_CONFIG": str(self._town.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._town.folder / "collections"),
        }
        if way.env is not None:
            env |= _RECORDING | dict(way.env)
        hosts = [self._processors[name] for name in names]
        on_hosts, connections = sum(host.seconds() for host in hosts), self._connections.seconds()
        programs, start = children_seconds(), time.perf_counter()
        playbook = way.playbook or self._playbook(key)
        done = self._town.controller.playbook(playbook, "--limit", ",".join(names), **env)
        wall = time.perf_counter() - start
        controller = children_seconds() - programs + self._connections.seconds() - connections
        host = (sum(host.seconds() for host in hosts) - on_hosts) / len(hosts) - self.idle * wall
        if done.returncode:
            raise RuntimeError(f"{way.label}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return Cost(wall, controller, host)

    def _playbook(self, key: str) -> Path:
        return self._town.folder / f"{key}.json"

    def _idle_rate(self) -> float:
        before = sum(one.seconds() for one in self._processors.values())
        time.sleep(IDLE_SECONDS)
        after = sum(one.seconds() for one in self._processors.values())
        return (after - before) / len(self._processors) / IDLE_SECONDS
