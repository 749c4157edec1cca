"""The containers that hosts live in: starting, labelling and clearing them up."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.tools import locked, run

NETWORK = "civicops-tests"
TEST_LABEL = "civicops.test=1"
OWNER_LABEL = "civicops.owner"
KEEP = "kept"  # the owner of `make town-up` hosts, which outlive their process
HOSTS_AT_ONCE = 30
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 512
INOTIFY_PER_HOST = 7
"""inotify instances that a host with systemd takes, about; past what the machine allows hosts fail in strange ways."""


def this_process() -> str:
    """Name this process so that a later one can tell whether it still runs, across reused ids and reboots."""
    return _process(os.getpid()) or "unknown"


def _process(pid: int) -> str | None:
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return None
    return f"{pid}-{started}-{boot}"


def is_alive(owner: str) -> bool:
    """Whether the process of that name still runs; kept hosts always count as alive."""
    pid = owner.partition("-")[0]
    return owner == KEEP or (pid.isdigit() and _process(int(pid)) == owner)


@dataclass(frozen=True)
class Container:
    """One of our containers, running or not."""

    name: str
    owner: str
    state: str


def containers(owner: str | None = None) -> list[Container]:
    """Our containers; with `owner`, only that one's."""
    filters = ["--filter", f"label={TEST_LABEL}"]
    if owner:
        filters += ["--filter", f"label={OWNER_LABEL}={owner}"]
    listed = json.loads(run(["podman", "ps", "-a", *filters, "--format", "json"]).stdout or "[]")
    return [Container(one["Names"][0], one["Labels"].get(OWNER_LABEL, ""), one["State"]) for one in listed]


def sweep() -> list[str]:
    """Remove the hosts that killed runs left behind; never those of a living run. Returns their names."""
    dead = [one.name for one in containers() if not is_alive(one.owner)]
    remove(*dead)
    return dead


def hosts_at_once() -> int:
    """How many hosts this machine lets run side by side; root raises its limit of inotify instances for that."""
    if int(INOTIFY.read_text()) < INOTIFY_WANTED:
        with contextlib.suppress(OSError):
            INOTIFY.write_text(str(INOTIFY_WANTED))
    return min(HOSTS_AT_ONCE, int(INOTIFY.read_text()) // INOTIFY_PER_HOST)


def wait_for_room(wanted: int, *, seconds: float = 600, pause: float = 2) -> None:
    """Return as soon as so many more hosts may run: the other workers' tests give theirs back when they end.

    :raises RuntimeError: there was no room in that time.
    """
    end, most = time.monotonic() + seconds, hosts_at_once()
    while (running := len(containers())) + wanted > most:
        if time.monotonic() > end:
            raise RuntimeError(f"{running} hosts run and {wanted} more are wanted: {most} at most")
        time.sleep(pause)


def remove(*names: str) -> None:
    """Remove containers, paused and stopped ones too; those already gone are fine."""
    for name in names:
        run(["podman", "unpause", name], check=False)
        run(["podman", "rm", "-f", "-i", "-t", "0", "-v", name])


def ensure_network() -> str:
    """The bridge of the test hosts; returns the first three parts of its addresses."""
    with locked("network"):
        if run(["podman", "network", "exists", NETWORK], check=False).returncode:
            run(["podman", "network", "create", "--disable-dns", "--label", TEST_LABEL, NETWORK])
        subnet = json.loads(run(["podman", "network", "inspect", NETWORK]).stdout)[0]["subnets"][0]["subnet"]
    return str(subnet).rpartition(".")[0]


def launch() -> list[str]:
    """The beginning of every `podman run`: limits that runc accepts everywhere, and cgroups that systemd finds.

    crun fails on hybrid cgroups, hence runc. Within a container on such a machine, podman looks for its cgroup under
    the outer container's path, which is not mounted there; the whole tree is.
    """
    command = ["podman", "--runtime", "runc", "run", "--systemd=always"]
    command += ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=1000:1000", "--network", NETWORK]
    nested = Path("/run/.containerenv").exists() or Path("/.dockerenv").exists()
    if nested and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        command += ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro"]
    return command


def start(name: str, image: str, *, hostname: str, owner: str, options: tuple[str, ...] = ()) -> str:
    """Start systemd in a container with an address that stays across reboots; returns the address."""
    prefix = ensure_network()
    command = [*launch(), "-d", "--name", name, "--hostname", hostname, "--restart=always"]
    command += ["--label", TEST_LABEL, "--label", f"{OWNER_LABEL}={owner}", *options]
    for _ in range(5):
        number = random.randint(20, 250)  # noqa: S311
        address = f"{prefix}.{number}"
        # As on a real machine the hardware address stays: a new one would be unreachable until ARP forgets the old.
        place = ["--ip", address, "--mac-address", f"02:00:00:00:00:{number:02x}"]
        done = run([*command, *place, image, "/lib/systemd/systemd"], check=False)
        if done.returncode == 0:
            return address
        remove(name)
        if "allocated" not in done.stderr and "in use" not in done.stderr:
            break
    raise RuntimeError(f"host {name} did not start: {done.stderr.strip()}")


def execute(
    name: str, script: str, *, stdin: str | None = None, timeout: float = 60, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root at the container's console, without the network."""
    options = ["-i"] if stdin is not None else []
    return run(["podman", "exec", *options, name, "sh", "-ec", script], stdin=stdin, timeout=timeout, check=check)
