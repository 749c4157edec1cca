# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks network devices what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.civicops.town.plugins.plugin_utils.device_action import DeviceAction


class ActionModule(DeviceAction):
    def work(self, arguments: Mapping[str, Any], settings: list[Any], origin: Any) -> list[Any]:
        from civicops.network.work import look

        outcomes: list[Any] = []
        look(settings, outcomes.append, threads=arguments["threads"])
        return outcomes
