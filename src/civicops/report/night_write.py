"""Write a morning report: two self-contained pages, one for whoever runs the town and one for its engineers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from civicops.ledger.store import Ledger
from civicops.report.night import JOBS, Night, NightHost
from civicops.report.night_collect import collect_night, newest_run, with_chances
from civicops.report.night_plain import REMARKS
from civicops.report.night_words import Clock, Words, words_of
from civicops.report.pages import environment, write_whole
from civicops.runs.inventory import InventoryError, groups_of_run
from civicops.runs.tell import tell_report
from civicops.state import StateError, TownState
from civicops.text import printable
from civicops.town import Town

Edition = Literal["manager", "engineer"]
EDITIONS: tuple[Edition, ...] = get_args(Edition)
LAST = "last"
"""Instead of a run's id: the newest run that has a morning report."""

# Of one host, so many lines of a list are shown; the ledger has them all.
_LISTED = 300


@dataclass(frozen=True)
class NightWritten:
    """Where the pages lie, and what the manager's says in a few lines."""

    run: str
    paths: tuple[Path, ...]
    subject: str
    summary: list[str]
    problem: str | None = None
    """What could not be done, in one line for people."""


def write_night(
    town: Town, state: TownState, run: str, editions: Collection[Edition] = EDITIONS, directory: Path | None = None
) -> NightWritten:
    """Write the morning report of one run, or of the `last`, from the town's ledger; asks no host.

    Pages of the same run are written anew: what came home late stands in them.

    :raises NoSuchRunError: there is no such run, or it has no morning report.
    :raises StateError: the directory can't be written to.
    """
    night = read_night(town, state, run)
    words = words_of(night)
    folder = directory.absolute() if directory else state.directory("reports")
    paths = []
    for edition in (one for one in EDITIONS if one in editions):
        path = folder / f"{town.id}-patch-{night.run}-{edition}.html"
        write_whole(path, render(night, words, edition))
        paths.append(path)
    return NightWritten(night.run, tuple(paths), printable(words.subject, 200), words.summary)


def conclude_night(town: Town, state: TownState, run: str) -> NightWritten | None:
    """What is done when a run has ended: both pages are written, and people are told what the manager's says.

    None where the run has no morning report: another job, a rehearsal, or one that has not begun. A page that can't be
    written changes nothing about how the run ended: `problem` says why, and the people are told all the same.
    """
    with Ledger(town.id, state=state) as ledger:
        entries = ledger.of_run(run)
    begun = [entry for entry in entries if entry.kind == "run" and entry.job in JOBS]
    if not begun or begun[0].check:
        return None
    try:
        written = write_night(town, state, run)
    except (StateError, OSError) as error:
        words = words_of(read_night(town, state, run))
        remedy = f"civicops report {town.id} --run {run} --output DIR"
        problem = f"the morning report could not be written: {error}; once that is put right: {remedy}"
        written = NightWritten(run, (), printable(words.subject, 200), words.summary, printable(problem, 1000))
    try:
        tell_report(town, state, run, written.subject, written.summary, written.paths, datetime.now(UTC))
    except OSError as error:
        problem = f"nobody is told of the morning report: {error.strerror}"
        return NightWritten(run, written.paths, written.subject, written.summary, written.problem or problem)
    return written


def night_figures(town: Town, state: TownState, run: str) -> dict[str, Any]:
    """A night as plain data, for `--json`."""
    night = read_night(town, state, run)
    return {
        "town": town.id,
        "run": night.run,
        "job": night.job,
        "check": night.check,
        "made_at": night.made_at.isoformat(timespec="seconds"),
        "begun": night.begun,
        "ended": night.ended,
        "started_at": night.started_at,
        "ended_at": night.ended_at,
        "user": night.user,
        "limit": night.limit,
        "halted": night.was_halted,
        "counts": night.counts,
        "hosts": [_plain(host) for host in night.worst_first],
        "not_asked": list(night.not_asked),
        "rings": [asdict(ring) for ring in night.rings],
        "approvals": [asdict(one) for one in night.approvals],
        "overrides": [asdict(one) for one in night.overrides],
        "anchor": str(night.anchor),
        "summary": words_of(night).summary,
    }


def _plain(host: NightHost) -> dict[str, Any]:
    more = {"touched": host.touched, "away_at_most": host.away_at_most, "remarks": list(host.remarks)}
    return asdict(host) | more


def read_night(town: Town, state: TownState, run: str) -> Night:
    """A night with the groups as they were when it began, else as the inventory has them, where that can be read."""
    groups: Mapping[str, Collection[str]] | None
    with Ledger(town.id, state=state) as ledger:
        run = newest_run(ledger) if run == LAST else run
        collect_night(ledger, town, run)  # an unknown run is told before a process is started
        try:
            groups = groups_of_run(town, state, run)
        except InventoryError:
            groups = None
        night = collect_night(ledger, town, run, groups=groups)
    return night if groups is None else with_chances(night, groups)


def render(night: Night, words: Words, edition: Edition) -> str:
    """One page. Everything is escaped; a content policy in the page forbids scripts and any loading besides."""
    pages = environment()
    clock = Clock(night)
    pages.filters["begun"] = lambda text: str(text)[:1].upper() + str(text)[1:]
    pages.filters["when"] = lambda text: clock.told(text) if text else "not known"
    pages.filters["lasting"] = _lasting
    page = pages.get_template(f"night_{edition}.html.j2")
    return page.render(
        night=night,
        town_id=night.town.id,
        anchor=night.anchor,
        words=words,
        edition=edition,
        listed=_LISTED,
        remarks_of=REMARKS,
        made=clock.told(night.made_at.isoformat(), "%Y-%m-%d %H:%M %Z"),
        zone=night.town.timezone,
        civicops_version=version("civicops"),
    )


def _lasting(seconds: float | None) -> str:
    """A length of time for engineers: seconds below two minutes, else minutes; never told shorter than it is."""
    if seconds is None:
        return "not known"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60 + 0.05:.1f} min"
