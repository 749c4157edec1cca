# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(rollback) goes on."""

from __future__ import annotations

import json
import re
from typing import Any, Dict

from .._document import BEGAN
from .._host_work.place import Place, WorkError
from .._host_work.work import Permit
from .chain import Chain, patched_runs, way_back
from .lengths import OptionError
from .manager import ManagerError
from .managers import manager_of
from .options import work_of

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def first(params: Dict[str, Any], place: Place, check: bool) -> Dict[str, Any]:
    """What is to be taken back here, or why nothing is; raises ManagerError, WorkError."""
    manager = manager_of(params["manager"])
    runs = patched_runs(place)
    nothing = {"columns": ["name", "arch", "before", "after"], "rows": []}
    if params["of"] and params["of"] not in runs:
        told = f"{params['of']} has installed nothing here, or was taken back before"
        return {
            "outcome": "done",
            "reason": told,
            "manager": manager.name,
            "of_run": params["of"],
            "changes": nothing,
        }
    if not runs:
        told = "no run has installed anything here that was not taken back"
        return {"outcome": "done", "reason": told, "manager": manager.name, "changes": nothing}
    of_run = params["of"] or runs[0]
    folder = place.of(of_run, "patch", make=False)
    if check:
        changes = way_back(manager, folder)
        reason = "check mode: it would be started"
        return {
            "outcome": "planned",
            "reason": reason,
            "manager": manager.name,
            "of_run": of_run,
            "changes": changes,
        }
    return {"request": {"manager": manager.name, "of": folder, "of_run": of_run, "held": []}}


def main(module: Any) -> None:
    """Start taking a run back, or tell how it stands."""
    params = module.params
    if params["of"] and not RUN.fullmatch(params["of"]):
        module.fail_json(msg=f"of is no run: {params['of'][:80]!r}")
    try:
        place = Place.of_this_user()
        request = {"stage": "rollback", "reboot": "when_wanted", "rollback": "never", "repair": False}
        chain = Chain(Permit.read(params["gate"], BEGAN), {**request, **work_of(params)}, place)
        told = chain.step(lambda: first(params, place, module.check_mode), dry=module.check_mode)
    except (WorkError, ManagerError, OptionError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, document=json.dumps(told, separators=(",", ":")))
