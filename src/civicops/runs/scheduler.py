"""The scheduler: starts what is due in each town, exactly once, several towns at a time, towns apart.

One `tick` looks at every town and starts processes of their own for what is due; it waits for none of them. An opening
of a window is taken in the town's ledger before anything starts, so two schedulers start nothing twice, and the run's
id stands with it, so what was taken and never began is begun later under the same id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from civicops.jobs import JOBS
from civicops.moments import moment, stamp
from civicops.runs.journal import NoSuchRunError, RunRecord, active_runs, read_events, read_run, was_approved, was_told
from civicops.runs.looks import look_due
from civicops.runs.timetable import Due, Opening, Taken, Timetable, load, make, openings_of, save
from civicops.state import StateError, TownState, locked, private_directory, state_root
from civicops.town import TownFileError, find_towns
from civicops.town.directories import TOWN_FILE

Action = Literal["start", "resume", "plan", "begin", "expire", "tell", "deliver", "look"]

AT_ONCE = 4
"""How many runs a scheduler lets go on at the same time, over all towns."""
RESUMES = 5
"""How often a run is resumed by the scheduler before it is left to a person."""
DELIVERED = ".delivered"
"""The file in a town's outbox whose time tells when its notices were last looked after."""
_DELIVER_EVERY = timedelta(minutes=5)
# How many towns' backups one tick has judged: what is due for a thousand of them at the same time is spread.
_LOOKS = 4
# What was launched and has not begun after this is launched again.
_PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True)
class Launch:
    """A process to start: what it is to do for which town."""

    action: Action
    town: str
    directory: Path
    job: str = ""
    run: str = ""
    window: str = ""
    window_start: str = ""
    note: str = ""
    """What is to be told to the town's people."""


Launcher = Callable[[Launch], None]


@dataclass
class TownView:
    """What a tick found out about one town: for the status page."""

    town: str
    name: str
    timetable: Timetable | None = None
    problem: str | None = None
    active: list[RunRecord] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)


@dataclass
class Tick:
    """What one look at all towns did. `busy`: another scheduler was looking."""

    at: datetime
    launched: list[Launch] = field(default_factory=list)
    held_back: int = 0
    towns: list[TownView] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    busy: bool = False


