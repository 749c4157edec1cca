"""The order in which findings are to be worked on, and what it rests on.

A finding's place is a plain key, compared part by part (`Place`). What is due within two weeks comes by its deadline:
overdue, within three days, within fourteen. All else comes by severity, then by what makes an attack likelier (exposed,
exploited, used by extortionists, EPSS) and what it would hit (the systems' criticality, and what the town's leaders
said matters). Each part is monotone: what is known to be worse never moves a finding back, and what is not known stands
between the good and the bad value, never with the good one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import NamedTuple

from civicops.assess.catalogue import SEVERITIES
from civicops.assess.deadlines import Case, Deadline, Points, deadlines, earliest
from civicops.assess.estate import Estate
from civicops.assess.exposure import NOTHING, Exposure, exposures
from civicops.assess.finding import STATES, Judged, Kind
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

    exposed: bool | None
    exploited: bool | None
    ransomware: bool | None
    epss: Likelihood | None
    """The highest of its CVEs'."""
    epss_unknown: int
    """Of how many of its CVEs none is known."""
    criticality: int | None
    weight: float
    priorities: tuple[str, ...]


class Ranked(NamedTuple):
    """A finding in its place; of all hosts, devices or systems on which it is the same and has that place."""

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
    def judged(self) -> Judged:
        return self.weighed.judged

    @property
    def overdue(self) -> bool:
        return self.place.tier == 0


class Seen(NamedTuple):
    """Since when a finding is known, and each of its CVEs."""

    finding: date
    cves: tuple[date, ...]


SeenOf = Callable[[Judged], Mapping[Seen, Sequence[str]]]
"""Tells it of all that a finding is about: of whom it is so."""


class Threat(NamedTuple):
    """What the feeds say of a finding's CVEs together."""

    exploited: bool | None
    ransomware: bool | None
    epss: Likelihood | None
    epss_unknown: int
    percentile: float
    """The highest that counts: `MIDDLE` for each of which none is known."""


@dataclass(frozen=True, eq=False)
class Spot:
    """What hangs on a host, device or system, and whether it is exposed. Equal ones are one object."""

    stakes: Stakes
    exposure: Exposure

    @cached_property
    def counts(self) -> tuple[bool | None, int | None, frozenset[str], frozenset[str]]:
        """All of it that makes a finding's place, whichever finding it is."""
        return self.exposure.value, self.stakes.criticality, self.stakes.handles, self.stakes.may_handle


class _Alike(dict[Spot, Spot]):
    """Of all spots that count the same for one finding, one."""

    def __init__(self, finding: str, weight: Callable[[str, Spot], object]) -> None:
        super().__init__()
        self._finding, self._weight = finding, weight
        self._same: dict[object, Spot] = {}

    def __missing__(self, spot: Spot) -> Spot:
        self[spot] = self._same.setdefault((spot.counts, self._weight(self._finding, spot)), spot)
        return self[spot]


class _Spots(dict[str, Spot]):
    """Those of hosts and devices, or of systems; each is worked out when it is asked for."""

    def __init__(self, estate: Estate, exposures: Mapping[str, Exposure], kind: Kind) -> None:
        super().__init__()
        self._estate, self._exposures, self._kind = estate, exposures, kind
        self._same: dict[tuple[Stakes, Exposure], Spot] = {}

    def __missing__(self, name: str) -> Spot:
        stakes, exposure = stakes_of(self._estate, self._kind, name), self._exposures.get(name, NOTHING)
        self[name] = self._same.setdefault((stakes, exposure), Spot(stakes, exposure))
        return self[name]


