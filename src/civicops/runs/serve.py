"""What a scheduler's process does for one town: it sees this town alone, and tells its people how it went."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from civicops.alerts import Notice, deliver, raise_notice
from civicops.exit_status import ExitStatus
from civicops.jobs import JOBS
from civicops.ledger.spool import now
from civicops.runs.backups import tell_backups
from civicops.runs.engine import RunRequest
from civicops.runs.journal import drop_planned, mark_told, read_run
from civicops.runs.judge import RunResult
from civicops.runs.plan import begin, plan_run, refresh
from civicops.runs.scheduler import DELIVERED, Launch
from civicops.runs.start import PlanChangedError, RunError, RunLockedError, resume, start
from civicops.runs.tell import tell_plan
from civicops.state import TownState
from civicops.text import printable
from civicops.town import Town


def serve(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    """Do what a scheduler has launched this process for, and tell the town's people.

    Whatever goes wrong before a run begins is told as a failure too: nobody watches.
    """
    try:
        return _ACTIONS[launch.action](town, state, launch)
    except RunLockedError:
        raise  # somebody else does it
    except Exception as error:
        _notice(town, state, launch, f"could not {launch.action}", printable(error, 1000))
        raise


def _start(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    window = next((one for one in town.maintenance.windows if one.id == launch.window), None)
    if window is None:
        raise RunError(f"{town.path} has no window {launch.window} any more")
    request = RunRequest(
        town=town,
        job=JOBS[launch.job],
        limit=None if window.hosts == "all" else window.hosts,
        window=launch.window,
        window_start=launch.window_start,
        run=launch.run,
    )
    return _told(town, state, start(request, state))


def _resume(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    order = read_run(state, launch.run).order
    return _told(town, state, resume(RunRequest(town=town, job=JOBS[order.job]), state, launch.run))


def _plan(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    window = next((one for one in town.maintenance.windows if one.id == launch.window), None)
    if window is None:
        raise RunError(f"{town.path} has no window {launch.window} any more")
    starts_at = datetime.fromisoformat(launch.window_start)
    planned = plan_run(town, state, JOBS[launch.job], window=window, starts_at=starts_at, run=launch.run)
    tell_plan(town, state, planned, "waits for an approval", datetime.now(UTC))
    return ExitStatus.DONE


def _begin(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    try:
        result = begin(RunRequest(town=town, job=JOBS[launch.job]), state, launch.run)
    except PlanChangedError:
        planned = refresh(town, state, launch.run)
        tell_plan(town, state, planned, "has changed since it was approved, and waits again", datetime.now(UTC))
        return ExitStatus.NOT_ALLOWED
    return _told(town, state, result)


def _expire(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    message = f"nobody approved it before the window {launch.window} closed"
    drop_planned(state, launch.run, ended_at=now(), exit_status=ExitStatus.NOT_ALLOWED, message=message)
    _notice(town, state, launch, "was not approved", f"{launch.run}: {message}.")
    return ExitStatus.NOT_ALLOWED


def _tell(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    if launch.run:
        mark_told(state, launch.run)
    moment = datetime.now(UTC)
    key = f"lost:{launch.run}" if launch.run else f"missed:{launch.job}:{launch.window}:{launch.window_start}"
    subject = f"{town.name}: {launch.job} {'was lost' if launch.run else 'was skipped'}"
    raise_notice(town, state, Notice("failure", key, subject, launch.note), moment)
    deliver(town, state, moment)
    return ExitStatus.DONE


def _deliver(town: Town, state: TownState, launch: Launch) -> ExitStatus:
    (state.directory("outbox") / DELIVERED).touch(mode=0o600)
    deliver(town, state, datetime.now(UTC))
    return ExitStatus.DONE


def _look(town: Town, state: TownState, _launch: Launch) -> ExitStatus:
    moment = datetime.now(UTC)
    changed = tell_backups(town, state, moment)
    resolved = Notice("failure", "scheduler:look:", f"{town.name}: backups can be judged again", "", resolved=True)
    raise_notice(town, state, resolved, moment)
    if changed:
        deliver(town, state, moment)
    return ExitStatus.DONE


_ACTIONS: dict[str, Callable[[Town, TownState, Launch], ExitStatus]] = {
    "start": _start,
    "resume": _resume,
    "plan": _plan,
    "begin": _begin,
    "expire": _expire,
    "tell": _tell,
    "deliver": _deliver,
    "look": _look,
}


def _told(town: Town, state: TownState, result: RunResult) -> ExitStatus:
    for problem in deliver(town, state, datetime.now(UTC)).problems:
        print(f"civicops: {printable(problem, 400)}")
    return result.exit_status


def _notice(town: Town, state: TownState, launch: Launch, what: str, text: str) -> None:
    matter = f"scheduler:{launch.action}:{launch.job}"
    moment = datetime.now(UTC)
    subject = f"{town.name}: {launch.job or 'the scheduler'} {what}"
    raise_notice(town, state, Notice("failure", matter, subject, text), moment)
    deliver(town, state, moment)
