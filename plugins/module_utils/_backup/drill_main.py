# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(restore_drill) goes on."""

from __future__ import annotations

import json
from typing import Any

from .drill import DrillError, hold
from .whole import hold as hold_whole


def main(module: Any) -> None:
    """Have the repository give back what was saved, and tell what became of it."""
    params = module.params
    try:
        if params["of"]:
            body = hold_whole(params["of"], params["target"])
        else:
            body = hold(params["whole_below"], params["turn"])
    except DrillError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, document=json.dumps(body, separators=(",", ":")))
