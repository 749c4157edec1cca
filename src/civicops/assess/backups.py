"""How a host's backups stand at a moment, by its newest documents: what is wrong, and what time alone makes wrong.

Bad news stays; good news grows old: a host that said nothing for days is not known to be well, and a backup that was
fresh when the host was asked is late once its own schedule has it so, whether anybody asks again or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from civicops.assess.finding import Told
from civicops.assess.recovery_known import STALE, read_drills
from civicops.assess.recovery_time import lasting
from civicops.ledger.store import Ledger
from civicops.moments import moment as moment_of
from civicops.text import printable

STATUS, DRILL = "backup-status", "drill"
"""The kinds of documents that tell of backups."""
DRILL_DUE = timedelta(days=35)
"""A restore that was not tried for so long is due: a weekly drill has all files within 28 days, and may fail once."""
CLOCK = timedelta(minutes=5)
"""How far a host's clock may be from the controller's, as on patch nights: backups are told apart by their times."""
_ALARMS_SHOWN = 8


@dataclass(frozen=True)
class Standing:
    """One host: a client, a backup server, or both."""

    host: str
    status: Told
    drill: Told | None
    """The last one that was held; None for what is a server alone."""
    alarms: list[str]
    """What is wrong, in words; the host's are as it said them."""
    bad: bool
    """Something is seen to be wrong; else, where there are alarms, nothing is known."""
    drill_due: bool
    ages: tuple[datetime, ...]
    """The moments at which time alone changes something."""

    @property
    def is_client(self) -> bool:
        """Whether it is backed up."""
        return self.status.body["client"] is not None

    @property
    def drill_failed(self) -> bool:
        """Whether the last drill did not give back what was there."""
        return self.drill is not None and self.drill.body["outcome"] != "done"

    @property
    def complete(self) -> dict[str, Any]:
        """The last backup that was complete; empty where none is known."""
        return (self.status.body["client"] or {}).get("complete") or {}


def standings(ledger: Ledger, moment: datetime, inventory: Collection[str]) -> dict[str, Standing]:
    """The hosts of the inventory that were asked and have to do with backups; of every host, where it is empty."""
    latest = {host: entry for host, entry in ledger.latest(STATUS).items() if not inventory or host in inventory}
    if not latest:
        return {}
    bodies, held = ledger.bodies(latest.values()), read_drills(ledger, moment, inventory)
    found = {}
    for host, entry in latest.items():
        if entry.body in bodies:
            status = Told(bodies[entry.body], moment_of(entry.collected_at))
            one = standing(host, status, held.get(host), moment)
            if one is not None:
                found[host] = one
    return found


def standing(host: str, status: Told, drill: Told | None, moment: datetime) -> Standing | None:
    """None where the host is no client and no server, and nothing is wrong."""
    client, said = status.body["client"], status.body["alarms"]
    if client is None and status.body["server"] is None and not said:
        return None
    drill = drill if client is not None else None
    stale = moment - status.at > STALE
    until = _until(client or {})
    late = until is not None and until < moment and not stale
    alarms = [f"{one['kind']}: {one['text']}" for one in said]
    if stale:
        alarms.insert(0, f"not known since {status.at:%Y-%m-%d}: it was not asked, or gave no answer")
    if off := _off(status):
        alarms.append(f"clock: {off}")
    if late:
        alarms.append(f"late: the last complete backup ended {client['complete']['ended_at']}")
    drill_until = drill.at + DRILL_DUE if drill is not None else None
    ages = (status.at + STALE, until, drill_until)
    return Standing(
        host=host,
        status=status,
        drill=drill,
        alarms=alarms,
        bad=late or bool(off) or any(one["kind"] != "not_seen" for one in said),
        drill_due=client is not None and (drill_until is None or moment > drill_until),
        ages=tuple(one for one in ages if one is not None and one >= moment),
    )


def shown(alarms: list[str]) -> Iterator[str]:
    """The first few alarms, fit to be shown, and how many more there are."""
    yield from (printable(one, 400) for one in alarms[:_ALARMS_SHOWN])
    if len(alarms) > _ALARMS_SHOWN:
        yield f"and {len(alarms) - _ALARMS_SHOWN} more"


def drill_words(drill: Told | None) -> str:
    """What was given back, and when: the proof that people read."""
    if drill is None:
        return "never tried"
    held, body = f"{drill.at:%Y-%m-%d}" + (f", on {drill.by}" if drill.by else ""), drill.body
    if body["outcome"] != "done":
        return f"failed on {held}: {body['reason'] or 'nothing came back'}"
    told = [f"{body['files']['equal']:,.0f} files, all equal, in {lasting(body['restore_seconds'])}"]
    counted = [one for one in body["databases"] if one["outcome"] == "restored" and one["rows"] is not None]
    told += [f"{one['name']}: {one['rows']:,.0f} {'entries' if one['kind'] == 'ldap' else 'rows'}" for one in counted]
    return f"on {held}: {'; '.join(told)}"


def _off(status: Told) -> str:
    """How far the host's clock was from the controller's, in words; nothing where that is close enough."""
    try:
        off = datetime.fromisoformat(str(status.body.get("host_time"))) - status.at
    except (TypeError, ValueError):
        return ""
    if abs(off) <= CLOCK:
        return ""
    return f"its clock is {lasting(abs(off).total_seconds())} {'ahead of' if off > timedelta() else 'behind'} ours"


def _until(client: dict[str, Any]) -> datetime | None:
    """Until when the last complete backup is fresh, by the host's own schedule."""
    try:
        ended = datetime.fromisoformat(str(client["complete"]["ended_at"]))
        if ended.tzinfo is None:
            return None
        return ended + timedelta(seconds=float(client["late_after_seconds"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
