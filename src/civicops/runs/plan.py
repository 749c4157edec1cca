"""Plans and approvals: a run that wants somebody's yes waits, with what it would do written down.

An approval names the hash of a plan. If the plan has changed when the run is to begin (another host, another update),
the approval is void and the new plan wants its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from civicops.calendar import load_calendar, matching
from civicops.gate.planned import pending_updates, selected
from civicops.gate.rings import ordered
from civicops.jobs import JOBS, Job
from civicops.ledger.documents import Document, canonical
from civicops.ledger.spool import now
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.runs.engine import RunRequest
from civicops.runs.inventory import read_groups
from civicops.runs.journal import NoSuchRunError, RunOrder, mark_approved, read_plan, read_run, write_plan
from civicops.runs.judge import RunResult
from civicops.runs.observers import RunObserver
from civicops.runs.start import PlanChangedError, RunError, RunLockedError, new_run_id, start
from civicops.state import TownState, user_name
from civicops.text import printable
from civicops.town import Town
from civicops.town.model import Window

_AHEAD = timedelta(days=400)

Changes = Callable[[Town, Ledger, list[str]], dict[str, list[str]]]
"""What a job would change, one line per change, for each of the hosts."""

_MOST_LINES = 200
_LONGEST_LINE = 400
# Characters of all lines of a plan, as JSON; a plan's document has 4 MiB at most.
_MOST_TEXT = 3_000_000


@dataclass(frozen=True)
class Planned:
    """A plan and its hash."""

    run: str
    body: dict[str, Any]
    sha256: str


def _waits(_town: Town, _ledger: Ledger, hosts: list[str]) -> dict[str, list[str]]:
    return {host: ["waits, and changes nothing"] for host in hosts}


def _patches(town: Town, ledger: Ledger, hosts: list[str]) -> dict[str, list[str]]:
    """By each host's newest word on its pending updates. No moment is in it: a plan is new only if its work is."""
    newest = pending_updates(ledger, datetime.now(UTC))
    entries = {host: newest[host] for host in hosts if host in newest}
    bodies = ledger.bodies(entries.values())
    room = max(_MOST_TEXT // max(1, len(hosts)), 1000)
    unknown = [f"not known: civicops run patch_stage {town.id} first"]
    changes = {}
    for host in hosts:
        body = bodies.get(entries[host].body) if host in entries else None
        changes[host] = unknown if body is None else _bounded(_updates_of(body, town), room)
    return changes


def _updates_of(body: dict[str, Any], town: Town) -> list[str]:
    packages = []
    for row in selected(body):
        before = "new" if row["from"] is None else row["from"]
        packages.append(f"{row['name']} {before} -> {row['to']}" + (" (security)" if row["security"] is True else ""))
    told = sorted(packages) or ["nothing is to be installed"]
    expected = body["reboot"]["expected"]
    if town.patch.reboot == "never":
        told += ["reboot wanted, and never done here"] if expected is True else []
    elif expected is not False:
        told.append("reboot expected" if expected is True else "whether a reboot is wanted is not known")
    if packages and body["rollback"]["possible"] is not True:
        missing = sorted(map(str, body["rollback"]["missing"]))
        few = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        told.append(f"not rolled back automatically: {few or 'not known whether the installed versions are kept'}")
    told += [f"stands in the way: {one['text']}" for one in body["blockers"]]
    return told


def _bounded(lines: list[str], room: int) -> list[str]:
    """The lines fit to be shown, as many as there is room for. What is left out is in the plan's hash all the same."""
    kept: list[str] = []
    for number, line in enumerate(lines):
        shown = printable(line, _LONGEST_LINE)
        if shown != line:
            shown = f"{shown} ({_digest([line])})".strip()
        room -= len(json.dumps(shown))
        if number >= _MOST_LINES or room < 0:
            return [*kept, f"and {len(lines) - number} more ({_digest(lines[number:])})"]
        kept.append(shown)
    return kept


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:12]


CHANGES: dict[str, Changes] = {"wait": _waits, "patch": _patches}
"""How each job's plan is made; a job that is not here can't wait for an approval."""


