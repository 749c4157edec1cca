"""A town at a moment, made up, for tests of what is done with findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from civicops.assess.estate import Estate, Host
from civicops.assess.finding import Judged, Told
from civicops.feeds.store import Index
from civicops.town.model import Town

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SOCKETS = ["proto", "address", "port", "scope", "process", "pid", "user", "unit"]


def facts(*sockets: tuple[str, str], addresses: Collection[str] = (), **more: Any) -> dict[str, Any]:
    """A host's facts: its sockets by address and scope, and its addresses."""
    return {
        "host_time": None,
        "seen_as_root": True,
        "unread": [],
        "network": {"interfaces": [{"name": "eth0", "addresses": list(addresses)}]},
        "sockets": {
            "columns": SOCKETS,
            "rows": [["tcp", at, 443, scope, None, None, "root", None] for at, scope in sockets],
        },
    } | more


def estate(
    *names: str,
    town: Town | None = None,
    groups: Mapping[str, Collection[str]] | None = None,
    body: dict[str, Any] | None = None,
    old: bool = False,
) -> Estate:
    hosts = {}
    for name in names:
        member = frozenset(group for group, members in (groups or {}).items() if name in members)
        hosts[name] = Host(name, Told(body or facts(), NOW, old), member)
    return Estate(NOW, hosts, Index(), {}, town, groups)


def judged(name: str = "telnet", *about: str, **more: Any) -> Judged:
    """A finding; of web1, where no other hosts are named."""
    fields: dict[str, Any] = {
        "id": name,
        "title": name.replace("-", " ").capitalize(),
        "about": about or ("web1",),
        "state": "found",
        "severity": "medium",
        "evidence": f"{name} was seen",
        "frameworks": ("CIS v8 4.8",),
        "remedy": "Turn it off.",
        "effort": "low",
    } | more
    return Judged(**fields)
