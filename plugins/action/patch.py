# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin of the module patch."""

from __future__ import annotations

from ansible_collections.civicops.town.plugins.plugin_utils.patch_actions import PolicyPatchAction


class ActionModule(PolicyPatchAction):
    main = "_patch.main_install"
