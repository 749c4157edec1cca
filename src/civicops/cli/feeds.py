"""`civicops feeds`: take in public data on vulnerabilities and life cycles, and show what is there."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.runs import Json
from civicops.exit_status import ExitStatus
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.feeds.store import Feed, Imported

app = typer.Typer(help="Public data on vulnerabilities and life cycles, shared by all towns.", no_args_is_help=True)

_LEFT_OUT_SHOWN = 8

AcceptSmaller = Annotated[
    bool, typer.Option("--accept-smaller", help="Take a feed that is older or much smaller than what is there.")
]


@app.command("import")
def import_feeds(
    paths: Annotated[list[Path], typer.Argument(help="Files, or directories with files in them.", metavar="PATH...")],
    accept_smaller: AcceptSmaller = False,
    as_json: Json = False,
) -> None:
    """Import feeds from files, each recognised by what is in it. Exit 2 if one was refused; the others are imported."""
    from civicops.feeds.error import FeedError
    from civicops.feeds.importing import look
    from civicops.feeds.store import Index

    found = look(paths)
    errors = [*found.errors]
    index = Index()
    told: list[dict[str, object]] = []
    for feed in found.feeds:
        try:
            done = index.replace(
                feed.format, feed.name, feed.sources, origin=feed.origin, accept_smaller=accept_smaller
            )
        except FeedError as error:
            errors.append(str(error))
            continue
        told.append(_as_json(done))
        if not as_json:
            typer.echo(_line(done, feed.origin))
    if not found.feeds and not errors:
        errors.append("no feed in what was given: docs/feeds.md lists those that are known")
    if as_json:
        left_out = [{"file": file, "why": why} for file, why in found.left_out]
        typer.echo(json.dumps({"imported": told, "left_out": left_out, "errors": errors}))
    else:
        _tell_left_out(found.left_out)
    for line in errors:
        typer.echo(f"civicops: {printable(line, 2000)}", err=True)
    if errors:
        raise typer.Exit(ExitStatus.BAD_INPUT)


@app.command()
def update(
    names: Annotated[list[str] | None, typer.Argument(help="These feeds; else all.", metavar="[FEED...]")] = None,
    accept_smaller: AcceptSmaller = False,
    as_json: Json = False,
) -> None:
    """Download what is new from the sources' official addresses. Exit 2 if one failed; the others are updated."""
    from civicops.feeds.store import Index
    from civicops.feeds.update import update as update_feeds

    told: list[dict[str, object]] = []
    errors = []
    for one in update_feeds(Index(), names or (), accept_smaller=accept_smaller):
        if one.error is not None:
            errors.append(one.error)
            if not as_json:
                typer.echo(f"civicops: {printable(one.error, 2000)}", err=True)
        elif one.done is not None:
            told.append(_as_json(one.done))
            if not as_json:
                typer.echo(_line(one.done, one.done.feed.origin))
        elif not as_json:
            typer.echo(f"{one.name}: nothing newer")
    if as_json:
        typer.echo(json.dumps({"imported": told, "errors": errors}))
    if errors:
        raise typer.Exit(ExitStatus.BAD_INPUT)


@app.command()
def status(as_json: Json = False) -> None:
    """Show each feed: where it came from, of when it is, how much it holds, its licence; and which are missing."""
    from datetime import UTC, datetime

    from civicops.feeds.format import formats
    from civicops.feeds.store import Index, days_old

    today = datetime.now(UTC).date()
    there = Index().status()
    licences = {name: licence for one in formats() for name, licence in one.feeds.items()}
    missing = sorted(licences.keys() - there.keys())
    if as_json:
        feeds = [asdict(one) | {"days_old": days_old(one, today)} for one in there.values()]
        typer.echo(json.dumps({"feeds": feeds, "missing": missing}))
        return
    rows = [("feed", "date", "days old", "count", "licence", "origin")]
    rows += [
        (one.name, _date(one), str(days_old(one, today)), str(one.count), one.licence, printable(one.origin, 200))
        for one in there.values()
    ]
    rows += [(name, "missing", "-", "-", licences[name], "-") for name in missing]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        name, date, age, count, licence, origin = (
            f"{cell:>{width}}" if column in (2, 3) else f"{cell:{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        typer.echo("  ".join((name, date, age, count, licence, origin)).rstrip())
    if any(one.date_from == "file" for one in there.values()):
        typer.echo("~ the data tells no date: the day on which its file was last changed")


def _date(feed: Feed) -> str:
    return f"{'~' if feed.date_from == 'file' else ''}{feed.date}"


def _as_json(done: Imported) -> dict[str, object]:
    return asdict(done.feed) | {"unchanged": done.unchanged, "left_out": done.left_out}


def _line(done: Imported, origin: str) -> str:
    if done.unchanged:
        return f"{done.feed.name}: {origin} is what is there already, {done.feed.count} entries"
    before = f", before {done.former.count} of {done.former.date}" if done.former else ""
    out = "".join(f"; left out: {count} {printable(why, 100)}" for why, count in sorted(done.left_out.items()))
    return f"{done.feed.name}: {done.feed.count} entries of {_date(done.feed)} from {origin}{before}{out}"


def _tell_left_out(left_out: list[tuple[str, str]]) -> None:
    """File by file for a few, the rest as a number for each reason."""
    for file, why in left_out[:_LEFT_OUT_SHOWN]:
        typer.echo(f"left out: {file}: {why}")
    for why, count in Counter(why for _, why in left_out[_LEFT_OUT_SHOWN:]).items():
        typer.echo(f"left out: {count} more: {why} (--json names them)")
