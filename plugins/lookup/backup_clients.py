# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_clients
short_description: The hosts of a group whose backups a server keeps, as the server has to know them
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Reads each host's C(backup_client_*) variables, the vaulted passwords among them, as the module
    M(civicops.town.backup_server) takes them.
options:
  _terms:
    description: Names of hosts.
    required: true
    type: list
    elements: str
  later:
    description: Seconds by which backups come later than they are made, as those of a second copy do.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Keep the town's backups
  civicops.town.backup_server:
    town: riverton
    names: [vault.riverton.example]
    clients: "{{ query('civicops.town.backup_clients', *groups['backup_client']) }}"
  no_log: true
"""

RETURN = r"""
_list:
  description: Each host's name, passwords, schedule and how late it may be.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

# The defaults of the role backup_client, which another host's variables don't hold; a test compares them.
SCHEDULE = "*-*-* 01:00"
DELAY = 3600
TIME_LIMIT = 21600
GRACE = 3600  # seconds beyond these


class LookupModule(LookupBase):
    """`query('civicops.town.backup_clients', 'payroll1', ...)`."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        later = int(kwargs.pop("later", 0))
        if kwargs:
            raise AnsibleLookupError(f"civicops.town.backup_clients has no option {min(kwargs)}; there is: later")
        hosts = (variables or {})["hostvars"]
        return [self._client(str(name), hosts[name], later) for name in terms]

    @staticmethod
    def _client(name: str, given: Any, later: int) -> dict[str, Any]:
        secrets = (given.get("backup_secrets") or {}).get(name) or {}
        found: dict[str, Any] = {"name": str(given.get("backup_client_name") or name)}
        for kind in ("server", "repository"):
            password = given.get(f"backup_client_{kind}_password") or secrets.get(kind)
            if not password:
                raise AnsibleLookupError(
                    f"{name} has no password for its backup: put backup_secrets.{name}.{kind} into the vault of the "
                    "inventory (openssl rand -hex 24 makes one), and keep a copy where no fire reaches both"
                )
            found[f"{kind}_password"] = password
        seconds = [
            int(given.get(f"backup_client_{key}", default))
            for key, default in (("delay", DELAY), ("time_limit", TIME_LIMIT))
        ]
        return {
            **found,
            "schedule": str(given.get("backup_client_schedule") or SCHEDULE),
            "late_after": sum(seconds) + GRACE + later,
        }
