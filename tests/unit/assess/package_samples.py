"""Feeds in their sources' layouts, hosts' facts, and estates of both, for tests of the matcher of packages."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.feeds.samples import DATA, osv, osv_lines, put

from civicops.assess.estate import Estate, Host
from civicops.assess.finding import Told
from civicops.assess.packages import HostPackages, Standing, match
from civicops.feeds.store import Index
from civicops.ledger.documents import check_body

MOMENT = datetime(2026, 11, 30, 8, tzinfo=UTC)
DAY = "2026-11-29"
COLUMNS = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used", "origin"]
SOURCES = ["kind", "uri", "suite", "components", "enabled", "signed_by", "trusted", "security", "fetched_at",
           "released_at", "valid_until", "file", "origin"]  # fmt: skip
UPDATES = ["name", "arch", "from", "to", "security", "archive", "source"]
BUILD = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)"
Entry = dict[str, Any]
UNION = DATA / "debian12-union-pairs.tsv.gz"
DEBSECAN = DATA / "debsecan" / "bookworm"
needs_union = pytest.mark.skipif(not UNION.is_file(), reason=f"needs {UNION.name} (CIVICOPS_TEST_DATA)")

DISTRO_INFO = {
    "debian": "version,codename,series,created,release,eol,eol-lts,eol-elts\n"
    "11,Bullseye,bullseye,2019-07-06,2021-08-14,2024-08-14,2026-08-31,2031-06-30\n"
    "12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30\n",
    "ubuntu": "version,codename,series,created,release,eol,eol-server,eol-esm\n"
    "24.04 LTS,Noble Numbat,noble,2023-10-12,2024-04-25,2029-05-31,2029-05-31,2034-04-25\n",
}
ENDED = (
    "# packages whose security support ends before\nlxd 5.0.2-5+deb12u6 2026-06-12 too complex\nlater 1 2027-01-01 x\n"
)
LIMITED = "# packages where security support is limited\nbinutils only for trusted content\n"
ENDOFLIFE = {
    product: {"releases": [{"releaseCycle": "9", "eol": "2032-05-31"}, {"releaseCycle": "7", "eol": True}]}
    for product in ("almalinux", "rocky-linux")
}


def tracker(packages: Mapping[str, Mapping[str, Entry]], codename: str = "bookworm") -> str:
    """The tracker's JSON of one release: source package, CVE, what the tracker says of it."""
    return json.dumps(
        {
            source: {cve: {"scope": "local", "releases": {codename: entry}} for cve, entry in issues.items()}
            for source, issues in packages.items()
        }
    )


def resolved(version: str) -> Entry:
    return {"status": "resolved", "fixed_version": version, "urgency": "not yet assigned"}


def opened(**more: str) -> Entry:
    return {"status": "open", "urgency": "not yet assigned"} | more


def debian_feeds(folder: Path, packages: Mapping[str, Mapping[str, Entry]], *, day: str = DAY) -> None:
    """All that Debian 12 needs, by the real importers. A package that nobody has keeps the tracker from being empty."""
    known = {"nobodys": {"CVE-2020-0001": resolved("1")}} | dict(packages)
    write(folder / f"tracker-{day}.json", tracker(known))
    write(folder / f"debian-{DAY}.csv", DISTRO_INFO["debian"])
    place = folder / "support"
    place.mkdir(exist_ok=True)
    (place / "security-support-ended.deb12").write_text(ENDED)
    (place / "security-support-limited").write_text(LIMITED)
    put(place)


def write(path: Path, text: str) -> None:
    """Import a feed's text."""
    path.write_text(text)
    put(path)


def union() -> dict[str, dict[str, str]]:
    """Source, CVE and the version of Debian 12 that mends it."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    with gzip.open(UNION, "rt", encoding="utf-8") as lines:
        for line in lines:
            source, cve, fixed = line.split()
            found[source][cve] = fixed
    return found


def import_union(folder: Path, pairs: dict[str, dict[str, str]], day: str = DAY) -> None:
    """As the tracker tells it."""
    told = {source: {cve: resolved(fixed) for cve, fixed in one.items()} for source, one in pairs.items()}
    debian_feeds(folder, told, day=day)


def dsa(folder: Path, *records: tuple[str, str, str, tuple[str, ...]]) -> None:
    """Debian's OSV: advisory, package, version, CVEs."""
    lines = [
        osv(name, ("Debian:12", package, fixed), upstream=cves, published=DAY) for name, package, fixed, cves in records
    ]
    write(folder / "dsa.jsonl", osv_lines(*lines))


def row(name: str, version: str, source: str | None = None, origin: str | None = "Debian/bookworm", **more: Any) -> Any:
    """A row of the table of packages."""
    return [name, version, "amd64", source, more.get("source_version"), None, None, origin]


def body(*rows: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A Debian 12 container's facts, unless told otherwise, as the schema takes them."""
    made: dict[str, Any] = {
        "host_time": "2026-11-30T07:00:00Z",
        "seen_as_root": True,
        "identity": {
            "os": {"id": "debian", "version": "12", "codename": "bookworm"},
            "kernel": {"running": "6.1.0-37-amd64", "build": BUILD, "installed": None, "newest_installed": None},
            "virtualization": {"kind": "container", "by": "podman"},
        },
        "packages": {"family": "dpkg", "columns": COLUMNS, "rows": list(rows), "held": [], "broken": []},
        "reboot": {"wanted": False, "reasons": [], "stale_processes": []},
        "unread": [],
    } | more
    check_body("host-facts", 1, made)
    return made


def machine(*rows: Sequence[Any], running: str = "6.1.0-37-amd64", build: str = BUILD, **more: Any) -> dict[str, Any]:
    """The same of a virtual machine, which runs a kernel of its own."""
    made = body(*rows, **more)
    made["identity"] = made["identity"] | {
        "kernel": {"running": running, "build": build, "installed": None, "newest_installed": None},
        "virtualization": {"kind": "vm", "by": "kvm"},
    }
    return made


def rpm_body(*rows: Sequence[Any], os_id: str = "almalinux", version: str = "9.4", **more: Any) -> dict[str, Any]:
    made = body(*rows, **more)
    made["identity"] = made["identity"] | {"os": {"id": os_id, "version": version}}
    made["packages"] = made["packages"] | {"family": "rpm"}
    return made


def stale(*packages: str, unit: str = "nginx.service", without: int = 0) -> dict[str, Any]:
    """The facts about reboots of a host where a service still uses former files of packages."""
    process = {"pid": 7, "process": "nginx", "unit": unit, "files": [], "packages": list(packages)}
    return {"wanted": False, "reasons": [], "stale_processes": [process | {"without_package": without}]}


def estate(bodies: Mapping[str, dict[str, Any] | None], *, at: datetime = MOMENT, old: bool = False) -> Estate:
    hosts = {name: Host(name, Told(one, at, old) if one is not None else None) for name, one in bodies.items()}
    return Estate(MOMENT, hosts, Index())


def judged(facts: dict[str, Any], **more: Any) -> HostPackages:
    """What the matcher says of one host."""
    return match(estate({"web1": facts}, **more))["web1"]


def only(packages: HostPackages, source: str) -> Standing:
    """The one standing of a source package."""
    (found,) = [one for one in packages.standings if one.source == source]
    return found
