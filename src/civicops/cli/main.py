"""The command `civicops` and the one place where errors become a line and an exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated, Any

import typer

from civicops.cli import (
    baseline,
    devices,
    feeds,
    findings,
    ledger,
    report,
    run_list,
    runs,
    scheduler,
    seal,
    town,
    windows,
)
from civicops.exit_status import ExitStatus
from civicops.text import printable

app = typer.Typer(
    name="civicops",
    help="Look after towns and cities: assess, plan, patch, back up, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, and those can hold secrets
    rich_markup_mode=None,
)
app.command("checkup")(runs.checkup)
app.command("run")(runs.run)
app.command("runs")(run_list.show_runs)
app.command("scheduler")(scheduler.scheduler)
app.command("serve", hidden=True)(scheduler.serve)
app.command("report")(report.report)
app.command("findings")(findings.findings)
app.command("baseline")(baseline.baseline)
app.command("windows")(windows.windows)
app.command("devices")(devices.devices)
app.command("seal")(seal.seal)
app.add_typer(town.app, name="town")
app.add_typer(ledger.app, name="ledger")
app.add_typer(feeds.app, name="feeds")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"civicops {version('civicops')}")
        raise typer.Exit


@app.callback()
def _main(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# A full disk, a place that may not be written to, and the like: for the caller to mend, not for us.
_NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE}
_INTERRUPTED = 130


def _status_of(error: Exception) -> ExitStatus:
    """What an error means to the caller. Imports are cheap here: whoever raised it has done them."""
    from civicops.feeds.error import FeedError
    from civicops.ledger.store import LedgerError
    from civicops.network.known import StoreError
    from civicops.network.platform import PlatformError
    from civicops.network.sealed import SealError
    from civicops.runs.inventory import InventoryError
    from civicops.runs.journal import NoSuchRunError
    from civicops.runs.orphans import OrphansError
    from civicops.runs.start import PlanChangedError, RunError, RunLockedError
    from civicops.state import StateError
    from civicops.town import TownFileError

    if isinstance(error, OSError) and error.errno in _NOT_OURS:
        return ExitStatus.BAD_INPUT
    if isinstance(error, (RunLockedError, PlanChangedError, OrphansError)):
        return ExitStatus.NOT_ALLOWED
    bad_input = (TownFileError, RunError, NoSuchRunError, InventoryError, LedgerError, StateError)
    if isinstance(error, (*bad_input, StoreError, SealError, PlatformError, FeedError)):
        return ExitStatus.BAD_INPUT
    return ExitStatus.OUR_FAULT


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'a file or the output could not be written'}: {error.strerror}"
    return str(error)


def _drop_output() -> None:
    """What is left for an output that can't be written must not fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: list[str] | None = None) -> Any:
    """The entry point of the command."""
    try:
        app(args=arguments)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.CANCELLED)
    except SystemExit as end:
        # Typer's own word for Ctrl-C.
        sys.exit(ExitStatus.CANCELLED if end.code == _INTERRUPTED else end.code)
    except BrokenPipeError:
        _drop_output()
        sys.exit(ExitStatus.DONE)
    except Exception as error:
        status = _status_of(error)
        if isinstance(error, OSError) and error.filename is None:
            _drop_output()
        if status is ExitStatus.OUR_FAULT:
            traceback.print_exc()
            print("civicops: this is a fault of ours; please report what stands above", file=sys.stderr)
        else:
            for line in _told(error).splitlines() or [type(error).__name__]:
                print(f"civicops: {printable(line, 2000)}", file=sys.stderr)
        sys.exit(status)


if __name__ == "__main__":
    run()
