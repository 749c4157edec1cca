"""The town file: what a town wants, read from `inventories/TOWN/group_vars/all/town.yml`.

`load_town` gives a `Town`, or raises one `TownFileError` with every problem of the file.
Names are imported on first use, so that `import civicops.town` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .directories import find_towns, inventories_dir, town_dir
    from .loader import load_town
    from .model import Town
    from .problems import Problem, TownFileError

__all__ = ["Problem", "Town", "TownFileError", "find_towns", "inventories_dir", "load_town", "town_dir"]

_HOMES = {
    "Problem": "problems",
    "Town": "model",
    "TownFileError": "problems",
    "find_towns": "directories",
    "inventories_dir": "directories",
    "load_town": "loader",
    "town_dir": "directories",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
