"""`civicops findings`: what is wrong in a town and not known, worst first; which hosts an advisory hits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from civicops.cli.runs import Json
from civicops.cli.towns import Inventories, open_town
from civicops.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterable


def findings(
    town: Annotated[
        str | None, typer.Argument(metavar="[TOWN]", help="The town's id; with --advisory, all towns without it.")
    ] = None,
    advisory: Annotated[
        str | None,
        typer.Option(help="Which hosts does this one hit? CVE-2026-1234, DSA-5678-1.", metavar="ID"),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", help="Only this host, or those of Ansible's pattern; may be repeated.", metavar="PATTERN"
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="What is new, gone, worse since this run: its id, or last for what was recorded last before the "
            "newest answers.",
            metavar="RUN",
        ),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            help="End with status 5 if a finding of this severity (low, medium, high, critical) or a higher one is "
            "there and not waived; unknown: if something is not known. May be repeated.",
            metavar="SEVERITY",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show what is fine too, and all findings instead of the first ones.")
    ] = False,
    as_json: Json = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0 and nothing else.")] = False,
    inventories: Inventories = None,
) -> None:
    """Tell what is wrong in a town, what is not known and by when it is to be mended; from the ledger and the feeds.

    Asks no host. With --advisory: which towns, systems and hosts it hits.
    """
    if as_json and sarif:
        raise typer.BadParameter("--json and --sarif: choose one")
    if advisory is not None and (host or since or fail_on or sarif or every):
        raise typer.BadParameter("--advisory goes with TOWN, --json and --inventories alone")
    if since and sarif:
        raise typer.BadParameter("--since is told as text or --json; SARIF is compared by its fingerprints")
    if advisory is None and town is None:
        raise typer.BadParameter("name a TOWN, or an advisory: --advisory CVE-2026-1234")

    import gc

    from civicops.assess.bulk import uncollected

    with uncollected():
        if advisory is not None:
            _advisory(advisory, town, inventories, as_json=as_json)
        elif town is not None:
            _findings(town, inventories, host or [], since, fail_on or [], every=every, as_json=as_json, sarif=sarif)
        gc.freeze()  # the process ends with this; nothing needs to be looked through


def _findings(
    town: str,
    inventories: Path | None,
    hosts: list[str],
    since: str | None,
    fail_on: list[str],
    *,
    every: bool,
    as_json: bool,
    sarif: bool,
) -> None:
    from civicops.report.chosen import NoSuchHostError
    from civicops.report.findings import NothingKnownError, demand, read_findings, shortfall
    from civicops.report.findings_export import as_json as to_json
    from civicops.report.findings_export import as_sarif
    from civicops.report.findings_text import lines

    if wrong := [one for one in fail_on if demand(one) is None]:
        _refuse(f"--fail-on {wrong[0]}: there are low, medium, high, critical, unknown")
    loaded, state = open_town(town, inventories)
    try:
        told = read_findings(loaded, state, hosts=hosts, since=since)
    except (NoSuchHostError, NothingKnownError) as error:
        _refuse(str(error))
    if as_json or sarif:
        _write((to_json if as_json else as_sarif)(told, every=every))
    else:
        for line in lines(told, every=every):
            typer.echo(line)
    if (short := shortfall(told, fail_on)) is not None:
        _say(short.words)
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _advisory(name: str, town: str | None, inventories: Path | None, *, as_json: bool) -> None:
    from civicops.report.advisory import NoAdvisoryError, ask, lines, plain

    try:
        told = ask(name, town, inventories)
    except NoAdvisoryError as error:
        _refuse(str(error))
    if as_json:
        typer.echo(json.dumps(plain(told)))
        return
    for line in lines(told):
        typer.echo(line)


def _write(pieces: Iterable[str]) -> None:
    """UTF-8, whatever the terminal's locale is."""
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def _refuse(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(ExitStatus.BAD_INPUT)


def _say(message: str) -> None:
    from civicops.text import printable

    typer.echo(f"civicops: {printable(message, 2000)}", err=True)
