# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared base of the spooling twins.

A twin runs the module of its own name, writes the answer as a document to the spool and leaves a small summary. The
host is hostile: nothing of its answer reaches the task's result but what a twin's `summary` makes of it, so a host can
set no facts, no variables and no warnings, and steer no terminal.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.plugin_utils import carried, known, package

# The longest host name that the ledger takes.
_NAME_LIMIT = 255


class DocumentAction(ActionBase):
    """Base class; a twin sets `kind`, `version` and `main`, and may give a `summary`."""

    kind: str
    version: int
    main: str
    """Where the module goes on, a name below C(plugins/module_utils): that code is sent along, see C(carried.py)."""

    TRANSFERS_FILES = False
    _supports_async = False
    _supports_check_mode = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "main"):  # it is a twin, and no base of some
            carried.code_of(cls.main)  # in the main process, before any worker is forked

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        """A few values for the task's result. The body is a host's word: check types, pass text through `text`."""
        return {}

    def changed(self, body: dict[str, Any]) -> bool:
        """Whether the module has changed the host."""
        return False

    def arguments(self) -> dict[str, Any]:
        """More options for the module, which the controller alone knows."""
        return {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        record = boolean(self._task.args.get("record", True), strict=True)
        host = known.host(task_vars)
        self._refuse_what_breaks_the_origin(host)
        origin = self._origin() if record else None

        more = self.arguments()
        answer = self._ask(task_vars, dict(self._task.args) | more if more else None)
        if answer.get("failed") or not isinstance(answer.get("document"), str):
            return {"failed": True, "msg": self._why_failed(answer)}
        body = self._body(answer["document"])
        if origin is None:
            return {"changed": isinstance(body, dict) and self.changed(body), "document": body}
        document = self._write(origin, host, body, key=str(self._task._uuid))
        if not isinstance(body, dict):
            return {"failed": True, "msg": "the host's answer is not a document", "document_id": document}
        return {"changed": self.changed(body), "document_id": document, "summary": self.summary(body)}

    def _write(self, origin: Any, host: str, body: Any, *, key: str) -> str:
        """Put the body into the spool; the document's id. The same key replaces what this run wrote before."""
        document, _path = package.spool.write(
            origin,
            kind=self.kind,
            version=self.version,
            host=host,
            body=body,
            check=bool(self._task.check_mode),
            key=key,
        )
        return str(document)

    def _refuse_what_breaks_the_origin(self, host: str) -> None:
        if self._task.async_val:
            raise AnsibleActionFail(f"{self._task.action} can't run with async: its document would be lost")
        if len(host) > _NAME_LIMIT:
            raise AnsibleActionFail(
                f"the inventory's name of this host has {len(host)} characters; a document's host has {_NAME_LIMIT} at "
                "most: give it a shorter one, and this one as its ansible_host"
            )
        delegate = self._task.delegate_to
        if delegate and delegate != host:
            raise AnsibleActionFail(f"{self._task.action} can't be delegated: a document names the host that answered")

    @staticmethod
    def _origin() -> Any:
        package.require()
        return package.origin()

    def _ask(self, task_vars: dict[str, Any], arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module with the task's arguments, or with others. It does nothing for anybody else than its twin."""
        given = dict(self._task.args) if arguments is None else arguments
        ours = {"twin": True, "code": carried.code_of(self.main)}
        try:
            with _uncollected():
                return self._execute_module(module_args=given | ours, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            # The text holds what the host or its banner said.
            raise type(error)(_clean(error.message, 1000)) from None

    @staticmethod
    def _body(text: str) -> Any:
        """The body, which modules send as JSON text. What is no JSON stays text, which no schema accepts."""
        try:
            return json.loads(str(text))
        except (ValueError, RecursionError):
            return str(text)[:1000]

    @staticmethod
    def _why_failed(answer: dict[str, Any]) -> str:
        if not answer.get("failed"):
            return "the host's answer holds no document: is its Python what it should be?"
        told = [str(answer[name]) for name in ("msg", "module_stderr") if isinstance(answer.get(name), str)]
        return _clean(": ".join(part for part in told if part), 1000) or "the module failed and did not say why"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of garbage: Ansible parses the module's source, which makes many objects and no garbage,
    and looking for some takes as long as parsing. The worker that this runs in ends with its task."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _clean(value: Any, limit: int) -> str:
    if package.missing() is None:
        return package.text.printable(value, limit)
    return "".join(character if character.isprintable() else " " for character in str(value))[:limit]
