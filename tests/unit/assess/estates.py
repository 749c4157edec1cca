"""A town in which everything is as it should be, for tests to change: hosts by their facts, and the feeds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from civicops.assess.estate import FACTS_STALE, Estate, Host
from civicops.assess.finding import Judged, Told
from civicops.assess.findings import look
from civicops.feeds.store import Index
from civicops.ledger.documents import check_body

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NEW = "2026-11-29T03:00:00Z"
SOCKETS = ["proto", "address", "port", "scope", "process", "pid", "user", "unit"]
PACKAGES = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used", "origin"]
SOURCES = ["kind", "uri", "suite", "components", "enabled", "signed_by", "trusted", "security", "fetched_at"]
SOURCES += ["released_at", "valid_until", "file"]
SECURITY = ["deb", "http://security.debian.org", "bookworm-security", ["main"], True, None, False, True, NEW, NEW]
SECURITY += ["2026-12-06T00:00:00Z", "sources.list"]
FACTS: dict[str, Any] = {
    "host_time": "2026-11-30T11:59:58Z",
    "seen_as_root": True,
    "identity": {
        "booted_at": "2026-11-01T03:00:00Z",
        "os": {"id": "debian", "version": "12", "pretty": "Debian GNU/Linux 12 (bookworm)"},
        "virtualization": {"kind": "physical", "by": None},
    },
    "hardware": {
        "vendor": "Dell Inc.",
        "model": "PowerEdge R350",
        "serial": "ABC1234",
        "chassis": "server",
        "disks": [{"name": "sda", "model": "X", "removable": False, "smart": {"healthy": True}}],
        "age": {"since": "2024-03-01", "basis": "firmware date; the machine is at least this old"},
    },
    "filesystems": [
        {"mount": "/", "bytes": 100 << 30, "free_bytes": 60 << 30, "inodes": 1000, "free_inodes": 900}
        | {"read_only": False, "type": "ext4"},
    ],
    "mounts": {
        "columns": ["mount", "device", "type", "options"],
        "rows": [["/", "/dev/sda1", "ext4", "rw,relatime,errors=remount-ro"]],
    },
    "sockets": {"columns": SOCKETS, "rows": [["tcp", "::", 22, "all", "sshd", 700, "root", "ssh.service"]]},
    "packages": {
        "family": "dpkg",
        "columns": PACKAGES,
        "rows": [["bash", "5.2.15-2+b7", "amd64", None, None, NEW, "2026-11-20T00:00:00Z", "Debian/bookworm"]],
    },
    "package_sources": {
        "family": "dpkg",
        "columns": SOURCES,
        "rows": [
            SECURITY,
        ],
        "security_source": True,
        "security_source_why": "bookworm-security is configured and its lists are there",
        "lists_checked_at": "2026-11-30T03:00:00Z",
        "caveats": [],
    },
    "reboot": {"wanted": False, "reasons": [], "stale_processes": []},
    "services": {
        "columns": ["unit", "enabled", "active", "sub"],
        "rows": [["ssh.service", True, "active", "running"]],
    },
    "users": [
        {"name": "root", "uid": 0, "power_groups": ["root"], "last_login": None, "password": {"state": "locked"}},
        {"name": "ann", "uid": 1000, "power_groups": ["sudo"], "last_login": "2026-11-20T08:00:00Z"}
        | {"password": {"state": "set", "changed": "2025-01-01", "account_expires": None}},
    ],
    "last_login_basis": "wtmp, lastlog",
    "sudo": {
        "rules": [{"who": "%sudo", "grant": "(ALL : ALL) ALL", "nopasswd": False, "file": "/etc/sudoers"}],
        "user_aliases": {},
    },
    "ssh": {
        "host_keys": [],
        "authorized_keys": [],
        "settings": {
            "permitrootlogin": "no",
            "passwordauthentication": "no",
            "kbdinteractiveauthentication": "no",
            "usepam": "yes",
        },
    },
    "time_sync": {"running": ["chrony"], "synchronized": True, "last_success": None, "time_zone": "UTC"},
    "firewall": {
        "ufw_enabled": None,
        "firewalld_running": False,
        "legacy_tables": None,
        "ruleset": {"rules": 12, "input_policies": ["inet filter drop"], "asked": "nft"},
    },
    "unread": [],
}
check_body("host-facts", 1, FACTS)


def facts(change: Mapping[str, Any] | None = None, *unread: tuple[str, str]) -> dict[str, Any]:
    """A good host's facts, some of them others: by paths with dots (`ssh.settings.permitrootlogin`)."""
    body = copy.deepcopy(FACTS)
    for path, value in (change or {}).items():
        *above, last = path.split(".")
        part = body
        for key in above:
            part = part[key]
        part[last] = value
    body["unread"] = [{"item": item, "reason": reason} for item, reason in unread]
    check_body("host-facts", 1, body)
    return body


def rows(columns: list[str], *found: list[Any], **more: Any) -> dict[str, Any]:
    """A table, its rows filled up with nothing."""
    return {"columns": columns, "rows": [row + [None] * (len(columns) - len(row)) for row in found]} | more


def host(
    body: dict[str, Any] | None, name: str = "web1", *, age: timedelta = timedelta(seconds=2), **more: Any
) -> Host:
    told = Told(body, NOW - age, age > FACTS_STALE) if body is not None else None
    return Host(name, told, **more)


def estate(*hosts: Host, **more: Any) -> Estate:
    """A town of some hosts; without feeds, where none are given."""
    more.setdefault("index", Index(Path("/nonexistent")))
    return Estate(NOW, {one.name: one for one in hosts}, **more)


def told(of: Estate, finding: str) -> list[Judged]:
    """What a finding and its variants say."""
    return [one for one in look(of) if one.id == finding or one.id.startswith(f"{finding}-")]


def of(change: Mapping[str, Any] | None, finding: str, *unread: tuple[str, str], **more: Any) -> Judged:
    """The one thing that a finding says of a good host with some facts changed."""
    [one] = told(estate(host(facts(change, *unread)), **more), finding)
    return one
