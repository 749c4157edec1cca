"""A town of network devices that are played on this machine: an inventory, a state directory, a controller."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from civicops.state import TownState
from tests.hosts.controller import Controller
from tests.standins.playing import PASSWORD, USER

VAULT_PASSWORD = "the town's vault password"


class ReplayedTown:
    """Devices by name, each with its port and more variables; `known` are lines of known_hosts."""

    def __init__(
        self,
        folder: Path,
        devices: Mapping[str, Mapping[str, object]],
        known: list[str],
        *,
        name: str = "demo",
        platform: str = "cisco_ios",
    ) -> None:
        self.name, self.folder = name, folder
        self.inventory = folder / "inventories" / name
        variables = self.inventory / "group_vars" / "all"
        variables.mkdir(parents=True)
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_host": "127.0.0.1",
            "netmiko_platform": platform,
            "netmiko_user": USER,
            "netmiko_password": PASSWORD,
        }
        town = {"id": name, "name": name.title(), "timezone": "America/New_York"}
        (variables / "town.yml").write_text(json.dumps({"town": town}))
        (variables / "network.yml").write_text(json.dumps(common))
        hosts = {"all": {"children": {"network": {"hosts": devices}}}}
        (self.inventory / "hosts.yml").write_text(json.dumps(hosts))
        self.state = TownState(name, folder / "state")
        self.state.directory()
        self.state.known_hosts.write_text("".join(f"{line}\n" for line in known))
        self.vault = self.state.directory("vault") / name
        self.vault.write_text(VAULT_PASSWORD)
        self.vault.chmod(0o600)
        self.controller = Controller(name, folder / "inventories", folder / "state", folder)

    @property
    def configs(self) -> Path:
        """The git repository of redacted configurations."""
        return self.state.root / "network" / "configs"
