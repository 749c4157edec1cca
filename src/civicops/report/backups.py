"""What a report says of backups: how each host stood when it was asked last, and which were never asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from civicops.assess.backups import STATUS, Standing, drill_words, shown, standings
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.report.figures import WORST_FIRST, State


@dataclass(frozen=True)
class BackupLine:
    """One host: a client, a backup server, or both."""

    host: str
    state: State
    told_at: str
    complete_at: str | None
    files: int | None
    bytes: int | None
    keeps: int
    """How many hosts' backups lie here."""
    drill: str
    """What the last restore drill has shown, in words; nothing for what is a server alone."""
    alarms: list[str]


@dataclass(frozen=True)
class Backups:
    """All hosts that were asked, the worst first, and those of the inventory of which no backup is known."""

    lines: list[BackupLine]
    none_known: list[str]

    def with_state(self, *states: State) -> list[BackupLine]:
        """The hosts of these states."""
        return [line for line in self.lines if line.state in states]


def read_backups(ledger: Ledger, inventory: Collection[str], moment: datetime) -> Backups | None:
    """None where no host of the town was ever asked for its backups."""
    if not ledger.latest(STATUS):
        return None
    lines = [_line(one) for one in standings(ledger, moment, inventory).values()]
    lines.sort(key=lambda line: (WORST_FIRST.index(line.state), line.host))
    return Backups(lines, sorted(set(inventory) - {line.host for line in lines}))


def _line(one: Standing) -> BackupLine:
    bad = one.bad or one.drill_failed
    state: State = "bad" if bad else "unknown" if one.alarms else "soon" if one.drill_due else "good"
    server = one.status.body["server"]
    return BackupLine(
        host=one.host,
        state=state,
        told_at=stamp(one.status.at),
        complete_at=one.complete.get("ended_at"),
        files=one.complete.get("files"),
        bytes=one.complete.get("bytes"),
        keeps=len(server["clients"]) if server else 0,
        drill=drill_words(one.drill) if one.is_client else "",
        alarms=list(shown(one.alarms)),
    )
