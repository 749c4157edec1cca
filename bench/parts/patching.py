"""A patch night against apt over SSH and against the usual playbook: ten real hosts with real pending updates each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.hosts import podman
from tests.hosts.controller import BIN, Done
from tests.hosts.host import Host, private_key
from tests.hosts.nights import ask_ledger
from tests.hosts.patching import town_file
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

from bench.meter import Connections, HostProcessor, children_seconds
from bench.result import Options, Section, Table, Target

TITLE = "Patch nights"
HOSTS = 10
SETTLE_SECONDS = 65.0
"""ext4 passes over inodes that were deleted within the last minute one by one (RECENTCY_MIN in fs/ext4/ialloc.c): the
removal of other hosts shortly before made the same apt half as slow again."""
MANY = 100
APT = (
    "DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold {} upgrade"
)
# As docs/site.md has it, and for every way that is measured.
_SITE = "[defaults]\nforks = 50\ninternal_poll_interval = 0.05\n[ssh_connection]\npipelining = True\n"
# As patch playbooks are written: facts, lists, what is there, the upgrade, what is there now, a reboot, services.
USUAL: list[dict[str, Any]] = [
    {"ansible.builtin.setup": {}},
    {"ansible.builtin.package_facts": {}},
    {"ansible.builtin.apt": {"update_cache": True, "cache_valid_time": 86400}},
    {"ansible.builtin.apt": {"upgrade": "safe", "dpkg_options": "force-confdef,force-confold"}},
    {"ansible.builtin.package_facts": {}},
    {"ansible.builtin.stat": {"path": "/run/reboot-required"}, "register": "wanted"},
    {"ansible.builtin.reboot": {}, "when": "wanted.stat.exists"},
    {"ansible.builtin.service_facts": {}},
]


@dataclass(frozen=True)
class Cost:
    """What one way cost: wall time, controller CPU and CPU of all hosts, in seconds."""

    label: str
    wall: float
    controller: float
    hosts: float


def run(options: Options) -> Section:
    """Measure each way on ten hosts of its own, and memory with a hundred names.

    A machine at work grows slower: the same apt took 15 s of processor time first and 19 s some minutes later. So apt
    is measured before our night and after it, and their mean is what the night is compared with.
    """
    del options  # a night is long enough to be measured once
    usual = _of_its_own("the usual 8 tasks", _usual)
    before = _of_its_own("apt over SSH, downloaded before", _apt)
    with _town() as town:
        pending = next(iter(town.hosts.values())).pending_updates()
        _good(town.controller.civicops("run", "patch_stage", town.name, timeout=900))
        memory = _memory(town)  # staged, as a hundred surveys at once on two cores would not end in time
        ours = _measured(town, "`civicops.town.patch_night`, staged before", _night)
        nights = {one["host"]: one for one in ask_ledger(town, "patch") if not one["check"]}
        _mirror_gone(town)
        _good(town.controller.civicops("run", "rollback", town.name, timeout=900))
        backs = [one for one in ask_ledger(town, "patch") if one.get("of_run")]
    after = _of_its_own("the same, after the night", _apt)
    return _section([usual, before, ours, after], pending, memory, list(nights.values()), backs)


def _of_its_own(label: str, way: Callable[[Town], None]) -> Cost:
    with _town() as town:
        _prepare(town)
        return _measured(town, label, way)


def _section(
    costs: list[Cost], pending: int, memory: float, nights: list[dict[str, Any]], backs: list[dict[str, Any]]
) -> Section:
    usual, before, ours, after = costs
    wall, processor = (before.wall + after.wall) / 2, (before.hosts + after.hosts) / 2
    install = median(one["phases"]["install"] for one in nights)
    back = median(one["rollback"]["seconds"] for one in backs)
    identical = all(one["rollback"]["packages_identical"] and one["rollback"]["files_identical"] for one in backs)
    targets = [
        Target(f"{HOSTS} hosts: controller CPU per patched host", ours.controller / HOSTS, 1.0, "s"),
        Target(f"{HOSTS} hosts: wall time / apt over SSH", ours.wall / wall, 1.2),
        Target("rolling back without a mirror / installing", back / install, 1.0),
    ]
    headings = ("", "wall s", "/ apt", "controller CPU s", "per host", "/ usual", "host CPU s per host", "/ apt")
    rows = [
        [
            one.label,
            f"{one.wall:.1f}",
            f"{one.wall / wall:.2f}",
            f"{one.controller:.2f}",
            f"{one.controller / HOSTS:.2f}",
            f"{one.controller / usual.controller:.2f}",
            f"{one.hosts / HOSTS:.1f}",
            f"{one.hosts / processor:.2f}",
        ]
        for one in costs
    ]
    phases = sorted({name for one in nights for name in one["phases"]})
    spent = [[name, f"{median(one['phases'].get(name, 0.0) for one in nights):.2f}"] for name in phases]
    notes = [
        f"{HOSTS} Debian 12 hosts (systemd, sshd) on this machine's {os.cpu_count()} cores, {pending} pending updates "
        "each, all of them from the security archive; fresh hosts for each way. One ring, no soak, no reboot, packages "
        "downloaded before.",
        "apt was measured before our night and after it; ratios are to their mean, as a machine at work grows slower.",
        "Controller: user and system time of everything that was started on it, ssh included. A night's figures hold "
        "the gate, the probes, the copy of /etc, the restart of services and the record in the ledger, which the "
        "others don't have.",
        f"Rolled back afterwards, the sources out of reach: {back:.1f} s, installing {install:.1f} s (medians); "
        f"{'all' if identical else 'NOT all'} of {len(backs)} hosts identical in packages and files.",
        f"Peak memory of the controller's processes at {MANY} hosts, 50 forks: {memory:.0f} MB (proportional set size; "
        f"a rehearsal in check mode over {MANY} names of the {HOSTS} hosts).",
    ]
    tables = [Table("", headings, rows), Table("A night's phases on a host, median seconds:", ("phase", "s"), spent)]
    return Section(notes, tables, targets)


@contextmanager
def _town() -> Iterator[Town]:
    ensure_tools()
    podman.sweep()
    specs = {f"host{number:02}": Spec(updates=True) for number in range(1, HOSTS + 1)}
    hosts = start_hosts(specs)
    try:
        folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
        town = Town("bench", hosts, folder, specs, timezone="UTC", town=town_file())
        (folder / "ansible.cfg").write_text(_SITE)
        try:
            yield town
        finally:
            Connections(town.sockets).close()
            town.close()
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        podman.remove(*(host.container for host in hosts.values()))


def _measured(town: Town, label: str, way: Callable[[Town], None]) -> Cost:
    os.sync()
    time.sleep(SETTLE_SECONDS)
    processors = [HostProcessor(host) for host in town.hosts.values()]
    connections = Connections(town.sockets)
    before = sum(one.seconds() for one in processors), connections.seconds()
    programs, start = children_seconds(), time.perf_counter()
    way(town)
    wall = time.perf_counter() - start
    controller = children_seconds() - programs + connections.seconds() - before[1]
    return Cost(label, wall, controller, sum(one.seconds() for one in processors) - before[0])


def _prepare(town: Town) -> None:
    """Download before, as staging does."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda host: host.run(APT.format("-d"), timeout=600), town.hosts.values()))


