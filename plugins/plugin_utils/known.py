# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible itself knows of a run: noted by the callback in the main process, inherited by the workers.

Variables are no ground to decide on. `inventory_hostname` is an ordinary one: an extra variable, a play or a fact that
a hostile host answers can set it. And `add_host` and `group_by` move hosts into groups while a playbook goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail

_host: str | None = None
_groups: dict[str, list[str]] | None = None
_extra: frozenset[str] = frozenset()
# Given for all hosts at once, these send the work of each of them to one machine, which no host's ticket is for.
_REDIRECTS = frozenset({"ansible_connection", "ansible_host", "ansible_ssh_host", "inventory_hostname"})


def begins(host: str) -> None:
    """A task begins for a host; called in the main process just before it starts the worker."""
    global _host
    _host = host


def note(groups: Mapping[str, Sequence[str]], extra: Iterable[str]) -> None:
    """Keep who is in which group, and which extra variables were given; called once, before the first task."""
    global _groups, _extra
    _extra = frozenset(map(str, extra))
    _groups = {str(name): [str(host) for host in hosts] for name, hosts in groups.items()}


def host(task_vars: Mapping[str, Any]) -> str:
    """The host that this task is for; where the callback is not enabled, by the variable's word.

    :raises AnsibleActionFail: the variable says another one.
    """
    said = str(task_vars["inventory_hostname"])
    if _host is not None and said != _host:
        raise AnsibleActionFail(
            f"something has set the variable inventory_hostname, so nothing is done: this task is for {_host}, not for "
            f"{said[:80]!r}; look for it in -e, vars, facts and the inventory"
        )
    return said


def redirects() -> list[str]:
    """What the command line says that sends every host's work to one machine, as it was typed."""
    local = ["-c local"] if context.CLIARGS.get("connection") == "local" else []
    return [*local, *(f"-e {name}" for name in sorted(_extra & _REDIRECTS))]


def groups() -> dict[str, list[str]]:
    """Who was in which group when the playbook began.

    :raises AnsibleActionFail: the callback civicops.town.run is not enabled.
    """
    if _groups is None:
        raise AnsibleActionFail("the callback civicops.town.run is not enabled, so the gate does not know the groups")
    return _groups
