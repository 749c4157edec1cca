"""Writes a feed's advisories into the index: names once, and narrow rows between them."""

from __future__ import annotations

import sqlite3

from civicops.feeds.error import FeedError
from civicops.feeds.format import Advice, Told
from civicops.feeds.values import cve_text

_BATCH = 20_000
# Some thirty times what the largest feed, Ubuntu's, has: memory and disk are not a feed's to fill.
_MOST = 2_000_000
_MOST_FIXES = 30_000_000


class Advices:
    """The advisories of one feed, within the transaction of its import."""

    def __init__(self, connection: sqlite3.Connection, feed: str) -> None:
        self._connection, self._feed = connection, feed
        self._packages: dict[str, int] = {}
        self._scopes: dict[tuple[str, str], int] = {}
        self._again = self._written = 0
        self._known: dict[str, tuple[int, int]] = {}
        self._fixes: list[tuple[int, int, int, str, str, str]] = []

    def clear(self) -> None:
        """Take out what the feed had."""
        run = self._connection.execute
        run("DELETE FROM fix WHERE scope IN (SELECT id FROM scope WHERE feed = ?)", (self._feed,))
        for table in ("scope", "advisory", "package"):
            run(f"DELETE FROM {table} WHERE feed = ?", (self._feed,))  # noqa: S608

    def add(self, advice: Advice) -> None:
        """Take an advisory in. The very same once more is no harm: a part of a feed may lie beside the whole."""
        content = hash((advice.cves, frozenset(advice.fixes)))
        if advice.id in self._known:
            if self._known[advice.id][1] != content:
                raise FeedError(f"{advice.id} is there twice, and not the same")
            self._again += 1
            return
        cves = " ".join(cve_text(one)[4:] for one in advice.cves)
        number = self._insert("INSERT INTO advisory (feed, name, cves) VALUES (?, ?, ?)", advice.id, cves)
        self._known[advice.id] = number, content
        for fix in advice.fixes:
            scope, package = self._scope(fix.distribution, fix.release), self._package(fix.package)
            self._fixes.append((scope, package, number, fix.introduced or "", fix.fixed or "", fix.state))
        self._written += len(advice.fixes)
        if len(self._known) > _MOST or self._written > _MOST_FIXES:
            raise FeedError(f"it holds more than {_MOST} advisories, or {_MOST_FIXES} packages in them")
        if len(self._fixes) > _BATCH:
            self._flush()

    def finish(self, told: Told) -> int:
        """Write what is left; how many advisories there are now."""
        self._flush()
        if self._again:
            told.left_out["advisories that stand there twice, the same"] = self._again
        return len(self._known)

    def _flush(self) -> None:
        try:
            self._connection.executemany("INSERT INTO fix VALUES (?, ?, ?, ?, ?, ?)", self._fixes)
        except sqlite3.IntegrityError as error:
            raise FeedError("one package of one release stands twice in an advisory, and not the same") from error
        self._fixes.clear()

    def _insert(self, statement: str, *values: str) -> int:
        return self._connection.execute(statement, (self._feed, *values)).lastrowid or 0

    def _scope(self, distribution: str, release: str) -> int:
        key = (distribution, release)
        if key not in self._scopes:
            statement = "INSERT INTO scope (feed, distribution, release) VALUES (?, ?, ?)"
            self._scopes[key] = self._insert(statement, *key)
        return self._scopes[key]

    def _package(self, name: str) -> int:
        if name not in self._packages:
            self._packages[name] = self._insert("INSERT INTO package (feed, name) VALUES (?, ?)", name)
        return self._packages[name]
