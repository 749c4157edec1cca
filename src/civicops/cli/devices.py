"""`civicops devices`: the network devices' configurations that are kept; how they changed, and the way back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.runs import Json, VaultId, checked_vault_ids
from civicops.cli.towns import Inventories, open_town
from civicops.exit_status import ExitStatus
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.network.known import Kind
    from civicops.network.sealed import Sealer
    from civicops.network.store import Kept, Store
    from civicops.state import TownState

_ACTIONS = ("list", "diff", "history", "verify", "export")
_OF_A_DEVICE = ("diff", "history", "export")


def devices(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    action: Annotated[str, typer.Argument(help=f"One of: {', '.join(_ACTIONS)}.")] = "list",
    device: Annotated[
        str | None, typer.Argument(metavar="[DEVICE]", help="Its name in the inventory: for all but list and verify.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="diff: over this many changes.", metavar="N")] = 1,
    since: Annotated[
        str | None, typer.Option(help="diff: over the changes after this day, or moment in UTC.", metavar="DATE")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="verify: every version, not each device's newest.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="export: a new file for the configuration, secrets included.", metavar="FILE")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="export: this version; else the newest.", metavar="VERSION")
    ] = None,
    startup: Annotated[bool, typer.Option("--startup", help="export: the startup configuration.")] = False,
    vault_id: VaultId = None,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """List a town's network devices, show how one changed, verify what a restore needs, or export it.

    verify: exit 5 if a raw configuration does not decrypt, or is not what was kept.
    """
    if action not in _ACTIONS:
        raise typer.BadParameter(f"{action!r} is none of {', '.join(_ACTIONS)}")
    if action in _OF_A_DEVICE and device is None:
        raise typer.BadParameter(f"{action} wants a DEVICE: civicops devices {town} lists them")
    if action not in _OF_A_DEVICE and device is not None:
        raise typer.BadParameter(f"{action} is of all devices; it takes no DEVICE")
    identities = checked_vault_ids(vault_id)
    moment = _moment(since)
    where = _where(output) if action == "export" else None

    from civicops.network.store import Store, StoreError

    _, state = open_town(town, inventories)
    store = Store(state)
    if device is not None and device not in store.devices():
        raise StoreError(f"{town} has no configuration of {printable(device, 200)!r}: civicops devices {town}")
    if action == "list":
        _list(town, store, as_json=as_json)
    elif action == "verify":
        _verify(town, store, _sealer(state, identities), every=every, as_json=as_json)
    elif device is not None and action == "diff":
        _diff(device, store.diff(device, last=last, since=moment), as_json=as_json)
    elif device is not None and action == "history":
        _history(device, store, as_json=as_json)
    elif device is not None and where is not None:
        kind: Kind = "startup" if startup else "running"
        _export(device, store, _sealer(state, identities), where, version, kind, as_json=as_json)


def _moment(since: str | None) -> datetime | None:
    from datetime import UTC

    if since is None:
        return None
    try:
        found = datetime.fromisoformat(since)
    except ValueError as error:
        raise typer.BadParameter(
            f"--since {since}: give a day, as 2027-03-14, or a moment, as 2027-03-14T02:00"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _where(output: Path | None) -> Path:
    """The file that an export makes; never one that is there, and so no terminal and no pipe either."""
    if output is None:
        raise typer.BadParameter("export wants --output FILE: the configuration holds secrets, and is not shown")
    if str(output) == "-" or output.exists() or output.is_symlink():
        raise typer.BadParameter(f"--output {output}: is there already; give a new file")
    if not output.absolute().parent.is_dir():
        raise typer.BadParameter(f"--output {output}: its directory is not there")
    return output


def _sealer(state: TownState, identities: list[str]) -> Sealer:
    from civicops.network.sealed import Sealer, remedy
    from civicops.runs.environment import vault_identities

    return Sealer.from_identities([*identities, *vault_identities(state)], remedy=remedy(state))


def _list(town: str, store: Store, *, as_json: bool) -> None:
    kept = [one for device in store.devices() if (one := store.look(device))]
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in kept]))
        return
    if not kept:
        typer.echo(f"{town} has no device's configuration yet: civicops run network {town}")
        return
    rows = [("device", "platform", "", "whole", "changed", "versions", "bytes", "lines")]
    for one in kept:
        tested = _tested(one.platform)
        rows.append(
            (
                one.device,
                printable(one.platform, 40),
                {True: "tested", False: "untested", None: "unknown"}[tested],
                f"{one.seen:%Y-%m-%d %H:%MZ}" if one.seen else "-",
                f"{one.changed:%Y-%m-%d %H:%MZ}" if one.changed else "-",
                str(len(one.versions)),
                "-" if one.bytes is None else str(one.bytes),
                "-" if one.lines is None else str(one.lines),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        left = [f"{cell:{width}}" for cell, width in zip(row[:5], widths, strict=False)]
        right = [f"{cell:>{width}}" for cell, width in zip(row[5:], widths[5:], strict=True)]
        typer.echo("  ".join([*left, *right]).rstrip())


def _as_json(one: Kept) -> dict[str, object]:
    from civicops.moments import stamp

    return asdict(one) | {
        "tested": _tested(one.platform),
        "seen": stamp(one.seen) if one.seen else None,
        "changed": stamp(one.changed) if one.changed else None,
    }


def _tested(platform: str) -> bool | None:
    """Whether a platform was tested with real devices' sessions; None if it is none that is known here."""
    from civicops.network.platform import PlatformError, find

    try:
        return find(platform)[0].tested
    except PlatformError:
        return None


