"""`civicops checkup`, `run` and `runs`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from civicops.cli.progress import shown
from civicops.cli.towns import Inventories, open_town
from civicops.exit_status import ExitStatus
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.runs.start import RunResult
    from civicops.state import TownState

Limit = Annotated[str | None, typer.Option("--limit", "-l", help="Only these hosts (Ansible's pattern).")]
VaultId = Annotated[
    list[str] | None,
    typer.Option(
        "--vault-id", help="LABEL@FILE, beside those in the town's state directory, vault/.", metavar="LABEL@FILE"
    ),
]
AskBecomePass = Annotated[bool, typer.Option("--ask-become-pass", "-K", help="Ask for the password that sudo wants.")]
SshAgent = Annotated[bool, typer.Option(help="Let this run use your SSH agent and all its keys.")]
AcceptNew = Annotated[
    bool,
    typer.Option(
        "--accept-new-host-keys",
        help="First contact: record the keys of hosts never met; a changed key is still refused.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

# What a reason holds, and what to do about it; the first that fits is told.
_HINTS = (
    (
        "IDENTIFICATION HAS CHANGED",
        "its host key has changed, so it is refused, with --accept-new-host-keys too. Compare with the key at its "
        "console; if the change is right, remove the old one: ssh-keygen -R ADDRESS -f {known_hosts}",
    ),
    (
        "Host key verification failed",
        "its key is not in {known_hosts}: once you trust the way to it, --accept-new-host-keys",
    ),
    (
        "can be reached over ssh:",
        "ssh said nothing in time; try: ssh -F {ssh_config} ADDRESS (an unknown key wants --accept-new-host-keys)",
    ),
)


def checkup(
    town: Annotated[str, typer.Argument(help="The town's id; 'localhost' is this machine.")] = "localhost",
    limit: Limit = None,
    vault_id: VaultId = None,
    ask_become_pass: AskBecomePass = False,
    ssh_agent: SshAgent = False,
    accept_new_host_keys: AcceptNew = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Directory of the report; else the town's own, in its state directory.", metavar="DIR"),
    ] = None,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """Look at a town's hosts, read-only, and write a report. Changes nothing on a host."""
    from civicops.report.write import check_directory, write_report

    if output is not None:
        check_directory(output)  # before a run of an hour, not after it
    name, title, state, result = _execute(
        "checkup",
        town,
        inventories,
        limit=limit,
        vault_id=vault_id,
        ask_become_pass=ask_become_pass,
        ssh_agent=ssh_agent,
        accept_new_host_keys=accept_new_host_keys,
        quiet=as_json,
    )
    if result.exit_status in (ExitStatus.DONE, ExitStatus.HOSTS_FAILED):
        written = write_report(name, title, state, output)
        if as_json:
            typer.echo(json.dumps(_as_json(result) | {"report": str(written.path), "summary": written.summary}))
        else:
            _print(result, state)
            for line in written.summary:
                typer.echo(line)
            typer.echo(f"\nReport: {written.path}")
    else:
        typer.echo(json.dumps(_as_json(result))) if as_json else _print(result, state)
    raise typer.Exit(result.exit_status)


