"""What a report says of backups: how each host stood when it was asked last, and which were never asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from civicops.assess.recovery_known import STALE, Told, read_drills
from civicops.assess.recovery_time import lasting
from civicops.ledger.store import Ledger
from civicops.moments import moment as moment_of
from civicops.report.figures import WORST_FIRST, State

DRILL_DUE = timedelta(days=35)
"""A restore that was not tried for so long is due: a weekly drill has all files within 28 days, and may fail once."""
_ALARMS_SHOWN = 8


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
    latest = ledger.latest("backup-status")
    if not latest:
        return None
    there = {host: entry for host, entry in latest.items() if not inventory or host in inventory}
    bodies = ledger.bodies(there.values())
    held = read_drills(ledger, moment)
    lines = [
        _line(host, entry.collected_at, bodies[entry.body], held.get(host), moment)
        for host, entry in there.items()
        if entry.body in bodies
    ]
    set_up = [line for line in lines if line is not None]
    lines_sorted = sorted(set_up, key=lambda line: (WORST_FIRST.index(line.state), line.host))
    return Backups(lines_sorted, sorted(set(inventory) - {line.host for line in set_up}))


def _line(host: str, told_at: str, body: dict[str, Any], drill: Told | None, moment: datetime) -> BackupLine | None:
    client, server = body["client"], body["server"]
    alarms = [f"{one['kind']}: {one['text']}" for one in body["alarms"]]
    if client is None and server is None and not alarms:
        return None
    stale = moment - moment_of(told_at) > STALE
    if stale:
        alarms.insert(0, f"not known since {told_at[:10]}: it was not asked")
    # What it said then is bad news still; good news grows old.
    seen = [one for one in body["alarms"] if one["kind"] != "not_seen"]
    complete = (client or {}).get("complete") or {}
    if complete and (until := _until(client, complete)) is not None and until < moment and not stale:
        alarms.append(f"late: the last complete backup ended {complete['ended_at']}")
        seen.append({"kind": "late"})
    failed = client is not None and drill is not None and drill.body["outcome"] != "done"
    due = client is not None and (drill is None or moment - drill.at > DRILL_DUE)
    state: State = "bad" if seen or failed else "unknown" if alarms else "soon" if due else "good"
    return BackupLine(
        host=host,
        state=state,
        told_at=told_at,
        complete_at=complete.get("ended_at"),
        files=complete.get("files"),
        bytes=complete.get("bytes"),
        keeps=len(server["clients"]) if server else 0,
        drill=_drill(drill) if client else "",
        alarms=alarms[:_ALARMS_SHOWN] + [f"and {len(alarms) - _ALARMS_SHOWN} more"] * (len(alarms) > _ALARMS_SHOWN),
    )


def _until(client: dict[str, Any], complete: dict[str, Any]) -> datetime | None:
    """Until when the last complete backup is fresh, by the host's own schedule."""
    try:
        ended = datetime.fromisoformat(str(complete["ended_at"]))
        if ended.tzinfo is None:
            return None
        return ended + timedelta(seconds=float(client["late_after_seconds"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _drill(drill: Told | None) -> str:
    """What was given back, and when: the proof that people read."""
    if drill is None:
        return "never tried"
    held, body = f"{drill.at:%Y-%m-%d}" + (f", on {drill.by}" if drill.by else ""), drill.body
    if body["outcome"] != "done":
        return f"failed on {held}: {body['reason'] or 'nothing came back'}"
    told = [f"{body['files']['equal']:,.0f} files, all equal, in {lasting(body['restore_seconds'])}"]
    counted = [one for one in body["databases"] if one["outcome"] == "restored" and one["rows"] is not None]
    told += [f"{one['name']}: {one['rows']:,.0f} rows" for one in counted]
    return f"on {held}: {'; '.join(told)}"
