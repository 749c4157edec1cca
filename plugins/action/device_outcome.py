# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells Ansible how it went with one device, after all of them were asked at once."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec({"answer": {"type": "dict", "required": True}})
        answer = arguments["answer"]
        result: dict[str, Any] = {"changed": answer.get("changed") is True}
        for name in ("failed", "unreachable"):
            if answer.get(name) is True:
                result[name] = True
        if isinstance(answer.get("msg"), str):
            result["msg"] = answer["msg"]
        if self._task.diff and isinstance(answer.get("diff"), dict):
            result["diff"] = answer["diff"]
        return result
