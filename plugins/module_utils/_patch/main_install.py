# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(patch) goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict

from .._document import BEGAN
from .._host_work.place import Place, WorkError
from .._host_work.work import Permit
from . import services
from .chain import Chain, cut_off
from .lengths import OptionError
from .manager import ManagerError
from .options import limits_of, policy_of, work_of
from .survey import survey

_ASKED = ("backup_first", "backup_stamp", "reboot", "rollback", "without_rollback")


def first(params: Dict[str, Any], place: Place, check: bool) -> Dict[str, Any]:
    """What is to be done here, or why nothing is; raises ManagerError, OptionError."""
    limits = limits_of(params)
    if params["backup_first"]:
        limits = replace(limits, backup_max_age=None)  # it will be fresh
    if cut_off(place):
        limits = replace(limits, repair=True)  # what our own work has left by halves is put right unasked
    found = survey(params["manager"], policy_of(params), limits, params["controller_time"])
    told: Dict[str, Any] = {"manager": found.manager.name, "held": found.plan.holds[:5000]}
    if found.blockers:
        reason = "; ".join(f"{one.code}: {one.text}" for one in found.blockers)
        blockers = [one.values() for one in found.blockers[:100]]
        return {**told, "outcome": "blocked", "reason": reason, "blockers": blockers}
    wanted, dummy = services.wanted(found.manager.reboot_reasons())
    told["changes"] = found.changes()
    broken = limits.repair and found.manager.audit()
    if not found.plan.install and not broken and not (wanted and params["reboot"] == "when_wanted"):
        return {**told, "outcome": "done", "reason": "nothing was to be done"}
    if check:
        return {**told, "outcome": "planned", "reason": "check mode: it would be started"}
    return {"request": {**found.request(), "repair": limits.repair}}


def main(module: Any) -> None:
    """Start the work, or tell how it stands."""
    params = module.params
    try:
        request = {name: params[name] for name in _ASKED}
        place = Place.of_this_user()
        chain = Chain(Permit.read(params["gate"], BEGAN), {"stage": "install", **request, **work_of(params)}, place)
        told = chain.step(lambda: first(params, place, module.check_mode), dry=module.check_mode)
    except (WorkError, ManagerError, OptionError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, document=json.dumps(told, separators=(",", ":")))
