# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The plan that staging made, used again in the night while nothing that it was made from has changed.

Making one is the package manager's dearest question: it reads all its lists and solves all dependencies. The same
lists, installed packages, marks and settings give the same plan.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Dict, Iterator, List, Optional, Tuple

from .manager import Manager, ManagerError, Plan, Policy, Update, folder_is_ours
from .snapshot import read_json, write_json

FOLDER = "/var/lib/civicops/patch"
NAME = "plan.json"
FORM = 1
"""Raised when a plan of the same ground would come out differently."""


def plan_of(manager: Manager, policy: Policy) -> Plan:
    """The plan, as it was kept or made anew. Raises ManagerError."""
    return _recall(manager, policy) or manager.plan(policy)


def keep(manager: Manager, policy: Policy, plan: Plan) -> None:
    """Remember a plan; where that can't be, the next one is made anew."""
    ground = _ground(manager)
    if ground is None:
        return
    with suppress(OSError, ManagerError):
        folder_is_ours(FOLDER, private=True)
        rows = [update.row() for update in plan.updates]
        sizes = [plan.download_bytes, plan.disk_bytes]
        kept = {"for": _key(manager, policy, ground), "rows": rows, "sizes": sizes, "holds": plan.holds}
        write_json(FOLDER, NAME, kept)


def _recall(manager: Manager, policy: Policy) -> Optional[Plan]:
    ground = _ground(manager)
    if ground is None or not os.path.isdir(FOLDER):
        return None
    try:
        folder_is_ours(FOLDER, private=True)
        kept = read_json(FOLDER, NAME)
        if kept is None or kept["for"] != _key(manager, policy, ground):
            return None
        # Whether a way back is kept is looked at each time.
        updates = [Update(*row[:-1]) for row in kept["rows"]]
        return Plan(updates, kept["sizes"][0], kept["sizes"][1], list(kept["holds"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, ManagerError):
        return None


def _key(manager: Manager, policy: Policy, ground: str) -> Dict[str, object]:
    return {"form": FORM, "manager": manager.name, "policy": policy.values(), "ground": ground}


def _ground(manager: Manager) -> Optional[str]:
    """What stands for the state of every file that a plan is made from; None where the manager names none."""
    names: List[str] = manager.ground()
    if not names:
        return None
    digest = hashlib.sha256()
    for path, values in _states(names):
        digest.update(f"{path}\0{values}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _states(names: List[str]) -> Iterator[Tuple[str, str]]:
    for name in names:
        yield name, _state(name)
        for folder, folders, files in os.walk(name):
            folders.sort()
            for one in sorted([*folders, *files]):
                path = os.path.join(folder, one)
                yield path, _state(path)


def _state(path: str) -> str:
    try:
        info = os.stat(path)  # of what a link leads to
    except OSError:
        return "absent"
    # A change of any of these changes the last one, which nobody can set back.
    return f"{info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"
