# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(baseline_undo) goes on."""

from __future__ import annotations

import json
from typing import Any

from .._host_work.place import WorkError
from .mend import way_back


def main(module: Any) -> None:
    """Put a run back, or say what that would be."""
    try:
        done = way_back(module.params["of"], module.check_mode)
    except (WorkError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=done.changed, document=json.dumps(done.body, separators=(",", ":")), invocation={})
