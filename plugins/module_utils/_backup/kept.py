# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What the client's program remembers: the run that goes on, those that ended, and the last that was complete."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from . import written
from .config import KEPT

STATE, STAMP = "state.json", "last-success"
RUNS = 60  # that are remembered
OUTCOMES = ("complete", "incomplete", "failed", "interrupted")


def read(folder: str = KEPT) -> Dict[str, Any]:
    """The state; that of a host that has never been backed up where there is none.

    :raises ValueError: it is there and is no state.
    :raises OSError: it can't be read.
    """
    try:
        with open(os.path.join(folder, STATE), encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {"running": None, "runs": [], "complete": None, "dumps": {}}
    if not isinstance(found, dict) or not isinstance(found.get("runs"), list):
        raise ValueError(f"{folder}/{STATE} is not what was written: is the disk whole?")
    return found


def write(state: Dict[str, Any], folder: str = KEPT) -> None:
    """Whole or not at all, and there after a power cut."""
    written.write(os.path.join(folder, STATE), json.dumps(state))


def ended(state: Dict[str, Any], run: Dict[str, Any]) -> Dict[str, Any]:
    """The state with a run that has ended."""
    runs: List[Dict[str, Any]] = [*state["runs"], run][-RUNS:]
    complete: Optional[Dict[str, Any]] = run if run["outcome"] == "complete" else state.get("complete")
    good = {one["name"]: one["bytes"] for one in run.get("dumps", ()) if one.get("outcome") == "good"}
    return dict(state, running=None, runs=runs, complete=complete, dumps={**state.get("dumps", {}), **good})


def good_bytes(state: Dict[str, Any], dump: str) -> Optional[int]:
    """How large a dump was when it was good the last time."""
    size = state.get("dumps", {}).get(dump)
    return int(size) if size is not None else None


def accepted(state: Dict[str, Any], dump: str, size: int) -> Dict[str, Any]:
    """The state with a dump's size that somebody has found good."""
    return dict(state, dumps={**state.get("dumps", {}), dump: size})


def stamp(folder: str = KEPT) -> None:
    """The time of the last complete backup, as the time of a file: patch nights look at it."""
    place = os.path.join(folder, STAMP)
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    os.utime(place)
