"""The model's complaints in words that say what is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from .model import TownFile
from .plain import Fault
from .problems import Place, echo
from .scalars import FAULT

_TYPES = {
    "int_type": ("a whole number", "write digits alone, without quotes and decimals"),
    "int_from_float": ("a whole number", "leave the decimals out"),
    "float_type": ("a number", "write digits without quotes"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "tuple_type": ("a list", "write each item on a line of its own after `- `, or leave the key out"),
    "list_type": ("a list", "write each item on a line of its own after `- `, or leave the key out"),
    "dict_type": ("a mapping", "write `key: value` lines, indented under it"),
    "model_type": ("a mapping", "write `key: value` lines, indented under it"),
}
_LIMITS = {"greater_than_equal": "ge", "less_than_equal": "le"}


def faults(error: ValidationError, limit: int) -> Iterator[Fault]:
    """The model's errors with remedies, at most `limit`; a key that is missing because it is misspelt is told once."""
    errors = error.errors(include_url=False)[:limit]
    misspelt: set[Place] = set()
    told: list[Fault] = []
    for one in errors:
        if one["type"] == "extra_forbidden":
            fault, meant = _unknown_key(one["loc"])
            told.append(fault)
            misspelt.add((*one["loc"][:-1], meant or ""))
    yield from told
    for one in errors:
        if one["type"] == "missing":
            if one["loc"] not in misspelt:
                yield Fault(one["loc"], "is missing", _meaning(one["loc"]))
        elif one["type"] == "too_short" and any(_inside(other["loc"], one["loc"]) for other in errors):
            continue  # its items are there, and wrong
        elif one["type"] != "extra_forbidden":
            yield _value(one["type"], one["loc"], one["input"], one.get("ctx", {}), one["msg"])


def _unknown_key(place: Place) -> tuple[Fault, str | None]:
    allowed = list(_schema_at(place[:-1]).get("properties", {}))
    key = str(place[-1])
    near = get_close_matches(key[:60].lower(), allowed, n=1)
    if len(place) == 1:
        remedy = "this file holds `town` alone: indent the key under it, or keep it in another file of group_vars/all"
        return Fault(place, "an unknown key", remedy), near[0] if near else None
    remedy = f"perhaps {near[0]}" if near else "allowed: " + ", ".join(allowed)
    return Fault(place, "an unknown key", remedy), near[0] if near else None


def _value(kind: str, place: Place, value: object, context: dict[str, Any], message: str) -> Fault:
    if kind == FAULT:
        return Fault(place, context["message"], context["remedy"])
    if kind in _TYPES:
        wanted, remedy = _TYPES[kind]
        return Fault(place, f"must be {wanted}, not {echo(value)}", remedy)
    if kind == "literal_error":
        if place[-1] == "[key]":
            place, words = place[:-1], _schema_at((*place[:-2], "[key]"))
        else:
            words = _schema_at(place)
        allowed = words.get("enum") or [context.get("expected", "")]
        return Fault(place, f"must be a known word, not {echo(value)}", "allowed: " + ", ".join(map(str, allowed)))
    if kind in _LIMITS:
        bounds = _schema_at(place)
        low, high = bounds.get("minimum", "-"), bounds.get("maximum", "-")
        return Fault(place, f"{echo(value)} is out of range", f"allowed: {low} to {high}")
    if kind == "too_short":
        return Fault(place, "is empty", "give at least one")
    return Fault(place, echo(message)[1:-1], _meaning(place))


def _inside(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _meaning(place: Place) -> str:
    return str(_described_at(place).get("description", "see docs/town-file.md"))


@cache
def _schema() -> dict[str, Any]:
    return TownFile.model_json_schema()


def _described_at(place: Place) -> dict[str, Any]:
    """The schema of a key with its description, before references are followed."""
    parent = _schema_at(place[:-1])
    found = parent.get("properties", {}).get(place[-1], {}) if place else {}
    return dict(found)


def _schema_at(place: Place) -> dict[str, Any]:
    """The schema of the value at a place; empty where there is none."""
    node = _followed(_schema())
    for part in place:
        if part == "[key]":
            node = node.get("propertyNames", {})
        elif isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        node = _followed(node if isinstance(node, dict) else {})
    return node


def _followed(node: dict[str, Any]) -> dict[str, Any]:
    """The node behind `$ref`, and of a choice with null the other one."""
    choices = [one for one in node.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        node = choices[0]
    reference = node.get("$ref", "")
    if reference:
        node = _schema()["$defs"][reference.rpartition("/")[2]]
    return dict(node)
