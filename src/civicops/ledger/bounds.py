"""What no document may hold, whatever its kind: limits that every reader relies on.

Standard library only: Ansible's workers import this, through the spool.
"""

from __future__ import annotations

from typing import Any

# Python reads JSON with some 900 levels, and fails on the next; ours have fewer than ten.
DEPTH_LIMIT = 32
# What fits into 64 bits: larger numbers overflow when a reader calculates with them.
NUMBER_LIMIT = 1 << 63


def out_of_bounds(body: Any) -> str | None:
    """What is wrong with a body, or None. Goes level by level, so that no nest is too deep for it."""
    level = [body]
    for _ in range(DEPTH_LIMIT):
        deeper: list[Any] = []
        for value in level:
            if value.__class__ is str:  # most are
                continue
            if isinstance(value, dict):
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, (int, float)) and not -NUMBER_LIMIT <= value < NUMBER_LIMIT:
                return "it holds a number that no 64 bits hold"
        if not deeper:
            return None
        level = deeper
    return f"it is nested deeper than {DEPTH_LIMIT} levels"
