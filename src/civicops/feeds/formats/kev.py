"""CISA's catalogue of known exploited vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import Source
from civicops.feeds.values import cve_number, day, listed, mapped, text


class Kev(Format):
    feeds = {"kev": "CC0-1.0"}
    table = "kev"

    def recognise(self, head: bytes, name: str) -> str | None:
        return "kev" if b'"catalogVersion"' in head and b'"vulnerabilities"' in head else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for source in sources:
            catalogue = mapped(source.document(self.limit), "the catalogue")
            told.newest(day(catalogue.get("dateReleased"), "dateReleased"))
            for one in listed(catalogue.get("vulnerabilities"), "vulnerabilities"):
                entry = mapped(one, "an entry of vulnerabilities")
                cve = cve_number(entry.get("cveID"), "cveID")
                where = str(entry["cveID"])
                ransomware = text(entry.get("knownRansomwareCampaignUse"), f"{where}: knownRansomwareCampaignUse", 20)
                yield (
                    cve,
                    day(entry.get("dateAdded"), f"{where}: dateAdded"),
                    day(entry["dueDate"], f"{where}: dueDate") if entry.get("dueDate") else None,
                    int(ransomware.lower() == "known"),
                    text(entry.get("vulnerabilityName", ""), f"{where}: vulnerabilityName", 500),
                )


FORMAT = Kev()