def _diff(device: str, text: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"device": device, "diff": text}))
    elif not text:
        typer.echo(f"{device}: no change")
    else:
        for line in text.removesuffix("\n").split("\n"):
            typer.echo(_shown(line))


def _shown(line: str) -> str:
    """A line of a configuration, fit for a terminal, with its indentation."""
    rest = line.lstrip("+- ")
    return line[: len(line) - len(rest)] + printable(rest)


def _history(device: str, store: Store, *, as_json: bool) -> None:
    from civicops.moments import stamp

    commits = store.history(device)
    kept = store.look(device)
    there = kept.versions if kept else ()
    if as_json:
        told = [asdict(one) | {"at": stamp(one.at)} for one in commits]
        typer.echo(json.dumps(told))
        return
    for one in commits:
        versions = dict.fromkeys(file.partition(".")[0] for file in one.raw)
        raw = ", ".join(name if name in there else f"{name} (raw no longer kept)" for name in versions)
        typer.echo(f"{one.at:%Y-%m-%d %H:%MZ}  {one.id[:12]}  {raw or 'by hand'}  {printable(one.subject, 300)}")


def _verify(town: str, store: Store, sealer: Sealer, *, every: bool, as_json: bool) -> None:
    from civicops.network.store import StoreError

    checked = list(store.verify(sealer.open, every=every))
    if not checked:
        raise StoreError(f"{town} has no device's configuration to verify: civicops run network {town}")
    bad = [one for one in checked if one.problem]
    if as_json:
        problems = [{"device": one.device, "file": one.file, "problem": one.problem} for one in bad]
        typer.echo(json.dumps({"town": town, "good": not bad, "checked": len(checked), "problems": problems}))
    else:
        for one in bad:
            typer.echo(f"{one.device}: {one.file}{': ' if one.file else ''}{printable(one.problem, 400)}", err=True)
        if not bad:
            devices = len({one.device for one in checked})
            typer.echo(f"{town}: {len(checked)} raw file(s) of {devices} device(s) decrypt, and are what was kept")
    if bad:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _export(
    device: str, store: Store, sealer: Sealer, output: Path, version: str | None, kind: Kind, *, as_json: bool
) -> None:
    from civicops.network.platform import PlatformError, find
    from civicops.network.sealed import SealError
    from civicops.network.store import StoreError
    from civicops.state import write_durably

    file = store.raw_file(device, version, kind)
    try:
        content = sealer.open(file.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{device}: {file} is gone") from error
    except SealError as error:
        raise SealError(f"{device}: {file.name}: {error}") from error
    write_durably(output, content)
    kept = store.look(device)
    platform = kept.platform if kept else ""
    try:
        restore = find(platform)[0].restore
    except PlatformError:
        restore = f"The platform {printable(platform, 60)!r} is none that is known here: no way back is written down.\n"
    if as_json:
        told = {"device": device, "file": str(output), "version": file.stem, "bytes": len(content), "restore": restore}
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{output}: {kind} configuration of {device}, version {file.stem}, {len(content)} bytes")
    typer.echo("It holds the device's secrets in the clear: remove it when it has served.\n")
    typer.echo(restore.rstrip("\n"))
