"""EPSS: FIRST's daily CSV of how likely each CVE is to be exploited within 30 days."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import Source
from civicops.feeds.values import cve_number, day, number

_COLUMNS = "cve,epss,percentile"
_SCORED = re.compile(r"score_date:([^,\s]+)")


class Epss(Format):
    feeds = {"epss": "free to use, FIRST asks to be named (first.org/epss)"}
    table = "epss"

    def recognise(self, head: bytes, name: str) -> str | None:
        first = [line.strip() for line in head.split(b"\n", 2)[:2]]
        return "epss" if _COLUMNS.encode() in first else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for source in sources:
            head = True
            for at, line in enumerate(source.lines(self.limit), 1):
                line = line.strip()
                if head and line.startswith("#"):
                    if scored := _SCORED.search(line):
                        told.newest(day(scored[1], "score_date"))
                elif head and line == _COLUMNS:
                    head = False
                elif line:
                    cells = line.split(",")
                    if head or len(cells) != 3:
                        raise FeedError(f"line {at}: three columns belong here, {_COLUMNS}")
                    where = f"line {at}"
                    yield cve_number(cells[0], where), number(cells[1], where, 1), number(cells[2], where, 1)


FORMAT = Epss()
