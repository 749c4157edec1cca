"""Where each feed is downloaded: the one table of their sources' official addresses."""

from __future__ import annotations

from typing import NamedTuple

from civicops.feeds.source import MB


class Address(NamedTuple):
    """`limit`: bytes of a download, many times what it has today."""

    url: str
    limit: int = 256 * MB


_OSV = "https://osv-vulnerabilities.storage.googleapis.com"
_DISTRO_INFO = "https://salsa.debian.org/debian/distro-info-data/-/raw/main"

ADDRESSES = {
    "debian-tracker": Address("https://security-tracker.debian.org/tracker/data/json"),
    "distro-info-debian": Address(f"{_DISTRO_INFO}/debian.csv", 1 * MB),
    "distro-info-ubuntu": Address(f"{_DISTRO_INFO}/ubuntu.csv", 1 * MB),
    "endoflife": Address("https://endoflife.date/api/v1/products/full", 64 * MB),
    "epss": Address("https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", 64 * MB),
    "kev": Address("https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", 64 * MB),
    "osv-almalinux": Address(f"{_OSV}/AlmaLinux/all.zip"),
    "osv-debian": Address(f"{_OSV}/Debian/all.zip", 512 * MB),
    "osv-rocky": Address(f"{_OSV}/Rocky%20Linux/all.zip"),
    "osv-ubuntu": Address(f"{_OSV}/Ubuntu/all.zip", 2048 * MB),
    "vulnrichment": Address("https://github.com/cisagov/vulnrichment/archive/refs/heads/develop.zip", 2048 * MB),
}
