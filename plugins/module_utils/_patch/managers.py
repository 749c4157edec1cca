# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The package managers by name; a new one is a class in a file of its own and a line here."""

from __future__ import annotations

from typing import Callable, Dict, Optional

from .._host_info.context import Context
from .apt import Apt
from .dnf import Dnf
from .manager import Manager, ManagerError

MANAGERS: Dict[str, Callable[[Context], Manager]] = {"apt": Apt, "dnf": Dnf}


def manager_of(name: str, ctx: Optional[Context] = None) -> Manager:
    """The one of that name, or (auto) the host's own; raises ManagerError."""
    ctx = ctx or Context()
    if name == "auto":
        found = next((one for one in MANAGERS if ctx.exists(f"/etc/{one}")), None)
        if found is None:
            raise ManagerError("neither apt nor dnf is there")
        name = found
    return MANAGERS[name](ctx)
