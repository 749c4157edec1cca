"""When operating systems stop getting security updates: a small table of data, each date with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Release:
    """One release of an operating system. `until` is the last day of free security updates."""

    id: str
    version: str
    until: date
    regular_until: date | None
    note: str | None
    source: str


@cache
def _table() -> tuple[dict[tuple[str, str], Release], str]:
    data: dict[str, Any] = yaml.safe_load(
        resources.files("civicops.report").joinpath("os_releases.yml").read_text(encoding="utf-8")
    )
    releases = {}
    for row in data["releases"]:
        source = data["sources"][row["source"]]
        releases[row["id"], row["version"]] = Release(
            id=row["id"],
            version=row["version"],
            until=date.fromisoformat(row["until"]),
            regular_until=date.fromisoformat(row["regular_until"]) if "regular_until" in row else None,
            note=row.get("note"),
            source=f"{source['name']} ({source['url']}), checked {data['checked_on']}",
        )
    return releases, data["checked_on"]


def release_of(os_id: str, version: str, name: str = "") -> Release | None:
    """The release that an os-release file names, or None where the table has no such one.

    A point release (9.4) falls back to its major one (9); CentOS Stream, which calls itself `centos`, is told apart.
    """
    releases, _ = _table()
    if os_id == "centos" and "stream" in name.lower():
        os_id = "centos-stream"
    return releases.get((os_id, version)) or releases.get((os_id, version.partition(".")[0]))
