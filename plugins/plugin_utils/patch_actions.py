# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twins of a patch night: what they add to a document's and to work's, and how versions are shown as a diff."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.civicops.town.plugins.plugin_utils import package
from ansible_collections.civicops.town.plugins.plugin_utils.host_work_action import Answer, HostWorkAction
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction

_ENDS = ("done", "failed", "rolled_back", "blocked", "refused", "interrupted")
_SHOWN = 1000


class UpdatesAction(DocumentAction):
    """Of a module that answers with the updates that wait."""

    kind = "updates"
    version = 1

    def arguments(self) -> dict[str, Any]:
        return {"controller_time": time.time()}

    def changed(self, body: dict[str, Any]) -> bool:
        staged = body.get("staged")
        return isinstance(staged, dict) and staged.get("downloaded_bytes") not in (0, None)

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = _rows(body.get("updates"))
        blockers = body.get("blockers")
        codes = [one.get("code") for one in blockers if isinstance(one, dict)] if isinstance(blockers, list) else []
        return {
            "waiting": len(rows),
            "selected": sum(len(row) > 8 and row[8] is True for row in rows),
            "blockers": sorted({package.text.printable(code, 20) for code in codes}),
        }


class PatchAction(HostWorkAction):
    """Of a module that installs or takes back."""

    kind = "patch"
    version = 1
    failed = ("failed", "rolled_back", "blocked", "interrupted", "running", "unknown")

    def body(self, heard: Any) -> dict[str, Any]:
        body: dict[str, Any] = heard.body(finished)
        details = heard.last.details or {}
        return {name: value for name, value in details.items() if name not in body} | body

    def changed(self, heard: Any, body: dict[str, Any]) -> bool:
        if not heard.started():
            return False
        if heard.last.state != "finished":
            return True
        restarts, reboot, back = (_dict(body.get(name)) for name in ("restarts", "reboot", "rollback"))
        touched = bool(_rows(body.get("changes")) or restarts.get("done"))
        return touched or reboot.get("done") is True or back.get("done") is True

    def more(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"packages": len(_rows(body.get("changes")))}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._last: dict[str, Any] = {}
        result = super().run(tmp, task_vars)
        if self._task.diff and (rows := _rows(self._last.get("changes"))):
            before, after = ("".join(_line(row, column) for row in rows[:_SHOWN]) for column in (2, 3))
            result["diff"] = {"before_header": "packages", "after_header": "packages", "before": before, "after": after}
        return result

    def _write(self, origin: Any, host: str, body: Any, *, key: str) -> str:
        self._last = body
        return super()._write(origin, host, body, key=key)


class PolicyPatchAction(PatchAction):
    """Of the one that also looks at what waits."""

    def arguments(self) -> dict[str, Any]:
        return {"controller_time": time.time()}


def finished(answer: Answer) -> tuple[str, str]:
    """The outcome that the work itself has come to."""
    outcome = (answer.details or {}).get("outcome")
    if answer.status != 0 or outcome not in _ENDS:
        how = "no status" if answer.status is None else f"status {answer.status}"
        return "failed", f"the work ended with {how} and told no outcome"
    if outcome == "done" and answer.late:
        return "overrun", "the work was done after the ticket's end"
    return str(outcome), answer.reason


def _rows(table: Any) -> list[list[Any]]:
    rows = table.get("rows") if isinstance(table, dict) else None
    return [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _line(row: list[Any], column: int) -> str:
    if len(row) != 4 or row[column] is None:
        return ""
    return package.text.printable(f"{row[0]}:{row[1]} {row[column]}", 300) + "\n"
