"""Which hosts of a town an advisory hits, quickly: of each host's facts only what concerns its packages is read.

What was not looked at is never "not hit": a host that has not answered, whose packages could not be read, or of whose
release no feed says anything about the advisory, is told as not known.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from civicops.assess.bulk import uncollected
from civicops.assess.estate import ASKS, read_estate
from civicops.assess.finding import RECORD
from civicops.assess.package_rules import rules
from civicops.assess.package_types import HostPackages, Standing
from civicops.assess.packages import match
from civicops.assess.recovery_known import brief, listed
from civicops.assess.versions import VersionError, debian_key, rpm_key
from civicops.feeds.store import Advisory, Index, Naming
from civicops.ledger.store import Entry, Ledger

_FACTS = "host-facts"
_ROWS, _END, _BETWEEN = b'"rows":[[', b"]]", b"],["
_OTHERS = bytes(set(range(256)) - set(b'"[]\\'))
# What makes a host's own word too little to say that it is not hit.
_SILENT = ("not-asked", "no-answer", "packages-unread", "packages-cut", "facts-old")
# What is to be known of a release besides.
_OF_RELEASE = ("feed-missing", "feed-old", "release-end", "release-unknown")


class Hit(NamedTuple):
    """One package of one host that an advisory concerns."""

    host: str
    package: str
    version: str
    fixed: str
    """The version that mends it; empty where none does yet."""
    state: str
    """fixable; restart: mended on the disk, and former files are still in use; support_ended; unfixed."""
    advisories: tuple[str, ...]
    restart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hits:
    """What an advisory does to one town."""

    town: str
    known: bool
    """Whether any feed has it, on whatever package."""
    hits: tuple[Hit, ...]
    unknown: Mapping[str, str]
    """Hosts of which it is not known, each with why."""
    not_hit: tuple[str, ...]
    devices: tuple[str, ...]
    """Network devices, of which no feed of advisories speaks."""
    doubts: tuple[str, ...]
    """What is not known of the hosts' releases, whatever the advisory is."""
    systems: Mapping[str, tuple[str, ...]] | None
    """Each host's systems, by the newest record; None where there is none."""
    systems_at: str = ""
    hosts_at: str = ""
    """When the last checkup ended, whose hosts these are: what came into the inventory since is not among them."""


def hits(ledger: Ledger, index: Index, name: str, moment: datetime) -> Hits:
    """Which hosts of a town an advisory or CVE hits, by their newest facts."""
    with index.steady(), uncollected():
        reader = _Reader(ledger, index, name)
        estate = read_estate(ledger, moment, index=index, read=reader.bodies)
        told = match(replace(estate, index=_Asked(index, reader.naming)))
    found: list[Hit] = []
    unknown: dict[str, str] = {}
    not_hit = []
    for host, packages in told.items():
        named = reader.naming.of.get((packages.distribution, packages.release), {})
        of_host = list(_hits(packages, named, name))
        found += of_host
        if of_host:
            continue
        if why := _why_unknown(packages, named, known=reader.naming.known):
            unknown[host] = why
        else:
            not_hit.append(host)
    systems, at = _systems(ledger)
    last = max(ledger.latest("run", job=ASKS).values(), key=lambda one: one.seq, default=None)
    return Hits(
        ledger.town,
        reader.naming.known,
        tuple(found),
        unknown,
        tuple(not_hit),
        tuple(sorted(estate.devices)),
        tuple(sorted({text for one in told.values() for text in _doubts(one)})),
        systems,
        at,
        last.collected_at if last is not None else "",
    )


class _Asked(Index):
    """The index with advisories on those packages alone that one advisory names: nothing else is asked of it."""

    def __init__(self, index: Index, naming: Naming) -> None:
        self.path, self._held = index.path, index._held
        self._naming = naming

    def all_advisories(self, distribution: str, release: str) -> dict[str, list[Advisory]]:
        found = {
            package: self.advisories(distribution, release, package)
            for package in self._naming.of.get((distribution, release), ())
        }
        # A feed that knows nothing of a release is told as missing: no package is called so.
        return found | {"": [Advisory("", (), None, None, "", feed) for feed in self.feeds_of(distribution, release)]}


