# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin of the module wait."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.civicops.town.plugins.plugin_utils.host_work_action import HostWorkAction


class ActionModule(HostWorkAction):
    kind = "wait"
    version = 1
    main = "_host_work.wait_main"

    def expected(self) -> float:
        try:
            return float(self._task.args["seconds"])
        except (KeyError, TypeError, ValueError):
            raise AnsibleActionFail("the option seconds is missing or no number, so nothing is done") from None
