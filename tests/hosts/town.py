"""A town of real hosts: its inventory directory, its state directory and the operator's controller."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts import podman
from tests.hosts.controller import Controller
from tests.hosts.host import Host, private_key


@dataclass(frozen=True)
class Spec:
    """What a test wants of one host."""

    release: str = "bookworm"
    updates: bool = False
    groups: tuple[str, ...] = ()
    vars: Mapping[str, object] = field(default_factory=dict)
    options: tuple[str, ...] = ()  # more of `podman run`, such as --cap-add NET_ADMIN


def start_hosts(specs: Mapping[str, Spec], *, owner: str | None = None, prefix: str | None = None) -> dict[str, Host]:
    """Start hosts two at a time; when one fails, none is left. Waits for room where other tests' hosts run."""
    owner = owner or podman.this_process()
    prefix = prefix or f"civicops-{os.getpid()}-{next(_numbers)}-"
    podman.wait_for_room(len(specs))

    def one(item: tuple[str, Spec]) -> Host:
        name, spec = item
        return Host.start(
            name, spec.release, container=prefix + name, owner=owner, updates=spec.updates, options=spec.options
        )

    try:
        with ThreadPoolExecutor(2) as pool:
            return {host.name: host for host in pool.map(one, specs.items())}
    except BaseException:
        podman.remove(*(prefix + name for name in specs))
        raise


def _count() -> Iterable[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = iter(_count())


@dataclass
class Town:
    """One town on real hosts. `hosts` by name; `controller` runs commands for it."""

    name: str
    hosts: dict[str, Host]
    folder: Path
    specs: dict[str, Spec] = field(default_factory=dict)
    timezone: str = "America/New_York"
    user: str = "root"
    town: dict[str, object] = field(default_factory=dict)  # more keys of the town file
    vars: dict[str, object] = field(default_factory=dict)  # for all hosts

    def __post_init__(self) -> None:
        self.sockets = Path(tempfile.mkdtemp(prefix="cv-", dir="/tmp"))
        self.controller = Controller(self.name, self.inventories, self.state, self.sockets)
        self.write()

    @property
    def inventories(self) -> Path:
        return self.folder / "inventories"

    @property
    def inventory(self) -> Path:
        return self.inventories / self.name

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def host(self, name: str) -> Host:
        return self.hosts[name]

    def write(self) -> None:
        """Write the inventory, the town file and known_hosts anew. JSON is YAML, and needs no library."""
        group_vars = self.inventory / "group_vars" / "all"
        group_vars.mkdir(parents=True, exist_ok=True)
        town = {"id": self.name, "name": self.name.title(), "timezone": self.timezone} | self.town
        common = {
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(private_key()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        _write_yaml(group_vars / "town.yml", {"town": town})
        _write_yaml(group_vars / "connection.yml", common | self.vars)
        groups: dict[str, dict[str, object]] = {}
        for name, spec in self.specs.items():
            for group in spec.groups:
                groups.setdefault(group, {"hosts": {}})["hosts"][name] = None  # type: ignore[index]
        hosts = {
            name: {"ansible_host": host.address} | dict(self.specs.get(name, Spec()).vars)
            for name, host in self.hosts.items()
        }
        _write_yaml(self.inventory / "hosts.yml", {"all": {"hosts": hosts, "children": groups}})
        self.trust()

    def trust(self, *names: str) -> None:
        """Write the town's known_hosts from what the hosts' consoles say; with names, of those hosts alone."""
        place = self.state / self.name
        self.state.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        known = (host.known_hosts() for name, host in self.hosts.items() if not names or name in names)
        (place / "known_hosts").write_text("".join(known))

    def documents(self, kind: str = "*") -> list[dict[str, object]]:
        """The documents that wait in the spool, of all runs."""
        found = (json.loads(path.read_text()) for path in sorted(self.state.glob(f"{self.name}/spool/*/*.json")))
        return [one for one in found if kind == "*" or str(one.get("schema", "")).split("/")[1:2] == [kind]]

    def close(self) -> None:
        """Remove what lies outside the test's own directory; the hosts are removed by who started them."""
        shutil.rmtree(self.sockets, ignore_errors=True)


def _write_yaml(path: Path, data: object) -> None:
    path.write_text("---\n" + json.dumps(data, indent=2) + "\n")
