"""What a scheduler shows: a status page for people, and a text file of metrics for Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path

from civicops.jobs import JOBS
from civicops.runs.last import Last, read_last
from civicops.runs.scheduler import Tick, TownView
from civicops.state import TownState, write_durably

PAGE, METRICS = "status.html", "civicops.prom"


@dataclass(frozen=True)
class Row:
    """One job of one town. `state` is of what is now, else of the last run."""

    job: str
    state: str
    last: Last | None
    next: str | None
    waits: bool


@dataclass(frozen=True)
class Section:
    """One town."""

    town: str
    name: str
    problem: str | None
    rows: list[Row]


def write_status(tick: Tick, directory: Path) -> None:
    """Write both files whole into a directory."""
    sections = [_section(view, tick.at) for view in tick.towns]
    write_durably(directory / PAGE, page(tick, sections).encode())
    (directory / PAGE).chmod(0o644)
    write_durably(directory / METRICS, "".join(metrics(tick, sections)).encode())
    (directory / METRICS).chmod(0o644)


def _section(view: TownView, now: datetime) -> Section:
    last = read_last(TownState(view.town))
    planned = set(view.timetable.openings) if view.timetable else set()
    jobs = {opening.job for opening in planned} | set(last) | {record.order.job for record in view.active}
    waiting = {run.split("-")[1] for run in view.planned}
    rows = []
    for job in (one for one in JOBS if one in jobs):
        active = next((record for record in view.active if record.order.job == job), None)
        before = last.get(job)
        state = active.state if active else before.state if before else "never run"
        upcoming = view.timetable.next_of(job, now) if view.timetable else None
        rows.append(Row(job, state, before, upcoming, job in waiting))
    return Section(view.town, view.name, view.problem, rows)


def page(tick: Tick, sections: list[Section]) -> str:
    """The status page: self-contained, escaped, no script."""
    from jinja2 import Environment, StrictUndefined

    from civicops.text import printable

    source = resources.files("civicops.runs").joinpath("templates", "status.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["printable"] = lambda text: printable(text, 400)
    return environment.from_string(source).render(tick=tick, sections=sections)


_HELP = {
    "civicops_scheduler_tick_timestamp_seconds": "When the scheduler last looked at the towns.",
    "civicops_scheduler_held_back": "Runs that are due and wait for others to end.",
    "civicops_town_problem": "1 where the scheduler can't serve a town.",
    "civicops_run_active": "1 while a run of the job goes on or is lost, by its state.",
    "civicops_last_run_timestamp_seconds": "When the job's last run ended.",
    "civicops_last_run_exit_status": "The exit status of the job's last run.",
    "civicops_last_run_halted": "1 where the job's last run was halted.",
    "civicops_last_run_hosts": "Hosts of the job's last run, by what became of them.",
    "civicops_next_run_timestamp_seconds": "When the job's next window opens.",
}
_OUTCOMES = ("ok", "changed", "deferred", "overrun", "failed", "unreachable", "no_answer")


def metrics(tick: Tick, sections: list[Section]) -> Iterator[str]:
    """Prometheus' text format. Labels are ids of towns and jobs, which hold no character that wants escaping."""
    values: dict[str, list[tuple[str, float]]] = {name: [] for name in _HELP}
    values["civicops_scheduler_tick_timestamp_seconds"].append(("", tick.at.timestamp()))
    values["civicops_scheduler_held_back"].append(("", tick.held_back))
    for section in sections:
        town = f'town="{section.town}"'
        values["civicops_town_problem"].append((town, section.problem is not None))
        for row in section.rows:
            _of_row(values, f'{town},job="{row.job}"', row)
    for name, samples in values.items():
        if samples:
            yield f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n"
            yield from (
                f"{name}{{{labels}}} {value:.15g}\n" if labels else f"{name} {value:.15g}\n"
                for labels, value in samples
            )


def _of_row(values: dict[str, list[tuple[str, float]]], labels: str, row: Row) -> None:
    for state in ("running", "cancelling", "lost"):
        values["civicops_run_active"].append((f'{labels},state="{state}"', row.state == state))
    if row.last is not None:
        ended = datetime.fromisoformat(row.last.ended_at).timestamp()
        values["civicops_last_run_timestamp_seconds"].append((labels, ended))
        values["civicops_last_run_exit_status"].append((labels, row.last.exit_status))
        values["civicops_last_run_halted"].append((labels, row.last.halted))
        for outcome in _OUTCOMES:
            count = row.last.hosts.get(outcome, 0)
            values["civicops_last_run_hosts"].append((f'{labels},outcome="{outcome}"', count))
    if row.next is not None:
        values["civicops_next_run_timestamp_seconds"].append((labels, datetime.fromisoformat(row.next).timestamp()))
