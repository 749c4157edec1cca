# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part in hardening: which controls a host gets, and the proof that somebody still gets in.

The proof is a new login outside any connection that is open: one that was opened before says nothing (a changed
AllowUsers lets it live). Where no login succeeds, the host takes its change back by itself, and we wait for that.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.plugin_utils import carried, catalogue, known, package, ticket
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction

LOGIN_SECONDS = 45.0
"""How long a new login is tried, in seconds: less than the host waits for one."""
BACK_SECONDS = 120.0
"""How long it is waited for the host to take its change back, in seconds."""
_PAUSE = 3.0
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{1,400}")
_PYTHON = re.compile(r"/[A-Za-z0-9._/-]{1,200}")
_FRESH = "-o ControlMaster=no -o ControlPath=none"  # of several values of an option, ssh takes the first


class NewLogin:
    """A login that shares nothing with the connection that is there."""

    def __init__(self, action: ActionBase) -> None:
        self._action = action

    @property
    def apart(self) -> bool:
        """Whether this kind of connection can be made anew; a local one has no door that could shut."""
        return str(self._action._connection.transport) == "ssh"

    def run(self, script: str) -> str | None:
        """What a command prints after a new login; None where the login or the command fails."""
        connection = self._action._connection
        kept: dict[str, Any] = {}
        if self.apart:
            kept = {name: connection.get_option(name) for name in ("ssh_args", "use_tty")}
            connection.set_option("ssh_args", f"{_FRESH} {kept['ssh_args'] or ''}")
            # As pipelined modules come: sudo that wants a terminal would let this login in, and them no more.
            connection.set_option("use_tty", False)
        try:
            done = self._action._low_level_execute_command(script, sudoable=True)
        except AnsibleError:
            return None
        finally:
            for name, value in kept.items():
                connection.set_option(name, value)
        return str(done.get("stdout", "")) if done.get("rc") == 0 else None


def confirm(action: ActionBase, folder: Any, python: Any) -> str:
    """Have the host keep what it has changed, from a new login. What became of it: V(confirmed), V(undone), or
    V(unknown) where the host can't be reached even after it has taken its change back.

    :raises AnsibleActionFail: the host's answer names no program of ours.
    """
    if not (isinstance(folder, str) and _FOLDER.fullmatch(folder) and ".." not in folder.split("/")):
        raise AnsibleActionFail("the host's answer names no place of its way back")
    if not (isinstance(python, str) and _PYTHON.fullmatch(python)):
        raise AnsibleActionFail("the host's answer names no Python")
    program = f"{python} -I {folder}/undo.pyz"
    login = NewLogin(action)
    end = time.monotonic() + LOGIN_SECONDS
    while time.monotonic() < end:
        word = _word(login.run(f"{program} confirm"))
        if word is not None:
            return word
        time.sleep(_PAUSE)
    # Nobody got in: the host takes it back at its own time.
    end = time.monotonic() + BACK_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(AnsibleError, AnsibleConnectionFailure, OSError, AttributeError):
            action._connection.reset()
        word = _word(login.run(f"{program} status"))
        if word == "undone":
            return word
        time.sleep(_PAUSE)
    return "unknown"


def _word(said: str | None) -> str | None:
    lines = (said or "").split()
    return lines[-1] if lines and lines[-1] in ("confirmed", "undone", "waits") else None


