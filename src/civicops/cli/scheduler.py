"""`civicops scheduler`, and the process that it starts for one town."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from civicops.cli.towns import Inventories
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.runs.scheduler import Launch, Tick

# What a town's process gets of the scheduler's environment, beside what every run gets.
_HANDED_ON = ("CIVICOPS_STATE", "CIVICOPS_LEDGER_URL", "CIVICOPS_SMTP")
_EVERY = 30
_LOG_LIMIT = 1_000_000


def scheduler(
    once: Annotated[bool, typer.Option("--once", help="Look once, and end; for a timer or cron.")] = False,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Runs that may go on at the same time.")] = 4,
    status: Annotated[
        Path | None,
        typer.Option(
            help="Directory for status.html and civicops.prom; else .scheduler in the state directory.", metavar="DIR"
        ),
    ] = None,
    write_units: Annotated[
        Path | None, typer.Option(help="Write the systemd units into a directory, and end.", metavar="DIR")
    ] = None,
    inventories: Inventories = None,
) -> None:
    """Start what is due in each town: exactly once, in its window, towns apart."""
    import signal
    import threading

    from civicops.runs.scheduler import Scheduler
    from civicops.runs.status import write_status
    from civicops.state import private_directory, state_root

    if write_units is not None:
        _write_units(write_units)
        return
    if status is not None and not status.is_dir():
        raise typer.BadParameter(f"--status {status}: not a directory")
    place = status or private_directory(state_root() / ".scheduler")
    one = Scheduler(inventories, lambda launch: _launch(launch, inventories), at_once=at_once)
    ended = threading.Event()
    if not once:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
    told: set[str] = set()
    while True:
        tick = one.tick()
        told = _tell(tick, told)
        if not tick.busy:
            write_status(tick, place)
        if once:
            raise typer.Exit(1 if tick.problems else 0)
        if ended.wait(_EVERY):
            return


def _tell(tick: Tick, told: set[str]) -> set[str]:
    """One line for each thing that was started and each new problem; in a loop a problem is told once."""
    if tick.busy:
        typer.echo("civicops: another scheduler is looking just now", err=True)
    for launch in tick.launched:
        if launch.action not in ("deliver", "tell", "look"):
            typer.echo(f"{launch.town}: {launch.action} {launch.job} {launch.run}".rstrip())
    for problem in tick.problems:
        if problem not in told:
            typer.echo(f"civicops: {printable(problem, 2000)}", err=True)
    return set(tick.problems)


def _launch(launch: Launch, inventories: Path | None) -> None:
    """Start a process that outlives this one, and that sees one town: its environment, and no open file of ours."""
    from civicops.runs.environment import kept_environment
    from civicops.state import TownState

    environment = kept_environment(dict(os.environ), ssh_agent=False)
    environment |= {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    command = [sys.executable, "-m", "civicops.cli.main", "serve", launch.town, launch.action]
    command += ["--directory", str(launch.directory.absolute()), "--job", launch.job, "--run", launch.run]
    command += ["--window", launch.window, "--window-start", launch.window_start, "--note", launch.note]
    log = TownState(launch.town).directory() / "scheduler.log"
    with _log(log) as stream:
        subprocess.Popen(
            command,
            env=environment,
            cwd="/" if inventories is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            close_fds=True,
        )


def _log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "ab")


def _write_units(directory: Path) -> None:
    from importlib import resources

    from civicops.state import write_durably

    if not directory.is_dir():
        raise typer.BadParameter(f"--write-units {directory}: not a directory")
    for unit in sorted(resources.files("civicops.runs").joinpath("units").iterdir(), key=lambda one: one.name):
        write_durably(directory / unit.name, unit.read_bytes())
        (directory / unit.name).chmod(0o644)
        typer.echo(directory / unit.name)


def serve(
    town: Annotated[str, typer.Argument()],
    action: Annotated[str, typer.Argument()],
    directory: Annotated[Path, typer.Option()],
    job: Annotated[str, typer.Option()] = "",
    run: Annotated[str, typer.Option()] = "",
    window: Annotated[str, typer.Option()] = "",
    window_start: Annotated[str, typer.Option()] = "",
    note: Annotated[str, typer.Option()] = "",
) -> None:
    """What the scheduler starts for one town."""
    from civicops.cli.runs import conclude, send_alerts
    from civicops.runs.scheduler import Launch
    from civicops.runs.serve import serve as serve_town
    from civicops.runs.start import take_in
    from civicops.state import TownState
    from civicops.town import load_town

    loaded = load_town(directory)
    state = TownState(town)
    take_in(town, state)
    launch = Launch(action, town, directory, job, run, window, window_start, note)  # type: ignore[arg-type]
    status = serve_town(loaded, state, launch)
    if action in ("start", "resume", "begin"):
        conclude(loaded, state, run, quiet=False)
        send_alerts(loaded, state)
    raise typer.Exit(status)
