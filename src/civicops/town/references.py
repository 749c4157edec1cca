"""Names that must agree across the file: ids used once, references that lead somewhere.

Works on the plain data, so that these mistakes are told together with all the others, and
passes over whatever has not the expected form: the model tells of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import get_args

from .plain import Data, Fault
from .problems import Place, echo
from .vocabulary import Ring


def check(data: Data) -> Iterator[Fault]:
    """Every id that is not unique and every reference that leads nowhere."""
    for pattern in _UNIQUE:
        yield from _repeated(data, pattern)
    for users, (owner, what) in _REFERENCES.items():
        known = {name for _, name in find(data, owner)}
        for place, name in find(data, users):
            if name not in known:
                yield Fault(place, f"there is no {what} {echo(name)}", _known(name, known))
    yield from _unknown_groups(data)
    yield from _needs(data)


_UNIQUE = (
    ("town.departments[].id",),
    ("town.systems[].id",),
    ("town.priorities[].id",),
    ("town.maintenance.windows[].id", "town.maintenance.freezes[].id"),
    ("town.records.series[].id",),
    ("town.records.holds[].id",),
)
"""Ids within each of these are used once."""

_REFERENCES = {
    "town.systems[].department": ("town.departments[].id", "department"),
    "town.systems[].needs[]": ("town.systems[].id", "system"),
    "town.priorities[].systems[]": ("town.systems[].id", "system"),
    "town.priorities[].departments[]": ("town.departments[].id", "department"),
    "town.maintenance.freezes[].override_by": ("town.contacts[].role", "contact with the role"),
    "town.records.officer": ("town.contacts[].role", "contact with the role"),
    "town.records.holds[].series[]": ("town.records.series[].id", "series"),
}
"""Where a name is used, where such names are given, and what it names."""


_PATTERNS = ("town.maintenance.windows[].hosts", "town.maintenance.freezes[].hosts", "town.systems[].probes[].hosts")
"""Where host patterns stand."""

MAX_CHAIN = 3
"""Systems in a row of which each needs the next: the playbook has as many passes through each ring."""


def _needs(data: Data) -> Iterator[Fault]:
    """Systems that need themselves, by whatever way round, and rows of needs that a night has not passes enough for."""
    ids = {place[:-1]: name for place, name in find(data, "town.systems[].id")}
    needs: dict[str, list[tuple[Place, str]]] = {}
    for place, name in find(data, "town.systems[].needs[]"):
        if (system := ids.get(place[:-2])) is not None:
            needs.setdefault(system, []).append((place, name))
    longest: dict[str, tuple[str, ...]] = {}
    for system in needs:
        yield from _chain(system, needs, longest, ())


def _chain(
    system: str, needs: dict[str, list[tuple[Place, str]]], longest: dict[str, tuple[str, ...]], above: tuple[str, ...]
) -> Iterator[Fault]:
    """Fills in `longest`: the longest row of systems that begins with this one."""
    if system in longest or len(above) > _MAX_DEPTH:
        return
    row: tuple[str, ...] = ()
    for place, needed in needs.get(system, ()):
        way = (*above, system)
        if needed in way:
            circle = (*way[way.index(needed) :], needed)
            yield Fault(place, f"goes in a circle: {_row(circle)}", "take out the one that can do without the other")
            continue
        yield from _chain(needed, needs, longest, way)
        following = longest.get(needed, (needed,))
        if 1 + len(following) > MAX_CHAIN >= len(following):
            yield Fault(
                place,
                f"makes a row of more than {MAX_CHAIN}: {_row((system, *following))}",
                f"a night goes {MAX_CHAIN} times through a ring: let fewer systems wait for each other",
            )
        row = max(row, following, key=len)
    longest[system] = (system, *row)


_MAX_DEPTH = 200


def _row(systems: tuple[str, ...]) -> str:
    shown = " needs ".join(echo(one)[1:-1] for one in systems[:5])
    return shown + (" needs ..." if len(systems) > 5 else "")


def _unknown_groups(data: Data) -> Iterator[Fault]:
    """Host patterns that name a department, system or ring that there is not: they would match no host at all."""
    known = {f"ring_{ring}" for ring in get_args(Ring)}
    known |= {f"dept_{name}" for _, name in find(data, "town.departments[].id")}
    known |= {f"system_{name}" for _, name in find(data, "town.systems[].id")}
    for users in _PATTERNS:
        for place, pattern in find(data, users):
            for part in re.split("[:,]", pattern):
                name = part.lstrip("!&")
                if re.fullmatch(r"(dept|system|ring)_\w+", name) and name not in known:
                    yield Fault(place, f"there is no group {echo(name)}", _known(name, known))


def _repeated(data: Data, patterns: tuple[str, ...]) -> Iterator[Fault]:
    seen: set[str] = set()
    for pattern in patterns:
        for place, name in find(data, pattern):
            if name in seen:
                yield Fault(place, f"the id {echo(name)} is used twice", "give each its own")
            seen.add(name)


def find(data: Data, pattern: str) -> Iterator[tuple[Place, str]]:
    """Every text at the places that the pattern names, such as `town.systems[].id`."""
    steps: list[str] = []
    for part in pattern.split("."):
        steps.append(part.removesuffix("[]"))
        if part.endswith("[]"):
            steps.append("[]")
    return _walk(data, steps, ())


def _walk(data: Data, steps: list[str], place: Place) -> Iterator[tuple[Place, str]]:
    if not steps:
        if isinstance(data, str):
            yield place, data
        return
    step, rest = steps[0], steps[1:]
    if step == "[]":
        if isinstance(data, list):
            for index, item in enumerate(data):
                yield from _walk(item, rest, (*place, index))
    elif isinstance(data, dict) and step in data:
        yield from _walk(data[step], rest, (*place, step))


def _known(name: str, known: set[str]) -> str:
    near = get_close_matches(name[:60], known, n=1) if len(known) < 1000 else []
    if near:
        return f"perhaps {echo(near[0])}"
    if not known:
        return "none is given in this file"
    names = sorted(known)
    return "allowed: " + ", ".join(echo(one)[1:-1] for one in names[:12]) + (", ..." if len(names) > 12 else "")