def run(
    job: Annotated[str, typer.Argument(help="The job's name.")],
    town: Annotated[str, typer.Argument(help="The town's id.")],
    limit: Limit = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; show what would change.")] = False,
    vault_id: VaultId = None,
    ask_become_pass: AskBecomePass = False,
    ssh_agent: SshAgent = False,
    accept_new_host_keys: AcceptNew = False,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """Run one job for one town, and wait for its end."""
    _, _, state, result = _execute(
        job,
        town,
        inventories,
        limit=limit,
        check=check,
        vault_id=vault_id,
        ask_become_pass=ask_become_pass,
        ssh_agent=ssh_agent,
        accept_new_host_keys=accept_new_host_keys,
        quiet=as_json,
    )
    typer.echo(json.dumps(_as_json(result))) if as_json else _print(result, state)
    raise typer.Exit(result.exit_status)


def show_runs(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    action: Annotated[str, typer.Argument(help="list, show or cancel.")] = "list",
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run's id, for show and cancel.")] = None,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """List a town's runs, show one, or cancel one."""
    from civicops.runs.journal import ask_to_cancel, read_events, read_run, read_runs

    if action not in ("list", "show", "cancel"):
        raise typer.BadParameter(f"{action!r} is none of list, show, cancel")
    if action != "list" and run_id is None:
        raise typer.BadParameter(f"{action} wants the run's ID: civicops runs {town} lists them")
    _, state = open_town(town, inventories)
    if action == "list" or run_id is None:
        records = read_runs(state)
        if as_json:
            typer.echo(json.dumps([asdict(record) for record in records]))
            return
        for record in records:
            message = f"  {record.message}" if record.message else ""
            typer.echo(f"{record.order.run}  {record.state:10}  by {printable(record.order.user, 40)}{message}")
        if not records:
            typer.echo(f"{town} has no runs yet: civicops checkup {town}")
        return
    record = ask_to_cancel(state, run_id) if action == "cancel" else read_run(state, run_id)
    if as_json:
        events = [asdict(event) for event in read_events(state, run_id)]
        typer.echo(json.dumps(asdict(record) | {"events": events}))
        return
    typer.echo(f"{record.order.run}: {record.state}" + (f": {record.message}" if record.message else ""))
    if action == "show":
        typer.echo(
            f"started {record.order.started_at} by {printable(record.order.user, 40)}, limit {record.order.limit}"
        )
        for event in read_events(state, run_id):
            if event.what != "task":
                typer.echo(f"{event.at[11:19]}Z {event.host}: {event.what}: {event.task} {event.message}".rstrip())


def _execute(
    job: str,
    town: str,
    inventories: Path | None,
    *,
    limit: str | None,
    vault_id: list[str] | None,
    ask_become_pass: bool,
    ssh_agent: bool,
    accept_new_host_keys: bool,
    quiet: bool,
    check: bool = False,
) -> tuple[str, str, TownState, RunResult]:
    import os

    from civicops.runs.environment import dropped_proxies
    from civicops.jobs import JOBS
    from civicops.runs.start import RunRequest, start

    if job not in JOBS:
        raise typer.BadParameter(f"{job!r} is no job; there are: {', '.join(JOBS)}")
    for identity in vault_id or ():
        label, at, source = identity.rpartition("@")
        if not at or not label or not Path(source).is_file():
            raise typer.BadParameter(f"--vault-id {identity}: give LABEL@FILE, with a file that holds the password")
    limit = _checked_limit(limit)
    loaded, state = open_town(town, inventories)
    for name in dropped_proxies(dict(os.environ)):
        typer.echo(
            f"civicops: ${name} holds a password, so the run does not get it (it would stand in its artifacts)",
            err=True,
        )
    try:
        password = typer.prompt("BECOME password", hide_input=True, err=True) if ask_become_pass else None
    except typer.Abort as error:
        raise typer.BadParameter("--ask-become-pass: no password was given") from error
    request = RunRequest(
        town=loaded.id,
        inventory=loaded.directory.absolute(),
        town_file_sha256=loaded.sha256,
        job=JOBS[job],
        limit=limit,
        check=check,
        vault_ids=[_absolute(identity) for identity in vault_id or ()],
        ssh_agent=ssh_agent,
        accept_new_host_keys=accept_new_host_keys,
        become_password=password,
    )
    known_before = _known_hosts(state)
    with shown(f"{job} {loaded.id}", quiet=quiet) as observers:
        result = start(request, state, observers)
    for line in sorted(_known_hosts(state) - known_before):
        typer.echo(f"civicops: first contact, compare with the host's own: {_fingerprint(line)}", err=True)
    return loaded.id, loaded.name, state, result


def _checked_limit(limit: str | None) -> str | None:
    """The limit as it is handed on. One that names nobody is refused: for Ansible it would mean every host."""
    if limit is None:
        return None
    parts = []
    for part in limit.split(","):
        if part.startswith("@"):
            file = Path(part[1:]).expanduser().absolute()
            try:
                empty = not file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise typer.BadParameter(f"--limit {part}: can't be read: {error}") from error
            if empty:
                raise typer.BadParameter(f"--limit {part}: the file is empty, which would mean every host")
            part = f"@{file}"
        parts.append(part)
    if not any(character.isalnum() or character in "*~." for character in limit):
        raise typer.BadParameter(f"--limit {limit!r} names no host, which would mean every host")
    return ",".join(parts)


def _absolute(identity: str) -> str:
    label, _, source = identity.rpartition("@")
    return f"{label}@{Path(source).absolute()}"


def _known_hosts(state: TownState) -> set[str]:
    try:
        return set(state.known_hosts.read_text(encoding="utf-8", errors="replace").splitlines())
    except FileNotFoundError:
        return set()


def _fingerprint(line: str) -> str:
    """A line of known_hosts as people compare keys: the host, the kind of key, SHA256 of it."""
    import base64
    import binascii
    import hashlib

    host, kind, key = [*line.split(), "", "", ""][:3]
    try:
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except binascii.Error:
        return printable(line, 200)
    return printable(f"{host} {kind} SHA256:{base64.b64encode(digest).decode().rstrip('=')}", 300)


def _print(result: RunResult, state: TownState) -> None:
    for host, outcome in sorted(result.hosts.items()):
        if outcome in ("failed", "unreachable", "no_answer"):
            reason = result.reasons.get(host, "")
            typer.echo(f"{printable(host, 255)}: {outcome}: {printable(reason, 400)}", err=True)
            if hint := next((hint for mark, hint in _HINTS if mark in reason), None):
                places = {"known_hosts": state.known_hosts, "ssh_config": state.root / "ssh_config"}
                typer.echo(f"  {hint.format(**places)}", err=True)
    counted = {
        what: list(result.hosts.values()).count(what)
        for what in ("ok", "changed", "failed", "unreachable", "no_answer", "not_asked")
    }
    told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counted.items() if count)
    typer.echo(
        f"Run {result.run}: {result.state}"
        + (f" ({told})" if told else "")
        + (f": {result.message}" if result.message else "")
    )


def _as_json(result: RunResult) -> dict[str, Any]:
    return asdict(result) | {"exit_status": int(result.exit_status)}
