"""Take the spool into the ledger. Doing it twice, or two at once, adds nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from civicops.ledger.documents import Document, parse
from civicops.ledger.spool import SPOOL_LIMIT, ended_runs
from civicops.ledger.store import Ledger
from civicops.state import TownState

_BATCH = 200


@dataclass(frozen=True)
class Taken:
    """What one ingest did."""

    documents: int = 0
    rejected: int = 0

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.documents + other.documents, self.rejected + other.rejected)


def ingest(ledger: Ledger, state: TownState) -> Taken:
    """Take in what every ended run has left in the spool, latecomers of earlier runs included."""
    total = Taken()
    for directory in ended_runs(state):
        total += ingest_run(ledger, directory)
        _tidy(directory)
    return total


def ingest_run(ledger: Ledger, directory: Path) -> Taken:
    """Take in one run's spool directory: appended and committed first, removed from the spool only then."""
    # In the order in which they were written, so that of two answers of a host the newer one has the higher number.
    found = [(path, info) for path in directory.glob("[!.]*.json") if (info := _info(path)) is not None]
    waiting = [path for path, info in sorted(found, key=lambda pair: (pair[1].st_mtime_ns, pair[0].name))]
    total = Taken()
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        documents = [document for path in batch if (document := _read(path, ledger.town)) is not None]
        appended = ledger.append(documents)
        total += Taken(len(appended), sum(document.status == "rejected" for document in appended))
        for path in batch:
            path.unlink(missing_ok=True)
    return total


def _info(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _read(path: Path, town: str) -> Document | None:
    """Read one spooled file; None where another ingest took it meanwhile. Never follows a symbolic link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        data = b"no regular file"
    else:
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(SPOOL_LIMIT + 1)
    return parse(data, town, now=datetime.now(UTC))


def _tidy(directory: Path) -> None:
    """Remove an emptied spool directory; one that a latecomer just wrote to stays for the next time."""
    if any(path.suffix == ".json" for path in directory.iterdir()):
        return
    for leftover in directory.iterdir():
        leftover.unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError:
        return
