"""`civicops checkup` and `civicops run`."""

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
    from collections.abc import Callable, Sequence

    from civicops.runs.judge import RunResult
    from civicops.runs.observers import RunObserver
    from civicops.state import TownState
    from civicops.town import Town

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
    loaded, state, result = _execute(
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
        written = write_report(loaded.id, loaded.name, state, output, wanted=loaded, run=result.run)
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
    override_window: Annotated[
        str | None,
        typer.Option(help="Why it may be done outside of the town's windows; recorded.", metavar="REASON"),
    ] = None,
    approver: Annotated[
        str | None, typer.Option(help="Who has allowed that; recorded beside your user.", metavar="NAME")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Begin nothing: plan the run for the next window that wants an approval."),
    ] = False,
    of: Annotated[
        str | None,
        typer.Option(
            "--of",
            help="The run that is taken back. rollback: without it, each host's newest; baseline_undo: always wanted.",
            metavar="RUN",
        ),
    ] = None,
    vault_id: VaultId = None,
    ask_become_pass: AskBecomePass = False,
    ssh_agent: SshAgent = False,
    accept_new_host_keys: AcceptNew = False,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """Run one job for one town, and wait for its end."""
    from civicops.jobs import JOBS

    takes_back = job in JOBS and JOBS[job].takes_back is not None
    if of is not None and (plan or not takes_back):
        raise typer.BadParameter("--of RUN belongs to the jobs rollback and baseline_undo, without --plan")
    if of is None and job == "baseline_undo":
        raise typer.BadParameter(f"name the run that is to be put back: --of RUN; civicops runs {town} lists them")
    if plan:
        _plan(job, town, inventories, limit=limit, as_json=as_json)
        return
    _, state, result = _execute(
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
        override_window=override_window,
        approver=approver,
        rollback_of=of,
    )
    tell(result, state, as_json=as_json)
    raise typer.Exit(result.exit_status)


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
    override_window: str | None = None,
    approver: str | None = None,
    rollback_of: str | None = None,
) -> tuple[Town, TownState, RunResult]:
    from civicops.jobs import JOBS
    from civicops.runs.start import RunRequest, new_run_id, start

    if job not in JOBS:
        raise typer.BadParameter(f"{job!r} is no job; there are: {', '.join(JOBS)}")
    if (override_window is None) != (approver is None):
        raise typer.BadParameter("--override-window REASON and --approver NAME belong together")
    if override_window is not None and not (override_window.strip() and (approver or "").strip()):
        raise typer.BadParameter("--override-window wants a reason, and --approver a name")
    limit = _checked_limit(limit)
    loaded, state = open_town(town, inventories)
    if JOBS[job].disturbs_users:
        from civicops.calendar import load_calendar

        load_calendar(loaded)  # a calendar file that can't be read is told now, and no host is blamed for it
    if rollback_of is not None:
        _check_taken_back(loaded, state, JOBS[job].takes_back or "", rollback_of)
    run = new_run_id(job)
    if not quiet:
        typer.echo(f"Run {run}", err=True)
    request = RunRequest(
        town=loaded,
        job=JOBS[job],
        run=run,
        limit=limit,
        check=check,
        override_window=override_window,
        approver=approver,
        rollback_of=rollback_of,
        vault_ids=checked_vault_ids(vault_id),
        ssh_agent=ssh_agent,
        accept_new_host_keys=accept_new_host_keys,
        become_password=become_password(ask_become_pass),
    )
    result = watched(f"{job} {loaded.id}", state, quiet=quiet, run=lambda observers: start(request, state, observers))
    conclude(loaded, state, run, quiet=quiet)
    send_alerts(loaded, state)
    return loaded, state, result


def _check_taken_back(town: Town, state: TownState, job: str, run: str) -> None:
    """Refuse what is no run, or none of that job that has done its work on a host of this town."""
    import re

    from civicops.jobs import JOBS
    from civicops.ledger.store import Ledger
    from civicops.runs.start import take_in

    wanted = f"give the id of a {job} run: civicops runs {town.id} lists them"
    # Runs of AWX and of plain ansible-playbook too. The hosts get it, as a part of a file's name.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", run):
        raise typer.BadParameter(f"--of {printable(run, 80)!r} is no run's id; {wanted}")
    take_in(town.id, state)
    with Ledger(town.id, state=state) as ledger:
        told = ledger.of_run(run)
        known = any(entry.kind == JOBS[job].outcome and entry.job == job and not entry.check for entry in told)
    if not known:
        raise typer.BadParameter(
            f"--of {run}: the ledger of {town.id} knows no host on which it did its work; {wanted}"
        )


