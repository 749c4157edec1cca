# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one guarded import of the Python package `civicops`."""

from __future__ import annotations

import sys
from typing import Any

from ansible.errors import AnsibleActionFail

__all__ = [
    "groups",
    "missing",
    "origin",
    "require",
    "require_for_devices",
    "require_for_gate",
    "spool",
    "state",
    "text",
    "waivers",
]

try:
    from civicops import state, text
    from civicops.ledger import spool
    from civicops.runs import groups
    from civicops.town import waivers
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None


def missing() -> str | None:
    """What to do about a missing package, or None where it is there."""
    if IMPORT_ERROR is None:
        return None
    return (
        f"the Python package civicops can't be imported ({IMPORT_ERROR}); install it beside Ansible: "
        f"{sys.executable} -m pip install civicops"
    )


def require() -> None:
    """Raise AnsibleActionFail where the package is missing."""
    if (remedy := missing()) is not None:
        raise AnsibleActionFail(f"{remedy}; or set record=false to get the answer in the task's result")


def require_for_gate() -> None:
    """Raise AnsibleActionFail where the package is missing: without it nothing may be opened."""
    if (remedy := missing()) is not None:
        raise AnsibleActionFail(f"nothing is opened: {remedy}")


def require_for_devices() -> None:
    """Raise AnsibleActionFail where the package is missing: it is what asks network devices."""
    if (remedy := missing()) is not None:
        raise AnsibleActionFail(f"no device is asked: {remedy}")


def origin() -> Any:
    """Which run this is; raise AnsibleActionFail where the callback does not say."""
    found = spool.origin_from_environment()
    if found is None:
        raise AnsibleActionFail(
            "the callback civicops.town.run is not enabled or knows no town: set callbacks_enabled = "
            "civicops.town.run in ansible.cfg and name a town's inventory directory (-i inventories/TOWN)"
        )
    return found
