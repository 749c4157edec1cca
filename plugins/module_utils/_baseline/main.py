# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(baseline) goes on."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from .._document import unpacked
from .._host_work.place import WorkError
from .._patch.lengths import OptionError, seconds
from .work import audit


def main(module: Any) -> None:
    """Audit, or mend."""
    params = module.params
    try:
        rows = unpacked(params["controls"]) if params["controls"] else None
        grace = seconds("probe_grace", params["probe_grace"])
        probes = _probes(params["probes"])
        if module.check_mode:
            done = audit(rows)
        else:
            from .mend import Care, enforce  # only now, as compiling it takes an audit's time

            done = enforce(rows, params["run"] or "", Care(probes, grace, params["rollback"] == "automatic"))
    except (WorkError, OptionError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    shown = {"diff": done.diffs} if module._diff else {}
    document = json.dumps(done.body, separators=(",", ":"))
    # The list of controls is not sent home again.
    module.exit_json(changed=done.changed, document=document, invocation={}, **shown)


def _probes(given: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    if not given:
        return []
    from .._patch.probes import requested

    return requested(given)
