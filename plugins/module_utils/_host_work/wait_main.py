# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(wait) goes on."""

from __future__ import annotations

import json
import sys
from typing import Any

from .._document import BEGAN
from .place import WorkError
from .work import Permit, Work

WAIT = "import sys, time; time.sleep(float(sys.argv[1])); raise SystemExit(int(sys.argv[2]))"


def main(module: Any) -> None:
    """Start the work, or tell how it stands."""
    seconds = module.params["seconds"]
    if seconds < 0 or seconds > 86400:
        module.fail_json(msg="seconds must be 0 to 86400")
    status = "1" if module.params["outcome"] == "failed" else "0"
    try:
        permit = Permit.read(module.params["gate"], BEGAN)
        work = Work(permit, [sys.executable, "-I", "-c", WAIT, str(seconds), status])
        state = work.start_or_adopt(dry=module.check_mode)
    except WorkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=state.changed, document=json.dumps(state.values(), separators=(",", ":")))