def make_plan(
    town: Town, state: TownState, job: Job, *, window: Window, starts_at: datetime, limit: str | None
) -> dict[str, Any]:
    """What a run would do now: its hosts, by ring, and what would change on each.

    :raises InventoryError: the inventory can't be read.
    :raises RunError: the job has no plans.
    """
    if job.name not in CHANGES:
        raise RunError(f"{job.name} has no plans, so it can't wait for an approval: remove approval from {window.id}")
    groups = read_groups(town, state)
    order = ordered(groups)
    hosts = matching(window.hosts, groups) & set(order.of)
    if limit is not None:
        hosts &= matching(limit, groups)
    with Ledger(town.id, state=state) as ledger:
        changes = CHANGES[job.name](town, ledger, sorted(hosts))
    return {
        "job": job.name,
        "window": window.id,
        "starts_at": stamp(starts_at),
        "hosts": {host: {"ring": order.of[host], "changes": changes[host]} for host in sorted(hosts)},
    }


def plan_hash(body: dict[str, Any]) -> str:
    """What an approval names."""
    return hashlib.sha256(canonical(body)).hexdigest()


def plan_run(
    town: Town,
    state: TownState,
    job: Job,
    *,
    window: Window,
    starts_at: datetime,
    run: str | None = None,
    limit: str | None = None,
) -> Planned:
    """Write down a run that waits for its approval, or the new plan of one."""
    body = make_plan(town, state, job, window=window, starts_at=starts_at, limit=limit)
    order = RunOrder(
        run=run or new_run_id(job.name),
        town=town.id,
        town_file_sha256=town.sha256,
        job=job.name,
        limit=limit if limit is not None else window.hosts,
        check=False,
        user=user_name(),
        pid=os.getpid(),
        started_at=now(),
        window=window.id,
        window_start=stamp(starts_at),
    )
    _record(state, order.town, order.run, order.job, "plan", body)
    write_plan(state, order, body)
    return Planned(order.run, body, plan_hash(body))


def approve(town: Town, state: TownState, run: str, *, by: str, sha256: str | None = None) -> Planned:
    """Approve a planned run. With `sha256`, only if that is still its plan's hash.

    :raises NoSuchRunError: there is none of that id.
    :raises RunError: the run does not wait for an approval.
    :raises PlanChangedError: what the run would do now is not what was written down; the new plan is, now.
    """
    if not by.strip():
        raise RunError("--by: name the person who approves")
    record = read_run(state, run)
    before = read_plan(state, run)
    if record.state != "planned" or before is None:
        raise RunError(f"{run} is {record.state}: only a planned run is approved")
    planned = refresh(town, state, run)
    if planned.sha256 != plan_hash(before) or (sha256 is not None and not planned.sha256.startswith(sha256)):
        raise PlanChangedError(
            f"the plan of {run} has changed ({planned.sha256[:12]} now): read it again with civicops runs {town.id} "
            f"show {run}, then approve it"
        )
    body = {
        "plan_sha256": planned.sha256,
        "window": planned.body["window"],
        "hosts": sorted(planned.body["hosts"]),
        "by": printable(by, 200),
        "user": printable(user_name(), 200),
    }
    _record(state, town.id, run, record.order.job, "approval", body)
    mark_approved(state, run)
    return planned


def approve_ring(town: Town, state: TownState, run: str, ring: str, *, by: str) -> None:
    """Say yes to a ring of a run that waits for that in its night, or will.

    :raises NoSuchRunError: there is none of that id.
    :raises RunError: nobody is asked about this ring, or the run has ended.
    """
    if not by.strip():
        raise RunError("--by: name the person who approves")
    waiting = town.maintenance.ring_approval
    if ring not in waiting:
        known = f"those that do: {', '.join(waiting)}" if waiting else "maintenance.ring_approval names none"
        raise RunError(f"the ring {printable(ring, 40)!r} of {town.id} waits for nobody's yes; {known}")
    try:
        record = read_run(state, run)
    except NoSuchRunError:
        name = _job_of_foreign(town, state, run)
        if name is None:
            raise
    else:
        name = record.order.job
        if record.state not in ("planned", "running", "lost", "cancelled"):
            raise RunError(f"{run} is {record.state}: only a run that may go on is approved")
    job = JOBS.get(name)
    if job is None or job.takes_back is not None or not job.disturbs_users:
        raise RunError(f"{run}: the job {printable(name, 40)} does not wait for anybody's yes")
    body = {"ring": ring, "by": printable(by, 200), "user": printable(user_name(), 200)}
    _record(state, town.id, run, name, "approval", body)


