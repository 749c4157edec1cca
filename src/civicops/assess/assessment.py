"""All findings of a town at a moment: looked for, weighed against its waivers, put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from civicops.assess import findings, recovery
from civicops.assess.bulk import uncollected
from civicops.assess.estate import Estate, placed, read_estate
from civicops.assess.exposure import Exposure
from civicops.assess.finding import RECORD, Evidence, Finding, Judged, judged
from civicops.assess.package_findings import package_evidence
from civicops.assess.package_rules import rules
from civicops.assess.package_types import HostPackages
from civicops.assess.packages import match
from civicops.assess.ranking import RANKING_FEEDS, Ranked, Ranking, Spot, Stakes
from civicops.assess.recorded import NOTHING, Recorded, read_recorded
from civicops.assess.recovery_known import listed, read_recovery
from civicops.assess.waived import Waivers
from civicops.feeds.store import Feed, Index, days_old
from civicops.ledger.store import Anchor, Ledger
from civicops.town.model import Town
from civicops.town.waivers import Waiver

Groups = Mapping[str, Collection[str]] | None
Colour = Literal["bad", "unknown", "soon", "good"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
"""Worst first, as reports have it: what is not known is worse than what is merely to be done."""
_OF_RELEASE = frozenset({"feed-missing", "feed-old", "release-end", "release-unknown", "fixed-alone"})
"""Why packages of a release are not called clean, though nothing is known against them."""


@dataclass(frozen=True)
class HostState:
    """How one host or device stands. Bad: something of severity high or critical is found, or overdue. Unknown:
    something is not known. Soon: lesser things are found. Good: all that was looked at is fine, lately."""

    name: str
    kind: Literal["host", "device"]
    colour: Colour
    found: Mapping[str, int]
    """By severity, without what is waived."""
    unknown: int
    waived: int
    fine: int
    asked: bool
    missed: str
    """Why there is no answer of it since; empty where there is."""
    exposure: Exposure
    stakes: Stakes


@dataclass(frozen=True)
class Assessment:
    """All findings of one town."""

    town: str
    moment: datetime
    anchor: Anchor
    feeds: Mapping[str, Feed]
    open: Sequence[Ranked]
    """What is found and not waived, and what is not known; first what is to be done first."""
    waived: Sequence[Ranked]
    fine: Sequence[Judged]
    hosts: Mapping[str, HostState]
    systems: Mapping[str, Sequence[str]] | None
    """Each system's hosts, by its id; None where the inventory could not be read."""
    doubts: Sequence[str]
    """What is to be known of the whole: feeds that are missing or old, an inventory that can't be read."""
    idle: Sequence[str]
    """What is to be said of waivers that are about nothing."""

    unseen: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """Each host's source packages of which it can't be said that former findings are gone; None: of none it can."""

    @property
    def ranked(self) -> list[Ranked]:
        """All but what is fine."""
        return [*self.open, *self.waived]


def assess(
    ledger: Ledger,
    moment: datetime,
    town: Town | None,
    groups: Groups | Callable[[], Groups],
    index: Index,
    *,
    waivers: Iterable[Waiver] = (),
    recorded: Recorded | None = None,
) -> Assessment:
    """Assess a town by its ledger and the feeds as they are. `groups`: Ansible's variable of that name, None where the
    inventory can't be read; or what tells them, once the packages were matched. `recorded`: since when findings are
    known, by the newest record where it is not given."""
    with index.steady(), uncollected():
        estate = read_estate(ledger, moment, index=index, town=town)
        packages = match(estate)
        estate = placed(estate, groups() if callable(groups) else groups)
        every = [
            *judged(PACKAGES, PACKAGES.look(packages.values())),
            *findings.look(estate),
            *_recovery(ledger, estate),
        ]
        before = newest(ledger) if recorded is None else recorded
        return replace(
            assessed(ledger, estate, every, waivers, before), unseen=_unseen(packages, index.status(), before)
        )


def newest(ledger: Ledger) -> Recorded:
    """The newest record of findings; an empty one where there is none."""
    entry = next((one for one in ledger.newest(RECORD, 10) if one.status == "accepted"), None)
    body = ledger.body(entry) if entry is not None else None
    return read_recorded(entry.run, entry.collected_at, body) if entry is not None and body is not None else NOTHING


class Packages(Finding[Collection[HostPackages]]):
    """What is known against the packages of hosts: `vulnerable-SOURCE`, `unsupported-SOURCE`."""

    id = "packages"
    title = "Packages"
    severity = "medium"
    frameworks = ("CIS v8 7.3", "CIS v8 7.4", "NIST 800-53 SI-2", "NIST 800-53 RA-5", "CJIS SI-2", "PCI DSS 6.3.3")
    remedy = "Install the update."
    effort = "low"

    def look(self, town: Collection[HostPackages]) -> Iterator[Evidence]:
        return package_evidence(town)


PACKAGES = Packages()


def _unseen(
    told: Mapping[str, HostPackages], feeds: Collection[str], recorded: Recorded
) -> dict[str, frozenset[str] | None]:
    """Each host's source packages of which it can't be said that former findings are gone; None: of none it can.

    Where the feeds that have told them are still there, and have nothing against a package any more, they are gone,
    however little else is known of its release. Where the list of packages is not whole, or nothing tells of the host's
    release, a package that is not among them may be there all the same, or be called otherwise. Where it was not seen
    which former files are in use, the version that was mended may still run.
    """
    missing = recorded.lost(feeds)
    harmless = _OF_RELEASE - {"feed-missing"} if missing else _OF_RELEASE
    return {
        host: frozenset(_doubtful(packages, harmless)) if packages.standings and not _blind(packages, missing) else None
        for host, packages in told.items()
    }


