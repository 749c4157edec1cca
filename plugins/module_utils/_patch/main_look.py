# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(patch_info) goes on."""

from __future__ import annotations

import json
import time
from typing import Any

from .lengths import OptionError
from .manager import ManagerError
from .options import limits_of, policy_of
from .survey import document, survey


def main(module: Any) -> None:
    """Look which updates wait."""
    params, began = module.params, time.monotonic()
    try:
        policy = policy_of(params)
        found = survey(params["manager"], policy, limits_of(params), params["controller_time"])
        body = document(found, policy, params["without_rollback"], began)
    except (ManagerError, OptionError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, document=json.dumps(body, separators=(",", ":")))
