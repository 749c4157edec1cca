# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared base of the actions that ask network devices.

They run on the controller, where the package does the work: with `run_once` for all devices of the batch at once, in
threads, so that 200 devices cost one process and not 200. Each device has its own documents and its own failure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.civicops.town.plugins.plugin_utils import known, package

# What the package reads of a device's variables, beside all that begin with `netmiko_`.
_ANSIBLE = ("ansible_host", "ansible_port", "ansible_user", "ansible_password", "ansible_ssh_private_key_file")
_MOST_THREADS = 128
_LINE = 1000  # characters of a line of a difference that are shown
_UNREACHABLE = ("unreachable", "host_key")


class DeviceAction(ActionBase):
    """Base class; an action gives its options and its way to ask."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    options: Mapping[str, Any] = {}

    def work(self, arguments: Mapping[str, Any], settings: list[Any], origin: Any) -> list[Any]:
        """Ask the devices; an outcome for each."""
        raise AnsibleActionFail("this action does not say what it asks")

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _spec, arguments = self.validate_argument_spec(
            {
                "record": {"type": "bool", "default": True},
                "known_hosts": {"type": "path"},
                "threads": {"type": "int", "default": 32},
                **self.options,
            }
        )
        this = known.host(task_vars)
        if self._task.delegate_to or self._task.loop is not None:
            raise AnsibleActionFail("devices are asked from the controller, all at once: set run_once, no loop")
        if not 1 <= arguments["threads"] <= _MOST_THREADS:
            raise AnsibleActionFail(f"threads: {arguments['threads']} is not from 1 to {_MOST_THREADS}")
        package.require_for_devices()
        origin = package.origin()
        names = [str(name) for name in task_vars["ansible_play_batch"]] if self._task.run_once else [this]
        outcomes = self._ask(arguments, names, task_vars, origin)
        devices = {outcome.device: self._told(origin, outcome, arguments["record"]) for outcome in outcomes}
        return self._result(devices, this)

    def _ask(
        self, arguments: Mapping[str, Any], names: list[str], task_vars: Mapping[str, Any], origin: Any
    ) -> list[Any]:
        from civicops.network.answers import DeviceError
        from civicops.network.inventory import same_address, settings_of
        from civicops.network.work import Outcome

        state = package.state.TownState(origin.town)
        known_hosts = Path(arguments["known_hosts"]) if arguments["known_hosts"] else state.known_hosts
        accept_new = os.environ.get("CIVICOPS_ACCEPT_NEW_HOST_KEYS") == "1"
        outcomes, settings = [], []
        for name in names:
            try:
                variables = _variables(name, task_vars)
                settings.append(settings_of(name, variables, known_hosts, accept_new=accept_new))
            except DeviceError as error:
                outcomes.append(Outcome(name, error=error))
        twice = same_address(settings)
        outcomes += [Outcome(name, error=error) for name, error in twice.items()]
        settings = [one for one in settings if one.device not in twice]
        return outcomes + (self.work(arguments, settings, origin) if settings else [])

    def _told(self, origin: Any, outcome: Any, record: bool) -> dict[str, Any]:
        """Write the documents of one device; what its part of the play may see."""
        told: dict[str, Any] = {"changed": outcome.changed, "failed": False, "unreachable": False}
        for kind, body in (("device-facts", outcome.facts), ("device-config", outcome.config)):
            if body is None:
                continue
            name = kind.replace("-", "_")
            if record:
                told[f"{name}_id"], _path = package.spool.write(
                    origin,
                    kind=kind,
                    version=1,
                    host=outcome.device,
                    body=body,
                    check=bool(self._task.check_mode),
                    key=str(self._task._uuid),
                )
            else:
                told[name] = body
        if outcome.error is not None:
            told["failed"] = outcome.error.wrong not in _UNREACHABLE
            told["unreachable"] = not told["failed"]
            told["msg"] = package.text.printable(outcome.error.reason, 1000)
        elif outcome.words:
            told["msg"] = package.text.printable(outcome.words, 500)
        if self._task.diff and outcome.diff:
            lines = [package.text.one_of_many(line, _LINE) for line in outcome.diff.split("\n")]
            told["diff"] = {"prepared": "\n".join(lines)}
        return told

    def _result(self, devices: dict[str, Any], this: str) -> dict[str, Any]:
        """The task's result: of the one device, or of all. Of all, what failed or changed is told of each device by
        civicops.town.device_outcome: a task that is run once has one host's name on it."""
        result: dict[str, Any] = {"changed": False, "devices": devices}
        if not self._task.run_once:
            result |= {key: value for key, value in devices[this].items() if value}
        return result


def _variables(name: str, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """What the inventory says of a device, templated. Nothing else is: one device's other variables cost no time."""
    from civicops.network.answers import DeviceError

    said = task_vars["hostvars"][name]
    found = {}
    for variable in (one for one in said if one in _ANSIBLE or str(one).startswith("netmiko_")):
        try:
            found[str(variable)] = said[variable]
        except AnsibleError as error:
            # Where it fails for a variable that is missing or a vault's password, the text holds no value.
            why = package.text.printable(error.message, 300)
            raise DeviceError("settings", f"{variable} can't be had: {why}") from None
    return found
