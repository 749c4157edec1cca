"""Nodes to plain data, and YAML's traps caught by name.

A value whose meaning depends on who reads it (22:30, NO, 2026-11-03, 010, yes) is an error,
whatever the key: the remedy is always quotes, or `true` and `false`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from yaml.resolver import Resolver

from .nodes import MAX_DEPTH, Mapping, Node, Scalar, Sequence
from .problems import Place, echo

MAX_NODES = 50_000
"""Values after aliases are expanded: a bomb of aliases ends here."""

Data = None | bool | int | float | str | list["Data"] | dict[str, "Data"]

_RESOLVER = Resolver()
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,6}")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_CURLY_QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place of the data, before its line is looked up."""

    place: Place
    message: str
    remedy: str
    node: Node | None = None
    """The node itself, where the place alone does not lead to it (a duplicate, a key)."""


@dataclass(slots=True)
class Reading:
    """The data, and what was wrong with it; a value that was wrong is None in the data."""

    data: Data = None
    faults: list[Fault] = field(default_factory=list)


class _TooMuch(Exception):
    pass


def read(root: Node) -> Reading:
    """The tree as plain data with every trap in it; never raises."""
    reader = _Reader()
    try:
        data = reader.value(root, ())
    except _TooMuch:
        remedy = "write the values out instead of naming aliases of aliases"
        reader.faults.append(Fault((), f"more than {MAX_NODES} values once its aliases are expanded", remedy, root))
        data = None
    return Reading(data, reader.faults)


class _Reader:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.left = MAX_NODES

    def fault(self, place: Place, message: str, remedy: str, node: Node) -> None:
        self.faults.append(Fault(place, message, remedy, node))

    def value(self, node: Node, place: Place) -> Data:
        self.left -= 1
        if self.left < 0 or len(place) > MAX_DEPTH:
            raise _TooMuch
        if node.tag is not None:
            self.fault(place, *_tag_trap(node.tag), node)
            return None
        if isinstance(node, Scalar):
            trap = _trap(node)
            if trap is not None:
                self.fault(place, *trap, node)
                return None
            return _resolved(node)
        if isinstance(node, Sequence):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.items)]
        return self.mapping(node, place)

    def mapping(self, node: Mapping, place: Place) -> Data:
        data: dict[str, Data] = {}
        lines: dict[str, int] = {}
        for key, item in node.items:
            name = self.key(key, node, place)
            if name is None:
                continue
            if name in lines:
                message = f"given twice, first on line {lines[name]}"
                self.fault((*place, name), message, "keep one of them", key)
                continue
            lines[name] = key.line
            data[name] = self.value(item, (*place, name))
        return data

    def key(self, key: Node, parent: Mapping, place: Place) -> str | None:
        """The key's name, or None with a fault."""
        if not isinstance(key, Scalar):
            if parent.flow:
                message, remedy = (
                    "braces without quotes",
                    "the town file is plain data: no templates, quotes around text",
                )
            else:
                message, remedy = "a list or mapping as a key", "a key is one word"
            self.fault(place, message, remedy, key)
            return None
        if key.tag is not None:
            self.fault((*place, key.text), *_tag_trap(key.tag), key)
            return None
        if key.plain and key.text == "<<":
            self.fault((*place, key.text), "a merge key", "write the keys out", key)
            return None
        trap = _trap(key)
        if trap is not None:
            self.fault((*place, key.text), f"as a key: {trap[0]}", trap[1], key)
            return None
        return key.text


def _tag_trap(tag: str) -> tuple[str, str]:
    if tag.endswith("vault") or tag.endswith("vault-encrypted"):
        return "!vault in the town file", "secrets live in another file of group_vars/all, encrypted with ansible-vault"
    shown = echo(tag.removeprefix("tag:yaml.org,2002:"))[1:-1]
    return f"a tag ({shown})", "leave tags out, and put a text that begins with ! in quotes"


def _trap(node: Scalar) -> tuple[str, str] | None:
    """What is wrong with a scalar, and the remedy; None if it means the same to every reader."""
    text = node.text
    if _TEMPLATE.search(text):
        return f"a template mark in {echo(text)}", "the town file is plain data: write the value itself"
    if _CONTROL.search(text):
        return f"a control character in {echo(text)}", "delete it"
    if not node.plain or not text:
        return None
    if text[0] in _CURLY_QUOTES or text[-1] in _CURLY_QUOTES:
        return f"typographic quotes in {echo(text)}", "use the straight quotes \" or '"
    if text[0].isspace() or text[-1].isspace():
        return f"a space that is not a plain space in {echo(text)}", "use the space bar's space"
    return _ambiguous(text)


def _ambiguous(text: str) -> tuple[str, str] | None:
    """The same for what stands without quotes."""
    tag = _tag_of(text)
    if tag == "bool" and text.lower() not in ("true", "false"):
        value = "true" if text.lower() in ("yes", "on") else "false"
        return f"{text} without quotes is {value} to YAML", f'write "{text}" for the text, or {value}'
    if tag in ("int", "float") and ":" in text:
        return f"{text} without quotes is a number in base 60 to YAML", f"write {echo(text)} in quotes"
    if tag == "timestamp":
        return f"{text} without quotes is a date to some readers and text to others", f"write {echo(text)} in quotes"
    if re.fullmatch(r"[-+]?0[0-9_]+", text):
        return (
            f"the leading zero of {echo(text)[1:-1]} makes it octal to YAML",
            "leave the zero out, or use quotes for text",
        )
    if tag in ("int", "float") and not (_INTEGER.fullmatch(text) or _NUMBER.fullmatch(text)):
        return (
            f"{echo(text)[1:-1]} is a number that is not read alike everywhere",
            "write it in plain digits, such as 12500",
        )
    if tag in ("merge", "value"):
        return f"{text} without quotes has a meaning of its own to YAML", f'write "{text}"'
    return None


def _resolved(node: Scalar) -> Data:
    if not node.plain:
        return node.text
    match _tag_of(node.text):
        case "null":
            return None
        case "bool":
            return node.text.lower() == "true"
        case "int":
            return int(node.text)
        case "float":
            return float(node.text)
    return node.text


def _tag_of(text: str) -> str:
    """What YAML 1.1, as Ansible reads it, takes a word without quotes for: str, int, bool, timestamp..."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag.removeprefix("tag:yaml.org,2002:")