def _job_of_foreign(town: Town, state: TownState, run: str) -> str | None:
    """The job of a run that AWX or plain `ansible-playbook` has started, by the gate's documents; None: no such run."""
    with Ledger(town.id, state=state) as ledger:
        return next((entry.job for entry in ledger.of_run(run) if entry.kind == "gate" and not entry.check), None)


def refresh(town: Town, state: TownState, run: str) -> Planned:
    """A planned run's plan as it is now, written down where it has changed.

    :raises RunError: its window is no longer in the town file.
    """
    record, before = read_run(state, run), read_plan(state, run)
    window = next((one for one in town.maintenance.windows if one.id == record.order.window), None)
    if before is None or window is None or record.order.window_start is None:
        raise RunError(f"{run} was planned for the window {record.order.window}, which {town.path} does not have")
    job, starts_at = JOBS[record.order.job], datetime.fromisoformat(record.order.window_start)
    body = make_plan(town, state, job, window=window, starts_at=starts_at, limit=record.order.limit)
    if plan_hash(body) != plan_hash(before):
        _record(state, town.id, run, record.order.job, "plan", body)
        write_plan(state, record.order, body)
    return Planned(run, body, plan_hash(body))


def next_opening(town: Town, job: Job, moment: datetime) -> tuple[Window, datetime]:
    """The window that wants an approval and is open for the job, or opens next; and when it began or begins.

    :raises RunError: the town has no such window, or none in the next 400 days.
    """
    calendar = load_calendar(town)
    windows = {one.id: one for one in town.maintenance.windows if one.approval == "required" and job.name in one.jobs}
    if not windows:
        raise RunError(f"{town.id} has no window for {job.name} that wants an approval; without one, leave out --plan")
    found = [
        occurrence for window in windows for occurrence in calendar.occurrences(window, moment, moment + _AHEAD)[:1]
    ]
    if not found:
        raise RunError(f"no window of {town.id} for {job.name} opens in the next {_AHEAD.days} days")
    first = min(found, key=lambda occurrence: occurrence.span.start)
    return windows[first.window], first.span.start


def begin(request: RunRequest, state: TownState, run: str, observers: Sequence[RunObserver] = ()) -> RunResult:
    """Begin a planned run, if its plan as it is now was approved. Of the request, only how to connect counts.

    :raises PlanChangedError: it was not; the plan as it is now is written down.
    :raises RunLockedError: its window is yet to open, the job is running for this town, or the run has begun.
    """
    planned = refresh(request.town, state, run)
    if not is_approved(state, run, planned.sha256):
        raise PlanChangedError(
            f"{run}: its plan ({planned.sha256[:12]}) is not approved: civicops runs {state.town} show {run}, "
            f"then civicops runs {state.town} approve {run} --by NAME"
        )
    order = read_run(state, run).order
    if order.window_start is not None and datetime.now(UTC) < datetime.fromisoformat(order.window_start):
        raise RunLockedError(f"{run} begins when its window opens, at {order.window_start[:16]}Z")
    whole = replace(
        request,
        job=JOBS[order.job],
        limit=None if order.limit == "all" else order.limit,
        window=order.window,
        window_start=order.window_start,
        run=run,
    )
    return start(whole, state, observers)


def approvals(state: TownState, run: str) -> list[dict[str, Any]]:
    """The approvals of a run, of whichever plan or ring, in order."""
    with Ledger(state.town, state=state) as ledger:
        entries = [entry for entry in ledger.of_run(run) if entry.kind == "approval" and entry.status == "accepted"]
        bodies = ledger.bodies(entries)
    return [bodies[entry.body] for entry in entries]


def approvals_of_rings(state: TownState, run: str) -> list[dict[str, Any]]:
    """Those of a run's approvals that say yes to a ring, in order."""
    return [one for one in approvals(state, run) if one.get("ring")]


def is_approved(state: TownState, run: str, sha256: str) -> bool:
    """Whether the plan with this hash was approved for this run."""
    return any(one.get("plan_sha256") == sha256 for one in approvals(state, run))


def _record(state: TownState, town: str, run: str, job: str, kind: str, body: dict[str, Any]) -> None:
    document = Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town=town,
        host="",
        target=None,
        run=run,
        job=job,
        check=False,
        attempt=1,
        collected_at=now(),
        body=body,
    )
    with Ledger(town, state=state) as ledger:
        ledger.append([document])