def _plan(job: str, town: str, inventories: Path | None, *, limit: str | None, as_json: bool) -> None:
    from datetime import UTC, datetime

    from civicops.jobs import JOBS
    from civicops.runs.plan import next_opening, plan_run

    if job not in JOBS:
        raise typer.BadParameter(f"{job!r} is no job; there are: {', '.join(JOBS)}")
    loaded, state = open_town(town, inventories)
    window, starts_at = next_opening(loaded, JOBS[job], datetime.now(UTC))
    planned = plan_run(loaded, state, JOBS[job], window=window, starts_at=starts_at, limit=_checked_limit(limit))
    if as_json:
        typer.echo(json.dumps({"run": planned.run, "plan_sha256": planned.sha256, "plan": planned.body}))
        return
    typer.echo(
        f"Planned {planned.run} for the window {window.id} of {starts_at:%Y-%m-%d %H:%M}Z: "
        f"{len(planned.body['hosts'])} hosts, plan {planned.sha256[:12]}"
    )
    typer.echo(f"Read it: civicops runs {town} show {planned.run}")
    typer.echo(f"Approve it: civicops runs {town} approve {planned.run} --by NAME --plan {planned.sha256[:12]}")
    typer.echo(f"Begin it in its window, where no scheduler does: civicops runs {town} resume {planned.run}")


def watched(
    title: str, state: TownState, *, quiet: bool, run: Callable[[Sequence[RunObserver]], RunResult]
) -> RunResult:
    """Run something while its progress is shown; then tell the host keys that were met for the first time."""
    import os

    from civicops.runs.environment import dropped_proxies

    for name in dropped_proxies(dict(os.environ)):
        typer.echo(
            f"civicops: ${name} holds a password, so the run does not get it (it would stand in its artifacts)",
            err=True,
        )
    known_before = _known_hosts(state)
    with shown(title, quiet=quiet) as observers:
        result = run(observers)
    for line in sorted(_known_hosts(state) - known_before):
        typer.echo(f"civicops: first contact, compare with the host's own: {_fingerprint(line)}", err=True)
    return result


def checked_vault_ids(vault_id: list[str] | None) -> list[str]:
    """Vault identities as LABEL@FILE, with the file's whole path."""
    for identity in vault_id or ():
        label, at, source = identity.rpartition("@")
        if not at or not label or not Path(source).is_file():
            raise typer.BadParameter(f"--vault-id {identity}: give LABEL@FILE, with a file that holds the password")
    return [_absolute(identity) for identity in vault_id or ()]


def become_password(ask: bool) -> str | None:
    """The password that sudo wants, asked for on the terminal."""
    try:
        return str(typer.prompt("BECOME password", hide_input=True, err=True)) if ask else None
    except typer.Abort as error:
        raise typer.BadParameter("--ask-become-pass: no password was given") from error


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


def conclude(town: Town, state: TownState, run: str, *, quiet: bool) -> None:
    """Record what was found by a run that looks for it; write the morning report of one that has one, and say where.
    Before `send_alerts`, which sends what it says."""
    from civicops.report.night_write import conclude_night
    from civicops.runs.assessed import record_findings

    if (problem := record_findings(town, state, run)) is not None:
        for line in problem.splitlines():
            typer.echo(f"civicops: {printable(line, 2000)}", err=True)
    written = conclude_night(town, state, run)
    if written is None:
        return
    for path in written.paths:
        typer.echo(f"Report: {path}", err=quiet)
    if written.problem is not None:
        typer.echo(f"civicops: {written.problem}", err=True)


def send_alerts(town: Town, state: TownState) -> None:
    """Tell the town's people what the run came to; a mail server that is down does not fail the run."""
    from datetime import UTC, datetime

    from civicops.alerts import deliver

    if not (state.root / "outbox").is_dir():
        return
    for problem in deliver(town, state, datetime.now(UTC)).problems:
        typer.echo(f"civicops: {printable(problem, 400)}", err=True)


def tell(result: RunResult, state: TownState, *, as_json: bool) -> None:
    """Print how a run ended."""
    typer.echo(json.dumps(_as_json(result))) if as_json else _print(result, state)


def _print(result: RunResult, state: TownState) -> None:
    for host, outcome in sorted(result.hosts.items()):
        if outcome in ("failed", "unreachable", "no_answer", "overrun", "deferred"):
            reason = result.reasons.get(host, "")
            when = f"; next {result.next[host][:16]}Z" if host in result.next else ""
            typer.echo(f"{printable(host, 255)}: {outcome}: {printable(reason, 400)}{when}", err=True)
            if hint := next((hint for mark, hint in _HINTS if mark in reason), None):
                places = {"known_hosts": state.known_hosts, "ssh_config": state.root / "ssh_config"}
                typer.echo(f"  {hint.format(**places)}", err=True)
    counted = {
        what: list(result.hosts.values()).count(what)
        for what in ("ok", "changed", "deferred", "overrun", "failed", "unreachable", "no_answer", "not_asked")
    }
    told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counted.items() if count)
    typer.echo(
        f"Run {result.run}{' (check mode: nothing was changed)' if result.check else ''}: {result.state}"
        + (f" ({told})" if told else "")
        + (f": {result.message}" if result.message else "")
    )


def _as_json(result: RunResult) -> dict[str, Any]:
    return asdict(result) | {"exit_status": int(result.exit_status)}
