"""The Debian security tracker's JSON: what is open, fixed, ignored or undetermined, per package, CVE and release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Advice, Fix, Format, Told
from civicops.feeds.source import Source
from civicops.feeds.values import cve_number, is_cve, mapped, package, shown, text, version

_ENTRY = re.compile(rb'"(?:CVE-[0-9]{4}-[0-9]+|TEMP-[0-9A-F-]+)"\s*:\s*\{')
_TEMPORARY = re.compile(r"TEMP-[0-9]{7}-[0-9A-F]{6}")
_RELEASES = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "duke": "15",
}
_REASONS = {"": "no-dsa", "ignored": "ignored", "postponed": "postponed"}


class DebianTracker(Format):
    feeds = {"debian-tracker": "not stated with the data (security-tracker.debian.org)"}

    def recognise(self, head: bytes, name: str) -> str | None:
        known = b'"releases"' in head and b'"status"' in head and _ENTRY.search(head)
        return "debian-tracker" if known else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Advice]:
        """One advice per CVE: it may be in several packages."""
        found: dict[str, list[Fix]] = {}
        for source in sources:
            for key, entries in mapped(source.document(self.limit), "the document").items():
                name = package(key, "a package")
                for cve, entry in mapped(entries, name).items():
                    if not is_cve(cve) and not _TEMPORARY.fullmatch(cve):
                        raise FeedError(f"{name}: {shown(cve)} is no CVE's id")
                    releases = mapped(mapped(entry, f"{name} {cve}").get("releases"), f"{name} {cve}: releases")
                    fixes = found.setdefault(cve, [])
                    fixes.extend(_fix(name, cve, release, one) for release, one in releases.items())
        for cve, fixes in found.items():
            yield Advice(cve, (cve_number(cve),) if is_cve(cve) else (), tuple(fixes))


def _fix(name: str, cve: str, codename: str, value: object) -> Fix:
    where = f"{name} {cve} {codename[:40]}"
    entry = mapped(value, where)
    status = text(entry.get("status"), f"{where}: status", 40)
    fixed = None
    if status == "resolved":
        fixed = version(entry.get("fixed_version"), f"{where}: fixed_version")
        state = "not-affected" if fixed == "0" else "fixed"
    elif status == "undetermined":
        state = "undetermined"
    elif status != "open":
        raise FeedError(f"{where}: status: {shown(status)} is none of open, resolved, undetermined")
    elif entry.get("urgency") == "end-of-life":
        state = "end-of-life"
    elif "nodsa" in entry:
        reason = text(entry.get("nodsa_reason") or "", f"{where}: nodsa_reason", 40)
        state = _REASONS.get(reason, "no-dsa")
    elif entry.get("urgency") == "unimportant":
        state = "unimportant"
    else:
        state = "open"
    release = _RELEASES.get(codename) or text(codename, f"{name} {cve}: a release", 40)
    return Fix("debian", release, name, None, None if state == "not-affected" else fixed, state)


FORMAT = DebianTracker()
