"""The order in which findings are to be worked on, and what it rests on.

A finding's place is a plain key, compared part by part (`Place`). What is due within two weeks comes by its deadline:
overdue, within three days, within fourteen. All else comes by severity, then by what makes an attack likelier (exposed,
exploited, used by extortionists, EPSS) and what it would hit (the systems' criticality, and what the town's leaders
said matters). Each part is monotone: what is known to be worse never moves a finding back, and what is not known stands
between the good and the bad value, never with the good one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from civicops.assess.catalogue import SEVERITIES
from civicops.assess.deadlines import Case, Deadline, Points, deadlines, earliest
from civicops.assess.estate import Estate
from civicops.assess.exposure import NOTHING, Exposure, exposures
from civicops.assess.finding import STATES, Judged
from civicops.assess.waived import Weighed
from civicops.feeds.store import Feed, Index, Likelihood, days_old
from civicops.feeds.values import is_cve
from civicops.town.model import Priority

SOON = (0, 3, 14)
"""Days left, of a tier: overdue, and the two shortest terms of BOD 26-04."""
MIDDLE = 0.5
"""The percentile of EPSS that stands in where none is known: as likely as half of all CVEs, by what a percentile is."""
USUAL = 3
"""The criticality that stands in where no system is known: what the town file takes where none is said."""
_ALSO = {"recovery": ("backup", "restore"), "vulnerable": ("patch", "security"), "unfixed": ("patch", "security")}
"""Words by which priorities name the findings whose ids begin so."""

RANKING_FEEDS = {
    "kev": (8, "which vulnerabilities are exploited"),
    "epss": (8, "how likely a vulnerability is to be exploited"),
    "vulnrichment": (32, "whether attacks can be automated, and what they give"),
}
"""The feeds that findings are ranked by: how many days old they may be, and what is not known without. KEV grows each
week and EPSS is made daily, so a weekly update and a day; Vulnrichment adds to new CVEs, so a month and a day."""


class Place(NamedTuple):
    """A finding's place; what is smaller comes first, and of the same place by the names of hosts."""

    state: int
    tier: int
    severity: int
    exposed: int
    exploited: int
    ransomware: int
    could_tier: int
    likelihood: float
    importance: float
    due: date
    could: date
    id: str


@dataclass(frozen=True)
class Stakes:
    """What hangs on a host or system: whose it is, and what the town's leaders said of that."""

    systems: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    criticality: int | None = None
    """The highest of its systems'; None where it belongs to none that is known."""
    handles: frozenset[str] = frozenset()
    may_handle: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Inputs:
    """What a finding's place rests on. None: not known, which is no zero."""

    exposure: Exposure
    exploited: bool | None
    ransomware: bool | None
    epss: Likelihood | None
    """The highest of its CVEs'."""
    epss_unknown: int
    """Of how many of its CVEs none is known."""
    stakes: Stakes
    weight: float
    priorities: tuple[str, ...]


class Ranked(NamedTuple):
    """A finding in its place."""

    judged: Judged
    weighed: Weighed
    since: date
    """When it was first seen there."""
    inputs: Inputs
    deadlines: tuple[Deadline, ...]
    """What each rule says, the earliest first."""
    due: Deadline | None
    """The one that counts."""
    place: Place

    @property
    def overdue(self) -> bool:
        return self.place.tier == 0


class Seen(NamedTuple):
    """Since when a finding is known, and each of its CVEs."""

    finding: date
    cves: tuple[date, ...]


SeenOf = Callable[[Judged], Seen]


class Threat(NamedTuple):
    """What the feeds say of a finding's CVEs together."""

    exploited: bool | None
    ransomware: bool | None
    epss: Likelihood | None
    epss_unknown: int
    percentile: float
    """The highest that counts: `MIDDLE` for each of which none is known."""


_Alike = tuple[Inputs, tuple[Deadline, ...], Deadline | None, Place]


