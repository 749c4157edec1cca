# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs configurations of network devices up: encrypted as they are, and redacted into the town's git repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.civicops.town.plugins.plugin_utils import package
from ansible_collections.civicops.town.plugins.plugin_utils.device_action import DeviceAction


class ActionModule(DeviceAction):
    options = {
        "facts": {"type": "bool", "default": False},
        "accept_shrunk": {"type": "list", "elements": "str", "default": []},
    }

    def work(self, arguments: Mapping[str, Any], settings: list[Any], origin: Any) -> list[Any]:
        from civicops.network.sealed import Sealer, SealError, remedy
        from civicops.network.store import Store, StoreError
        from civicops.network.work import back_up

        try:
            state = package.state.TownState(origin.town)
            secrets = self._loader._vault.secrets
            labels = [label for label, _secret in secrets]
            sealer = Sealer(secrets, label=origin.town if origin.town in labels else None, remedy=remedy(state))
            store = Store(state, sealer.seal)
            store.refuse_another_seal(sealer.open)
            outcomes: list[Any] = []
            back_up(
                settings,
                store,
                outcomes.append,
                run=origin.run,
                facts=arguments["facts"],
                accept_shrunk=frozenset(arguments["accept_shrunk"]),
                check=bool(self._task.check_mode),
                threads=arguments["threads"],
            )
            return outcomes
        except (SealError, StoreError, package.state.StateError, OSError) as error:
            raise AnsibleActionFail(package.text.printable(error, 1000)) from None
