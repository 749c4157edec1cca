"""What every command that takes a TOWN needs: find it, load it, take in what is waiting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.state import TownState

if TYPE_CHECKING:
    from civicops.town import Town

Inventories = Annotated[
    Path | None,
    typer.Option(
        "--inventories", help="Directory of the towns; else $CIVICOPS_INVENTORIES, else ./inventories.", metavar="DIR"
    ),
]


def open_town(name: str, inventories: Path | None) -> tuple[Town, TownState]:
    """Load a town's file and take in what earlier runs have left in its spool.

    :raises TownFileError: there is no such town, or its file has mistakes.
    """
    from civicops.runs.start import take_in
    from civicops.town import load_town, town_dir

    town = load_town(town_dir(name, inventories))
    state = TownState(town.id)
    take_in(town.id, state)
    return town, state
