"""`civicops ledger`: prove that what was recorded is what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.towns import Inventories, open_town
from civicops.exit_status import ExitStatus

if TYPE_CHECKING:
    from civicops.ledger.store import Anchor

app = typer.Typer(help="The town's ledger: verify it, anchor it.", no_args_is_help=True)


@app.command()
def verify(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    anchor: Annotated[
        list[str] | None, typer.Option(help="COUNT:HASH from a report, kept elsewhere.", metavar="COUNT:HASH")
    ] = None,
    anchor_file: Annotated[
        Path | None, typer.Option(help="A file of anchors, as `civicops ledger anchor` appends them.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    inventories: Inventories = None,
) -> None:
    """Check that the ledger is consistent, and unchanged up to each anchor. Exit 5 if not."""
    from civicops.ledger.store import Anchor, Ledger
    from civicops.ledger.verify import verify as verify_ledger

    loaded, state = open_town(town, inventories)
    anchors = [Anchor.parse(text) for text in anchor or ()]
    if anchor_file is not None:
        anchors += _read_anchors(anchor_file, loaded.id)
    with Ledger(loaded.id, state=state) as ledger:
        verdict = verify_ledger(ledger, anchors)
    if as_json:
        told = {
            "town": loaded.id,
            "good": verdict.good,
            "anchor": str(verdict.anchor),
            "anchors_checked": len(anchors),
            "redacted": verdict.redacted,
            "problems": verdict.problems,
        }
        typer.echo(json.dumps(told))
    elif verdict.good:
        upto = f", unchanged up to {len(anchors)} anchor(s)" if anchors else "; give --anchor to show more than that"
        typer.echo(f"{loaded.id}: {verdict.anchor.count} entries, consistent{upto}\nanchor {verdict.anchor}")
    else:
        for problem in verdict.problems:
            typer.echo(f"{loaded.id}: {problem}", err=True)
    if not verdict.good:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


@app.command()
def anchor(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    append: Annotated[
        Path | None, typer.Option(help="Append it to this file, on another machine's disk if you can.", metavar="FILE")
    ] = None,
    inventories: Inventories = None,
) -> None:
    """Print the ledger's anchor: its head's number and hash."""
    from civicops.ledger.store import Ledger, LedgerError

    loaded, state = open_town(town, inventories)
    with Ledger(loaded.id, state=state) as ledger:
        current = ledger.anchor()
    if append is not None:
        try:
            with append.open("a", encoding="utf-8") as stream:
                stream.write(f"{loaded.id} {current}\n")
        except OSError as error:
            raise LedgerError(f"{append}: can't be written: {error.strerror}") from error
    typer.echo(str(current))


def _read_anchors(path: Path, town: str) -> list[Anchor]:
    from civicops.ledger.store import Anchor, LedgerError

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LedgerError(f"{path}: can't be read: {why}") from error
    pairs = [line.partition(" ") for line in lines if line.strip()]
    anchors = [Anchor.parse(text) for name, _, text in pairs if name == town]
    if not anchors:
        raise LedgerError(f"{path}: holds no anchor of {town}, so there is nothing to compare with")
    return anchors
