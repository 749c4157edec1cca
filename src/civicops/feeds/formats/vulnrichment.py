"""CISA Vulnrichment: CVSS and SSVC points of CVEs, as CVE records (a zip or a directory of them), or as a table.

The table has tabs between its columns and a first line that names them: cve, cvss, vector, exploitation, automatable,
technical_impact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import MB, Source
from civicops.feeds.values import cve_number, day, listed, mapped, number, shown, text

_NEEDED = ("cve", "cvss", "vector", "exploitation", "automatable", "technical_impact")
_POINTS = {
    "exploitation": ("none", "poc", "active"),
    "automatable": ("no", "yes"),
    "technical_impact": ("partial", "total"),
}
_METRICS = ("cvssV4_0", "cvssV3_1", "cvssV3_0")


class Vulnrichment(Format):
    feeds = {"vulnrichment": "CC0-1.0"}
    table = "ssvc"
    limit = 4096 * MB

    def is_part(self, name: str) -> bool:
        return name.endswith(".json")

    def recognise(self, head: bytes, name: str) -> str | None:
        if b'"CVE_RECORD"' in head and b'"cveMetadata"' in head:
            return "vulnrichment"
        columns = head.partition(b"\n")[0].decode("ascii", "replace").strip().split("\t")
        return "vulnrichment" if set(_NEEDED) <= set(columns) else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for source in sources:
            if source.head().lstrip()[:1] == b"{":
                for one in source.records(self.limit):
                    record = mapped(one, source.name)
                    row = _of_record(record, told) if record.get("dataType") == "CVE_RECORD" else None
                    if row is None:
                        told.leave_out("records without points of CISA")
                    else:
                        yield row
            else:
                yield from _of_table(source, self.limit)


def _of_table(source: Source, limit: int) -> Iterator[Row]:
    columns: list[str] = []
    for at, line in enumerate(source.lines(limit), 1):
        cells = line.rstrip("\r\n").split("\t")
        if not columns:
            columns = cells
            continue
        if len(cells) != len(columns):
            raise FeedError(f"line {at}: {len(cells)} columns, where the first line names {len(columns)}")
        row = dict(zip(columns, cells, strict=True))
        cve, *rest = (row[name] for name in _NEEDED)
        yield _checked(cve, rest[0] or None, rest[1], *rest[2:])


def _of_record(record: dict[str, object], told: Told) -> Row | None:
    about = mapped(record.get("cveMetadata"), "cveMetadata")
    cve = text(about.get("cveId"), "cveId", 40)
    containers = mapped(record.get("containers"), f"{cve}: containers")
    found: dict[str, str] = {}
    score: object = None
    vector = ""
    for one in listed(containers.get("adp", []), f"{cve}: adp"):
        container = mapped(one, f"{cve}: an entry of adp")
        provider = mapped(container.get("providerMetadata", {}), f"{cve}: providerMetadata")
        if provider.get("shortName") != "CISA-ADP":
            continue
        if "dateUpdated" in provider:
            told.newest_record(day(provider["dateUpdated"], f"{cve}: dateUpdated"))
        for entry in listed(container.get("metrics", []), f"{cve}: metrics"):
            metric = mapped(entry, f"{cve}: an entry of metrics")
            for key in _METRICS:
                if key in metric and score is None:
                    cvss = mapped(metric[key], f"{cve}: {key}")
                    score, vector = cvss.get("baseScore"), text(cvss.get("vectorString", ""), f"{cve}: vectorString")
            other = metric.get("other")
            if isinstance(other, dict) and other.get("type") == "ssvc":
                content = mapped(other.get("content"), f"{cve}: content")
                for option in listed(content.get("options"), f"{cve}: options"):
                    for name, value in mapped(option, f"{cve}: an option").items():
                        found[name.lower().replace(" ", "_")] = text(value, f"{cve}: {name[:40]}", 40)
    if score is None and not found:
        return None
    return _checked(cve, score, vector, *(found.get(name, "") for name in _POINTS))


def _checked(cve: str, score: object, vector: str, *points: str) -> Row:
    number_of = cve_number(cve)
    for name, value in zip(_POINTS, points, strict=True):
        if value and value.lower() not in _POINTS[name]:
            raise FeedError(f"{cve}: {name}: {shown(value)} is none of {', '.join(_POINTS[name])}")
    cvss = None if score is None else number(score, f"{cve}: cvss", 10)
    return (number_of, cvss, text(vector, f"{cve}: vector") or None, *(one.lower() or None for one in points))


FORMAT = Vulnrichment()
