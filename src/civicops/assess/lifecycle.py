"""When operating systems stop getting security updates: by the feeds, else by a small table, each date with its source.

Whoever tells of an end asks here, so that no two places say different things of one day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from civicops.assess.facts import Facts
from civicops.feeds.store import Index, days_old

END_SOON = timedelta(days=183)
"""What ends within this time is told: replacing an operating system or a machine takes a town a budget round."""
FEED_STALE = timedelta(days=90)
"""How old endoflife.date may be to say that something goes on: makers move ends, and new releases end old ones."""

Stage = Literal["past", "soon", "later"]


def stage(until: date, today: date) -> Stage:
    """How the last day of support stands to a day; that last day itself is still supported."""
    if until < today:
        return "past"
    return "soon" if until - today < END_SOON else "later"


@dataclass(frozen=True)
class Release:
    """One release of an operating system. `until` is the last day of free security updates."""

    id: str
    version: str
    until: date
    regular_until: date | None
    note: str | None
    source: str


@dataclass(frozen=True)
class End:
    """When something ends or has ended. Without `until` only `ended` is known, and not the day."""

    until: date | None
    ended: bool
    source: str
    regular_until: date | None = None
    note: str | None = None

    def stage(self, today: date) -> Stage:
        if self.until is not None:
            return stage(self.until, today)
        return "past" if self.ended else "later"


@cache
def _file(name: str) -> dict[str, Any]:
    text = resources.files("civicops.assess").joinpath(name).read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@cache
def _table() -> dict[tuple[str, str], Release]:
    data = _file("os_releases.yml")
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
    return releases


def release_of(os_id: str, version: str, name: str = "") -> Release | None:
    """The release that an os-release file names, or None where the table has no such one.

    A point release (9.4) falls back to its major one (9); CentOS Stream, which calls itself `centos`, is told apart.
    """
    releases, os_id = _table(), own_id(os_id, name)
    return releases.get((os_id, version)) or releases.get((os_id, version.partition(".")[0]))


def own_id(os_id: str, name: str) -> str:
    """The id of an operating system, where two share one."""
    return "centos-stream" if os_id == "centos" and "stream" in name.lower() else os_id


def os_of(facts: Facts) -> tuple[str, str, str]:
    """Id, version and name by os-release; empty where it does not say."""
    told = [facts.get("identity", "os", key) for key in ("id", "version", "pretty")]
    os_id, version, name = (str(value) if value else "" for value in told)
    return own_id(os_id, name), version, name


def end_of_system(facts: Facts, index: Index, today: date) -> End | None:
    """When the operating system of a host ends: by the feeds, else by the table; None where neither knows it."""
    os_id, version, name = os_of(facts)
    named = _file("os_names.yml")["systems"].get(os_id)
    if named and (end := _by_distro_info(facts, index, named, version) or _by_product(index, named, version, today)):
        return end
    release = release_of(os_id, version, name)
    if release is None:
        return None
    return End(release.until, False, release.source, release.regular_until, release.note)


def _by_distro_info(facts: Facts, index: Index, named: Mapping[str, Any], version: str) -> End | None:
    if "distro_info" not in named:
        return None
    release = index.release(named["distro_info"], version)
    if release is None:
        return None
    regular, *others = named["supports"]
    ends = {one["ends"]: one for one in (regular, *others) if one["ends"] in release.ends and _gets(facts, one)}
    if not ends:
        return None
    days = {kind: date.fromisoformat(release.ends[kind]) for kind in ends}
    last = max(days, key=days.__getitem__)
    source = _dated(index, f"distro-info-{named['distro_info']}", "distro-info-data")
    if last == regular["ends"]:
        return End(days[last], False, source)
    return End(days[last], False, source, days.get(regular["ends"]), ends[last]["note"])


def _gets(facts: Facts, support: Mapping[str, Any]) -> bool:
    """Whether a host gets a kind of support: everybody does, or those that have downloaded lists of its archive."""
    if "archive" not in support:
        return True
    return any(
        row.get("enabled") is True and row.get("fetched_at") and support["archive"] in str(row.get("uri"))
        for row in facts.rows("package_sources") or ()
    )


def _by_product(index: Index, named: Mapping[str, Any], version: str, today: date) -> End | None:
    if "product" not in named:
        return None
    parts = version.split(".")
    return end_of_cycle(index, named["product"], (version, ".".join(parts[:2]), parts[0]), today)


def end_of_cycle(index: Index, product: str, cycles: tuple[str, ...], today: date) -> End | None:
    """When a cycle of a product ends by endoflife.date, of several names of one the first that it knows; None where
    it knows none, or no end, or where its word that there is none is too old."""
    for cycle in cycles:
        life = index.life(product, cycle) if cycle else None
        if life is not None:
            break
    else:
        return None
    source = _dated(index, "endoflife", "endoflife.date")
    if isinstance(life.eol, str):
        return End(date.fromisoformat(life.eol), False, source)
    if life.eol is None:
        return None
    feed = index.status().get("endoflife")
    if not life.eol and (feed is None or days_old(feed, today) > FEED_STALE.days):
        return None
    return End(None, life.eol, source)


def _dated(index: Index, feed: str, name: str) -> str:
    known = index.status().get(feed)
    return f"{name} of {known.date}" if known else name
