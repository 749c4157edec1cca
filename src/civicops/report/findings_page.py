"""What the report shows of a town's findings: what is to be done first, what is not known, what was accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from civicops.assess.assessment import COLOURS
from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.finding import count, severities
from civicops.assess.ranking import Ranked
from civicops.assess.waived import told as waived_by
from civicops.report.figures import State
from civicops.report.findings import Findings
from civicops.report.findings_text import Group, deadline_words, grouped

SHOWN = 60
"""Findings of each kind that the page lists; the rest is counted, and the command lists it."""
_CVES = 12
_LESSER: tuple[Severity, ...] = ("low", "medium")


@dataclass(frozen=True)
class FindingLine:
    """One finding, with all the hosts, devices or systems of which the same is to be said."""

    id: str
    title: str
    package: str
    state: State
    severity: Severity
    due: str
    """By when, and by whose rule."""
    evidence: str
    cves: list[str]
    more_cves: int
    about: list[str]
    remedy: str
    effort: str
    frameworks: tuple[str, ...]
    remarks: list[str]
    """Of waivers: who has accepted it until when, or that one has expired."""


@dataclass(frozen=True)
class FindingsTold:
    """All of it, in the order in which it is to be worked on. `counts`: each finding of each host, by severity."""

    colours: dict[State, int]
    """How many hosts and devices there are of each colour, the worst first."""
    counts: dict[Severity, int]
    overdue: int
    unknown: int
    waived: int
    found_lines: list[FindingLine]
    unknown_lines: list[FindingLine]
    waived_lines: list[FindingLine]
    feeds: dict[str, str]
    """Each feed's date."""
    doubts: list[str]

    @property
    def words(self) -> str:
        """How much was found, is overdue, is not known and is accepted."""
        found = ", ".join(f"{count:,} {severity}" for severity, count in self.counts.items())
        said = [found or "nothing found"]
        said += [f"{self.overdue:,} overdue"] if self.overdue else []
        said += [f"{self.unknown:,} not known"] if self.unknown else []
        said += [f"{self.waived:,} accepted"] if self.waived else []
        return "; ".join(said)


def findings_told(told: Findings) -> FindingsTold:
    """What a page shows of a town's findings."""
    assessment, today = told.assessment, told.assessment.moment.date()
    found = [one for one in assessment.open if one.judged.state == "found"]
    unknown = [one for one in assessment.open if one.judged.state == "unknown"]
    counts = severities(one.judged for one in found)
    colours = Counter(one.colour for one in assessment.hosts.values())
    return FindingsTold(
        colours={colour: colours[colour] for colour in COLOURS if colours[colour]},
        counts={severity: counts[severity] for severity in reversed(SEVERITIES) if counts[severity]},
        overdue=count(one.judged for one in found if one.overdue),
        unknown=count(one.judged for one in unknown),
        waived=count(one.judged for one in assessment.waived),
        found_lines=_lines(found, today),
        unknown_lines=_lines(unknown, today),
        waived_lines=_lines(assessment.waived, today),
        feeds={one.name: one.date for one in assessment.feeds.values()},
        doubts=[*assessment.doubts, *(f"waiver: {line}" for line in assessment.idle)],
    )


def _lines(ranked: Iterable[Ranked], today: date) -> list[FindingLine]:
    return [_line(group, today) for group in grouped(ranked)]


def _line(group: Group, today: date) -> FindingLine:
    first, judged = group.first, group.first.judged
    lesser = judged.severity in _LESSER and not first.overdue
    state: State = "unknown" if judged.state == "unknown" else "soon" if lesser else "bad"
    differs = "" if len(group.evidence) == 1 else " (others differ)"
    return FindingLine(
        id=judged.id,
        title=judged.title,
        package=judged.package,
        state="plain" if first.weighed.waived else state,
        severity=judged.severity,
        due=deadline_words(first.due, today) if first.due and judged.state == "found" else "",
        evidence=judged.evidence + differs,
        cves=list(group.cves)[:_CVES],
        more_cves=max(0, len(group.cves) - _CVES),
        about=group.about,
        remedy=judged.remedy,
        effort=judged.effort,
        frameworks=judged.frameworks,
        remarks=[*([f"waived: {waived_by(first.weighed)}"] if first.weighed.waived else []), *group.remarks],
    )
