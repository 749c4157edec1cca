"""The index of feeds: replace one, and ask them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from civicops.feeds.advices import Advices
from civicops.feeds.database import index_path, reading, writing
from civicops.feeds.error import FeedError
from civicops.feeds.format import Advice, Format, Row, Told
from civicops.feeds.source import Source
from civicops.feeds.values import cve_number, cve_text, is_cve
from civicops.moments import stamp
from civicops.text import printable

_SHRUNKEN = 0.8
_BATCH = 5000
_MOST = 3_000_000
_AHEAD = timedelta(days=2)
# Joined in this order: a release's rows lie together in `fix`.
_ADVISORIES = (
    "SELECT package.name, advisory.name, cves, introduced, fixed, state, scope.feed FROM scope"
    " CROSS JOIN fix ON fix.scope = scope.id CROSS JOIN package ON package.id = fix.package"
    " CROSS JOIN advisory ON advisory.id = fix.advisory WHERE scope.distribution = ? AND scope.release = ?"
)
_FEEDS_OF = (
    "SELECT feed FROM scope WHERE distribution = ? AND release = ?"
    " AND EXISTS (SELECT * FROM fix WHERE fix.scope = scope.id) ORDER BY feed"
)
_NAMING = "SELECT id FROM advisory WHERE name = ? OR instr(' ' || cves || ' ', ?)"
_OF_ADVISORY = " AND fix.advisory IN (SELECT value FROM json_each(?))"
_OF_PACKAGE = " AND fix.package IN (SELECT id FROM package WHERE name = ?)"


@dataclass(frozen=True)
class Feed:
    """What is known of a feed that was imported. `date_from`: data, name or file, whatever told the data's date."""

    name: str
    format: str
    origin: str
    date: str
    date_from: str
    imported_at: str
    licence: str
    count: int
    sha256: str


def days_old(feed: Feed, today: date) -> int:
    """The age of a feed's data, however new its import."""
    return (today - date.fromisoformat(feed.date)).days


@dataclass(frozen=True)
class Imported:
    """What came of one import: the feed as it is now, as it was, and what in the files was left out."""

    feed: Feed
    former: Feed | None
    unchanged: bool
    left_out: dict[str, int]


class Advisory(NamedTuple):
    """One advisory on one package. A host is safe from `fixed` on; None: no version mends it.

    `state`: fixed, open, no-dsa, postponed, ignored, unimportant, undetermined, end-of-life, not-affected.
    """

    id: str
    cves: tuple[str, ...]
    introduced: str | None
    fixed: str | None
    state: str
    feed: str


class Naming(NamedTuple):
    """The advisories of one name or on one CVE. `known`: whether any feed has one, on whatever package.

    `of`: by distribution and release, and then by package; a release of which no package is named has none.
    """

    known: bool
    of: dict[tuple[str, str], dict[str, list[Advisory]]]


class Exploited(NamedTuple):
    """An entry of CISA's catalogue. `ransomware`: known to be used so."""

    added: str
    due: str | None
    ransomware: bool
    name: str


class Points(NamedTuple):
    """CISA's points on a CVE; None where it gave none."""

    cvss: float | None
    vector: str | None
    exploitation: str | None
    automatable: str | None
    technical_impact: str | None


class Likelihood(NamedTuple):
    """Of being exploited within 30 days, and the share of CVEs that are no likelier."""

    score: float
    percentile: float


class Life(NamedTuple):
    """One cycle of a product. Ends are days, or True and False where it is known whether, but not when."""

    released: str | None
    eol: str | bool | None
    support: str | bool | None
    extended: str | bool | None
    latest: str | None


class Release(NamedTuple):
    """One release of a distribution; `ends` by the name of the support that ends: eol, eol-lts, eol-esm ..."""

    version: str
    series: str
    released: str | None
    ends: dict[str, str]


class Support(NamedTuple):
    """A package whose security support ended (`until`, last good `version`), or is limited.

    `package` is a name, or what names begin with and then `.*`.
    """

    package: str
    kind: str
    version: str | None
    until: str | None
    note: str

    def concerns(self, package: str) -> bool:
        head = self.package.removesuffix(".*")
        return package.startswith(head) if head != self.package else package == head


