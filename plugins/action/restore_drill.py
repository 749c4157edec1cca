# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin of the module restore_drill: a drill that fails is recorded, and fails the task."""

from __future__ import annotations

from typing import Any

from ansible_collections.civicops.town.plugins.plugin_utils import package
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction


class ActionModule(DocumentAction):
    kind = "drill"
    version = 1
    main = "_backup.drill_main"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._seen: dict[str, Any] = {}
        result = super().run(tmp, task_vars)
        if self._seen.get("outcome") in ("failed", "nothing") and package.missing() is None:
            words = self._seen.get("reason") or "nothing was compared"
            result |= {"failed": True, "msg": package.text.printable(f"the restore drill: {words}", 600)}
        return result

    def _body(self, text: str) -> Any:
        body = super()._body(text)
        asked = (self._task.args.get("of") or {}).get("host")
        if isinstance(body, dict) and body.get("of") != asked:
            return "the answer names another host than the one that was to be restored"  # and so it proves nothing
        self._seen = body if isinstance(body, dict) else {}
        return body

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        files = body.get("files")
        told = files if isinstance(files, dict) else {}
        numbers = {name: told[name] for name in ("equal", "different", "missing") if isinstance(told.get(name), int)}
        return {"outcome": package.text.printable(body.get("outcome"), 20), **numbers}
