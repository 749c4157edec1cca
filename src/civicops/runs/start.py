"""Start a run, or go on with one that was lost, watch it, and say how it ended from what is in the ledger."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from civicops.exit_status import ExitStatus
from civicops.gate.settle import GOING_ON, settle_run
from civicops.jobs import JOBS
from civicops.ledger.ingest import Taken, ingest, ingest_run
from civicops.ledger.spool import now
from civicops.ledger.store import Ledger
from civicops.runs.engine import Ended, RunRequest, interruptible, play
from civicops.runs.environment import close_connections
from civicops.runs.journal import Journal, RunOrder, has_begun, read_events, read_run
from civicops.runs.judge import RunResult, judge
from civicops.runs.last import Last, counted, write_last
from civicops.runs.observers import RunEvent, RunObserver, What
from civicops.runs.orphans import end_orphans
from civicops.runs.rotate import rotate
from civicops.runs.tell import RingAsking, note_end
from civicops.state import TownState, locked, user_name, write_durably

__all__ = [
    "PlanChangedError",
    "RunError",
    "RunLockedError",
    "RunRequest",
    "RunResult",
    "new_run_id",
    "resume",
    "start",
    "take_in",
]

_RESUMABLE = ("lost", "cancelled")
# How often one process starts Ansible again for a run that disturbs, where Ansible was killed under it.
_AGAIN = 2
# What a pattern of Ansible's reads as more than a name.
_SPECIAL = frozenset(":,!&*?[]~@ ")


class RunError(Exception):
    """A run that could not be started or whose playbook could not be read; the message says why."""


class RunLockedError(Exception):
    """The same job is running for this town already."""


class PlanChangedError(Exception):
    """The plan is not the one that was to be approved; the message says where the new one is."""


def new_run_id(job: str) -> str:
    """A new run's id: when it was made, its job, and something that no other has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{job}-{secrets.token_hex(3)}"


def start(request: RunRequest, state: TownState, observers: Sequence[RunObserver] = ()) -> RunResult:
    """Run a job to its end. With `request.run`, that run begins: one that was planned before.

    :raises RunLockedError: the job is running for this town already.
    :raises RunError: Ansible could not begin (its own message is given).
    """
    order = RunOrder(
        run=request.run or new_run_id(request.job.name),
        town=request.town.id,
        town_file_sha256=request.town.sha256,
        job=request.job.name,
        limit=request.limit,
        check=request.check,
        user=user_name(),
        pid=os.getpid(),
        started_at=now(),
        window=request.window,
        window_start=request.window_start,
        override_window=request.override_window,
        approver=request.approver,
        rollback_of=request.rollback_of,
    )
    return _execute(request, state, order, observers, what="begun", remaining=lambda: None)


def resume(request: RunRequest, state: TownState, run: str, observers: Sequence[RunObserver] = ()) -> RunResult:
    """Go on with a run that was lost or cancelled: with the hosts that are not done, and under its own name.

    What it has begun on hosts is adopted, nothing is begun twice, and the gate is asked anew. Of the request, only how
    to connect counts; what to do is the run's own.

    :raises NoSuchRunError: there is none of that id.
    :raises RunLockedError: the run still runs, has ended, or the job runs already.
    """
    record = read_run(state, run)
    if record.state not in _RESUMABLE and not (record.state == "failed" and _goes_on(state, run)):
        raise RunLockedError(
            f"{run} is {record.state}: only a run that was lost or cancelled can be resumed, or one of which work may "
            "still go on"
        )
    order = record.order
    request = replace(
        request,
        job=JOBS[order.job],
        limit=order.limit,
        check=order.check,
        override_window=order.override_window,
        approver=order.approver,
        rollback_of=order.rollback_of,
        window=order.window,
        window_start=order.window_start,
        run=run,
    )
    order = replace(order, pid=os.getpid(), town_file_sha256=request.town.sha256)
    return _execute(request, state, order, observers, what="resumed", remaining=lambda: _remaining(state, order))


