"""`civicops windows`: when jobs may disturb people, and when not."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.towns import Inventories
from civicops.exit_status import ExitStatus

if TYPE_CHECKING:
    from civicops.calendar.coming import Coming

MAX_DAYS = 400
"""The longest look ahead."""


def windows(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    days: Annotated[int, typer.Option(help=f"How many days ahead, up to {MAX_DAYS}.")] = 60,
    job: Annotated[str | None, typer.Option(help="Only the windows of this job.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a calendar page to this file.", metavar="FILE")] = None,
    ics: Annotated[Path | None, typer.Option(help="Write a calendar file for other programs.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    inventories: Inventories = None,
) -> None:
    """Show the coming windows and freezes in the town's time; asks no host."""
    from civicops.calendar import load_calendar
    from civicops.calendar.coming import coming
    from civicops.town import load_town, town_dir
    from civicops.town.vocabulary import JOBS

    if not 1 <= days <= MAX_DAYS:
        _refuse(f"--days is a number from 1 to {MAX_DAYS}, not {days}")
    if job is not None and job not in JOBS:
        _refuse(f"there is no job {job[:40]!r}; allowed: {', '.join(JOBS)}")
    found = coming(load_calendar(load_town(town_dir(town, inventories))), datetime.now(UTC), days, job)
    if html is not None:
        from civicops.calendar.page import as_html

        _write(html, as_html(found).encode("utf-8", "replace"))
    if ics is not None:
        from civicops.calendar.export import as_ics

        _write(ics, as_ics(found))
    if as_json:
        typer.echo(json.dumps(found.as_data()))
        return
    _print(found)
    for path in (html, ics):
        if path is not None:
            typer.echo(f"Written: {path}")


def _refuse(message: str) -> None:
    from civicops.text import printable

    typer.echo(f"civicops: {printable(message)}", err=True)
    raise typer.Exit(ExitStatus.BAD_INPUT)


def _write(path: Path, content: bytes) -> None:
    from civicops.state import StateError, write_durably

    try:
        write_durably(path, content)
    except OSError as error:
        raise StateError(f"{path}: can't be written: {error.strerror}; choose another file") from error


_WIDE = 200


def _print(found: Coming) -> None:
    from rich.console import Console

    town = found.calendar.town
    # A pipe or a file has no width to fit.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    console.print(f"Windows of {town.name}, in the time of {town.timezone}", markup=False, highlight=False)
    if found.windows:
        console.print(_table(("day", "start", "end", "window", "jobs", "hosts", "frozen"), _window_rows(found)))
    else:
        console.print("none in these days\n", markup=False)
    console.print("Freezes, padding included", markup=False)
    if found.freezes:
        console.print(_table(("from", "to", "freeze", "kind", "hosts", "event"), _freeze_rows(found)))
    else:
        console.print("none in these days", markup=False)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("day", "start", "from", "to"))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _window_rows(found: Coming) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in found.windows:
        start = found.local(one.span.start)
        day = start.date()
        real = found.real_length(one.span)
        cuts = []
        for freeze in one.frozen:
            cut = found.cut(one, freeze)
            hours = "" if cut == one.span else f" {found.clock(cut.start, day)} to {found.clock(cut.end, day)}"
            cuts.append(f"{freeze.freeze}{hours} on {freeze.hosts}")
        rows.append(
            (
                f"{start:%a %Y-%m-%d}",
                f"{start:%H:%M}",
                found.clock(one.span.end, day) + (f" (really {real})" if real else ""),
                one.window.id,
                ", ".join(one.window.jobs),
                one.window.hosts,
                "; ".join(cuts),
            )
        )
    return rows


def _freeze_rows(found: Coming) -> list[tuple[str, ...]]:
    return [
        (
            f"{found.local(one.span.start):%a %Y-%m-%d %H:%M}",
            f"{found.local(one.span.end):%a %Y-%m-%d %H:%M}",
            one.freeze,
            one.kind,
            one.hosts,
            one.title,
        )
        for one in found.freezes
    ]