@dataclass
class Ranking:
    """Puts the findings of one town in order. Many hosts have the same ones, so what is the same is worked out once."""

    estate: Estate
    seen: SeenOf
    _points: dict[str, Points] = field(default_factory=dict)
    _epss: dict[str, Likelihood | None] = field(default_factory=dict)
    _stakes: dict[tuple[str, str], Stakes] = field(default_factory=dict)
    _same_stakes: dict[Stakes, Stakes] = field(default_factory=dict)
    _alike: dict[tuple[object, ...], _Alike] = field(default_factory=dict)
    _weights: dict[tuple[object, ...], tuple[float, tuple[str, ...]]] = field(default_factory=dict)
    _threats: dict[tuple[str, ...], Threat] = field(default_factory=dict)
    _due: dict[tuple[object, ...], tuple[tuple[Deadline, ...], Deadline | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        same: dict[Exposure, Exposure] = {}
        self.exposures = {name: same.setdefault(one, one) for name, one in exposures(self.estate).items()}
        index = self.estate.index
        self._exploited = index.all_kev()
        self._complete = catalogue_holds(index.status().get("kev"), self.estate.today)

    def rank(self, findings: Iterable[Weighed]) -> list[Ranked]:
        """The findings, what is to be done first first."""
        found = [self._ranked(one) for one in findings]
        found.sort(key=lambda one: (one.place, one.judged.about))
        return found

    def _ranked(self, weighed: Weighed) -> Ranked:
        one = weighed.judged
        stakes = self._stakes_of(one)
        exposure = self.exposures.get(one.about, NOTHING) if one.kind != "system" else NOTHING
        seen = self.seen(one)
        # Equal ones are one object: who they are says what they are.
        key = (one.id, one.state, one.severity, one.cves, seen, id(exposure), id(stakes))
        if key not in self._alike:
            self._alike[key] = self._of_alike(one, exposure, stakes, seen)
        inputs, told, due, place = self._alike[key]
        return Ranked(one, weighed, seen.finding, inputs, told, due, place)

    def _of_alike(self, one: Judged, exposure: Exposure, stakes: Stakes, seen: Seen) -> _Alike:
        """What is the same of all hosts on which this finding is the same."""
        told, due = self._deadlines(one, exposure, stakes, seen) if one.state == "found" else ((), None)
        threat = self._threat(one.cves)
        weight, priorities = self._weight(one, stakes)
        inputs = Inputs(
            exposure, threat.exploited, threat.ransomware, threat.epss, threat.epss_unknown, stakes, weight, priorities
        )
        today = self.estate.today
        place = Place(
            state=STATES.index(one.state),
            tier=_tier(due.due if due else None, today),
            severity=-SEVERITIES.index(one.severity),
            exposed=_order(exposure.value),
            exploited=_order(threat.exploited),
            ransomware=_order(threat.ransomware),
            could_tier=_tier(due.earliest if due else None, today),
            likelihood=-threat.percentile,
            importance=-weight * (USUAL if stakes.criticality is None else stakes.criticality),
            due=(due.due if due else None) or date.max,
            could=(due.earliest if due else None) or date.max,
            id=one.id,
        )
        return inputs, told, due, place

    def _deadlines(
        self, one: Judged, exposure: Exposure, stakes: Stakes, seen: Seen
    ) -> tuple[tuple[Deadline, ...], Deadline | None]:
        key = (one.severity, exposure.value, stakes.handles, stakes.may_handle, one.cves, seen.cves)
        if key not in self._due:
            cves = tuple((cve, self._point(cve), first) for cve, first in zip(one.cves, seen.cves, strict=True))
            told = deadlines(Case(one.severity, exposure.value, stakes.handles, stakes.may_handle, cves))
            self._due[key] = tuple(told), earliest(told)
        return self._due[key]

    def _point(self, cve: str) -> Points:
        if cve not in self._points:
            self._points[cve] = points_of(cve, self.estate.index, self._exploited, known=self._complete)
        return self._points[cve]

    def _threat(self, cves: tuple[str, ...]) -> Threat:
        if cves not in self._threats:
            for cve in cves:
                if cve not in self._epss:
                    self._epss[cve] = self.estate.index.epss(cve) if is_cve(cve) else None
            known = [told for cve in cves if (told := self._epss[cve]) is not None]
            unknown = len(cves) - len(known)
            counted = [told.percentile for told in known] + [MIDDLE] * bool(unknown or not cves)
            points = [self._point(cve) for cve in cves]
            self._threats[cves] = Threat(
                _any(point.exploited for point in points),
                _any(point.ransomware for point in points),
                max(known, default=None),
                unknown,
                max(counted),
            )
        return self._threats[cves]

    def _stakes_of(self, one: Judged) -> Stakes:
        key = ("system" if one.kind == "system" else "host", one.about)
        if key not in self._stakes:
            found = stakes_of(self.estate, one)
            self._stakes[key] = self._same_stakes.setdefault(found, found)
        return self._stakes[key]

    def _weight(self, one: Judged, stakes: Stakes) -> tuple[float, tuple[str, ...]]:
        key = (one.id, stakes.systems, stakes.departments)
        if key not in self._weights:
            priorities = self.estate.town.priorities if self.estate.town else ()
            about = [said for said in priorities if _concerns(said, one, stakes)]
            weight = 1.0
            for said in about:
                weight *= said.weight
            self._weights[key] = weight, tuple(said.id for said in about)
        return self._weights[key]


def catalogue_holds(kev: Feed | None, today: date) -> bool:
    """Whether CISA's catalogue is here, and new enough to say that something is not in it."""
    return kev is not None and days_old(kev, today) <= RANKING_FEEDS["kev"][0]


def points_of(cve: str, index: Index, exploited: Mapping[str, object], *, known: bool) -> Points:
    """What the feeds say of a CVE; of an advisory that has none, nothing is known. `exploited` is CISA's catalogue,
    `known` whether what is not in it is known not to be: see `catalogue_holds`."""
    if not is_cve(cve):
        return Points(None, None, None)
    entry = index.kev(cve) if cve in exploited else None
    told = index.ssvc(cve)
    return Points(
        exploited=True if entry else False if known else None,
        automatable={"yes": True, "no": False}.get(told.automatable or "") if told else None,
        total={"total": True, "partial": False}.get(told.technical_impact or "") if told else None,
        listed=date.fromisoformat(entry.added) if entry else None,
        # The catalogue says whether it is known to be used so; a No there is "Unknown".
        ransomware=True if entry and entry.ransomware else False if known and entry is None else None,
    )


def stakes_of(estate: Estate, one: Judged) -> Stakes:
    """What hangs on what a finding is about."""
    if estate.town is None:
        return Stakes()
    if one.kind == "system":
        systems = [system for system in estate.town.systems if system.id == one.about]
        departments = [one for one in estate.town.departments if one.id in {system.department for system in systems}]
        sure = True
    else:
        systems, departments = estate.systems(one.about), estate.departments(one.about)
        sure = estate.groups is not None
    handled = frozenset(kind for department in departments for kind in department.handles)
    anywhere = frozenset(kind for department in estate.town.departments for kind in department.handles)
    return Stakes(
        systems=tuple(system.id for system in systems),
        departments=tuple(department.id for department in departments),
        criticality=max((system.criticality for system in systems), default=None),
        handles=handled,
        may_handle=frozenset() if sure and departments else anywhere - handled,
    )


def _concerns(said: Priority, one: Judged, stakes: Stakes) -> bool:
    words = one.id.split("-")
    tags = {*words, *_ALSO.get(words[0], ())}
    return bool(
        set(said.systems) & set(stakes.systems)
        or set(said.departments) & set(stakes.departments)
        or set(said.tags) & tags
    )


def _tier(due: date | None, today: date) -> int:
    if due is None:
        return len(SOON)
    left = (due - today).days
    return next((number for number, days in enumerate(SOON) if left < days or (days and left == days)), len(SOON))


def _any(values: Iterable[bool | None]) -> bool | None:
    """True where one is; else not known where one is not."""
    found = set(values)
    return True if True in found else None if None in found else False


def _order(value: bool | None) -> int:
    return 0 if value else 1 if value is None else 2
