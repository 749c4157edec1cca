# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The specification of the options that the modules of a patch night share."""

from __future__ import annotations

from typing import Any, Dict

from .._document import document_spec


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
        "probes": {"type": "list", "elements": "dict", "default": []},
        "probe_grace": {"type": "str", "default": "2m"},
        "lock_wait": {"type": "str", "default": "2m"},
        "reboot_time": {"type": "str", "default": "5m"},
        "gate": {"type": "dict", "required": True},
    }
