# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spooling twin of the module host_info."""

from __future__ import annotations

from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction


class ActionModule(DocumentAction):
    kind = "host-facts"
    version = 1
    main = "_host_info.main"
