"""How long a recovery takes: what the last drill has measured, scaled to all of a host's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from civicops.assess.finding import Told
from civicops.assess.recovery_known import Host, brief

# A drill tells tenths of a second: what took none has taken less than half of one.
_SHORTEST = 0.05


@dataclass(frozen=True)
class Measured:
    """The seconds after which all is back. Those of `part` are known to be needed, and are not all where `why` says
    what is missing."""

    part: float = 0.0
    why: str = ""
    rows: int = 0
    files: int = 0

    @property
    def whole(self) -> float | None:
        """None where something was not measured."""
        return None if self.why else self.part

    @property
    def words(self) -> str:
        """For people: how long, and for what."""
        if not (self.rows or self.files):
            return f"never measured ({self.why})" if self.why else "never measured"
        amount = f"{self.rows:,.0f} rows" if self.rows else f"{self.files:,.0f} files"
        return f"measured {lasting(self.part)} for {amount}" + (f", and more: {self.why}" if self.why else "")


def measured(host: Host) -> Measured:
    """Of one host: its files at the rate of the last drill, and its databases as they were restored there."""
    drill, complete = host.drill, (host.client or {}).get("complete") or {}
    name = brief(host.name)
    if drill is None:
        return Measured(why=f"{name}: no drill")
    body = drill.body
    if body["outcome"] != "done" or not body["bytes"]:
        return Measured(why=f"{name}: the last drill has brought nothing back")
    rows, seconds = 0, 0.0
    left = [] if not drill.old else [f"the last drill was on {drill.at:%Y-%m-%d}"]
    for one in body["databases"]:
        if one["outcome"] == "restored" and one["seconds"] is not None:
            rows, seconds = rows + int(one["rows"] or 0), seconds + one["seconds"]
        else:
            left.append(f"the database {brief(one['name'])} was not restored")
    total = complete.get("bytes")
    if total is None:
        left.append("how much it is in all is not known")
    amount = max(total or 0, body["bytes"])
    seconds += amount / body["bytes"] * max(body["restore_seconds"], _SHORTEST)
    why = f"{name}: {', '.join(left)}" if left else ""
    return Measured(seconds, why, rows, int(body["files"]["equal"]))


def together(parts: Sequence[Measured]) -> Measured:
    """Several hosts, one after another: nobody has measured how they would do at the same time."""
    return Measured(
        sum(one.part for one in parts),
        "; ".join(one.why for one in parts if one.why),
        sum(one.rows for one in parts),
        sum(one.files for one in parts),
    )


def proofs(drill: Told | None, moment: datetime) -> list[str]:
    """What a drill that went well has shown, in sentences."""
    if drill is None or drill.body["outcome"] != "done":
        return []
    body, when = drill.body, f"on {day(drill.at, moment)}"
    by = f", on {brief(drill.by)}" if drill.by else ""
    told = [_database(one, when, by) for one in body["databases"] if one["outcome"] == "restored"]
    some = "" if body["everything"] else " (those whose turn it was)"
    count = f"{body['files']['equal']:,.0f} files{some}"
    return [*told, f"{count} were restored {when} in {lasting(body['restore_seconds'])}{by}, all equal"]


def _database(one: dict[str, Any], when: str, by: str) -> str:
    took = f" in {lasting(one['seconds'])}" if one["seconds"] is not None else ""
    what = "entries" if one["kind"] == "ldap" else "rows"
    rows = f"; {one['rows']:,.0f} {what}, all equal" if one["rows"] is not None else ""
    return f"the {brief(one['name'])} database was restored {when}{took}{by}{rows}"


def day(at: datetime, moment: datetime) -> str:
    """A day as people say it, with the year where it is another one."""
    return f"{at.day} {at:%B}" + (f" {at.year}" if at.year != moment.year else "")


def lasting(seconds: float) -> str:
    """A length of time in the unit that fits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:,.0f} days"
