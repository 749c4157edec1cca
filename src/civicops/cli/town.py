"""`civicops town`: are the town files right, and which towns are there?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from civicops.cli.towns import Inventories
from civicops.exit_status import ExitStatus

if TYPE_CHECKING:
    from civicops.town import Problem, Town

app = typer.Typer(help="The town files: check them, list the towns.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@dataclass(frozen=True)
class _Looked:
    """A town that was looked at: either the town or its problems."""

    name: str
    town: Town | None
    problems: tuple[Problem, ...]


@app.command()
def check(
    towns: Annotated[
        list[str] | None, typer.Argument(help="The towns' ids; without, every town.", metavar="[TOWN]...")
    ] = None,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Read the inventories too, about a second each: groups, pairs, patterns.")
    ] = False,
    as_json: AsJson = False,
    inventories: Inventories = None,
) -> None:
    """Tell every mistake in the town files, as file:line: key: what is wrong. Exit 2 if there are any."""
    looked = _look(towns or [], inventories)
    if hosts:
        looked = [_with_hosts(one) for one in looked]
    if as_json:
        typer.echo(json.dumps({"towns": [_as_data(one) for one in looked]}))
    elif not looked:
        typer.echo("there is no town to check; name their directory with --inventories", err=True)
    else:
        for one in looked:
            if one.town is not None:
                typer.echo(_summary(one.town))
            for problem in one.problems:
                typer.echo(str(problem), err=True)
    if not looked or any(one.problems for one in looked):
        raise typer.Exit(ExitStatus.BAD_INPUT)


@app.command("list")
def list_towns(as_json: AsJson = False, inventories: Inventories = None) -> None:
    """List the towns, those with mistakes in their file too."""
    looked = _look([], inventories)
    if as_json:
        typer.echo(json.dumps({"towns": [_as_data(one) for one in looked]}))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("id", "name", "state", "timezone"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "name")
    for heading in ("departments", "systems", "windows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in looked:
        table.add_row(*map(Text, _row(one)))
    Console().print(table)


def _look(names: list[str], inventories: Path | None) -> list[_Looked]:
    """The towns with these names, or all; whatever is wrong with one of them is in its problems."""
    from civicops.town import find_towns

    if not names:
        return [_load(path.name, path) for path in find_towns(inventories)]
    return [_load(name, None, inventories) for name in dict.fromkeys(names)]


def _load(name: str, directory: Path | None, inventories: Path | None = None) -> _Looked:
    from civicops.calendar import load_calendar
    from civicops.town import TownFileError, load_town, town_dir
    from civicops.town.waivers import load_waivers
    from civicops.town.warranty import load_warranties

    try:
        town = load_town(directory or town_dir(name, inventories))
        load_calendar(town)  # reads the calendar files that its freezes name
        load_waivers(town.directory)
        load_warranties(town.directory)
        return _Looked(name, town, ())
    except TownFileError as error:
        return _Looked(name, None, error.problems)


def _with_hosts(one: _Looked) -> _Looked:
    """The same with what is doubtful in the town's inventory."""
    if one.town is None:
        return one
    from civicops.gate.doubts import doubts
    from civicops.runs.inventory import InventoryError, read_groups
    from civicops.state import TownState
    from civicops.town.problems import whole
    from civicops.town.warranty import strangers

    directory = one.town.directory
    strange: list[Problem] = []
    try:
        groups = read_groups(one.town, TownState(one.town.id))
        found = list(doubts(one.town, groups))
        strange = strangers(directory, groups["all"])
    except InventoryError as error:
        found = [str(error).removeprefix(f"{directory.absolute()}: ")]
    problems = [problem for line in found for problem in whole(directory, line, "look at hosts.yml").problems]
    problems += strange
    return _Looked(one.name, None if problems else one.town, tuple(problems))


def _counts(town: Town) -> dict[str, int]:
    return {
        "departments": len(town.departments),
        "systems": len(town.systems),
        "windows": len(town.maintenance.windows),
    }


def _summary(town: Town) -> str:
    counts = ", ".join(f"{number} {what}" for what, number in _counts(town).items())
    return f"{town.id}: good ({counts})"


def _row(one: _Looked) -> list[str]:
    from civicops.town.problems import escaped

    if one.town is None:
        count = len(one.problems)
        return [escaped(one.name), f"{count} error{'s' if count != 1 else ''}", *[""] * 5]
    town = one.town
    return [town.id, escaped(town.name), town.state or "", town.timezone, *map(str, _counts(town).values())]


def _as_data(one: _Looked) -> dict[str, Any]:
    data: dict[str, Any] = {"id": one.name, "problems": [asdict(problem) for problem in one.problems]}
    if one.town is not None:
        town = one.town
        data |= {"name": town.name, "state": town.state, "timezone": town.timezone, **_counts(town)}
        data |= {"path": str(town.path), "sha256": town.sha256}
    return data
