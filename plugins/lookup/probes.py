# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: probes
short_description: The probes of a host's systems, from the town file
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - The probes of the systems that the current host belongs to (groups C(system_ID)), as the modules
    M(civicops.town.patch), M(civicops.town.rollback) and M(civicops.town.baseline) take them.
  - A probe that the town file has for other hosts of the system alone is left out.
options:
  _terms:
    description: None are taken.
"""

EXAMPLES = r"""
- name: Show how this host is told to be well
  ansible.builtin.debug:
    var: query('civicops.town.probes')
"""

RETURN = r"""
_list:
  description: The probes, each with its system's id as C(system).
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.plugins.lookup.inventory_hostnames import LookupModule as Hostnames


class LookupModule(LookupBase):
    """`query('civicops.town.probes')`."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        if terms or kwargs:
            raise AnsibleLookupError("civicops.town.probes takes no terms and no options")
        variables = variables or {}
        town = variables.get("town") or {}
        mine = set(variables.get("group_names") or ())
        return [
            {**probe, "system": system["id"]}
            for system in town.get("systems") or ()
            if f"system_{system['id']}" in mine
            for probe in system.get("probes") or ()
            if self._is_for(probe, variables)
        ]

    def _is_for(self, probe: Mapping[str, Any], variables: Any) -> bool:
        pattern = probe.get("hosts")
        if not pattern:
            return True
        hosts = Hostnames(loader=self._loader, templar=self._templar).run([pattern], variables)
        return variables["inventory_hostname"] in hosts
