"""The content of a town file to a town, or to all its problems."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from . import explain, references
from .model import Town, TownFile
from .nodes import Mapping, Node, Scalar, Sequence, YamlFault, parse
from .plain import Data, Fault, read
from .problems import Place, Problem, echo, key_path

MAX_PROBLEMS = 200
"""Problems that are told at once."""


def check_text(content: bytes, file: str, directory: Path) -> tuple[Town | None, list[Problem]]:
    """The town in a file's content, or all its problems in the order of their lines; never raises."""
    try:
        root = parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return None, [Problem(file, line, 0, "", "not UTF-8", "save the file in the encoding UTF-8")]
    except YamlFault as fault:
        return None, [Problem(file, fault.line, fault.column, "", fault.message, fault.remedy)]
    if root is None:
        return None, [
            Problem(file, 1, 0, "town", "the file is empty", "begin with `town:` and id, name and timezone under it")
        ]
    if not isinstance(root, Mapping):
        return None, [Problem(file, root.line, root.column, "town", "is missing", "begin the file with `town:`")]
    reading = read(root)
    town, misfits = _validated(reading.data)
    found = _all(reading.faults, misfits, references.check(reading.data), _own(reading.data, directory))
    return town, _problems(found, root, file)


def _all(traps: list[Fault], *others: Iterable[Fault]) -> list[Fault]:
    """The faults of every check: nothing about what a trap has hidden, and one fault for a place."""
    hidden = {fault.place for fault in traps}
    found = list(traps)
    told: set[Place] = set()
    for check in others:
        for fault in islice(check, MAX_PROBLEMS + 1):
            place = fault.place
            if place not in told and not any(place[:length] in hidden for length in range(len(place) + 1)):
                told.add(place)
                found.append(fault)
    return found


def _validated(data: Data) -> tuple[Town | None, Iterable[Fault]]:
    try:
        return TownFile.model_validate_json(json.dumps(data)).town, ()
    except ValidationError as error:
        return None, explain.faults(error, MAX_PROBLEMS + 1)


def _own(data: Data, directory: Path) -> Iterator[Fault]:
    """What depends on the town's directory: its name, and the files that the town file names."""
    name = Path(os.path.abspath(directory)).name  # noqa: PTH100 - resolving would follow a link to another name
    for place, text in references.find(data, "town.id"):
        if text != name:
            yield Fault(place, f"is {echo(text)}, but the directory is named {echo(name)}", "give both the same name")
    for pattern in ("town.maintenance.freezes[].ics", "town.training.import"):
        for place, text in references.find(data, pattern):
            yield from _own_file(place, text, directory)


def _own_file(place: Place, text: str, directory: Path) -> Iterator[Fault]:
    try:
        root = directory.resolve(strict=True)
        path = (root / text).resolve()
        if not path.is_relative_to(root):
            yield Fault(place, f"{echo(text)} leads out of the town's directory", "keep the file itself there")
        elif not path.is_file():
            yield Fault(place, f"there is no file {echo(text)} in the town's directory", "add it, or mend the path")
    except (OSError, RuntimeError, ValueError):
        yield Fault(place, f"{echo(text)} can't be a file", "give a path such as calendars/council.ics")


def _problems(found: list[Fault], root: Node, file: str) -> list[Problem]:
    problems = []
    for fault in found[:MAX_PROBLEMS]:
        line, column = (fault.node.line, fault.node.column) if fault.node is not None else _position(root, fault.place)
        problems.append(Problem(file, line, column, key_path(fault.place), fault.message, fault.remedy))
    problems.sort(key=lambda problem: (problem.line, problem.column))
    if len(found) > MAX_PROBLEMS:
        problems.append(Problem(file, 0, 0, "", "further problems are not shown", "mend these first"))
    return problems


def _position(root: Node, place: Place) -> tuple[int, int]:
    """Line and column of the value if it stands on the key's line, else of the key, else of the nearest thing above."""
    node, position = root, (root.line, root.column)
    for part in place:
        if isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            position = (node.line, node.column)
        elif isinstance(node, Mapping):
            entry = next(((k, v) for k, v in node.items if isinstance(k, Scalar) and k.text == part), None)
            if entry is None:
                break
            key, node = entry
            position = (key.line, key.column)
        else:
            break
    if isinstance(node, Scalar) and node.line == position[0]:
        position = (node.line, node.column)
    return position
