"""Keep the state directory from growing for ever: old artifacts and old runs go, the ledger keeps what they told."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from civicops.runs.journal import read_runs
from civicops.state import TownState

KEPT_ARTIFACTS = 20
"""Of this many of the newest runs, Ansible's own output is kept."""
KEPT_RUNS = timedelta(days=400)
"""How long a run's directory is kept: a year and the month in which somebody asks about it."""
KEPT_REPORTS = 60
"""How many of the newest reports are kept in the town's own directory."""

_ENDED = ("done", "failed", "cancelled")


def rotate(state: TownState, now: datetime | None = None) -> None:
    """Remove what is older than that; runs that have not ended are never touched."""
    oldest = f"{(now or datetime.now(UTC)) - KEPT_RUNS:%Y%m%dT%H%M%SZ}"
    ended = [record.order.run for record in read_runs(state) if record.state in _ENDED]
    for number, run in enumerate(ended):
        directory = state.runs / run
        if run < oldest:
            shutil.rmtree(directory, ignore_errors=True)
        elif number >= KEPT_ARTIFACTS:
            for name in ("artifacts", "inventory", "env", "project"):
                _remove(directory / name)
    _remove_old_reports(state.root / "reports")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)


def _remove_old_reports(directory: Path) -> None:
    if not directory.is_dir():
        return
    # By when they were written: their names tell the kinds of reports apart first.
    reports = [path for path in directory.iterdir() if path.suffix == ".html" and not path.is_symlink()]
    for path in sorted(reports, key=lambda one: (one.stat().st_mtime_ns, one.name))[:-KEPT_REPORTS]:
        path.unlink(missing_ok=True)