def _execute(
    request: RunRequest,
    state: TownState,
    order: RunOrder,
    observers: Sequence[RunObserver],
    *,
    what: What,
    remaining: Callable[[], list[str] | None],
) -> RunResult:
    run = order.run
    with ExitStack() as stack:
        if not stack.enter_context(locked(state.directory("locks") / order.job)):
            raise RunLockedError(f"{order.job} is running for {order.town} already: civicops runs {order.town}")
        directory = state.run_directory(run)
        if not stack.enter_context(locked(directory / "lock")):
            raise RunLockedError(f"{run} is running: civicops runs {order.town}")
        if what == "begun" and has_begun(state, run):
            raise RunLockedError(f"{run} has begun before: civicops runs {order.town} show {run}")
        if _has_ended(state, run):
            raise RunLockedError(f"{run} has ended meanwhile: civicops runs {order.town} show {run}")
        end_orphans(state, run)
        take_in(order.town, state)
        hosts = remaining()
        journal = Journal(state, order)
        interrupted = stack.enter_context(interruptible())
        disturbs = request.job.disturbs_users
        asking = RingAsking(request.town, state, run)

        def stop_wanted() -> bool:
            asking.look()
            if interrupted.is_set() and not journal.cancel_wanted():
                journal.ask_to_cancel()
            # What has begun on hosts comes to its end; the gate, which looks for the same mark, opens nothing more.
            return journal.stop_wanted() if disturbs else journal.cancel_wanted()

        attempt = partial(_attempt, request, state, run, journal, observers, stop_wanted)
        ended, result = attempt(what, hosts)
        for _again in range(_AGAIN if disturbs else 0):
            if not _cut_short(ended, result):
                break
            end_orphans(state, run)
            ended, result = attempt("resumed", _remaining(state, order))
        with Ledger(order.town, state=state) as ledger:
            settle_run(ledger, run, datetime.now(UTC))
        if result is None:
            message = ended.last_words
            result = RunResult(run, "failed", ExitStatus.BAD_INPUT, {}, {}, {}, message)
            _conclude(state, order.job, journal, result)
            raise RunError(f"Ansible ended with status {ended.status} before a host was asked: {message}")
        with suppress(OSError):  # a full disk: the end is written down if it can be, and shown in any case
            asking.end()
            note_end(request.town, state, result, datetime.now(UTC))
        _conclude(state, order.job, journal, result)
        rotate(state)
        return result


def _attempt(
    request: RunRequest,
    state: TownState,
    run: str,
    journal: Journal,
    observers: Sequence[RunObserver],
    stop_wanted: Callable[[], bool],
    what: What,
    hosts: list[str] | None,
) -> tuple[Ended, RunResult | None]:
    """Let Ansible run once, for `hosts` or for everybody in the run's limit; how it ended, and how the run stands."""
    attempt = 1 + sum(event.what in ("begun", "resumed") for event in read_events(state, run))
    journal.event(RunEvent(at=now(), what=what, task="", message=user_name()))
    if hosts == []:
        ended = Ended(good=True, cancelled=False, status=0, last_words="")
    else:
        ended = play(
            request,
            state,
            run=run,
            attempt=attempt,
            limit=request.limit if hosts is None else _limit_file(state, run, hosts),
            observers=[journal, *observers],
            stop_wanted=stop_wanted,
        )
    if not ended.good:
        close_connections(state)
    with Ledger(state.town, state=state) as ledger:
        ingest_run(ledger, state.spool_of(run))  # also where a worker of it is still there
        ingest(ledger, state)
        cancelled = ended.cancelled or journal.cancel_wanted()
        return ended, judge(run, ledger, cancelled=cancelled, nothing_left=hosts == [])


def _cut_short(ended: Ended, result: RunResult | None) -> bool:
    """Whether Ansible was ended by a signal, or lost a worker to one, and nobody had asked for that."""
    if ended.good or ended.cancelled or ended.timed_out or (result is not None and result.state == "cancelled"):
        return False
    return ended.status is None or (result is not None and not result.finished)


def _conclude(state: TownState, job: str, journal: Journal, result: RunResult) -> None:
    ended_at = now()
    journal.end(state=result.state, ended_at=ended_at, exit_status=result.exit_status, message=result.message)
    last = Last(
        run=result.run,
        state=result.state,
        exit_status=result.exit_status,
        ended_at=ended_at,
        message=result.message,
        halted=result.halted,
        hosts=counted(result.hosts),
    )
    write_last(state, job, last)


def take_in(town: str, state: TownState) -> Taken:
    """Take in what killed or plain `ansible-playbook` runs have left in the spool."""
    if not any(state.spool.iterdir()):
        return Taken()
    with Ledger(town, state=state) as ledger:
        return ingest(ledger, state)


def _has_ended(state: TownState, run: str) -> bool:
    """Whether a run has come to an end from which it does not go on."""
    try:
        result = json.loads((state.runs / run / "result.json").read_bytes())
    except FileNotFoundError:
        return False
    return result["state"] not in _RESUMABLE and not _goes_on(state, run)


def _goes_on(state: TownState, run: str) -> bool:
    """Whether some host's last word in a run is that its work may still go on."""
    with Ledger(state.town, state=state) as ledger:
        told = judge(run, ledger, cancelled=True)
    return told is not None and bool(set(told.work.values()) & set(GOING_ON))


def _remaining(state: TownState, order: RunOrder) -> list[str] | None:
    """The hosts that were asked and are not done, by name; None where everybody in the run's limit is to be asked."""
    with Ledger(order.town, state=state) as ledger:
        told = judge(order.run, ledger, cancelled=True)
    if told is None or not told.hosts:
        return None
    waiting = {host for host, outcome in told.hosts.items() if outcome in ("no_answer", "deferred")}
    waiting |= {host for host, outcome in told.work.items() if outcome in GOING_ON}
    if any(_SPECIAL & set(host) for host in waiting):
        return None
    return sorted(waiting)


def _limit_file(state: TownState, run: str, hosts: list[str]) -> str:
    path = state.runs / run / "resume.limit"
    write_durably(path, "".join(f"{host}\n" for host in hosts).encode())
    return f"@{path}"
