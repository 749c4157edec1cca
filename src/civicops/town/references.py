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
    "town.priorities[].systems[]": ("town.systems[].id", "system"),
    "town.priorities[].departments[]": ("town.departments[].id", "department"),
    "town.maintenance.freezes[].override_by": ("town.contacts[].role", "contact with the role"),
    "town.records.officer": ("town.contacts[].role", "contact with the role"),
    "town.records.holds[].series[]": ("town.records.series[].id", "series"),
}
"""Where a name is used, where such names are given, and what it names."""


def _unknown_groups(data: Data) -> Iterator[Fault]:
    """Host patterns that name a department, system or ring that there is not: they would match no host at all."""
    known = {f"ring_{ring}" for ring in get_args(Ring)}
    known |= {f"dept_{name}" for _, name in find(data, "town.departments[].id")}
    known |= {f"system_{name}" for _, name in find(data, "town.systems[].id")}
    for users in ("town.maintenance.windows[].hosts", "town.maintenance.freezes[].hosts"):
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
