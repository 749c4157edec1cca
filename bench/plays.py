"""Plays on a town of real hosts, with meters on the controller and on every host."""

from __future__ import annotations

import json
import shutil
import sysconfig
import tempfile
import time
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

IDLE_SECONDS = 5

_SETTINGS = """[defaults]
forks = 10
retry_files_enabled = False
[ssh_connection]
pipelining = True
ssh_args = -C -o ControlMaster=auto -o ControlPersist=15m
"""
RECORDING = {"ANSIBLE_CALLBACKS_ENABLED": "civicops.town.run"}
LATER = {"CIVICOPS_INGEST": "later"}


@dataclass(frozen=True)
class Way:
    """One way of asking hosts: a play of our own (its tasks), or a playbook of the collection; `env` where the run is
    recorded."""

    label: str
    tasks: tuple[dict[str, Any], ...] = ()
    playbook: str = ""
    env: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Cost:
    """What one play cost; `host` is per host."""

    wall: float
    controller: float
    host: float


@contextmanager
def town_of(specs: Mapping[str, Spec], **more: Any) -> Iterator[Town]:
    """A town of fresh hosts for a measurement, removed afterwards."""
    ensure_tools()
    podman.sweep()
    hosts = start_hosts(dict(specs))
    try:
        folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
        town = Town("bench", hosts, folder, dict(specs), **more)
        try:
            yield town
        finally:
            Connections(town.sockets).close()
            town.close()
            shutil.rmtree(folder, ignore_errors=True)  # an interrupted play may still be writing
    finally:
        podman.remove(*(host.container for host in hosts.values()))


class Plays:
    """Plays the ways on the town's hosts, and meters them."""

    def __init__(self, town: Town, ways: Mapping[str, Way]) -> None:
        self._town = town
        self._ways = ways
        # A copy, so that it can be installed anew meanwhile and one version is measured.
        library = Path(sysconfig.get_path("purelib"), "ansible_collections", "civicops")
        shutil.copytree(library, town.folder / "collections" / "ansible_collections" / "civicops")
        (town.folder / "ansible.cfg").write_text(_SETTINGS)
        for key, way in ways.items():
            play = {"hosts": "all", "gather_facts": False, "tasks": list(way.tasks)}
            self._playbook(key).write_text(json.dumps([play]))
        self._connections = Connections(town.sockets)
        self._processors = {name: HostProcessor(host) for name, host in town.hosts.items()}
        self.idle = self._idle_rate()

    def measure(self, count: int, rounds: int) -> dict[str, Cost]:
        """The median cost of each way on the first `count` hosts; the ways take turns, each round begins elsewhere."""
        keys = list(self._ways)
        names = list(self._town.hosts)[:count]
        taken: dict[str, list[Cost]] = {key: [] for key in keys}
        for key in keys:
            self.play(key, names)
        for number in range(rounds):
            shift = number % len(keys)
            for key in keys[shift:] + keys[:shift]:
                taken[key].append(self.play(key, names))
        return {
            key: Cost(
                median(cost.wall for cost in costs),
                median(cost.controller for cost in costs),
                median(cost.host for cost in costs),
            )
            for key, costs in taken.items()
        }

    def play(self, key: str, names: list[str]) -> Cost:
        """Play one way once on these hosts.

        :raises RuntimeError: it did not succeed.
        """
        way = self._ways[key]
        env: dict[str, Any] = {
            "ANSIBLE_CONFIG": str(self._town.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._town.folder / "collections"),
        }
        if way.env is not None:
            env |= RECORDING | dict(way.env)
        hosts = [self._processors[name] for name in names if name in self._processors] or [*self._processors.values()]
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
