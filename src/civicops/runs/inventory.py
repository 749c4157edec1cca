"""Who is in a town's groups, as Ansible itself reads the inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from civicops.runs.environment import run_environment
from civicops.runs.groups import noted_groups
from civicops.state import TownState
from civicops.text import printable
from civicops.town import Town

# An inventory that asks a script or a service has this long, in seconds.
_PATIENCE = 120


class InventoryError(Exception):
    """A town's inventory can't be read; the message is Ansible's own."""


def read_groups(town: Town, state: TownState) -> dict[str, list[str]]:
    """Ansible's variable `groups`: each group's hosts, those of its children among them. Starts a process.

    :raises InventoryError: Ansible can't read the inventory.
    """
    inventory = town.directory.absolute()
    environment = run_environment(state, inventory=inventory, run="inventory", job="", source=dict(os.environ))
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory), "--list"]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=inventory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        listed = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise InventoryError(f"{inventory}: the inventory can't be read: {printable(error, 300)}") from None
    if listed is None:
        said = " / ".join(line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip())
        raise InventoryError(f"{inventory}: the inventory can't be read: {printable(said, 600)}")
    return _expanded(listed)


def groups_of_run(town: Town, state: TownState, run: str) -> dict[str, list[str]]:
    """The groups as they were when a run of `civicops` began; read anew where it has noted none.

    :raises InventoryError: Ansible can't read the inventory.
    """
    noted = noted_groups(state, run)
    return read_groups(town, state) if noted is None else noted


def _expanded(listed: dict[str, Any]) -> dict[str, list[str]]:
    """Each group's hosts with those of its children, in Ansible's order."""
    groups: dict[str, list[str]] = {}

    def hosts(name: str) -> list[str]:
        if name not in groups:
            own = listed.get(name, {})
            groups[name] = []  # Ansible refuses circles; this ends one all the same
            below = [host for child in own.get("children", ()) for host in hosts(child)]
            groups[name] = list(dict.fromkeys([*own.get("hosts", ()), *below]))
        return groups[name]

    for name in listed:
        if name != "_meta":
            hosts(name)
    everybody = [*groups.get("all", []), *listed.get("_meta", {}).get("hostvars", {})]
    groups["all"] = list(dict.fromkeys(everybody))
    return groups