def _doubtful(packages: HostPackages, harmless: Collection[str]) -> Iterator[str]:
    for one in packages.by_state.get("not_assessed", ()):
        if one.why.code not in harmless:
            yield one.source
    if any(why.code.startswith("restarts") for why in packages.why):
        yield from (one.source for one in packages.standings if one.restarts)


def _blind(packages: HostPackages, missing: Collection[str]) -> bool:
    """Whether what is not found in a host's packages may be there nevertheless. `missing`: feeds that were here."""
    if any(why.code in ("packages-cut", "no-feed") for why in packages.why):
        return True
    distribution = rules().distributions.get(packages.distribution)
    return distribution is not None and any(need.feed in missing for need in distribution.needs if need.advisories)


def _recovery(ledger: Ledger, estate: Estate) -> list[Judged]:
    inventory = {host.name: "ok" if host.asked else "not_asked" for host in estate.hosts.values()}
    inventory |= dict.fromkeys(estate.devices, "not_asked")
    if not inventory:
        return []
    facts = {host.name: host.facts for host in estate.hosts.values() if host.facts is not None}
    systems = estate.town.systems if estate.town else ()
    known = read_recovery(ledger, inventory, facts, estate.moment, systems=systems, groups=estate.groups)
    return recovery.judge(known)


def assessed(
    ledger: Ledger, estate: Estate, every: Iterable[Judged], waivers: Iterable[Waiver], recorded: Recorded
) -> Assessment:
    """Findings, weighed and put in order."""
    weighing = Waivers(waivers, estate.today, estate.groups)
    weighed = weighing.weigh(every)
    today = estate.today
    ranking = Ranking(estate, lambda one: recorded.seen(one, today))
    ranked = ranking.rank(one for one in weighed if one.judged.state != "fine")
    fine = [one.judged for one in weighed if one.judged.state == "fine"]
    opened = [one for one in ranked if not one.weighed.waived]
    waived = [one for one in ranked if one.weighed.waived]
    feeds = estate.index.status()
    systems = None
    if estate.town is not None and estate.groups is not None:
        systems = {one.id: sorted(estate.groups.get(f"system_{one.id}", ())) for one in estate.town.systems}
    return Assessment(
        ledger.town,
        estate.moment,
        ledger.anchor(),
        feeds,
        opened,
        waived,
        fine,
        _hosts(estate, ranking.spots, opened, waived, fine),
        systems,
        tuple(_doubts(estate, feeds)),
        weighing.idle(),
    )


def _hosts(
    estate: Estate,
    spots: Mapping[str, Spot],
    opened: Iterable[Ranked],
    waived: Iterable[Ranked],
    fine: Iterable[Judged],
) -> dict[str, HostState]:
    found: dict[str, Counter[str]] = {}
    unknown, late, excused, good = Counter[str](), set[str](), Counter[str](), Counter[str]()
    for one in opened:
        if one.judged.kind == "system":
            continue
        if one.judged.state == "found":
            found.setdefault(one.judged.severity, Counter()).update(one.judged.about)
            late.update(one.judged.about if one.overdue else ())
        else:
            unknown.update(one.judged.about)
    for one in waived:
        excused.update(one.judged.about if one.judged.kind != "system" else ())
    for told in fine:
        good.update(told.about if told.kind != "system" else ())
    states = {}
    for name in sorted({*estate.hosts, *estate.devices}):
        host = estate.hosts.get(name)
        severities = {severity: some[name] for severity, some in found.items() if some[name]}
        missed = (host.missed or ("" if host.told else "it has never answered")) if host else ""
        colour: Colour = "good"
        if name in late or severities.keys() & {"critical", "high"}:
            colour = "bad"
        elif unknown[name] or missed or not good[name] or (host and host.told and host.told.old):
            colour = "unknown"
        elif severities:
            colour = "soon"
        states[name] = HostState(
            name,
            "host" if host else "device",
            colour,
            severities,
            unknown[name],
            excused[name],
            good[name],
            host.asked if host else True,
            missed,
            spots[name].exposure,
            spots[name].stakes,
        )
    return states


def _doubts(estate: Estate, feeds: Mapping[str, Feed]) -> Iterator[str]:
    if not feeds:
        yield "no feed is here, so nothing is known of vulnerabilities: civicops feeds update, or civicops feeds import"
    for name, (days, what) in RANKING_FEEDS.items() if feeds else ():
        if name not in feeds:
            yield f"the feed {name} is missing, so {what} is not known: civicops feeds update {name}"
        elif days_old(feeds[name], estate.today) > days:
            yield f"the feed {name} is of {feeds[name].date}, older than {days} days: civicops feeds update {name}"
    if estate.groups is None:
        yield "the inventory can't be read: whose hosts are whose, and which are exposed, is not known"
    elif new := sorted({*estate.groups.get("all", ())} - {*estate.hosts, *estate.devices}):
        yield f"not yet asked, as the inventory has them since the last checkup: {listed(new)}"
