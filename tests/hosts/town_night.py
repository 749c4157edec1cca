"""One whole night over a town: a dozen real hosts in three rings with real pending security updates, a machine with a
kernel of its own among them, then a second night that finds nothing to do, and the morning report."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.hosts import podman
from tests.hosts.dnf import RpmRepository
from tests.hosts.host import SIMULATE_UPGRADE, Host
from tests.hosts.nights import ask_ledger
from tests.hosts.patching import of, patch, stage, state, town_file, whole
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts
from tests.hosts.vm import Vm

SOAK_SECONDS = 60
SYSTEMS: list[dict[str, Any]] = [
    {"id": "database", "name": "The database", "probes": [{"kind": "unit", "unit": "cron.service"}]},
    {"id": "billing", "name": "Water billing", "needs": ["database"], "probes": [{"kind": "port", "port": 22}]},
    {"id": "desks", "name": "Desks", "probes": [{"kind": "command", "command": ["/usr/bin/ssh", "-V"]}]},
]
SPECS: dict[str, Spec] = {
    "pc01": Spec("bookworm", updates=True, groups=("ring_canary", "system_desks")),
    "pc02": Spec("bullseye", updates=True, groups=("ring_canary", "system_desks")),
    "pc03": Spec("trixie", updates=True, groups=("ring_early", "system_desks")),
    "app": Spec("bookworm", updates=True, groups=("ring_early", "system_billing")),
    "db": Spec("bookworm", updates=True, groups=("ring_early", "system_database")),
    "pc04": Spec("bookworm", updates=True, groups=("system_desks", "pair_counter")),
    "pc05": Spec("bullseye", updates=True, groups=("system_desks", "pair_counter")),
    "pc06": Spec("trixie", updates=True, groups=("system_desks",)),
    "pc07": Spec("bookworm", updates=True, groups=("system_desks",)),
    "pc08": Spec("bullseye", updates=True, groups=("system_desks",)),
    "rpm1": Spec("bookworm-dnf", vars={"patch_manager": "dnf"}),
}
PANEL = Spec("bookworm", groups=("observe_only",))
RINGS = ("ring_canary", "ring_early", "")


@contextmanager
def _hosts(with_vm: bool) -> Iterator[dict[str, Host]]:
    specs = dict(SPECS) | {"panel": PANEL}
    hosts = start_hosts(specs)
    vm = None
    try:
        RpmRepository(hosts["rpm1"]).enable(["fv-rpm-1.0", "fv-rpm-conf-1.0"])
        if with_vm:
            vm = Vm.launch("kernel1").with_security_updates()
            hosts["kernel1"] = vm
        yield hosts
    finally:
        if vm is not None:
            vm.remove()
        podman.remove(*(host.container for name, host in hosts.items() if name != "kernel1"))


def night(seed: int, size: int) -> tuple[list[str], list[str]]:
    """The night; what it came to, and the promises that it broke. `size` 0 leaves the machine with the kernel out."""
    del seed  # nothing here is left to chance
    ensure_tools()
    podman.sweep()
    with _hosts(with_vm=size > 0) as hosts, tempfile.TemporaryDirectory() as folder:
        specs = {name: SPECS.get(name, PANEL) for name in hosts}
        if "kernel1" in hosts:
            specs["kernel1"] = Spec(vars=dict(hosts["kernel1"].vars))  # type: ignore[attr-defined]
        file = town_file(systems=SYSTEMS, without_rollback="patch")
        file["maintenance"]["soak"] = f"{SOAK_SECONDS // 60}m"
        town = Town("fairmont", hosts, Path(folder), specs, timezone="UTC", town=file)
        try:
            return _told(town)
        finally:
            town.close()


def _told(town: Town) -> tuple[list[str], list[str]]:
    broken: list[str] = []
    patched = {name: host for name, host in town.hosts.items() if name != "panel"}
    panel = state(town.host("panel"))
    before = {name: _waiting(host, name) for name, host in patched.items()}
    kernel = town.host("kernel1").run("uname -r").stdout.strip() if "kernel1" in patched else ""
    staged = stage(town)
    if staged["exit_status"] != 0:
        broken.append(f"staging: {staged['reasons']}")
    began = time.monotonic()
    done = patch(town, timeout=7200)
    minutes = (time.monotonic() - began) / 60
    told = {name: of(town, name, done["run"]) for name in patched}
    for name, host in patched.items():
        host.wait_ready()
        if (done["hosts"][name], told[name]["outcome"]) not in (("changed", "done"), ("ok", "done")):
            broken.append(f"{name}: {done['hosts'][name]}, {told[name]['outcome']}: {told[name]['reason']}")
        if left := _waiting(host, name):
            broken.append(f"{name}: {left} security updates still wait")
        if name != "rpm1" and not whole(host):
            broken.append(f"{name}: dpkg finds something by halves")
    if state(town.host("panel")) != panel:
        broken.append("panel: it is never to be changed, and was")
    broken += _order(town, done["run"], told)
    now = {name: state(host) for name, host in patched.items()}
    again = patch(town, timeout=3600)
    second = {name: again["hosts"][name] for name in patched}
    if set(second.values()) != {"ok"} or again["exit_status"] != 0:
        broken.append(f"the second night: {second}, {again['reasons']}")
    broken += [f"{name}: the second night changed it" for name, host in patched.items() if state(host) != now[name]]
    lines = [_line(name, town, told[name], before[name]) for name in patched]
    kernels = told["kernel1"]["reboot"] if "kernel1" in patched else {}
    if kernels and (not kernels["done"] or kernels["kernel_after"] == kernel):
        broken.append(f"kernel1: {kernels}")
    pages = sorted(path.name for path in town.state.glob(f"{town.name}/reports/*patch*"))
    wanted = {f"{town.name}-patch-{run['run']}-{edition}.html" for run in (done, again) for edition in EDITIONS}
    if not wanted <= set(pages):
        broken.append(f"the morning report: {pages}")
    summary = _summary(town, done["run"])
    head = "| host | system | ring | waited | changed | outcome | install s | restarts | reboot |"
    table = [head, "|" + "---|" * 9, *lines]
    text = [
        f"{len(patched)} hosts, {sum(before.values())} security updates, {minutes:.1f} minutes with a soak of "
        f"{SOAK_SECONDS} s between rings; {len(town.hosts) - len(patched)} host that is never changed.",
        "",
        *table,
        "",
        f"Second night: {dict(Counter(second.values()))}.",
        "",
        "The manager's summary of the first:",
        "",
        *(f"> {line}" for line in summary),
    ]
    return text, broken


EDITIONS = ("manager", "engineer")


def _waiting(host: Host, name: str) -> int:
    """Security updates that wait, by another way than ours."""
    if name == "rpm1":
        listed = host.run("dnf -q updateinfo list --security 2>/dev/null", check=False).stdout
        return len({line.split()[-1] for line in listed.splitlines() if line.strip()})
    listed = host.run(SIMULATE_UPGRADE, timeout=300).stdout
    return sum(line.startswith("Inst ") and "-security" in line for line in listed.splitlines())


def _order(town: Town, run: str, told: Mapping[str, dict[str, Any]]) -> list[str]:
    """Rings one after the other, the soak kept, the pair apart, the database before its application."""
    gate = [one for one in ask_ledger(town, "gate") if one["run"] == run and one["decision"] == "open"]
    rings: dict[str, list[str]] = {}
    for one in gate:
        rings.setdefault(one["ring"], []).append(one["host"])
    times = {name: (one["started_at"], one["ended_at"]) for name, one in told.items() if one["started_at"]}
    broken = []
    order = [[name for name in rings.get(ring, []) if name in times] for ring in ("canary", "early", "broad")]
    for former, later in pairwise(order):
        if former and later:
            ended, begins = max(times[name][1] for name in former), min(times[name][0] for name in later)
            if _seconds(begins) - _seconds(ended) < SOAK_SECONDS - 5:
                broken.append(f"{later} began {_seconds(begins) - _seconds(ended)} s after {former}")
    for first, second in (("db", "app"), ("pc04", "pc05")):
        if {first, second} <= times.keys():
            (began, ended), (other_began, other_ended) = times[first], times[second]
            apart = ended <= other_began or (first == "pc04" and other_ended <= began)
            if not apart:
                broken.append(f"{first} and {second} overlap: {times[first]}, {times[second]}")
    return broken


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def _line(name: str, town: Town, told: dict[str, Any], waited: int) -> str:
    groups = town.specs[name].groups
    ring = next((group[5:] for group in groups if group.startswith("ring_")), "broad")
    reboot = told.get("reboot") or {}
    rebooted = f"{reboot['kernel_before']} to {reboot['kernel_after']}" if reboot.get("done") else "none"
    cells = [
        name,
        town.specs[name].release if name != "kernel1" else "bookworm, its own kernel",
        ring,
        str(waited),
        str(len(told["changes"]["rows"])),
        told["outcome"],
        f"{told.get('phases', {}).get('install', 0):.0f}",
        str(len((told.get("restarts") or {}).get("done", []))),
        rebooted,
    ]
    return "| " + " | ".join(cells) + " |"


def _summary(town: Town, run: str) -> list[str]:
    done = town.controller.civicops("report", town.name, "--run", run, "--edition", "manager", "--json")
    found = json.loads(done.stdout)
    return [str(line) for line in found.get("summary", [])]
