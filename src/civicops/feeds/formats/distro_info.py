"""distro-info-data: when releases of Debian and Ubuntu came, and when their support ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import MB, Source
from civicops.feeds.values import day, text

_COMMON = ["version", "codename", "series", "created", "release", "eol"]


class DistroInfo(Format):
    feeds = {"distro-info-debian": "ISC", "distro-info-ubuntu": "ISC"}
    table = "release"
    limit = 1 * MB

    def recognise(self, head: bytes, name: str) -> str | None:
        columns = head.partition(b"\n")[0].decode("ascii", "replace").strip().split(",")
        if columns[: len(_COMMON)] != _COMMON:
            return None
        return "distro-info-ubuntu" if "eol-esm" in columns or "eol-server" in columns else "distro-info-debian"

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        distribution = feed.removeprefix("distro-info-")
        for source in sources:
            try:
                rows = list(csv.DictReader(source.lines(self.limit), strict=True))
            except csv.Error as error:
                raise FeedError(f"{source.name}: is broken: {error}") from error
            for row in rows:
                where = text(row.get("series"), "series", 40)
                if None in row:
                    raise FeedError(f"{source.name}: {where}: more cells than columns")
                dates = {
                    key: day(value, f"{where}: {key}") for key, value in row.items() if value and key in _dates(row)
                }
                if "created" not in dates:
                    told.leave_out("releases without a date")
                    continue
                version = text(row["version"] or "", f"{where}: version", 40)
                yield (
                    distribution,
                    version.removesuffix(" LTS") or where,
                    where,
                    dates.get("release"),
                    json.dumps({key: value for key, value in dates.items() if key.startswith("eol")}),
                )


def _dates(row: dict[str, str]) -> list[str]:
    return [key for key in row if key in ("created", "release") or key.startswith("eol")]


FORMAT = DistroInfo()