class BaselineAction(DocumentAction):
    """What both twins share: the ticket, and the outcome by which the task fails."""

    kind = "baseline"
    version = 1
    _HARM = ("failed", "rolled_back", "blocked", "unknown")

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._vars = task_vars or {}
        self._host = known.host(self._vars)
        if not self._task.check_mode:
            self._demand_ticket()
        self._body_seen: dict[str, Any] = {}
        result = super().run(tmp, task_vars)
        body = self._body_seen
        if body.get("outcome") in self._HARM:
            result |= {"failed": True, "msg": package.text.printable(f"{body['outcome']}: {body.get('reason')}", 600)}
        if self._task.diff and isinstance(self._diff, list):
            result["diff"] = _diff(self._diff)
        return result

    def _demand_ticket(self) -> None:
        if (remedy := package.missing()) is not None:
            raise AnsibleActionFail(f"nothing is done: {remedy}")
        origin = self._origin()
        given = self._task.args.get("gate")
        ticket.opened(given, town=origin.town, run=origin.run, job=origin.job, host=self._host, check=False)
        self._run_name = str(origin.run)

    def _ask(self, task_vars: dict[str, Any], arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Without the ticket, whose seal is nobody's business on a host, and what the list of controls holds anyway."""
        given = arguments or dict(self._task.args)
        plain = {name: value for name, value in given.items() if name not in ("gate", "own", "skip")}
        answer = super()._ask(task_vars, plain)
        self._diff = answer.get("diff")
        return answer

    def _body(self, text: str) -> Any:
        body = super()._body(text)
        if isinstance(body, dict):
            body = self.completed(body)
            self._body_seen = body
        return body

    def completed(self, body: dict[str, Any]) -> dict[str, Any]:
        """The host's word, with what the controller knows."""
        return body


class UndoAction(BaselineAction):
    """Puts a run back."""

    def changed(self, body: dict[str, Any]) -> bool:
        undone = body.get("undone")
        return isinstance(undone, dict) and bool(undone.get("back"))

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        undone = body.get("undone")
        lists = undone if isinstance(undone, dict) else {}
        return {name: len(lists[name]) for name in ("back", "left", "failed") if isinstance(lists.get(name), list)}


class EnforceAction(BaselineAction):
    """Audits, or mends and proves that somebody still gets in."""

    def arguments(self) -> dict[str, Any]:
        args = self._task.args
        skip = args.get("skip") or []
        chosen = catalogue.shipped().chosen(
            str(args.get("profile") or "town-minimum"),
            str(args.get("role") or "server"),
            [str(one) for one in (skip if isinstance(skip, list) else [skip])],
            str(args.get("risk") or "high"),
        )
        chosen = _with_own(chosen, args.get("own") or [])
        self._waivers, self._expired = self._waived([str(one["id"]) for one in chosen])
        more = {"controls": carried.packed(catalogue.rows(chosen, self._waivers))}
        return more if self._task.check_mode else more | {"run": self._run_name}

    def _waived(self, controls: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The town's waivers that hold for this host today, and those that have expired, by control."""
        directory = os.environ.get("CIVICOPS_ACTIVE_DIRECTORY")
        if not directory or package.missing() is not None:
            return {}, {}
        try:
            waivers = package.waivers.load_waivers(Path(directory))
        except package.waivers.TownFileError as error:
            raise AnsibleActionFail(f"nothing is done, as a waiver may be meant for this host: {error}") from None
        groups, today = known.groups(), _today()
        held: dict[str, Any] = {}
        expired: dict[str, Any] = {}
        for waiver in waivers:
            for control in controls:
                if waiver.covers("control", control, self._host, groups):
                    (held if waiver.holds(today) else expired)[control] = waiver
        return held, {control: waiver for control, waiver in expired.items() if control not in held}

    def completed(self, body: dict[str, Any]) -> dict[str, Any]:
        confirm_by = body.get("confirm")
        login = None
        if isinstance(confirm_by, dict) and not self._task.check_mode:
            login = confirm(self, confirm_by.get("folder"), confirm_by.get("python"))
        rows = (body.get("results") or {}).get("rows") if isinstance(body.get("results"), dict) else None
        if isinstance(rows, list):
            self._tell_waivers(rows)
            if login in ("undone", "unknown"):
                _taken_back(rows, confirm_by.get("controls"), login)
                body = body | _ROLLED_BACK[login]
            told = Counter(str(row[1]) for row in rows if isinstance(row, list) and len(row) > 1)
            body = body | {"counts": dict(sorted(told.items()))}
        args = self._task.args
        held = self._waivers.items()
        return body | {
            "login": login,
            "profile": str(args.get("profile") or "town-minimum"),
            "role": str(args.get("role") or "server"),
            "catalogue": catalogue.shipped().sha256,
            "waivers": [
                {
                    "control": name,
                    "until": str(one.expires),
                    "approver": one.approver[:200],
                    "reason": one.reason[:1000],
                }
                for name, one in sorted(held)
            ],
        }

    def _tell_waivers(self, rows: list[Any]) -> None:
        for row in rows:
            if not isinstance(row, list) or len(row) != 6:
                continue
            if (waiver := self._waivers.get(row[0])) is not None:
                row[5] = f"waived by {waiver.approver} until {waiver.expires}: {waiver.reason}"[:500]
            elif (waiver := self._expired.get(row[0])) is not None and row[1] != "compliant":
                row[5] = f"{row[5]}; " * bool(row[5]) + f"the waiver by {waiver.approver} expired on {waiver.expires}"
                row[5] = row[5][:500]

    def changed(self, body: dict[str, Any]) -> bool:
        results = body.get("results")
        rows = results.get("rows") if isinstance(results, dict) else None
        return any(isinstance(row, list) and len(row) == 6 and row[2] is True for row in rows or [])

    def summary(self, body: dict[str, Any]) -> dict[str, Any]:
        counts = body.get("counts")
        return {
            package.text.printable(name, 20): number
            for name, number in (counts.items() if isinstance(counts, dict) else ())
            if isinstance(number, int)
        }


def _with_own(chosen: list[Mapping[str, Any]], own: Any) -> list[Mapping[str, Any]]:
    """The site's own controls beside the catalogue's; one of the same id takes its place."""
    if not isinstance(own, list):
        raise AnsibleActionFail("own: give a list of controls, each with id, type and params")
    mine: dict[str, Mapping[str, Any]] = {}
    for number, one in enumerate(own):
        if not isinstance(one, Mapping) or not {"id", "type"} <= set(one) or set(one) - _OWN:
            raise AnsibleActionFail(f"own[{number}]: a control has {', '.join(sorted(_OWN))}; id and type are wanted")
        if not isinstance(one.get("params", {}), Mapping) or not _ID.fullmatch(str(one["id"])):
            raise AnsibleActionFail(f"own[{number}]: id is a word of a-z, 0-9, dots and hyphens, params is a mapping")
        mine[str(one["id"])] = one
    return [*(one for one in chosen if one["id"] not in mine), *mine.values()]


_OWN = {"id", "type", "params", "debian", "rhel", "families"}
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_ROLLED_BACK = {
    "undone": {
        "outcome": "rolled_back",
        "reason": "no new login succeeded, so the host has taken its changes to SSH, PAM and the firewall back",
    },
    "unknown": {"outcome": "unknown", "reason": "no new login succeeds, and the host could not be asked what it did"},
}


def _taken_back(rows: list[Any], controls: Any, login: str) -> None:
    """What was mended under the proof is not so any more, whatever the host said before."""
    at_risk = set(controls) if isinstance(controls, list) and all(isinstance(one, str) for one in controls) else set()
    for row in rows:
        if isinstance(row, list) and len(row) == 6 and row[0] in at_risk:
            row[1], row[2] = "failed", False
            row[5] = "taken back by the host: no new login succeeded" if login == "undone" else "nobody knows how it is"


def _diff(told: list[Any]) -> list[dict[str, str]]:
    """A host's diffs, cleaned for a terminal."""
    found = []
    for one in told[:200]:
        if isinstance(one, dict):
            sides = {name: _lines(one.get(name)) for name in ("before", "after")}
            header = package.text.printable(one.get("before_header"), 300)
            found.append({"before_header": header, "after_header": header, **sides})
    return found


def _lines(value: Any) -> str:
    lines = str(value or "")[:20000].split("\n")
    return "\n".join(line[: len(line) - len(line.lstrip())] + package.text.printable(line, 500) for line in lines)


def _today() -> date:
    return datetime.now(UTC).date()