class Scheduler:
    """Looks at the towns of one inventories directory.

    :param launch: starts a process, detached; tests give their own.
    :param clock: tells the time; tests give their own.
    """

    def __init__(
        self,
        inventories: Path | None,
        launch: Launcher,
        *,
        at_once: int = AT_ONCE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._inventories = inventories
        self._launch = launch
        self._at_once = at_once
        self._clock = clock

    def tick(self) -> Tick:
        """One look at every town.

        :raises TownFileError: there is no inventories directory.
        """
        tick = Tick(self._clock())
        directory = private_directory(state_root() / ".scheduler")
        with locked(directory / "lock") as alone:
            if not alone:
                tick.busy = True
                return tick
            self._look(tick)
        return tick

    def _look(self, tick: Tick) -> None:
        found = find_towns(self._inventories)
        wanted: list[tuple[TownView, TownState, Path, Due]] = []
        for path in found:
            view = TownView(path.name, path.name)
            tick.towns.append(view)
            with _contained(view):
                state = TownState(path.name)
                wanted += [(view, state, path, due) for due in self._one(view, state, path, tick)]
        self._vanished(tick, {path.name for path in found})
        begun = sum(launch.action != "look" for launch in tick.launched)
        room = self._at_once - sum(len(view.active) for view in tick.towns) - begun
        wanted.sort(key=lambda one: one[3].opening.end)
        for view, state, path, due in wanted:
            if due.what == "start" and room <= 0:
                tick.held_back += 1
                continue
            with _contained(view):
                launched = self._serve(view, state, path, due, tick)
                room -= launched and due.what == "start"
        tick.problems += [f"{view.town}: {view.problem}" for view in tick.towns if view.problem]

    def _one(self, view: TownView, state: TownState, path: Path, tick: Tick) -> list[Due]:
        """What is due in one town; lost and planned runs are seen to at once."""
        state.directory()
        runs = active_runs(state)
        view.active = [record for record in runs if record.state != "lost"]
        timetable = self._timetable(state, path, _signature(path), tick.at)
        view.timetable, view.name = timetable, timetable.name or view.town
        if outbox_due(state, tick.at):
            self._start(tick, Launch("deliver", view.town, path))
        for record in runs:
            if record.state == "lost":
                self._lost(view, state, path, record, tick)
        self._taken_before(view, state, path, timetable, tick)
        with _contained(view):
            if sum(launch.action == "look" for launch in tick.launched) < _LOOKS and look_due(state, tick.at):
                self._start(tick, Launch("look", view.town, path))
        busy = {record.order.job for record in view.active}
        return [due for due in timetable.due(tick.at) if due.opening.job not in busy or due.what != "start"]

    def _timetable(self, state: TownState, path: Path, sha256: str, now: datetime) -> Timetable:
        before = load(state)
        if before is not None and not before.stale(sha256, now):
            return before
        from civicops.calendar import load_calendar
        from civicops.ledger.claims import used_slots
        from civicops.ledger.store import Ledger
        from civicops.runs.timetable import BEHIND
        from civicops.town import load_town

        town = load_town(path)
        with Ledger(town.id, state=state) as ledger:
            slots = used_slots(ledger, now - 40 * BEHIND)
        jobs = {job.name: job.disturbs_users for job in JOBS.values()}
        openings = openings_of(town, load_calendar(town), jobs, now)
        made = make(openings, sha256=sha256, name=town.name, now=now, before=before)
        for slot in slots:
            # A run that is not here is another controller's, on the same ledger: whether it began is for that one.
            run = slot.run if _record(state, slot.run) is not None else ""
            key = f"{slot.job} {slot.window} {slot.starts_at}"
            made.taken.setdefault(key, Taken(run, slot.decision, slot.decided_at))
        save(state, made)
        return made

    def _lost(self, view: TownView, state: TownState, path: Path, record: RunRecord, tick: Tick) -> None:
        """A run whose process died. The scheduler goes on with its own; an engineer's is left to the engineer."""
        order = record.order
        view.active.append(record)
        resumed = sum(event.what == "resumed" for event in read_events(state, order.run))
        if order.window is not None and resumed < RESUMES:
            self._start(tick, Launch("resume", view.town, path, order.job, order.run))
            return
        often = f" {resumed + 1} times" if resumed else ""
        view.problem = f"{order.run} was lost{often} and is left to you: civicops runs {view.town} resume {order.run}"
        if not was_told(state, order.run):
            self._start(tick, Launch("tell", view.town, path, order.job, order.run, note=view.problem))

    def _taken_before(self, view: TownView, state: TownState, path: Path, timetable: Timetable, tick: Tick) -> None:
        """See to what was taken before: what never began, and what waits for an approval."""
        for opening in timetable.openings:
            taken = timetable.taken.get(opening.key)
            if taken is None or not taken.run:
                continue
            record = _record(state, taken.run)
            opens, ends = moment(opening.start), moment(opening.end)
            if record is None:
                forgotten = tick.at - moment(taken.at) > _PATIENCE
                if forgotten and (tick.at < ends or not opening.disturbs):
                    action: Action = "plan" if taken.decision == "planned" else "start"
                    self._start(tick, _launch(action, view.town, path, opening, taken.run))
            elif record.state == "planned":
                view.planned.append(taken.run)
                if tick.at >= ends:
                    self._start(tick, _launch("expire", view.town, path, opening, taken.run))
                elif tick.at >= opens and was_approved(state, taken.run):
                    self._start(tick, _launch("begin", view.town, path, opening, taken.run))

    def _serve(self, view: TownView, state: TownState, path: Path, due: Due, tick: Tick) -> bool:
        """Take an opening, and start what it wants; returns whether something was started."""
        from civicops.ledger.claims import Slot, take_slot
        from civicops.ledger.store import Ledger
        from civicops.runs.start import new_run_id

        opening, timetable = due.opening, view.timetable
        assert timetable is not None  # noqa: S101  it is where the opening comes from
        decision = {"start": "started", "plan": "planned"}.get(due.what, "skipped")
        run = new_run_id(opening.job) if decision != "skipped" else ""
        at = stamp(tick.at)
        with Ledger(view.town, state=state) as ledger:
            mine = take_slot(ledger, Slot(opening.job, opening.window, opening.start, run, decision, at))
        if not mine:
            (state.root / "schedule.json").unlink(missing_ok=True)  # another scheduler's: read anew what was taken
            return False
        view.timetable = timetable.taking(opening, Taken(run, decision, at))
        save(state, view.timetable)
        if decision == "skipped":
            how = "began too late to be started" if due.what == "late" else "passed while no scheduler looked"
            view.problem = f"{opening.job} in the window {opening.window} of {opening.start[:16]}Z {how}: skipped"
            self._start(tick, replace(_launch("tell", view.town, path, opening, ""), note=view.problem))
            return False
        action: Action = "plan" if decision == "planned" else "start"
        self._start(tick, _launch(action, view.town, path, opening, run))
        return True

    def _start(self, tick: Tick, launch: Launch) -> None:
        self._launch(launch)
        tick.launched.append(launch)

    def _vanished(self, tick: Tick, found: set[str]) -> None:
        """Towns that a scheduler knew and whose directory is gone."""
        for schedule in sorted(state_root().glob("*/schedule.json")):
            town = schedule.parent.name
            if town not in found:
                view = TownView(town, town)
                view.problem = (
                    f"its directory is gone, so nothing is started for it; if that is right, remove {schedule}"
                )
                tick.towns.append(view)


def _signature(town: Path) -> str:
    """What tells whether a town file or a calendar file beside it has changed.

    :raises TownFileError: there is no town file that can be read.
    """
    try:
        content = hashlib.sha256((town / TOWN_FILE).read_bytes())
    except OSError:
        from civicops.town import load_town

        load_town(town)  # says what is wrong, and what to do
        raise
    for path in sorted((town / "calendars").glob("*")):
        info = path.lstat()
        content.update(repr((path.name, info.st_size, info.st_mtime_ns)).encode())
    return content.hexdigest()


@contextmanager
def _contained(view: TownView) -> Iterator[None]:
    """What goes wrong with one town stops that town alone, and is told."""
    from civicops.ledger.store import LedgerError

    try:
        yield
    except (TownFileError, StateError, LedgerError, OSError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        view.problem = lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


def outbox_due(state: TownState, now: datetime) -> bool:
    """Whether it is time to look after a town's unsent notices again."""
    outbox = state.root / "outbox"
    if not any(outbox.glob("*/*.json")):
        return False
    try:
        return now.timestamp() - (outbox / DELIVERED).stat().st_mtime >= _DELIVER_EVERY.total_seconds()
    except FileNotFoundError:
        return True


def _launch(action: Action, town: str, path: Path, opening: Opening, run: str) -> Launch:
    return Launch(action, town, path, opening.job, run, opening.window, opening.start)


def _record(state: TownState, run: str) -> RunRecord | None:
    try:
        return read_run(state, run)
    except NoSuchRunError:
        return None
