"""What has changed on a host between two of its answers."""

from __future__ import annotations

from collections.abc import Callable

from civicops.assess.facts import Facts

_MOST = 10


def changes(before: Facts, after: Facts) -> list[str]:
    """Lines that tell what changed; where either answer lacks something, nothing is said of it."""
    lines = []
    for label, path in (
        ("operating system", ("identity", "os", "pretty")),
        ("kernel", ("identity", "kernel", "running")),
    ):
        old, new = before.get(*path), after.get(*path)
        if old and new and old != new:
            lines.append(f"{label}: {old} → {new}")
    lines += _packages(before, after)
    for label, read in _SETS:
        old_set, new_set = read(before), read(after)
        if old_set is not None and new_set is not None:
            lines += _told(f"new {label}", new_set - old_set) + _told(f"{label} gone", old_set - new_set)
    return lines


def _packages(before: Facts, after: Facts) -> list[str]:
    old_rows, new_rows = before.rows("packages"), after.rows("packages")
    if old_rows is None or new_rows is None:
        return []
    old, new = (
        {f"{row.get('name')}:{row.get('arch')}": row.get("version") for row in rows} for rows in (old_rows, new_rows)
    )
    updated = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    return [
        *_told("packages updated", updated),
        *_told("packages added", new.keys() - old.keys()),
        *_told("packages removed", old.keys() - new.keys()),
    ]


def _told(label: str, names: set[str]) -> list[str]:
    if not names:
        return []
    shown = sorted(names)[:_MOST]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return [f"{len(names)} {label}: {', '.join(shown)}{more}"]


def _users(facts: Facts) -> set[str] | None:
    users = facts.get("users")
    return None if users is None else {str(user.get("name")) for user in users}


def _ports(facts: Facts) -> set[str] | None:
    rows = facts.rows("sockets")
    if rows is None:
        return None
    return {f"{row.get('proto')}/{row.get('port')}" for row in rows if row.get("scope") != "loopback"}


def _failed(facts: Facts) -> set[str] | None:
    failed = facts.get("failed_units")
    return None if failed is None else {str(unit) for unit in failed}


_SETS: tuple[tuple[str, Callable[[Facts], set[str] | None]], ...] = (
    ("accounts that can log in", _users),
    ("ports open to the network", _ports),
    ("failed services", _failed),
)
