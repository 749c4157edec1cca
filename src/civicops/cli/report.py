"""`civicops report`: the ledger as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.towns import Inventories, open_town

if TYPE_CHECKING:
    from civicops.state import TownState
    from civicops.town import Town


def report(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="The morning report of this patch night: a run's id, or last for the newest.", metavar="ID"
        ),
    ] = None,
    edition: Annotated[
        str | None, typer.Option(help="With --run, one page only: engineer or manager.", metavar="EDITION")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Directory of the report; else the town's own, in its state directory.", metavar="DIR"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report's figures as one JSON document.")] = False,
    inventories: Inventories = None,
) -> None:
    """Write the report from what the ledger holds; asks no host."""
    if edition is not None and run is None:
        raise typer.BadParameter("--edition belongs to --run: --run last is the newest patch night")
    if run is not None:
        loaded, state = open_town(town, inventories)
        _night(loaded, state, run, edition, output, as_json=as_json)
        return
    from civicops.report.write import figures, write_report

    loaded, state = open_town(town, inventories)
    if as_json:
        typer.echo(json.dumps(figures(loaded.id, loaded.name, state, wanted=loaded)))
        return
    written = write_report(loaded.id, loaded.name, state, output, wanted=loaded)
    for line in written.summary:
        typer.echo(line)
    typer.echo(f"\nReport: {written.path}")


def _night(town: Town, state: TownState, run: str, edition: str | None, output: Path | None, *, as_json: bool) -> None:
    from civicops.report.night_write import EDITIONS, night_figures, write_night

    wanted = [one for one in EDITIONS if edition in (None, one)]
    if not wanted:
        raise typer.BadParameter(f"--edition {edition}: there are {' and '.join(EDITIONS)}")
    if as_json:
        typer.echo(json.dumps(night_figures(town, state, run)))
        return
    written = write_night(town, state, run, wanted, output)
    for line in written.summary:
        typer.echo(line)
    typer.echo("")
    for path in written.paths:
        typer.echo(f"Report: {path}")
