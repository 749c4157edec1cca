# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spooling twin of the module backup_info."""

from __future__ import annotations

from typing import Any

from ansible_collections.civicops.town.plugins.plugin_utils import package
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction


class ActionModule(DocumentAction):
    kind = "backup-status"
    version = 1
    main = "_backup.main"

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        alarms = body.get("alarms")
        told = [one for one in alarms if isinstance(one, dict)] if isinstance(alarms, list) else []
        kinds = {package.text.printable(one.get("kind"), 40) for one in told}
        return {"alarms": sorted(kinds), **{name: isinstance(body.get(name), dict) for name in ("client", "server")}}
