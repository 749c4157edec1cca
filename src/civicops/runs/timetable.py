"""A town's timetable: which openings of its windows are near, and what is due of them. Plain data, cached by hash.

Kept in the town's state as `schedule.json`, so that a scheduler that finds a town file unchanged neither parses it nor
computes a rule. Times are UTC, as `stamp` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from civicops.moments import moment, stamp
from civicops.state import TownState, write_durably

VERSION = 1
HORIZON = timedelta(days=8)
"""How far ahead a timetable reaches before it is made anew."""
BEHIND = timedelta(days=2)
"""How far back missed openings are looked for."""
PLAN_AHEAD = timedelta(days=3)
"""How long before a window opens the plan of a run that wants an approval is made."""
LATE = timedelta(minutes=10)
"""A run that begins later than this after its window has opened is late: `catch_up: skip` leaves it out."""

What = Literal["start", "plan", "late", "missed"]


@dataclass(frozen=True)
class Opening:
    """One opening of a window for one job."""

    job: str
    window: str
    start: str
    end: str
    hosts: str
    catch_up: str
    approval: bool
    disturbs: bool

    @property
    def key(self) -> str:
        """What names it among a town's openings."""
        return f"{self.job} {self.window} {self.start}"


@dataclass(frozen=True)
class Taken:
    """An opening that was dealt with: by which run, if any, what was decided, and when."""

    run: str
    decision: str
    at: str


@dataclass(frozen=True)
class Due:
    """An opening that wants something now."""

    what: What
    opening: Opening


@dataclass(frozen=True)
class Timetable:
    """What a scheduler knows of a town without reading its file."""

    sha256: str
    made_at: str
    known_since: str
    openings: tuple[Opening, ...]
    taken: dict[str, Taken] = field(default_factory=dict)
    problem: str | None = None
    name: str = ""

    def due(self, now: datetime) -> Iterator[Due]:
        """What is to be done now, the opening that ends first at the front."""
        for opening in sorted(self.openings, key=lambda one: (one.end, one.key)):
            if opening.key not in self.taken and (what := self._due(opening, now)) is not None:
                yield Due(what, opening)

    def _due(self, opening: Opening, now: datetime) -> What | None:
        start, end = moment(opening.start), moment(opening.end)
        if now < start:
            return "plan" if opening.approval and start - now <= PLAN_AHEAD else None
        if now < end:
            if opening.approval:
                return "plan"
            late = now - start > LATE and opening.catch_up == "skip"
            return "late" if late else "start"
        if end <= moment(self.known_since):
            return None  # nobody was to start it
        newest = not any(
            (one.job, one.window) == (opening.job, opening.window) and opening.start < one.start <= stamp(now)
            for one in self.openings
        )
        if not opening.disturbs and opening.catch_up == "run" and newest:
            return "start"
        return "missed"

    def taking(self, opening: Opening, taken: Taken) -> Timetable:
        """The timetable with one opening dealt with."""
        return replace(self, taken=self.taken | {opening.key: taken})

    def next_of(self, job: str, now: datetime) -> str | None:
        """When the job's next window opens."""
        return min((one.start for one in self.openings if one.job == job and one.start > stamp(now)), default=None)

    def stale(self, sha256: str, now: datetime) -> bool:
        """Whether it must be made anew: the file has changed, or its openings come to their end."""
        made = moment(self.made_at)
        return self.sha256 != sha256 or not made <= now < made + HORIZON / 2


def make(openings: Iterable[Opening], *, sha256: str, name: str, now: datetime, before: Timetable | None) -> Timetable:
    """A new timetable that remembers what was dealt with."""
    oldest = stamp(now - BEHIND)
    kept = tuple(openings)
    known = {one.key for one in kept}
    taken = (
        {}
        if before is None
        else {key: one for key, one in before.taken.items() if key in known or key.rsplit(" ", 1)[-1] >= oldest}
    )
    since = before.known_since if before is not None else stamp(now)
    return Timetable(sha256, stamp(now), since, kept, taken, None, name)


def openings_of(town: Any, calendar: Any, jobs: dict[str, bool], now: datetime) -> Iterator[Opening]:
    """The openings from two days ago to the horizon. `jobs` are those that can be run, and whether they disturb."""
    for window in town.maintenance.windows:
        for occurrence in calendar.occurrences(window.id, now - BEHIND, now + HORIZON):
            for job in window.jobs:
                if job in jobs:
                    yield Opening(
                        job=job,
                        window=window.id,
                        start=stamp(occurrence.span.start),
                        end=stamp(occurrence.span.end),
                        hosts=window.hosts,
                        catch_up=window.catch_up,
                        approval=window.approval == "required" and jobs[job],
                        disturbs=jobs[job],
                    )


def load(state: TownState) -> Timetable | None:
    """The timetable of a town, None where there is none or another version wrote it."""
    try:
        kept = json.loads((state.root / "schedule.json").read_bytes())
        if kept.pop("version") != VERSION:
            return None
        openings = tuple(Opening(**one) for one in kept.pop("openings"))
        taken = {key: Taken(**one) for key, one in kept.pop("taken").items()}
        return Timetable(openings=openings, taken=taken, **kept)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def save(state: TownState, timetable: Timetable) -> None:
    """Keep a timetable."""
    text = json.dumps({"version": VERSION} | asdict(timetable), separators=(",", ":"))
    write_durably(state.directory() / "schedule.json", text.encode())