class _Reader:
    """Reads bodies of facts without the rows of packages that the advisory does not name."""

    def __init__(self, ledger: Ledger, index: Index, name: str) -> None:
        self._ledger, self._index, self._name = ledger, index, name
        self.naming = Naming(False, {})

    def bodies(self, wanted: Iterable[Entry]) -> dict[str, Any]:
        entries = list(wanted)
        facts = {one.body for one in entries if one.kind == _FACTS}
        raw = dict(self._ledger.raw_bodies(entries))
        releases = {release for digest in facts & raw.keys() for release in [_release(raw[digest])] if release}
        self.naming = self._index.naming(self._name, sorted(releases))
        needles = _needles({package for named in self.naming.of.values() for package in named})
        return {digest: thin(data, needles) if digest in facts else json.loads(data) for digest, data in raw.items()}


def _release(data: bytes) -> tuple[str, str] | None:
    """A host's distribution and release as the feeds name them; None where there is no feed for it."""
    start = data.find(b'"os":{', data.find(b'"identity":{')) + len(b'"os":')
    try:
        told = json.loads(data[start : data.find(b"}", start) + 1])
    except ValueError:
        told = (json.loads(data).get("identity") or {}).get("os")
    if not isinstance(told, dict):
        return None
    distribution = rules().distributions.get(str(told.get("id")))
    return (distribution.id, distribution.release(str(told.get("version") or ""))) if distribution else None


def _needles(packages: Collection[str]) -> tuple[bytes, ...]:
    """What a row holds that names one of these packages. The sources of signed kernels have names of their own, which
    begin as the kernels' do."""
    kernels = [rule.kernels for rule in rules().distributions.values()]
    found = set()
    for package in packages:
        kernel = any(one.source.fullmatch(package) for one in kernels)
        found.add(b'"' + (package.split("-")[0].encode() if kernel else package.encode() + b'"'))
    return tuple(sorted(found))


def thin(data: bytes, needles: Collection[bytes]) -> Any:
    """The body of a host's facts, of its packages the rows that hold one of the needles, and the first one, which says
    that there are some.

    Bodies are written in one way (`canonical`): in ASCII, without blanks, keys in order; a package's name that feeds
    know has no character that would be written otherwise. What does not look like that is read whole.
    """
    begin = data.find(b'"packages":{')
    start = data.find(b'"rows":', begin) if begin >= 0 else -1
    if start < 0 or not data.startswith(_ROWS, start):
        return json.loads(data)
    start += len(_ROWS)
    stop = data.find(_END, start)
    table = data[start:stop]
    if stop < 0 or not _plain(table):
        return json.loads(data)
    kept = {0: _row_end(table, 0)}
    for needle in needles:
        at = table.find(needle)
        while at >= 0:
            end = _row_end(table, at)
            before = table.rfind(_BETWEEN, 0, at)
            kept[before + len(_BETWEEN) if before >= 0 else 0] = end
            at = table.find(needle, end)
    rows = _BETWEEN.join(table[one:end] for one, end in sorted(kept.items()))
    return json.loads(b"".join((data[:start], rows, data[stop:])))


