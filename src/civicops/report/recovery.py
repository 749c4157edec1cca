"""What a report says of recovery: what was found, what is not known, and how long each system would take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.facts import Facts
from civicops.assess.finding import Effort, Judged, count, severities
from civicops.assess.finding import State as Outcome
from civicops.assess.recovery import RecoveryTime, judge
from civicops.assess.recovery_known import Host, read_recovery
from civicops.assess.recovery_time import lasting, proofs
from civicops.ledger.store import Ledger
from civicops.report.figures import State
from civicops.town.model import System

_LOOKS: dict[Outcome, State] = {"found": "bad", "unknown": "unknown", "fine": "good"}
_LESSER: tuple[Severity, ...] = ("low", "medium")


@dataclass(frozen=True)
class RecoveryLine:
    """One finding, with all the hosts or systems of which the same is to be said."""

    id: str
    title: str
    state: State
    severity: Severity
    evidence: str
    about: list[str]
    remedy: str
    effort: Effort
    frameworks: tuple[str, ...]


@dataclass(frozen=True)
class SystemLine:
    """One system: how soon it is wanted back, how long that takes, and the restores that have shown it."""

    name: str
    state: State
    wanted: str
    measured: str
    proofs: list[str]


@dataclass(frozen=True)
class RecoveryTold:
    """All of it, the worst first. `counts` is of found ones, each finding of each host, by severity."""

    lines: list[RecoveryLine]
    fine: list[RecoveryLine]
    """What was looked at and is as it should be, with why."""
    counts: dict[Severity, int]
    unknown: int
    systems: list[SystemLine]

    @property
    def words(self) -> str:
        """How much was found, and how much is not known."""
        found = ", ".join(f"{count} {severity}" for severity, count in self.counts.items())
        return (found or "nothing found") + (f"; {self.unknown} not known" if self.unknown else "")


def recovery_told(
    ledger: Ledger,
    inventory: Mapping[str, str],
    facts: Mapping[str, Facts],
    moment: datetime,
    *,
    systems: tuple[System, ...] = (),
    groups: Mapping[str, Collection[str]] | None = None,
) -> RecoveryTold | None:
    """None where there is no host that anything could be said of."""
    if not inventory:
        return None
    town = read_recovery(ledger, inventory, facts, moment, systems=systems, groups=groups)
    told = judge(town)
    found = severities(one for one in told if one.state == "found")
    return RecoveryTold(
        lines=_lines([one for one in told if one.state != "fine"]),
        fine=_lines([one for one in told if one.state == "fine"]),
        counts={severity: found[severity] for severity in reversed(SEVERITIES) if found[severity]},
        unknown=count(one for one in told if one.state == "unknown"),
        systems=[_system(one, there, moment) for one in systems if (there := town.of_system(one))],
    )


def _lines(told: list[Judged]) -> list[RecoveryLine]:
    """Of what is the same of several hosts or systems, one line."""
    lines: dict[tuple[str, ...], RecoveryLine] = {}
    for one in told:
        key = (one.id, one.state, one.severity, one.evidence)
        lesser = one.state == "found" and one.severity in _LESSER
        line = RecoveryLine(
            one.id,
            one.title,
            "soon" if lesser else _LOOKS[one.state],
            one.severity,
            one.evidence,
            [],
            one.remedy,
            one.effort,
            one.frameworks,
        )
        lines.setdefault(key, line).about.extend(one.about)
    return list(lines.values())


def _system(system: System, hosts: Sequence[Host], moment: datetime) -> SystemLine:
    state, measured = RecoveryTime.of(system, hosts)
    return SystemLine(
        name=system.name,
        state="plain" if system.rto_hours is None else _LOOKS[state],
        wanted="not said" if system.rto_hours is None else f"wanted {lasting(system.rto_hours * 3600)}",
        measured=measured,
        proofs=[line for host in hosts for line in proofs(host.drill, moment)],
    )