class Index:
    """All feeds. Each question opens the index anew; `with index.steady():` asks many of one and the same state."""

    def __init__(self, root: Path | None = None) -> None:
        self.path = index_path(root)
        self._held: list[sqlite3.Connection | None] = []

    @contextmanager
    def steady(self) -> Iterator[None]:
        """All questions within see the same data, even while an import replaces it, and cost no opening."""
        with reading(self.path) as connection:
            self._held.append(connection)
            try:
                yield
            finally:
                self._held.pop()

    def _asked(self, question: str, *values: str | int) -> list[tuple[str, ...]]:
        if self._held:
            held = self._held[-1]
            return held.execute(question, values).fetchall() if held else []
        with reading(self.path) as connection:
            return connection.execute(question, values).fetchall() if connection else []

    def status(self) -> dict[str, Feed]:
        """Every feed that is there, by its name."""
        rows = self._asked("SELECT * FROM feed ORDER BY name")
        return {row[0]: Feed(*row) for row in rows}  # type: ignore[arg-type]

    def advisories(self, distribution: str, release: str, source: str) -> list[Advisory]:
        """What is known of one package of a release."""
        return self._advisories(distribution, release, source).get(source, [])

    def all_advisories(self, distribution: str, release: str) -> dict[str, list[Advisory]]:
        """The same for all packages of a release at once, by package: for matching many hosts."""
        return self._advisories(distribution, release, None)

    def feeds_of(self, distribution: str, release: str) -> list[str]:
        """The feeds that have advisories on a release."""
        return [row[0] for row in self._asked(_FEEDS_OF, distribution, release)]

    def naming(self, name: str, releases: Iterable[tuple[str, str]]) -> Naming:
        """The advisories of that name, or on that CVE: whether any feed has one, and those on packages of releases."""
        # The NUL stands in no advisory.
        wanted = f" {name[4:]} " if is_cve(name) else "\0"
        numbers = json.dumps([row[0] for row in self._asked(_NAMING, name, wanted)])
        found = {}
        for distribution, release in releases if numbers != "[]" else ():
            rows = self._asked(_ADVISORIES + _OF_ADVISORY, distribution, release, numbers)
            found[distribution, release] = _by_package(rows)
        return Naming(numbers != "[]", found)

    def _advisories(self, distribution: str, release: str, source: str | None) -> dict[str, list[Advisory]]:
        if source is None:
            return _by_package(self._asked(_ADVISORIES, distribution, release))
        return _by_package(self._asked(_ADVISORIES + _OF_PACKAGE, distribution, release, source))

    def kev(self, cve: str) -> Exploited | None:
        rows = self._asked("SELECT added, due, ransomware, name FROM kev WHERE cve = ?", cve_number(cve))
        return _exploited(rows[0]) if rows else None

    def all_kev(self) -> dict[str, Exploited]:
        rows = self._asked("SELECT cve, added, due, ransomware, name FROM kev")
        return {cve_text(int(row[0])): _exploited(row[1:]) for row in rows}

    def ssvc(self, cve: str) -> Points | None:
        rows = self._asked(
            "SELECT cvss, vector, exploitation, automatable, technical_impact FROM ssvc WHERE cve = ?", cve_number(cve)
        )
        return Points(*rows[0]) if rows else None  # type: ignore[arg-type]

    def epss(self, cve: str) -> Likelihood | None:
        rows = self._asked("SELECT score, percentile FROM epss WHERE cve = ?", cve_number(cve))
        return Likelihood(*rows[0]) if rows else None  # type: ignore[arg-type]

    def life(self, product: str, cycle: str) -> Life | None:
        """One cycle of a product, as endoflife.date names both."""
        rows = self._asked(
            "SELECT released, eol, support, extended, latest FROM life WHERE product = ? AND cycle = ?", product, cycle
        )
        if not rows:
            return None
        released, eol, support, extended, latest = rows[0]
        return Life(released, _end(eol), _end(support), _end(extended), latest)

    def release(self, distribution: str, version: str) -> Release | None:
        """A release of Debian or Ubuntu by its version (12, 24.04), from distro-info."""
        rows = self._asked(
            "SELECT version, series, released, ends FROM release WHERE distribution = ? AND version = ?",
            *(distribution, version),
        )
        if not rows:
            return None
        found, series, released, ends = rows[0]
        return Release(found, series, released, json.loads(ends))

    def support(self, release: str) -> list[Support]:
        """The packages of a Debian release that get less security support than the rest."""
        rows = self._asked(
            "SELECT package, kind, version, until, note FROM support WHERE release IN (?, '') ORDER BY package", release
        )
        return [Support(*row) for row in rows]

    def replace(
        self, format: Format, name: str, sources: Sequence[Source], *, origin: str, accept_smaller: bool = False
    ) -> Imported:
        """Put a feed in the place of the former one; in one transaction, so that readers see one or the other.

        :raises FeedError: it can't be read, is smaller than 80 % of the former or older. The former stays.
        """
        told = Told()
        digest = _digest(sources)
        with writing(self.path) as connection:
            row = connection.execute("SELECT * FROM feed WHERE name = ?", (name,)).fetchone()
            former = Feed(*row) if row else None
            if former and former.sha256 == digest and former.format == _format_name(format):
                return Imported(former, former, unchanged=True, left_out={})
            try:
                count = _write(connection, format, name, sources, told)
                feed = _described(format, name, sources, told, count, origin, digest)
                _refuse_worse(feed, former, accept_smaller=accept_smaller)
            except FeedError as error:
                raise FeedError(f"{name}: {error}") from error
            connection.execute("DELETE FROM feed WHERE name = ?", (name,))
            values = tuple(feed.__dict__.values())
            connection.execute(f"INSERT INTO feed VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
        return Imported(feed, former, unchanged=False, left_out=told.left_out)


def _by_package(rows: Iterable[tuple[str, ...]]) -> dict[str, list[Advisory]]:
    found: dict[str, list[Advisory]] = {}
    cves: dict[str, tuple[str, ...]] = {}
    for package, name, packed, introduced, fixed, state, feed in rows:
        if packed not in cves:
            cves[packed] = tuple(f"CVE-{one}" for one in packed.split())
        one = Advisory(name, cves[packed], introduced or None, fixed or None, state, feed)
        found.setdefault(package, []).append(one)
    return found


def _format_name(format: Format) -> str:
    return type(format).__module__.rpartition(".")[2]


def _digest(sources: Sequence[Source]) -> str:
    if len(sources) == 1:
        return sources[0].sha256()
    whole = hashlib.sha256()
    for source in sources:
        whole.update(f"{source.path.name} {source.sha256()}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _write(connection: sqlite3.Connection, format: Format, name: str, sources: Sequence[Source], told: Told) -> int:
    rows = format.read(name, sources, told)
    if format.table is None:
        advices = Advices(connection, name)
        advices.clear()
        for row in rows:
            advices.add(cast(Advice, row))
        return advices.finish(told)
    scoped = format.table == "release"
    if scoped:
        connection.execute("DELETE FROM release WHERE distribution = ?", (name.removeprefix("distro-info-"),))
    else:
        connection.execute(f"DELETE FROM {format.table}")  # noqa: S608
    count = 0
    while batch := list(islice(rows, _BATCH)):
        count += _insert(connection, format.table, batch)
        if count > _MOST:
            raise FeedError(f"it holds more than {_MOST} entries")
    return count


def _insert(connection: sqlite3.Connection, table: str, batch: list[Row | Advice]) -> int:
    statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(batch[0]))})"  # noqa: S608
    connection.execute("SAVEPOINT batch")
    try:
        connection.executemany(statement, batch)
    except sqlite3.IntegrityError:
        connection.execute("ROLLBACK TO batch")
        for row in batch:
            try:
                connection.execute(statement, row)
            except sqlite3.IntegrityError as error:
                what = cve_text(row[0]) if isinstance(row[0], int) else " ".join(str(one) for one in row[:2])
                raise FeedError(f"{printable(what, 100)} is there twice") from error
    connection.execute("RELEASE batch")
    return len(batch)


