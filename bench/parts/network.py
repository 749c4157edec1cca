"""Configuration backup of replayed network devices: the whole job, against one process for each device."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts.replayed import ReplayedTown
from tests.standins.playing import PASSWORD, USER

from bench.meter import children_seconds
from bench.result import Options, Section, Table, Target

TITLE = "Network devices"
DEVICES, USUAL_DEVICES = 200, 50
_DATA = Path(os.environ.get("CIVICOPS_TEST_DATA", Path(__file__).resolve().parents[3] / "shared/data")) / "devices"
_RECORDING = _DATA / "ios_C9200L-24P-4G_17.09.04a_simulation.yaml"
_LOOK_EVERY = 0.1
# What a module of the usual kind does for each device, in a process of its own.
_USUAL = """
import sys
from netmiko import ConnectHandler
device = ConnectHandler(device_type="cisco_ios", host="127.0.0.1", port=int(sys.argv[1]), username=sys.argv[2],
                        password=sys.argv[3])
text = device.send_command("show running-config", read_timeout=60)
open(sys.argv[4], "w").write(text)
"""


@dataclass
class Peak:
    """The most memory that a program and all that it starts have had at one time, in MB: each page counts once."""

    megabytes: float = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self, program: int) -> None:
        """Look until it is over."""
        while not self._over.wait(_LOOK_EVERY):
            self.megabytes = max(self.megabytes, sum(map(_kibibytes, _tree(program))) / 1024)

    def end(self) -> None:
        self._over.set()


def run(options: Options) -> Section:
    """Back up 200 devices for the first time, again unchanged, and 50 in the usual way."""
    with tempfile.TemporaryDirectory(prefix="civicops-bench-") as folder, _devices(DEVICES) as told:
        town = _Town(Path(folder), told)
        ping = town.play("ping")
        first = town.play("civicops.town.network_backup")
        commits = town.commits()
        again = min((town.play("civicops.town.network_backup") for _ in range(2)), key=lambda one: one.wall)
        unchanged = town.commits() - commits
        usual = town.play("usual", USUAL_DEVICES)
        fifty = town.play("civicops.town.network_backup", USUAL_DEVICES)
    if commits != DEVICES:
        raise RuntimeError(f"{commits} commits of {DEVICES} devices")
    rows = [
        _row(f"`ping`, {DEVICES} local hosts", ping),
        _row(f"{DEVICES} devices, for the first time: {commits} commits", first),
        _row(f"{DEVICES} devices, unchanged: {unchanged} commits", again),
        _row(f"{USUAL_DEVICES} devices, unchanged", fifty),
        _row(f"{USUAL_DEVICES} devices the usual way: a process each, one command, nothing kept", usual),
    ]
    notes = [
        "Each device is the recorded session of a Cisco Catalyst 9200L (IOS-XE), played by an SSH server in a process "
        "of its own on this machine, whose processor time is not counted as ours but shares the two cores. Real "
        "devices answer more slowly, and at the same time.",
        "The whole job: `ansible-playbook civicops.town.network_backup`, facts included, documents spooled and taken "
        "into the ledger, raw forms encrypted, git. Memory is that of all its processes together (PSS).",
    ]
    targets = [
        Target(f"{DEVICES} devices, unchanged: wall time", again.wall, 15, "s"),
        Target(f"{DEVICES} devices, for the first time: wall time", first.wall, 15, "s"),
        Target("memory at its peak", max(first.megabytes, again.megabytes), 400, "MB"),
        Target("commits of unchanged devices", float(unchanged), 0, "commits"),
        Target(f"{USUAL_DEVICES} devices, controller CPU / the usual way's", fifty.processor / usual.processor, 0.5),
    ]
    return Section(notes, [Table("", ("", "wall s", "controller CPU s", "memory MB"), rows)], targets)


@dataclass(frozen=True)
class _Cost:
    wall: float
    processor: float
    megabytes: float


def _row(label: str, cost: _Cost) -> list[str]:
    return [label, f"{cost.wall:.1f}", f"{cost.processor:.1f}", f"{cost.megabytes:.0f}"]


class _Town(ReplayedTown):
    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        devices = {f"sw{number:03}": {"netmiko_port": port} for number, port in enumerate(told["ports"])}
        super().__init__(folder, devices, told["known_hosts"], name="bench")
        login = ["{{ netmiko_port }}", USER, PASSWORD, f"{folder}/{{{{ inventory_hostname }}}}.cfg"]
        self._plays: dict[str, dict[str, Any]] = {
            "ping": {"ansible.builtin.ping": {}},
            "usual": {"ansible.builtin.command": {"argv": [sys.executable, "-c", _USUAL, *login]}},
        }
        for name, task in self._plays.items():
            play = {"hosts": "network", "gather_facts": False, "tasks": [task]}
            (folder / f"{name}.json").write_text(json.dumps([play]))
        (folder / "ansible.cfg").write_text("[defaults]\nforks = 50\nretry_files_enabled = False\n")

    def play(self, name: str, count: int = DEVICES) -> _Cost:
        playbook = str(self.folder / f"{name}.json") if name in self._plays else name
        environment = {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg")}
        if playbook == name:
            environment["ANSIBLE_CALLBACKS_ENABLED"] = "civicops.town.run"
        limit = f"network[0:{count - 1}]"
        started, before = time.perf_counter(), children_seconds()
        process = self.controller.start(
            Path(sys.executable).parent / "ansible-playbook",
            *("-i", self.inventory, "--vault-id", f"bench@{self.vault}", "--limit", limit),
            playbook,
            env=environment,
        )
        peak = Peak()
        watcher = threading.Thread(target=peak.watch, args=(process.pid,))
        watcher.start()
        try:
            output, _ = process.communicate()
        finally:
            peak.end()
            watcher.join()
        wall = time.perf_counter() - started
        if process.returncode:
            raise RuntimeError(f"{name}: exit {process.returncode}\n{output[-3000:]}")
        return _Cost(wall, children_seconds() - before, peak.megabytes)

    def commits(self) -> int:
        done = subprocess.run(
            ["git", "-C", self.configs, "rev-list", "--count", "main"], capture_output=True, check=True
        )
        return int(done.stdout)


@contextmanager
def _devices(count: int) -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.standins.replayer", str(_RECORDING), "--count", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def _tree(program: int) -> set[int]:
    """A process and all that come from it: Ansible's workers have sessions of their own."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {program}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _kibibytes(pid: int) -> int:
    """A process's share of memory."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