@dataclass
class Ranking:
    """Puts the findings of one town in order. Many hosts have the same ones, so what is the same is worked out once."""

    estate: Estate
    seen: SeenOf
    _points: dict[str, Points] = field(default_factory=dict)
    _epss: dict[str, Likelihood | None] = field(default_factory=dict)
    _alike: dict[str, _Alike] = field(default_factory=dict)
    _weights: dict[tuple[str, Spot], tuple[float, tuple[str, ...]]] = field(default_factory=dict)
    _threats: dict[tuple[str, ...], Threat] = field(default_factory=dict)
    _due: dict[tuple[object, ...], tuple[tuple[Deadline, ...], Deadline | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spots = _Spots(self.estate, exposures(self.estate), "host")
        self._of_systems = _Spots(self.estate, {}, "system")
        index = self.estate.index
        self._exploited = index.all_kev()
        self._complete = catalogue_holds(index.status().get("kev"), self.estate.today)

    def rank(self, findings: Iterable[Weighed]) -> list[Ranked]:
        """The findings, what is to be done first first."""
        found = [ranked for one in findings for ranked in self._ranked(one)]
        found.sort(key=lambda one: (one.place, one.judged.about))
        return found

    def _ranked(self, weighed: Weighed) -> Iterator[Ranked]:
        """A finding in each of its places."""
        one = weighed.judged
        spots = self._of_systems if one.kind == "system" else self.spots
        if one.id not in self._alike:
            self._alike[one.id] = _Alike(one.id, self._weight)
        alike = self._alike[one.id]
        for seen, names in self.seen(one).items():
            about: dict[Spot, list[str]] = {}
            for name in names:
                about.setdefault(alike[spots[name]], []).append(name)
            for spot, some in about.items():
                judged = one if len(some) == len(one.about) else replace(one, about=tuple(some))
                yield self._placed(weighed._replace(judged=judged), seen, spot)

    def _placed(self, weighed: Weighed, seen: Seen, spot: Spot) -> Ranked:
        """`spot`: one of those that all count the same for it."""
        one, stakes, exposed = weighed.judged, spot.stakes, spot.exposure.value
        told, due = self._deadlines(one, exposed, stakes, seen) if one.state == "found" else ((), None)
        threat = self._threat(one.cves)
        weight, priorities = self._weight(one.id, spot)
        inputs = Inputs(
            exposed,
            threat.exploited,
            threat.ransomware,
            threat.epss,
            threat.epss_unknown,
            stakes.criticality,
            weight,
            priorities,
        )
        today = self.estate.today
        place = Place(
            state=STATES.index(one.state),
            tier=_tier(due.due if due else None, today),
            severity=-SEVERITIES.index(one.severity),
            exposed=_order(exposed),
            exploited=_order(threat.exploited),
            ransomware=_order(threat.ransomware),
            could_tier=_tier(due.earliest if due else None, today),
            likelihood=-threat.percentile,
            importance=-weight * (USUAL if stakes.criticality is None else stakes.criticality),
            due=(due.due if due else None) or date.max,
            could=(due.earliest if due else None) or date.max,
            id=one.id,
        )
        return Ranked(weighed, seen.finding, inputs, told, due, place)

    def _deadlines(
        self, one: Judged, exposed: bool | None, stakes: Stakes, seen: Seen
    ) -> tuple[tuple[Deadline, ...], Deadline | None]:
        key = (one.severity, exposed, stakes.handles, stakes.may_handle, one.cves, seen.cves)
        if key not in self._due:
            cves = tuple((cve, self._point(cve), first) for cve, first in zip(one.cves, seen.cves, strict=True))
            told = deadlines(Case(one.severity, exposed, stakes.handles, stakes.may_handle, cves))
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

    def _weight(self, name: str, spot: Spot) -> tuple[float, tuple[str, ...]]:
        """What the town's leaders said of a finding there, and what of it was about that."""
        if (name, spot) not in self._weights:
            priorities = self.estate.town.priorities if self.estate.town else ()
            about = [said for said in priorities if _concerns(said, name, spot.stakes)]
            weight = 1.0
            for said in about:
                weight *= said.weight
            self._weights[name, spot] = weight, tuple(said.id for said in about)
        return self._weights[name, spot]


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


def stakes_of(estate: Estate, kind: Kind, name: str) -> Stakes:
    """What hangs on a host, device or system."""
    if estate.town is None:
        return Stakes()
    if kind == "system":
        systems = [system for system in estate.town.systems if system.id == name]
        departments = [one for one in estate.town.departments if one.id in {system.department for system in systems}]
        sure = True
    else:
        systems, departments = estate.systems(name), estate.departments(name)
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


def _concerns(said: Priority, finding: str, stakes: Stakes) -> bool:
    words = finding.split("-")
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
