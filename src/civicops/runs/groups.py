"""Who was in which group when a run began, noted in its private directory.

Ansible has read the inventory then. Whoever reports on the run need not start it again to read the same, which takes
half a second, and with an inventory that asks a service as long as that takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from civicops.state import TownState, write_durably

_NAME = "groups.json"


def note_groups(state: TownState, run: str, groups: Mapping[str, Sequence[str]]) -> None:
    """Note Ansible's variable `groups` for a run that `civicops` has begun; others have no directory, so it is not.

    :raises OSError: it can't be written.
    """
    if (state.runs / run).is_dir():
        told = {str(name): [str(host) for host in hosts] for name, hosts in groups.items()}
        write_durably(_noted(state, run), json.dumps(told, separators=(",", ":")).encode())


def noted_groups(state: TownState, run: str) -> dict[str, list[str]] | None:
    """What was noted; None where nothing was."""
    try:
        told: dict[str, list[str]] = json.loads(_noted(state, run).read_bytes())
    except (OSError, ValueError):
        return None
    return told


def _noted(state: TownState, run: str) -> Path:
    return state.runs / run / _NAME
