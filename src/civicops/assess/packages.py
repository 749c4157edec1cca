"""The matcher: the packages of a town's hosts against the feeds. Each package of each host ends in exactly one state.

What a release needs, how old it may be and what colours a host is the table `packages.yml`; the order of the states is
that of docs/assess-packages.md.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

from civicops.assess.bulk import uncollected
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.package_kernels import Machine, kernels, machine
from civicops.assess.package_releases import Release
from civicops.assess.package_rows import Groups, Rows, stale
from civicops.assess.package_rules import NO_WHY, PACKAGE_STATES, Colour, Distribution, PackageState, Why, rules
from civicops.assess.package_standings import Standings, names_of
from civicops.assess.package_types import FeedUsed, Hit, HostPackages, Kernel, Standing
from civicops.assess.package_weights import Weights
from civicops.assess.recovery_known import brief
from civicops.feeds.store import Index

__all__ = [
    "PACKAGE_STATES",
    "Colour",
    "FeedUsed",
    "Hit",
    "HostPackages",
    "Kernel",
    "PackageState",
    "Standing",
    "Why",
    "match",
]


VERSIONS = 50
"""Versions of one source's packages on a host, kernels aside: with all architectures and languages some few."""
# The same of all hosts, so that alike packages of theirs stay alike; a host's own words stand in its `why`.
_ALIKE = {
    "facts-old": Why("facts-old", "its packages are known as of too long ago"),
    "packages-cut": Why("packages-cut", "not all packages of the host are known"),
}


def match(estate: Estate) -> dict[str, HostPackages]:
    """Every host of the estate, by its name; network devices are none. The feeds are asked once for each release."""
    with uncollected(), estate.index.steady():
        matcher = _Matcher(estate)
        return {name: matcher.host(host) for name, host in estate.hosts.items()}


class _Matcher:
    """What is shared by the hosts of an estate."""

    def __init__(self, estate: Estate) -> None:
        self._index: Index = estate.index
        self._today = estate.today
        self._weights = Weights(estate.index)
        self._standings: dict[tuple[str, str], Standings] = {}
        self._rows: dict[tuple[Standings, str], Rows] = {}
        self._kernels: dict[
            tuple[Rows, tuple[tuple[int, int], ...], Machine, Why], tuple[Kernel, tuple[Standing, ...]]
        ] = {}
        self._kept: dict[tuple[Rows, Why], dict[tuple[int, ...], Standing]] = {}

    def host(self, host: Host) -> HostPackages:
        told, facts = host.told, host.facts
        if told is None or facts is None:
            return HostPackages(host.name, why=(_silent(host),))
        os_id, version = _word(facts, "id"), _word(facts, "version")
        distribution = rules().distributions.get(os_id)
        name = distribution.release(version) if distribution else version
        table = facts.get("packages")
        if not isinstance(table, dict):
            reason = facts.cut("packages") or "the host did not tell them"
            why = Why("packages-unread", f"its packages are not known: {brief(reason)}")
            return HostPackages(host.name, os_id, name, why=(why,), told=told)
        standings = self._of(distribution, os_id, name, str(table.get("family")))
        doubts = _doubts(facts, told.old, table)
        return self._judged(host, facts, standings, doubts, (os_id, name))

    def _of(self, distribution: Distribution | None, os_id: str, name: str, family: str) -> Standings:
        """What all hosts of a release share; of one that can't be assessed, with why."""
        known = distribution is not None and distribution.family == family
        key = (os_id if known or distribution is None else f"{os_id}, packages of {family}", name)
        if key not in self._standings:
            if distribution is None or not known or not name:
                title = f"{brief(key[0]) or 'a system without a name'} {brief(name) or 'without a release'}"
                standings = Standings(None, self._weights, Why("no-feed", f"there is no feed for {title}"))
            else:
                release = Release(distribution, name, self._index, self._today)
                standings = Standings(release, self._weights)
            self._standings[key] = standings
        return self._standings[key]

    def _judged(
        self, host: Host, facts: Facts, standings: Standings, doubts: tuple[Why, ...], release: tuple[str, str]
    ) -> HostPackages:
        codename = _word(facts, "codename")
        if (standings, codename) not in self._rows:
            self._rows[standings, codename] = Rows(standings.release, codename)
        rows = self._rows[standings, codename]
        groups = rows.groups(facts)
        restarts, unseen = stale(facts)
        # What makes good news of the whole host doubtful, so that none of its packages is clean.
        doubt = _ALIKE.get(doubts[0].code, NO_WHY) if doubts else NO_WHY
        of_kernels = sorted(
            (number, member) for number in rows.of_kernels & groups.keys() for member in groups.pop(number)
        )
        beyond = _beyond(rows, groups)
        found = self._stand(rows, groups, standings, doubt)
        if restarts:
            found = [
                standings.of(rows.keys[number], [rows.members[at] for at in groups[number]], units, doubt)
                if (units := _units(one, restarts))
                else one
                for number, one in zip(groups, found, strict=True)
            ]
        alike = (rows, tuple(of_kernels), machine(facts), doubt)
        if alike not in self._kernels:
            packages = [(rows.keys[number], rows.members[member]) for number, member in of_kernels]
            self._kernels[alike] = kernels(standings, packages, alike[2], doubt)
        kernel, more = self._kernels[alike]
        of_release = standings.release.doubts if standings.release else (standings.why,)
        return HostPackages(
            host.name,
            *release,
            (*found, *beyond, *more),
            kernel,
            (*of_release, *doubts, *unseen),
            standings.release.feeds if standings.release else (),
            host.told,
        )

    def _stand(self, rows: Rows, groups: Groups, standings: Standings, doubt: Why) -> list[Standing]:
        """How each group stands, in their order: mostly as on another host, which is only looked up."""
        kept = self._kept.setdefault((rows, doubt), {})
        asked = list(map(tuple, groups.values()))
        found = list(map(kept.get, asked))
        for at, number in enumerate(groups) if not all(found) else ():
            if found[at] is None:
                members = [rows.members[member] for member in asked[at]]
                found[at] = kept[asked[at]] = standings.of(rows.keys[number], members, (), doubt)
        return cast("list[Standing]", found)


