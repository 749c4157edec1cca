"""By when a vulnerability is to be mended: BOD 26-04's table, CJIS and PCI DSS. The rules stand in `deadlines.yml`.

What is not known is a value. A deadline is what holds whatever the unknown turns out to be, that is the latest of the
rows that it could be; beside it stands the earliest of them, with what is not known. So what is not known never makes a
date that nobody can vouch for, and never passes for safe either: it can only bring the earliest date nearer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any

import yaml

from civicops.assess.catalogue import Severity

_POINTS = ("exposed", "exploited", "automatable", "total")
_WORDS = {
    "exposed": ("exposed", "internal", "exposure not known"),
    "exploited": ("exploited", "not known to be exploited", "no feed of exploited vulnerabilities"),
    "automatable": ("automatable", "not automatable", "automatable or not: not known"),
    "total": ("total impact", "partial impact", "impact not known"),
}


@dataclass(frozen=True, order=True)
class Points:
    """What is known of one CVE; None: it is not known."""

    exploited: bool | None
    """Whether it is in CISA's catalogue of exploited vulnerabilities; None where that feed is missing."""
    automatable: bool | None
    total: bool | None
    """Whether its technical impact is total, and not partial."""
    listed: date | None = None
    """Since when it is in that catalogue."""
    ransomware: bool | None = None


@dataclass(frozen=True)
class Rule:
    """One entry of `deadlines.yml`."""

    name: str
    source: str
    checked_on: date
    check: bool
    """Whether it was read second-hand and is yet to be compared with its source."""
    binding: str
    clock: str
    rows: tuple[tuple[tuple[bool, ...], int | None, bool], ...] = ()
    """Values of `_POINTS`, the days (None: with the next upgrade), and whether forensic triage is wanted too."""
    handles: str = ""
    severity: tuple[tuple[Severity, int], ...] = ()


@dataclass(frozen=True)
class Deadline:
    """What one rule says. `due` None: with the next upgrade, whatever is not known yet."""

    rule: str
    due: date | None
    earliest: date | None
    """What it could be at the earliest, by what is not known; the same as `due` where all is."""
    triage: bool = False
    """Forensic triage is wanted too, whatever the unknown turns out to be."""
    why: str = ""
    unknown: tuple[str, ...] = ()
    cve: str = ""
    """The CVE that decides it."""

    @property
    def rank(self) -> tuple[date, date, bool, str]:
        return self.due or date.max, self.earliest or date.max, not self.triage, self.rule


@dataclass(frozen=True)
class Case:
    """One finding of a host, as deadlines look at it."""

    severity: Severity
    exposed: bool | None
    handles: frozenset[str]
    """Kinds of sensitive data that the host's departments are known to handle."""
    may_handle: frozenset[str]
    """Those that they may handle too, where it is not known which departments the host belongs to."""
    cves: tuple[tuple[str, Points, date], ...]
    """Each CVE, what is known of it, and when it was first seen on this host."""


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of this version."""
    text = resources.files("civicops.assess").joinpath("deadlines.yml").read_text(encoding="utf-8")
    return tuple(_rule(one) for one in yaml.safe_load(text)["rules"])


def _rule(one: dict[str, Any]) -> Rule:
    rows = [
        (tuple(row[name] for name in _POINTS), row["days"], row.get("triage", False)) for row in one.get("points", ())
    ]
    return Rule(
        name=one["name"],
        source=one["source"],
        checked_on=one["checked_on"],
        check=one["check"],
        binding=one["binding"],
        clock=one["clock"],
        rows=tuple(rows),
        handles=one.get("handles", ""),
        severity=tuple(one.get("severity", {}).items()),
    )


def deadlines(case: Case) -> list[Deadline]:
    """What each rule that concerns it says, the earliest first; nothing where there is no CVE."""
    found = [told for rule in rules() if (told := _by(rule, case)) is not None]
    return sorted(found, key=lambda one: one.rank)


def _by(rule: Rule, case: Case) -> Deadline | None:
    if not case.cves:
        return None
    return _by_points(rule, case) if rule.rows else _by_severity(rule, case)


def _by_points(rule: Rule, case: Case) -> Deadline:
    """The earliest of its CVEs' own; the earliest that could be is looked for among all of them."""
    told = [_of_cve(rule, case.exposed, cve, points, seen) for cve, points, seen in case.cves]
    first = min(told, key=lambda one: (*one.rank, one.cve))
    soonest = min(told, key=lambda one: (one.earliest or date.max, one.cve))
    if soonest.earliest == first.earliest:
        return first
    return Deadline(
        first.rule,
        first.due,
        soonest.earliest,
        first.triage,
        first.why,
        _merged(first.unknown, soonest.unknown),
        first.cve,
    )


def _merged(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _of_cve(rule: Rule, exposed: bool | None, cve: str, points: Points, seen: date) -> Deadline:
    known = (exposed, points.exploited, points.automatable, points.total)
    could = _could(rule, known)
    least, most, triage, unknown = could
    start = min(seen, points.listed) if points.exploited and points.listed else seen
    why = ", ".join(_WORDS[name][0 if one else 1] for name, one in zip(_POINTS, known, strict=True) if one is not None)
    return Deadline(rule.name, _after(start, most), _after(start, least), triage, why, unknown, cve)


@cache
def _could(rule: Rule, known: tuple[bool | None, ...]) -> tuple[int | None, int | None, bool, tuple[str, ...]]:
    """The fewest and the most days that it can be, whether triage is wanted in any case, and what is not known and
    would make a difference."""
    left = [(row, days, triage) for row, days, triage in rule.rows if _fits(row, known)]
    days = sorted((one for _, one, _ in left), key=_length)
    unknown = [
        _WORDS[name][2]
        for number, name in enumerate(_POINTS)
        if known[number] is None and len({(one, triage) for _, one, triage in left}) > 1
    ]
    return days[0], days[-1], all(triage for _, _, triage in left), tuple(unknown)


def _fits(row: tuple[bool, ...], known: tuple[bool | None, ...]) -> bool:
    return all(one is None or one == wanted for one, wanted in zip(known, row, strict=True))


def _length(days: int | None) -> float:
    return float("inf") if days is None else days


def _after(start: date, days: int | None) -> date | None:
    return None if days is None else start + timedelta(days=days)


def _by_severity(rule: Rule, case: Case) -> Deadline | None:
    days = dict(rule.severity).get(case.severity)
    if days is None:
        return None
    cve, _, seen = min(case.cves, key=lambda one: (one[2], one[0]))
    due = seen + timedelta(days=days)
    if rule.handles in case.handles:
        return Deadline(rule.name, due, due, why=f"{case.severity}, where {rule.handles} is handled", cve=cve)
    if rule.handles in case.may_handle:
        unknown = (f"whether {rule.handles} is handled there",)
        return Deadline(rule.name, None, due, why=case.severity, unknown=unknown, cve=cve)
    return None


def earliest(told: Collection[Deadline]) -> Deadline | None:
    """The deadline that counts: the earliest. What could be earlier still, by any rule, stands in it."""
    if not told:
        return None
    first = min(told, key=lambda one: one.rank)
    soonest = min(told, key=lambda one: one.earliest or date.max)
    if soonest is first or (soonest.earliest or date.max) >= (first.earliest or date.max):
        return first
    unknown = _merged(first.unknown, (f"{soonest.rule}: {', '.join(soonest.unknown)}",))
    return Deadline(first.rule, first.due, soonest.earliest, first.triage, first.why, unknown, first.cve)
