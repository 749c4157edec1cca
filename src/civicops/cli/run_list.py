"""`civicops runs`: list a town's runs, show one, cancel, resume or approve one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from civicops.cli.runs import (
    AcceptNew,
    AskBecomePass,
    Json,
    SshAgent,
    VaultId,
    become_password,
    checked_vault_ids,
    conclude,
    send_alerts,
    tell,
    watched,
)
from civicops.cli.towns import Inventories, open_town
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.runs.journal import RunOrder, RunRecord
    from civicops.state import TownState
    from civicops.town import Town

_ACTIONS = ("list", "show", "cancel", "resume", "approve")


def show_runs(
    town: Annotated[str, typer.Argument(help="The town's id.")],
    action: Annotated[str, typer.Argument(help=f"One of: {', '.join(_ACTIONS)}.")] = "list",
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run's id, for all but list.")] = None,
    by: Annotated[str | None, typer.Option(help="approve: who approves.", metavar="NAME")] = None,
    plan: Annotated[
        str | None, typer.Option(help="approve: only if the plan's hash begins so.", metavar="HASH")
    ] = None,
    ring: Annotated[
        str | None, typer.Option(help="approve: this ring of a run that waits in its night.", metavar="RING")
    ] = None,
    vault_id: VaultId = None,
    ask_become_pass: AskBecomePass = False,
    ssh_agent: SshAgent = False,
    accept_new_host_keys: AcceptNew = False,
    as_json: Json = False,
    inventories: Inventories = None,
) -> None:
    """List a town's runs, show one, cancel one, approve one that waits, or resume one: that was lost, or approved."""
    from civicops.runs.journal import ask_to_cancel, read_run, read_runs

    if action not in _ACTIONS:
        raise typer.BadParameter(f"{action!r} is none of {', '.join(_ACTIONS)}")
    if action != "list" and run_id is None:
        raise typer.BadParameter(f"{action} wants the run's ID: civicops runs {town} lists them")
    loaded, state = open_town(town, inventories)
    if action == "list" or run_id is None:
        _list(town, state, read_runs(state), as_json=as_json)
    elif action == "resume":
        from civicops.jobs import JOBS
        from civicops.runs.plan import begin
        from civicops.runs.start import RunRequest, resume

        record = read_run(state, run_id)
        go_on = begin if record.state == "planned" else resume
        request = RunRequest(
            town=loaded,
            job=JOBS[record.order.job],
            vault_ids=checked_vault_ids(vault_id),
            ssh_agent=ssh_agent,
            accept_new_host_keys=accept_new_host_keys,
            become_password=become_password(ask_become_pass),
        )
        title = f"{record.order.job} {loaded.id}"
        result = watched(title, state, quiet=as_json, run=lambda observers: go_on(request, state, run_id, observers))
        conclude(loaded, state, run_id, quiet=as_json)
        send_alerts(loaded, state)
        tell(result, state, as_json=as_json)
        raise typer.Exit(result.exit_status)
    elif action == "approve":
        from datetime import UTC, datetime

        from civicops.runs.plan import approve
        from civicops.runs.tell import tell_approved

        if by is None:
            raise typer.BadParameter("approve wants --by NAME: who approves")
        if ring is not None:
            if plan is not None:
                raise typer.BadParameter("--ring and --plan are two approvals: give one at a time")
            _approve_ring(loaded, state, run_id, ring, by=by, as_json=as_json)
            return
        planned = approve(loaded, state, run_id, by=by, sha256=plan)
        tell_approved(loaded, state, planned, printable(by, 200), datetime.now(UTC))
        if as_json:
            typer.echo(json.dumps({"run": run_id, "plan_sha256": planned.sha256, "by": by}))
        else:
            opens = f"{planned.body['window']} of {planned.body['starts_at'][:16]}Z"
            typer.echo(f"{run_id}: approved by {printable(by, 200)} for the window {opens}; plan {planned.sha256[:12]}")
    else:
        record = read_run(state, run_id)
        if action == "cancel":
            record = _cancel_planned(state, record) if record.state == "planned" else ask_to_cancel(state, run_id)
        _show(state, record, whole=action == "show", as_json=as_json)


def _approve_ring(town: Town, state: TownState, run: str, ring: str, *, by: str, as_json: bool) -> None:
    from datetime import UTC, datetime

    from civicops.runs.plan import approve_ring
    from civicops.runs.tell import tell_ring_approved

    approve_ring(town, state, run, ring, by=by)
    tell_ring_approved(town, state, run, ring, printable(by, 200), datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"run": run, "ring": ring, "by": by}))
    else:
        typer.echo(f"{run}: the ring {ring} was approved by {printable(by, 200)}")


