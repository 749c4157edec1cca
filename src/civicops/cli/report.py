"""`civicops report`: the ledger as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from civicops.cli.towns import Inventories, open_town


def report(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Directory of the report; else the town's own, in its state directory.", metavar="DIR"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report's figures as one JSON document.")] = False,
    inventories: Inventories = None,
) -> None:
    """Write the report from what the ledger holds; asks no host."""
    from civicops.report.write import figures, write_report

    loaded, state = open_town(town, inventories)
    if as_json:
        typer.echo(json.dumps(figures(loaded.id, loaded.name, state)))
        return
    written = write_report(loaded.id, loaded.name, state, output)
    for line in written.summary:
        typer.echo(line)
    typer.echo(f"\nReport: {written.path}")
