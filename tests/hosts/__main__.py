"""`python3 -m tests.hosts up|down|status|images`: a small town of real hosts to try things on by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.hosts import podman
from tests.hosts.controller import ROOT
from tests.hosts.host import Host
from tests.hosts.images import ensure_images
from tests.hosts.tools import HostsUnavailable, ensure_tools, run
from tests.hosts.town import Spec, Town, start_hosts

FOLDER = ROOT / ".cache" / "town"
PREFIX = "town-"
TOWN = {
    "web1": Spec("bookworm", updates=True, groups=("ring_early", "dept_clerk")),
    "pc1": Spec("trixie", groups=("ring_canary", "dept_clerk")),
    "old1": Spec("bullseye", groups=("ring_last", "dept_works")),
}


def up() -> None:
    """Start what is missing of the town, and say how to use it."""
    ensure_tools()
    podman.sweep()
    ensure_images()
    there = {one.name: one for one in podman.containers(podman.KEEP)}
    hosts: dict[str, Host] = {}
    for name, spec in TOWN.items():
        if PREFIX + name in there:
            hosts[name] = Host.adopt(name, spec.release, PREFIX + name)
    missing = {name: spec for name, spec in TOWN.items() if name not in hosts}
    hosts |= start_hosts(missing, owner=podman.KEEP, prefix=PREFIX)
    town = Town("demo", {name: hosts[name] for name in TOWN}, FOLDER, dict(TOWN))
    town.close()
    print(_summary(town))


def down() -> None:
    """Remove the town, and what killed test runs left behind."""
    if not Path("/usr/bin/podman").exists():
        return print("no podman, so no hosts")
    names = [one.name for one in podman.containers(podman.KEEP)]
    podman.remove(*names)
    names += podman.sweep()
    print(f"removed: {', '.join(names)}" if names else "no hosts to remove")
    return None


def status() -> None:
    """List our hosts, with who holds them."""
    for one in podman.containers():
        holder = "town-up" if one.owner == podman.KEEP else "a test run"
        print(f"{one.name:30} {one.state:10} {holder if podman.is_alive(one.owner) else 'left behind by a killed run'}")


def _summary(town: Town) -> str:
    """The lines that `make town-up` ends with."""
    known = town.state / town.name / "known_hosts"
    shown = [f"  {name:6} {host.release:9} {host.address:13} {fingerprint(host)}" for name, host in town.hosts.items()]
    state, inventories = (str(path.relative_to(ROOT)) for path in (town.state, town.inventories))
    return "\n".join(
        [
            "Three hosts are up. Their ED25519 keys, read at each host's console, not over the network:",
            *shown,
            f"known_hosts: {known.relative_to(ROOT)}   (check: ssh-keygen -lf {known.relative_to(ROOT)})",
            f"inventory:   {town.inventory.relative_to(ROOT)}",
            "Try it:",
            f"  CIVICOPS_STATE={state} CIVICOPS_INVENTORIES={inventories} .venv/bin/civicops checkup {town.name}",
            "A shell on one: podman exec -it town-web1 bash      Remove them: make town-down",
        ]
    )


def fingerprint(host: Host) -> str:
    """The host's ED25519 fingerprint as ssh prints it."""
    key = next(key for key in host.keys if key.startswith("ssh-ed25519"))
    return run(["ssh-keygen", "-lf", "-"], stdin=key + "\n").stdout.split()[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.hosts", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "images"))
    command = parser.parse_args().command
    try:
        if command == "images":
            ensure_tools()
            ensure_images()
        else:
            {"up": up, "down": down, "status": status}[command]()
    except HostsUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