def _plain(table: bytes) -> bool:
    """Whether every bracket in a table lies between two rows, so that none of them is in a text.

    Without a backslash each quote begins or ends a text, so what has an even number of them before it is in none.
    """
    left = table.translate(None, _OTHERS).replace(b'""', b"")
    return left == b"][" * (len(left) // 2)


def _row_end(table: bytes, at: int) -> int:
    end = table.find(_BETWEEN, at)
    return len(table) if end < 0 else end


def _hits(packages: HostPackages, named: Mapping[str, list[Advisory]], name: str) -> Iterator[Hit]:
    """By the advisory's own name, or by the CVEs that stand in it: of several feeds one is heard for each CVE."""
    cves = {name} | {cve for ones in named.values() for one in ones if one.id == name for cve in one.cves}
    for one in packages.standings:
        if not _concerns(one, named):
            continue
        for state, told in ((one.state, one.hits), ("unfixed", one.unfixed if one.state != "unfixed" else ())):
            concerned = [hit for hit in told if hit.id == name or cves.intersection(hit.cves)]
            if concerned:
                fixed = sorted({hit.fixed for hit in concerned if hit.fixed and state != "unfixed"})
                ids = tuple(dict.fromkeys(hit.id for hit in concerned))
                restart = one.restart if state == "restart" else ()
                yield Hit(packages.host, one.source, one.version, " ".join(fixed), state, ids, restart)


def _why_unknown(packages: HostPackages, named: Mapping[str, list[Advisory]], *, known: bool) -> str:
    """Why it is not known whether a host is hit; empty where it is not hit."""
    if not known:
        return "no feed of advisories here has it"
    if silent := [why.text for why in packages.why if why.code in _SILENT]:
        return silent[0]
    if not named:
        release = f"{packages.distribution} {packages.release}".strip() or "its system"
        no_feed = f"no feed names a package of {brief(release)} for it"
        return next((why.text for why in packages.why if why.code == "no-feed"), no_feed)
    if odd := _odd(named, dpkg=packages.distribution in _dpkg()):
        return f"the advisory names a version of {odd} that can't be compared"
    return _why_of_package([one for one in packages.standings if _concerns(one, named)], packages)


def _why_of_package(there: list[Standing], packages: HostPackages) -> str:
    # What is not known of the release (an old feed, another one that is missing) is no doubt of this advisory's own.
    of_release = {why.code for why in packages.why} | {"fixed-alone"}
    if unclear := [one for one in there if one.state == "not_assessed" and one.why.code not in of_release]:
        return f"{unclear[0].source}: {unclear[0].why.text}"
    if running := [one for one in there if one.restart]:
        return f"{running[0].source} is mended, and former files of it are in use by {listed(running[0].restart)}"
    if there and (unseen := [why.text for why in packages.why if why.code.startswith("restart")]):
        return unseen[0]
    return ""


def _doubts(packages: HostPackages) -> Iterator[str]:
    for why in packages.why:
        if why.code in _OF_RELEASE:
            yield f"{brief(packages.distribution)} {brief(packages.release)}: {why.text}"


def _concerns(one: Standing, named: Mapping[str, list[Advisory]]) -> bool:
    return one.source in named or any(name in named for name in one.binaries)


def _dpkg() -> set[str]:
    return {name for name, one in rules().distributions.items() if one.family == "dpkg"}


def _odd(named: Mapping[str, list[Advisory]], *, dpkg: bool) -> str:
    """A package of which the advisory names a version that is none."""
    for package, advisories in named.items():
        for one in advisories:
            for version in filter(None, (one.introduced, one.fixed)):
                try:
                    debian_key(version) if dpkg else rpm_key(version)
                except VersionError:
                    return package
    return ""


def _systems(ledger: Ledger) -> tuple[dict[str, tuple[str, ...]] | None, str]:
    """Each host's systems, by the newest record of findings, and when that was made."""
    entry = next((one for one in ledger.newest(RECORD, 10) if one.status == "accepted"), None)
    raw = dict(ledger.raw_bodies([entry])) if entry is not None else {}
    if entry is None or entry.body not in raw:
        return None, ""
    data = raw[entry.body]
    # The last key of a body that can have many thousand rows. In a text the quotes would be escaped.
    place = data.rfind(b',"systems":')
    told = json.loads(b"{" + data[place + 1 :]) if place >= 0 else json.loads(data)
    if told["systems"] is None:
        return None, ""
    found: dict[str, list[str]] = {}
    for system, members in told["systems"].items():
        for host in members:
            found.setdefault(host, []).append(system)
    return {host: tuple(some) for host, some in found.items()}, entry.collected_at
