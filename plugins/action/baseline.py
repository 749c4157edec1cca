# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin of the module baseline."""

from __future__ import annotations

from ansible_collections.civicops.town.plugins.plugin_utils import catalogue
from ansible_collections.civicops.town.plugins.plugin_utils.baseline_action import EnforceAction

# This module is imported in the main process before any worker is forked: they all share what is read here.
catalogue.shipped()


class ActionModule(EnforceAction):
    main = "_baseline.main"
