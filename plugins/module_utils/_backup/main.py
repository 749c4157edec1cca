# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(backup_info) goes on."""

from __future__ import annotations

import json
from typing import Any

from .standing import standing


def main(module: Any) -> None:
    """Tell how backups stand."""
    body = standing(module.params["town"], module.params["escrow"])
    module.exit_json(changed=False, document=json.dumps(body, separators=(",", ":")))
