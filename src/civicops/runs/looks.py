"""When a scheduler has a town's backups judged anew: as documents have come, or as time alone has made something late.

What is known stands in the town's state as `backups.json`: a town whose ledger is unchanged costs a look two small
files, and one without backups no process either.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from civicops.moments import moment, stamp
from civicops.state import TownState, write_durably

if TYPE_CHECKING:
    from civicops.ledger.store import Ledger

VERSION = 1
EVERY = timedelta(hours=1)
"""How often at most a scheduler has a town's backups judged."""
ELSEWHERE = ""
"""What a ledger is known by whose changes don't show in a file of the town's state."""


@dataclass(frozen=True)
class Look:
    """The last time that a town's backups were judged."""

    at: str
    ledger: str | None = None
    """What the ledger was known by, as `ledger_mark` has it; None where it was never read."""
    newest: int = 0
    """The number of the newest document that tells of backups; 0 where there is none."""
    next: str | None = None
    """When time alone makes it worth another look."""
    open: tuple[str, ...] = ()
    """The keys of the matters that are open."""


def load(state: TownState) -> Look | None:
    """The last look; None where there was none that can be read."""
    try:
        kept = json.loads((state.root / "backups.json").read_bytes())
        if kept.pop("version") != VERSION:
            return None
        look = Look(**kept | {"open": tuple(kept["open"])})
        moment(look.at), moment(look.next or look.at)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return look


def save(state: TownState, look: Look) -> None:
    """Keep a look."""
    write_durably(state.directory() / "backups.json", json.dumps({"version": VERSION} | asdict(look)).encode())


def look_due(state: TownState, now: datetime) -> bool:
    """Whether a town's backups are to be judged now. Noted, so that who dies over it is not started again at once.

    :raises LedgerError: the ledger can't be used.
    """
    before = load(state)
    if before is not None and timedelta() <= now - moment(before.at) < EVERY:
        return False
    before = before or Look(at=stamp(now))
    passed = before.next is not None and moment(before.next) <= now
    mark = ledger_mark(state)
    if mark == before.ledger and not passed:
        return False
    if not passed and mark != ELSEWHERE and _newest(state) == before.newest:
        save(state, replace(before, at=stamp(now), ledger=mark))
        return False
    save(state, replace(before, at=stamp(now)))
    return True


def ledger_mark(state: TownState) -> str:
    """What tells whether anything was written into the town's ledger; `ELSEWHERE` where nothing here does."""
    if os.environ.get("CIVICOPS_LEDGER_URL"):
        return ELSEWHERE
    found = []
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        try:
            info = (state.root / name).stat()
        except FileNotFoundError:
            continue
        if info.st_size:  # an empty one comes and goes with whoever reads
            found.append(f"{info.st_ino} {info.st_size} {info.st_mtime_ns}")
    return "; ".join(found) or "none"


def newest_of(ledger: Ledger) -> int:
    """The number of the newest document that tells of backups; 0 where there is none."""
    from civicops.assess.backups import DRILL, STATUS
    from civicops.assess.devices import CONFIG

    return max((entry.seq for kind in (STATUS, DRILL, CONFIG) for entry in ledger.newest(kind, 1)), default=0)


def _newest(state: TownState) -> int:
    from civicops.ledger.store import Ledger

    with Ledger(state.town, state=state) as ledger:
        return newest_of(ledger)
