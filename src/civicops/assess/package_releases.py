"""One release of a distribution as the feeds know it: what concerns a package at a version, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple

from civicops.assess.package_rules import Distribution, Need, Why
from civicops.assess.package_types import FeedUsed, Hit
from civicops.assess.recovery_known import brief
from civicops.assess.versions import VersionError, debian_key, rpm_key
from civicops.feeds.store import Advisory, Feed, Index, Life, days_old

# The tracker's own words. "unimportant": "does not affect the Debian binary package ... non-issues in practice"
# (Debian security tracker, introduction to its severity levels), which is why its pages list such issues apart.
_NOTHING = ("not-affected", "unimportant")
_END_OF_LIFE = "end-of-life"
_AHEAD = timedelta(days=2)


class Verdict(NamedTuple):
    """What is known of one package at one version.

    `fixed` are the advisories of the newest version that it has reached. `unclear`: an advisory could not be compared.
    """

    fixable: tuple[Hit, ...] = ()
    fixed: tuple[Hit, ...] = ()
    unfixed: tuple[Hit, ...] = ()
    ended: tuple[Hit, ...] = ()
    unclear: bool = False


class _Range(NamedTuple):
    """An advisory with the keys of its versions. `odd`: one of them is no version."""

    hit: Hit
    introduced: str | None
    fixed: str | None
    odd: bool


class Release:
    """One release, asked of the index at once: `advisories` by package. Verdicts are kept, as hosts are much alike."""

    def __init__(self, distribution: Distribution, release: str, index: Index, today: date) -> None:
        self.distribution, self.name = distribution, release
        self.title = f"{distribution.name} {brief(release)}"
        self._advisories = index.all_advisories(distribution.id, release)
        self._key: Callable[[str], str] = debian_key if distribution.family == "dpkg" else rpm_key
        self._ranges: dict[str, tuple[_Range, ...]] = {}
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        status = index.status()
        there = [need for need in distribution.needs if need.needed or need.feed in status]
        known = frozenset(one.feed for ones in self._advisories.values() for one in ones)
        troubles = {need.feed: self._trouble(need, status.get(need.feed), known, today) for need in there}
        self.feeds = tuple(_used(need.feed, status.get(need.feed), troubles[need.feed]) for need in there)
        found = index.release(distribution.id, release) if distribution.ends else None
        self.series = found.series if found else ""
        ends = next((found.ends[key] for key in distribution.ends if key in found.ends), None) if found else None
        life = index.life(distribution.product, release) if distribution.product else None
        self._today = today
        self.doubts = (
            *(why for need in there if need.needed and (why := troubles[need.feed])),
            *self._end(ends if distribution.ends else _end_of(life)),
        )
        """Why no package can be called clean; empty where nothing stands against it."""
        self._support = index.support(release) if distribution.brings("support") else []

    def _trouble(self, need: Need, feed: Feed | None, known: frozenset[str], today: date) -> Why | None:
        """Why a feed is not good enough."""
        if feed is None:
            return Why("feed-missing", f"the feed {need.feed} was never imported")
        age = days_old(feed, today)
        if age < -_AHEAD.days:
            return Why("feed-old", f"the feed {need.feed} is of {feed.date}, which is yet to come")
        if age > need.days:
            return Why("feed-old", f"the feed {need.feed} is of {feed.date}, older than {need.days} days")
        if need.advisories and need.feed not in known:
            return Why("no-feed", f"the feed {need.feed} knows nothing of {self.title}")
        return None

    def _end(self, end: str | bool | None) -> Iterator[Why]:
        if end is True or (isinstance(end, str) and date.fromisoformat(end) < self._today):
            when = f", which was {end}" if isinstance(end, str) else ""
            yield Why("release-end", f"{self.title} is past its end{when}")
        elif end is None:
            yield Why("release-unknown", f"when the support of {self.title} ends is not known")

    @cached_property
    def own(self) -> str:
        """What the distribution's own archives are called for certain."""
        return min(self.distribution.origins)

    def had(self, name: str, version: str) -> bool:
        """Whether a package may once have been the distribution's: feeds know of a fix in that version or a later one.

        Each new kernel of a distribution mends something, so one that is above all fixes is somebody else's."""
        try:
            key = self._key(version)
        except VersionError:
            return False
        return any(one.fixed is not None and key <= one.fixed for one in self._ranges_of(name))

    def support(self, source: str) -> tuple[str, str]:
        """Why a package's support has ended, and what limits it; empty where neither is so.

        The list's "last version with support" is not asked for: the package of a release whose support has ended gets
        no fix, whatever its version is.
        """
        ended = limited = ""
        for one in self._support:
            if one.concerns(source):
                if one.kind == "ended" and one.until and date.fromisoformat(one.until) <= self._today:
                    ended = f"Debian has ended its support on {one.until}: {brief(one.note) or 'no reason is told'}"
                elif one.kind == "limited":
                    limited = f"Debian supports it in part: {brief(one.note)}"
        return ended, limited

    def verdict(self, name: str, version: str) -> Verdict:
        """What concerns a package at a version; raises VersionError."""
        key = (name, version)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(name, self._key(version))
        return self._verdicts[key]

    def older(self, one: str, other: str) -> bool:
        """Whether a version is below another; raises VersionError."""
        return self._key(one) < self._key(other)

    def highest(self, versions: Iterable[str | None]) -> str:
        """The highest of some versions; raises VersionError."""
        return max((one for one in versions if one), key=self._key, default="")

    def _judge(self, name: str, at: str) -> Verdict:
        fixable, unfixed, ended = [], [], []
        fixed: list[tuple[str, Hit]] = []
        unclear = False
        for hit, introduced, until, odd in self._ranges_of(name):
            if odd:
                unclear = True
            elif hit.state in _NOTHING or (introduced is not None and at < introduced):
                continue
            elif until is not None:
                if at < until:
                    fixable.append(hit)
                else:
                    fixed.append((until, hit))
            elif hit.state == _END_OF_LIFE:
                ended.append(hit)
            else:
                unfixed.append(hit)
        newest = max((until for until, _ in fixed), default="")
        of_newest = tuple(hit for until, hit in fixed if until == newest)
        return Verdict(tuple(fixable), of_newest, tuple(unfixed), tuple(ended), unclear)

    def _ranges_of(self, name: str) -> tuple[_Range, ...]:
        if name not in self._ranges:
            ranges = tuple(map(self._range, self._heard(self._advisories.pop(name, ()))))
            self._ranges[name] = _lowest(ranges) if self.distribution.family == "rpm" else ranges
        return self._ranges[name]

    def _heard(self, advisories: Iterable[Advisory]) -> Iterator[Advisory]:
        """Where the feed whose word counts has an issue, what others say of it is not heard."""
        first = self.distribution.first
        said = {one for advisory in advisories if advisory.feed == first for one in advisory.cves or (advisory.id,)}
        for advisory in advisories:
            if advisory.feed == first:
                yield advisory
            elif not advisory.cves:
                if advisory.id not in said:
                    yield advisory
            elif left := tuple(one for one in advisory.cves if one not in said):
                yield advisory._replace(cves=left)

    def _range(self, one: Advisory) -> _Range:
        hit = Hit(one.id, one.cves, one.fixed, one.state, one.feed)
        try:
            introduced = self._key(one.introduced) if one.introduced else None
            return _Range(hit, introduced, self._key(one.fixed) if one.fixed else None, odd=False)
        except VersionError:
            return _Range(hit, None, None, odd=True)


def _lowest(ranges: tuple[_Range, ...]) -> tuple[_Range, ...]:
    """An advisory of the rpm family may name several builds of one package (a rebuild, another repository): whoever
    has the lowest has the fix. Builds of module streams are left out, as packages of streams are not assessed."""
    found: dict[tuple[str, str | None], _Range] = {}
    rest = []
    for one in ranges:
        if ".module" in (one.hit.fixed or ""):
            continue
        key = (one.hit.id, one.introduced)
        if one.fixed is None:
            rest.append(one)
        elif key not in found or one.fixed < (found[key].fixed or ""):
            found[key] = one
    return (*found.values(), *rest)


def _used(name: str, feed: Feed | None, trouble: Why | None) -> FeedUsed:
    return FeedUsed(name, feed.date if feed else "", feed.origin if feed else "", trouble.text if trouble else "")


def _end_of(life: Life | None) -> str | bool | None:
    return life.eol if life else None