def _beyond(rows: Rows, groups: Groups) -> list[Standing]:
    """Takes out the versions of a source that no host would have: each could have thousands of issues."""
    if rows.most_versions <= VERSIONS:
        return []
    counts = Counter(rows.keys[number].source for number in groups)
    if max(counts.values(), default=0) <= VERSIONS:
        return []
    kept = Counter[str]()
    out: dict[str, list[int]] = {}
    for number in list(groups):
        source = rows.keys[number].source
        kept[source] += 1
        if kept[source] > VERSIONS:
            out.setdefault(source, []).extend(groups.pop(number))
    found = []
    for source, members in out.items():
        why = Why("versions-many", f"the host names {counts[source]} versions of it, and {VERSIONS} were looked at")
        names = names_of(rows.members[member] for member in members)
        found.append(Standing(source, rows.members[members[0]][1], names, "not_assessed", why))
    return found


def _units(one: Standing, restarts: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What still uses former files of a source's packages."""
    return tuple(dict.fromkeys(unit for name in one.binaries for unit in restarts.get(name, ())))


def _silent(host: Host) -> Why:
    """Why nothing is known of a host."""
    if not host.asked:
        return Why("not-asked", "no checkup has asked it yet")
    return Why("no-answer", f"it has never answered{': ' + brief(host.missed) if host.missed else ''}")


def _word(facts: Facts, key: str) -> str:
    value = facts.get("identity", "os", key)
    return value if isinstance(value, str) else ""


def _doubts(facts: Facts, old: bool, table: dict[str, object]) -> tuple[Why, ...]:
    """Why nothing of a host may be called clean: its facts are too old, or its list of packages is not whole."""
    found = []
    if old:
        found.append(Why("facts-old", f"its packages are known as of {facts.collected_at[:10]}, which is too long ago"))
    if reason := facts.cut("packages"):
        found.append(Why("packages-cut", f"not all of its packages are known: {brief(reason)}"))
    if not table.get("rows"):
        found.append(Why("packages-unread", "it names no package at all"))
    return tuple(found)
