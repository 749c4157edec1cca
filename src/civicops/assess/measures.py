"""What facts come to where a report and a finding say the same thing of a host: one measure, so that both agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from civicops.assess.facts import Facts

DISK_SOON = 0.80
DISK_BAD = 0.90
"""Shares of a file system in use: the defaults of Zabbix's template "Linux by Zabbix agent" (VFS.FS.PUSED.MAX)."""

Fullness = Literal["full", "near", "room"]


def fullness(share: float) -> Fullness:
    """How a share that is in use is to be seen."""
    return "full" if share > DISK_BAD else "near" if share > DISK_SOON else "room"


def with_room(facts: Facts) -> list[dict[str, Any]]:
    """The file systems that can fill up: those with a size, and that are written to."""
    return [one for one in facts.get("filesystems") or () if one.get("bytes") and not one.get("read_only")]


def filled(system: Mapping[str, Any]) -> float:
    """The share of a file system's bytes that is in use; what root keeps for itself is."""
    return 1 - float(system["free_bytes"]) / float(system["bytes"])


def security_source(facts: Facts) -> tuple[bool | None, str] | None:
    """Whether security updates can reach a host, and why so: None where its family has no separate source of them.

    No answer at all where its package sources could not be read.
    """
    if facts.get("package_sources") is None:
        return None
    return facts.get("package_sources", "security_source"), str(facts.get("package_sources", "security_source_why"))


def age_of_machine(facts: Facts, today: date) -> int | None:
    """Days that a machine is old at least; None where nothing tells."""
    since = day_of(facts.get("hardware", "age", "since"))
    return None if since is None else (today - since).days


def day_of(value: object) -> date | None:
    """The day that a text begins with."""
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def moment_of(value: object) -> datetime | None:
    """A host's own stamp (RFC 3339, UTC); None where it is none."""
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def has_power(user: Mapping[str, Any]) -> bool:
    """Whether an account is root's, or in a group that gives power over the host or insight into all of it."""
    return user.get("uid") == 0 or bool(user.get("power_groups"))


def without_password(user: Mapping[str, Any]) -> bool:
    """Whether anybody may log in as a user without any password."""
    return password_state(user) == "empty"


def password_state(user: Mapping[str, Any]) -> str | None:
    """empty, none, locked or set; None where it was not read."""
    password = user.get("password")
    return password.get("state") if isinstance(password, dict) else None
