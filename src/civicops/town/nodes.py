"""YAML text to a tree of nodes that know their line.

Built from the parser's events, without recursion, so that neither deep nesting nor aliases
can exhaust the stack: what a bomb would blow up is refused while it is small.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .problems import echo

MAX_DEPTH = 20
"""Levels of nesting; the town file itself needs six."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value. `plain`: written without quotes, so that YAML guesses its type."""

    line: int
    column: int
    text: str
    plain: bool
    tag: str | None


@dataclass(slots=True, eq=False)
class Sequence:
    line: int
    column: int
    flow: bool
    tag: str | None
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping:
    line: int
    column: int
    flow: bool
    tag: str | None
    items: list[tuple[Node, Node]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


class YamlFault(Exception):
    """The text is not YAML, or more than a town file may be: where, what, and what to do."""

    def __init__(self, line: int, column: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.remedy = line, column, message, remedy


def parse(text: str) -> Node | None:
    """The document as a tree, None if it is empty; raises `YamlFault`. Aliases share the node that they name."""
    try:
        return _Builder().build(text)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        line = len(before.splitlines()) or 1
        raise YamlFault(line, 0, "a control character that YAML does not allow", "delete it") from None
    except yaml.YAMLError as error:
        raise YamlFault(0, 0, f"not valid YAML: {echo(str(error))[1:-1]}", "mend the syntax") from None


@dataclass(slots=True)
class _Open:
    """A collection whose end is not seen yet."""

    node: Sequence | Mapping
    anchor: str | None
    key: Node | None = None
    """In a mapping, the key that waits for its value."""


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, Node] = {}

    def build(self, text: str) -> Node | None:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            mark: Any = event.start_mark
            line, column = mark.line + 1, mark.column + 1
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise YamlFault(line, column, "a second document begins here", "keep one `---` in the file")
                case yaml.ScalarEvent():
                    scalar = Scalar(line, column, event.value, event.style in (None, ""), event.tag)
                    self._add(scalar, event.anchor)
                case yaml.SequenceStartEvent():
                    self._begin(Sequence(line, column, bool(event.flow_style), event.tag), event.anchor)
                case yaml.MappingStartEvent():
                    self._begin(Mapping(line, column, bool(event.flow_style), event.tag), event.anchor)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    closed = self.open.pop()
                    self._add(closed.node, closed.anchor)
                case yaml.AliasEvent():
                    self._add(self._aliased(str(event.anchor), line, column))
        return None if isinstance(self.root, Scalar) and self.root.plain and not self.root.text else self.root

    def _begin(self, node: Sequence | Mapping, anchor: str | None) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise YamlFault(node.line, node.column, f"nested deeper than {MAX_DEPTH} levels", "a town file needs six")
        self.open.append(_Open(node, anchor))

    def _aliased(self, name: str, line: int, column: int) -> Node:
        shown = echo(name)[1:-1]
        if any(outer.anchor == name for outer in self.open):
            raise YamlFault(line, column, f"the alias *{shown} stands inside of what it names", "write the value out")
        if name not in self.anchors:
            remedy = "put a text that begins with * in quotes"
            raise YamlFault(line, column, f"the alias *{shown} names nothing above", remedy)
        return self.anchors[name]

    def _add(self, node: Node, anchor: str | None = None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            parent.node.items.append((parent.key, node))
            parent.key = None


@dataclass(frozen=True, slots=True)
class _Explanation:
    """What the parser says (a pattern), and what a person needs to hear."""

    said: str
    message: str
    remedy: str
    at_start: bool = False
    """The mistake is where the thing began that the parser could not finish."""


_EXPLANATIONS = (
    _Explanation("scanning a tag", "a word that begins with ! is a tag", "put the text in quotes"),
    _Explanation(
        "unexpected end of stream", "a quote is opened here and never closed", "close it with the same quote", True
    ),
    _Explanation(
        "mapping values are not allowed",
        "a `key:` where none can stand",
        'check the indentation, or put a text that has ": " in it in quotes',
    ),
    _Explanation(
        "expected ':'|simple key",
        "a line that is neither `key: value` nor `- item`",
        "add the colon with a space after it, or close a quote or bracket above",
        True,
    ),
    _Explanation(
        "expected ',' or|expected the node content|expected node content",
        "a list or mapping in brackets that is not closed or lacks a comma",
        "check the brackets and commas, and put a text that has some in quotes",
        True,
    ),
    _Explanation(
        "block end|expected key|expected '-' indicator|block sequence entries are not allowed|block collection",
        "the indentation does not fit the lines above",
        "indent the keys of one mapping, and the items of one list, equally; put quotes around the whole of a value",
    ),
    _Explanation("escape", "a backslash that begins no escape of YAML", "use single quotes instead of double ones"),
    _Explanation("document start", "text after the end of the document", "delete the line `...` above"),
    _Explanation("directive", "a line that begins with %", "put the text in quotes"),
)


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlFault:
    """The parser's complaint in words that say what to do."""
    said = f"{error.context or ''} {error.problem or ''}"
    mark: Any = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    rows = ["", *re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text), ""]
    seen = _seen_in_rows(rows, line)
    if seen is not None:
        return seen
    if "cannot start any token" in said:
        char = rows[line][column - 1 : column] or "this"
        if char == "\t":
            return YamlFault(line, column, "a tab", "YAML has spaces between words, and before them")
        return YamlFault(line, column, f"a value can't begin with {echo(char)}", "put the text in quotes")
    for one in _EXPLANATIONS:
        if re.search(one.said, said):
            start: Any = error.context_mark if one.at_start else None
            if start is not None:
                line, column = start.line + 1, start.column + 1
            return YamlFault(line, column, one.message, one.remedy)
    return YamlFault(line, column, f"not valid YAML: {echo(error.problem or 'unknown')[1:-1]}", "mend the syntax")


def _seen_in_rows(rows: list[str], line: int) -> YamlFault | None:
    """Mistakes that show in the text near the line where the parser gave up."""
    for number in range(min(line, len(rows) - 1), max(line - 2, 0), -1):
        row = rows[number]
        if "\t" in row[: len(row) - len(row.lstrip())]:
            return YamlFault(number, 1, "a tab in the indentation", "YAML is indented with spaces only")
        if re.search(r"^[^#]*\{[{%#]", row):
            return YamlFault(
                number, row.index("{") + 1, "a template mark", "the town file is plain data: write the value"
            )
        if re.match(r"\s*(- +)?[A-Za-z_]+:[^\s:/]", row):
            return YamlFault(number, row.index(":") + 1, "no space after the colon", "write `key: value`")
    return None
