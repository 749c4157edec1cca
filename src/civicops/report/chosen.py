"""The hosts that somebody asks for, by name or by Ansible's pattern."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from civicops.calendar import matching
from civicops.text import printable
from civicops.town.patterns import check_pattern
from civicops.town.rrule import RuleFault


class NoSuchHostError(Exception):
    """No host of the town is meant by what somebody asked for."""


def chosen(patterns: Collection[str], groups: Mapping[str, Collection[str]], there: Iterable[str]) -> frozenset[str]:
    """The hosts that are asked for; all that are there where nothing is.

    :raises NoSuchHostError: one of the patterns means none.
    """
    everybody = frozenset(there)
    if not patterns:
        return everybody
    known = {**groups, "all": sorted({*everybody, *groups.get("all", ())})}
    found: set[str] = set()
    for pattern in patterns:
        shown = printable(pattern, 200)
        try:
            check_pattern(pattern)
            meant = matching(pattern, known) & everybody
        except RuleFault as fault:
            raise NoSuchHostError(f"--host {shown}: {fault.message}; {fault.remedy}") from None
        if not meant:
            near = get_close_matches(pattern, everybody, 1)
            perhaps = f"; perhaps {near[0]}" if near else ""
            raise NoSuchHostError(f"--host {shown}: no host that could be told of is meant by it{perhaps}")
        found |= meant
    return frozenset(found)
