"""Moments as ledger, journal and timetable write them. Standard library only: Ansible's workers import this."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(when: datetime) -> str:
    """A moment in UTC, to the microsecond, as RFC 3339 writes it; texts of equal length, which sort as moments do."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The inverse of `stamp`."""
    return datetime.fromisoformat(text)
