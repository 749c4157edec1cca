"""`python3 -m tests.hosts up|down|status|images`: a small town of real hosts to try things on by hand."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass

from tests.hosts import podman
from tests.hosts.controller import ROOT
from tests.hosts.host import Host
from tests.hosts.images import ensure_image, ensure_images
from tests.hosts.tools import HostsUnavailable, ensure_tools, run
from tests.hosts.town import Spec, Town, start_hosts

FOLDER = ROOT / ".cache" / "town"


# Open at all hours, so that `civicops run wait`, `patch` and `baseline` can be tried whenever somebody wants to.
ALWAYS = {
    "id": "always",
    "jobs": ["wait", "patch", "baseline"],
    "rrule": "FREQ=DAILY",
    "start": "00:00",
    "duration": "24h",
}


@dataclass(frozen=True)
class Kept:
    """A town that outlives its process, until `down`."""

    hosts: dict[str, Spec]
    prefix: str

    def containers(self) -> list[str]:
        """Its containers that are there."""
        return [one.name for one in podman.containers(podman.KEEP) if one.name.startswith(self.prefix)]


# Of nothing that lasts: a town keeps its own in a vault.
SECRETS = {
    "backup_secrets": {
        host: {kind: f"{kind}-password-of-{host}-here" for kind in ("server", "repository")}
        for host in ("bullseye", "trixie")
    }
}
TOWNS = {
    "demo": Kept(
        {
            "web1": Spec("bookworm", updates=True, groups=("ring_early", "dept_clerk")),
            "pc1": Spec("trixie", groups=("ring_canary", "dept_clerk")),
            "old1": Spec("bullseye", groups=("ring_last", "dept_works")),
        },
        "town-",
    ),
    "molecule": Kept(
        {
            "bullseye": Spec("bullseye", groups=("backup_client",)),
            "bookworm": Spec(updates=True, groups=("backup_server",)),
            "trixie": Spec("trixie", groups=("backup_client",)),
        },
        "mol-",
    ),
}


def up(name: str) -> None:
    """Start what is missing of the town, and say how to use it."""
    ensure_tools()
    podman.sweep()
    ensure_images()
    kept = TOWNS[name]
    there = kept.containers()
    hosts = {
        host: Host.adopt(host, spec.release, kept.prefix + host)
        for host, spec in kept.hosts.items()
        if kept.prefix + host in there
    }
    missing = {host: spec for host, spec in kept.hosts.items() if host not in hosts}
    hosts |= start_hosts(missing, owner=podman.KEEP, prefix=kept.prefix)
    known = f"-o UserKnownHostsFile={FOLDER / 'state' / name / 'known_hosts'}"
    everywhere: dict[str, object] = {"ansible_ssh_common_args": known, **SECRETS} if name == "molecule" else {}
    maintenance: dict[str, object] = {"maintenance": {"windows": [ALWAYS]}}
    there_now = {host: hosts[host] for host in kept.hosts}
    town = Town(name, there_now, FOLDER, kept.hosts, town=maintenance, vars=everywhere)
    town.close()
    print(_summary(town))


def down(name: str) -> None:
    """Remove the town with its ledger, and what killed test runs left behind."""
    if not shutil.which("podman"):
        print("no podman, so no hosts")
        return
    names = TOWNS[name].containers()
    podman.remove(*names)
    for kind in ("inventories", "state"):
        shutil.rmtree(FOLDER / kind / name, ignore_errors=True)
    names += podman.sweep()
    print(f"removed: {', '.join(names)}" if names else "no hosts to remove")


def status(name: str) -> None:
    """List all our hosts, whichever town they are of, with who holds them."""
    del name
    for one in podman.containers():
        holder = "kept" if one.owner == podman.KEEP else "a test run"
        print(f"{one.name:30} {one.state:10} {holder if podman.is_alive(one.owner) else 'left behind by a killed run'}")


def images(name: str) -> None:
    """Build the images alone, ahead of the tests."""
    del name
    ensure_tools()
    ensure_images()
    ensure_image("bookworm", updates=True)


def _summary(town: Town) -> str:
    """The lines that `make town-up` ends with."""
    known = town.state / town.name / "known_hosts"
    shown = [f"  {name:6} {host.release:9} {host.address:13} {fingerprint(host)}" for name, host in town.hosts.items()]
    state, inventories = (f"$PWD/{path.relative_to(ROOT)}" for path in (town.state, town.inventories))
    return "\n".join(
        [
            "Three hosts are up. Their ED25519 keys, read at each host's console, not over the network:",
            *shown,
            f"known_hosts: {known.relative_to(ROOT)}   (check: ssh-keygen -lf {known.relative_to(ROOT)})",
            f"inventory:   {town.inventory.relative_to(ROOT)}",
            "Try it:",
            f"  CIVICOPS_STATE={state} CIVICOPS_INVENTORIES={inventories} .venv/bin/civicops checkup {town.name}",
            f"A shell on one: podman exec -it {next(iter(town.hosts.values())).container} bash",
        ]
    )


def fingerprint(host: Host) -> str:
    """The host's ED25519 fingerprint as ssh prints it."""
    key = next(key for key in host.keys if key.startswith("ssh-ed25519"))
    return run(["ssh-keygen", "-lf", "-"], stdin=key + "\n").stdout.split()[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.hosts", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "images"))
    parser.add_argument("--town", choices=TOWNS, default="demo")
    given = parser.parse_args()
    try:
        {"up": up, "down": down, "status": status, "images": images}[given.command](given.town)
    except HostsUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