def _described(
    format: Format, name: str, sources: Sequence[Source], told: Told, count: int, origin: str, digest: str
) -> Feed:
    day, day_from = (told.date, "data") if told.date else max(source.date() for source in sources)
    if date.fromisoformat(day) > datetime.now(UTC).date() + _AHEAD:
        raise FeedError(f"its date, {day}, is in the future; is this machine's clock right?")
    return Feed(
        name=name,
        format=_format_name(format),
        origin=origin,
        date=day,
        date_from=day_from,
        imported_at=stamp(datetime.now(UTC)),
        licence=format.feeds[name],
        count=count,
        sha256=digest,
    )


def _refuse_worse(feed: Feed, former: Feed | None, *, accept_smaller: bool) -> None:
    if feed.count == 0:
        raise FeedError("it holds nothing")
    if former is None or accept_smaller:
        return
    there = f"the former, of {former.date} with {former.count}, stays; --accept-smaller takes it all the same"
    if feed.count < _SHRUNKEN * former.count:
        raise FeedError(f"it holds {feed.count} entries, less than 80 % of what is there; {there}")
    # The day on which a file was copied says nothing of the age of what is in it.
    if feed.date < former.date and "file" not in (feed.date_from, former.date_from):
        raise FeedError(f"it is of {feed.date}, older than what is there; {there}")


def _exploited(row: Sequence[str]) -> Exploited:
    added, due, ransomware, name = row
    return Exploited(added, due, bool(ransomware), name)


def _end(value: str | None) -> str | bool | None:
    return {"yes": True, "no": False}.get(value, value) if value is not None else None
