# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The options that the modules of a patch night share: their specification, and what is made of them."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .._document import document_spec
from .lengths import seconds
from .manager import Policy
from .preflight import Limits
from .probes import probe_spec, requested


def selection_spec() -> Dict[str, Any]:
    """Which updates are wanted, and what a host must be like."""
    return {
        "manager": {"type": "str", "choices": ["auto", "apt", "dnf"], "default": "auto"},
        "scope": {"type": "str", "choices": ["security", "all"], "default": "security"},
        "allow": {"type": "list", "elements": "str", "default": []},
        "deny": {"type": "list", "elements": "str", "default": []},
        "without_rollback": {"type": "str", "choices": ["skip", "patch"], "default": "skip"},
        "repair": {"type": "bool", "default": False},
        "lists_max_age": {"type": "str", "default": "7d"},
        "backup_max_age": {"type": "str"},
        "backup_stamp": {"type": "path", "default": "/var/lib/civicops/backup/last-success"},
        "clock_skew": {"type": "str", "default": "5m"},
        "logged_in": {"type": "str", "choices": ["tell", "block"], "default": "tell"},
        "controller_time": {"type": "float"},
        **document_spec(),
    }


def work_spec() -> Dict[str, Any]:
    """How the work on a host is done and judged."""
    return {
        **probe_spec("2m"),
        "lock_wait": {"type": "str", "default": "2m"},
        "reboot_time": {"type": "str", "default": "5m"},
        "gate": {"type": "dict", "required": True},
    }


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