def _cancel_planned(state: TownState, record: RunRecord) -> RunRecord:
    from civicops.exit_status import ExitStatus
    from civicops.ledger.spool import now
    from civicops.runs.journal import drop_planned, read_run

    run = record.order.run
    drop_planned(state, run, ended_at=now(), exit_status=ExitStatus.CANCELLED, message="cancelled before it began")
    return read_run(state, run)


def _list(town: str, state: TownState, records: list[RunRecord], *, as_json: bool) -> None:
    from civicops.runs.journal import was_approved

    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records]))
        return
    for record in records:
        order = record.order
        told = [record.message] if record.message else []
        if order.check:
            told.append("check mode")
        if record.state == "planned":
            told.append(f"for the window {order.window} of {(order.window_start or '')[:16]}Z")
            told.append("approved" if was_approved(state, order.run) else "waits for an approval")
        if record.state == "lost":
            told.append(f"its process died; go on with it: civicops runs {town} resume {order.run}")
        message = f"  {'; '.join(told)}" if told else ""
        typer.echo(f"{order.run}  {record.state:10}  by {printable(order.user, 40)}{message}")
    if not records:
        typer.echo(f"{town} has no runs yet: civicops checkup {town}")


def _show(state: TownState, record: RunRecord, *, whole: bool, as_json: bool) -> None:
    from civicops.runs.journal import read_events, read_plan
    from civicops.runs.plan import approvals_of_rings

    order = record.order
    plan = read_plan(state, order.run)
    hosts, reasons = _hosts(state, record)
    if as_json:
        events = [asdict(event) for event in read_events(state, order.run)]
        typer.echo(json.dumps(asdict(record) | {"hosts": hosts, "reasons": reasons, "events": events, "plan": plan}))
        return
    typer.echo(f"{order.run}: {record.state}" + (f": {record.message}" if record.message else ""))
    if not whole:
        return
    if record.state == "lost":
        typer.echo(f"its process died; go on with it: civicops runs {order.town} resume {order.run}")
    began = "planned" if record.state == "planned" else "started"
    limit = f", limit {order.limit}" if order.limit else ""
    typer.echo(
        f"{began} {order.started_at} by {printable(order.user, 40)}{limit}{', check mode' if order.check else ''}"
    )
    if order.override_window:
        typer.echo(
            f"outside of the windows: {printable(order.override_window, 200)}, "
            f"allowed by {printable(order.approver or '', 100)}"
        )
    if plan is not None:
        _show_plan(state, order, plan, waits=record.state == "planned")
    for one in approvals_of_rings(state, order.run):
        typer.echo(f"the ring {printable(one['ring'], 40)} was approved by {printable(one['by'], 200)}")
    if order.rollback_of:
        typer.echo(f"takes back {printable(order.rollback_of, 100)}")
    for host, outcome in sorted(hosts.items()):
        why = f": {reasons[host]}" if host in reasons else ""
        typer.echo(printable(f"{host}: {outcome}{why}", 600))
    for event in read_events(state, order.run):
        if event.what != "task":
            typer.echo(f"{event.at[11:19]}Z {event.host}: {event.what}: {event.task} {event.message}".rstrip())


def _hosts(state: TownState, record: RunRecord) -> tuple[dict[str, str], dict[str, str]]:
    """What the run's documents say of each host so far, and why."""
    from civicops.ledger.store import Ledger
    from civicops.runs.judge import judge

    with Ledger(state.town, state=state) as ledger:
        told = judge(record.order.run, ledger, cancelled=record.state == "cancelled")
    return (told.hosts, told.reasons) if told is not None else ({}, {})


def _show_plan(state: TownState, order: RunOrder, plan: dict[str, object], *, waits: bool) -> None:
    from civicops.runs.plan import approvals, plan_hash

    run, town, whole = order.run, order.town, plan_hash(plan)
    digest = whole[:12]
    typer.echo(f"plan {digest}: window {plan['window']}, from {plan['starts_at']}")
    hosts = plan["hosts"]
    assert isinstance(hosts, dict)  # noqa: S101  written by ourselves
    for host, told in hosts.items():
        typer.echo(f"  {printable(host, 255)} ({told['ring']}): {printable(', '.join(told['changes']), 500)}")
    by = [one["by"] for one in approvals(state, run) if one.get("plan_sha256") == whole]
    if by:
        typer.echo(f"approved by {printable(', '.join(by), 400)}")
    elif waits:
        typer.echo(f"It waits: civicops runs {town} approve {run} --by NAME --plan {digest}")