def _apt(town: Town) -> None:
    """One ssh for each host, all at once."""
    known = town.state / town.name / "known_hosts"
    options = ["-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-F", "none", "-i", str(private_key())]

    def one(host: Host) -> None:
        subprocess.run(
            ["ssh", *options, f"root@{host.address}", APT.format("")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    with ThreadPoolExecutor(HOSTS) as pool:
        list(pool.map(one, town.hosts.values()))


def _usual(town: Town) -> None:
    play = [{"hosts": "all", "gather_facts": False, "tasks": USUAL}]
    path = town.folder / "usual.json"
    path.write_text(json.dumps(play))
    _good(town.controller.playbook(path, timeout=1800, ANSIBLE_CONFIG=str(town.folder / "ansible.cfg")))


def _night(town: Town) -> None:
    callbacks = {"ANSIBLE_CALLBACKS_ENABLED": "civicops.town.run", "ANSIBLE_CONFIG": str(town.folder / "ansible.cfg")}
    _good(town.controller.playbook("civicops.town.patch_night", timeout=1800, **callbacks))


def _mirror_gone(town: Town) -> None:
    for host in town.hosts.values():
        host.run(
            "sed -i 's,http[s]*://[^/ ]*,http://127.0.0.1:9,' $(find /etc/apt -name '*.list' -o -name '*.sources')"
        )


def _memory(town: Town) -> float:
    """The most that the controller's processes have held at once, in MB: a rehearsal over a hundred names."""
    names = {
        f"pc{number:03}": {"ansible_host": host.address}
        for number, host in zip(range(MANY), list(town.hosts.values()) * MANY, strict=False)
    }
    folder = town.folder / "many" / town.name
    shutil.copytree(town.inventory, folder)
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": names}}))
    callbacks = {"ANSIBLE_CALLBACKS_ENABLED": "civicops.town.run", "ANSIBLE_CONFIG": str(town.folder / "ansible.cfg")}
    most, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.2):
            most = max(most, _held(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    extra = json.dumps({"patch_serial": MANY})
    options = ["-i", str(folder), "--check", "-e", extra, "civicops.town.patch_night"]
    try:
        controller = town.controller
        ssh = {"ANSIBLE_HOST_KEY_CHECKING": "True"} | callbacks
        ssh["ANSIBLE_SSH_COMMON_ARGS"] = f"-o UserKnownHostsFile={town.state / town.name / 'known_hosts'}"
        done = controller.run(BIN / "ansible-playbook", *options, timeout=1800, env=ssh)
    finally:
        over.set()
        watcher.join()
    _good(done)
    return most


def _held(top: int) -> float:
    """Proportional set size of all descendants of a process, in MB."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    mine: set[int] = set()
    grown = {pid for pid, parent in parents.items() if parent == top}
    while grown - mine:
        mine |= grown
        grown = {pid for pid, parent in parents.items() if parent in mine}
    total = 0
    for pid in mine:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024


def _good(done: Done) -> None:
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
