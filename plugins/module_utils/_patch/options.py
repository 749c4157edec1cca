# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The options that the modules of a patch night share: what is made of them. C(specs) has their specification."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .lengths import seconds
from .manager import Policy
from .preflight import Limits
from .probes import requested


def policy_of(params: Dict[str, Any]) -> Policy:
    return Policy(params["scope"], tuple(params["allow"]), tuple(params["deny"]))


def limits_of(params: Dict[str, Any]) -> Limits:
    """Raises OptionError."""
    backup: Optional[float] = seconds("backup_max_age", params["backup_max_age"]) if params["backup_max_age"] else None
    return Limits(
        lists_max_age=seconds("lists_max_age", params["lists_max_age"]),
        backup_max_age=backup,
        backup_stamp=params["backup_stamp"],
        clock_skew=seconds("clock_skew", params["clock_skew"]),
        block_users=params["logged_in"] == "block",
        repair=params["repair"],
    )


def work_of(params: Dict[str, Any]) -> Dict[str, Any]:
    """What of the options goes into the program's request; raises OptionError."""
    return {
        "probes": requested(params["probes"]),
        "probe_grace": seconds("probe_grace", params["probe_grace"]),
        "lock_wait": round(seconds("lock_wait", params["lock_wait"])),
        "reboot_seconds": seconds("reboot_time", params["reboot_time"]),
    }
