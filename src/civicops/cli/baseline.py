"""`civicops baseline`: how hosts stand against their profiles, from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from civicops.cli.towns import Inventories, open_town
from civicops.exit_status import ExitStatus

if TYPE_CHECKING:
    from civicops.assess.catalogue import Severity
    from civicops.assess.hardening import Hardening

Choice = TypeVar("Choice", bound=str)


def baseline(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", help="Only this host, or those of Ansible's pattern; may be repeated.", metavar="PATTERN"
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="As this run has left them: its id, or last; else each by its newest answer.", metavar="ID"
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="html (a page), json, csv or sarif (printed).", metavar="FORMAT")
    ] = "html",
    output: Annotated[
        Path | None,
        typer.Option(help="Where to write it: a file, or a directory, which has no ending.", metavar="PATH"),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            help="End with status 5 if a control of this severity (low, medium, high, critical) or a higher one is not "
            "met and not waived, or a host is not known.",
            metavar="SEVERITY",
        ),
    ] = None,
    inventories: Inventories = None,
) -> None:
    """Tell how hosts stand against their hardening profiles, from what the ledger holds; asks no host."""
    from civicops.assess.catalogue import SEVERITIES
    from civicops.report.chosen import NoSuchHostError
    from civicops.report.hardening_write import FORMATS, HTML, read_standing, write_export, write_standing

    form = _one_of(FORMATS, form, "--format")
    demand = None if fail_on is None else _one_of(SEVERITIES, fail_on, "--fail-on")
    loaded, state = open_town(town, inventories)
    try:
        told = read_standing(loaded, state, hosts=host or (), run=run, strict=demand is not None)
    except NoSuchHostError as error:
        _refuse(str(error))
    for doubt in told.doubts:
        _say(doubt)
    if form == HTML:
        written = write_standing(loaded, state, told, output)
        for line in written.summary:
            typer.echo(line)
        typer.echo(f"\nReport: {written.path}")
    elif output is not None:
        typer.echo(f"Written: {write_export(loaded, told, form, output)}")
    else:
        from civicops.report.hardening_export import EXPORTS

        # The exports have their own line ends, and UTF-8 whatever the terminal's locale.
        typer.echo(EXPORTS[form](told).encode("utf-8", "replace"), nl=False)
    if demand is not None:
        _judge(told, demand)


def _judge(told: Hardening, demand: Severity) -> None:
    from civicops.report.hardening import shortfall

    if (short := shortfall(told, demand)) is not None:
        _say(short.words)
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _one_of(choices: Collection[Choice], value: str, option: str) -> Choice:
    return next((one for one in choices if one == value), None) or _refuse(
        f"{option} {value}: there are {', '.join(choices)}"
    )


def _refuse(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(ExitStatus.BAD_INPUT)


def _say(message: str) -> None:
    from civicops.text import printable

    typer.echo(f"civicops: {printable(message, 2000)}", err=True)
