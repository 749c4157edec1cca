# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Configuration files as text: what a key is set to, and setting it so that every other byte stays.

Lines end at a line feed alone: other characters that Python takes for line ends belong to a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence

SHOWN = 200  # characters of what a control tells
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Style(NamedTuple):
    """How a program writes a key and its value on one line, and what it takes for a comment."""

    line: str  # with {key} and {value}
    comments: str  # a line that begins with one of these is none
    inline: bool  # whether a number sign after a blank ends the value


STYLES = {
    # login.defs (shadow's getdef.c cuts a value at a quotation mark, not at a number sign), rsyslog.conf, chrony.conf
    "space": Style("{key} {value}", "#", False),
    # What a shell or a program like one reads: /etc/default/*; a value may be quoted
    "equals": Style("{key}={value}", "#", True),
    # libpwquality's and Linux-PAM's parsers (an equals sign or blanks), auditd.conf, main.cf
    "equals_spaced": Style("{key} = {value}", "#", True),
    # systemd.syntax(7): no comments after a value
    "systemd": Style("{key}={value}", "#;", False),
}
_EQUALS = re.compile(r"(?:export\s+)?([^\s=]+)\s*=(.*)", re.S)
_ANY = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+|$)(.*)", re.S)
_SPACE = re.compile(r"(\S+)(?:\s+(.*)|$)", re.S)
_PLAIN = re.compile(r"[\w.,:/@%+=-]*")  # what a shell takes as it is
_PATTERNS = {"space": _SPACE, "equals": _EQUALS, "equals_spaced": _ANY, "systemd": _EQUALS}


@dataclass(frozen=True)
class Key:
    """Which lines of a file are meant: a key, how it is written, and the section that it stands in."""

    name: str
    style: str = "equals_spaced"
    section: str = ""
    ignore_case: bool = False

    def is_mine(self, name: str) -> bool:
        return name == self.name or (self.ignore_case and name.lower() == self.name.lower())

    def line(self, value: Optional[str]) -> str:
        """The key set to a value; without one, a key that stands alone."""
        if value is None:
            return self.name
        if self.style == "equals" and not _PLAIN.fullmatch(value):
            value = f'"{value}"'
        return STYLES[self.style].line.format(key=self.name, value=value)


class Line(NamedTuple):
    """A line that sets a key."""

    number: int  # from 0
    value: str


def pair(line: str, style: str) -> Optional[List[str]]:
    """The key and the value that a line sets, or None for a comment, a blank line and anything else."""
    line = line.strip()
    if not line or line[0] in STYLES[style].comments or line[0] == "[":
        return None
    match = _PATTERNS[style].fullmatch(line)
    if match is None:
        return None
    value = (match.group(2) or "").strip()
    if style == "space":
        value = value.lstrip(' "\t').partition('"')[0]
    elif style != "systemd":
        value = _unquoted(value)
    return [match.group(1), value]


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"') and (end := value.find(value[0], 1)) > 0:
        return value[1:end]
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()


def lines_of(text: str, key: Key) -> Iterator[Line]:
    """The lines that set a key, in order."""
    section = ""
    for number, line in enumerate(text.split("\n")):
        head = _section(line) if key.section else None
        if head is not None:
            section = head
        elif section == key.section:
            found = pair(line, key.style)
            if found is not None and key.is_mine(found[0]):
                yield Line(number, found[1])


def _section(line: str) -> Optional[str]:
    line = line.strip()
    return line[1:-1] if line.startswith("[") and line.endswith("]") else None


def value_of(text: str, key: Key, *, first: bool = False) -> Optional[str]:
    """What a file sets a key to: the last line that does (or the first, for programs that read so) counts."""
    values = [line.value for line in lines_of(text, key)]
    return None if not values else values[0] if first else values[-1]


def set_value(text: str, key: Key, value: Optional[str]) -> str:
    """Set a key, on the line that set it last, or on a new one; other lines that set it become comments."""
    found = list(lines_of(text, key))
    if len(found) == 1 and found[0].value == (value or ""):
        return text
    wanted = key.line(value)
    if not found:
        return _append(text, wanted, key.section)
    lines = text.split("\n")
    for one in found[:-1]:
        lines[one.number] = "#" + lines[one.number]
    old = lines[found[-1].number]
    lines[found[-1].number] = old[: len(old) - len(old.lstrip())] + wanted
    return "\n".join(lines)


def unset(text: str, key: Key, keep: Callable[[str], bool] = lambda value: False) -> str:
    """Make comments of the lines that set a key, but where their value may stay."""
    lines = text.split("\n")
    for one in lines_of(text, key):
        if not keep(one.value):
            lines[one.number] = "#" + lines[one.number]
    return "\n".join(lines)


def comment_out(text: str, drop: Callable[[str], bool]) -> str:
    """Make comments of some lines; a line that is one already or is blank is never asked about."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#") and drop(line):
            lines[number] = "#" + line
    return "\n".join(lines)


def append(text: str, line: str) -> str:
    """A line at a file's end, unless it is there."""
    return text if line in text.split("\n") else _append(text, line, "")


def _append(text: str, line: str, section: str) -> str:
    if not section:
        return f"{text}{_end(text)}{line}\n"
    lines = text.split("\n")
    heads = [number for number, one in enumerate(lines) if _section(one) == section]
    if not heads:
        blank = "\n" if text.strip() else ""
        return f"{text}{_end(text)}{blank}[{section}]\n{line}\n"
    after = heads[-1] + 1
    lines.insert(after, line)
    return "\n".join(lines)


def _end(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"


def joined(text: str) -> List[str]:
    """Lines with those that a backslash continues put together."""
    return re.sub(r"\\\r?\n", " ", text).split("\n")


def shown(text: str, limit: int = SHOWN) -> str:
    """A host's text for a report: one line, without control characters, not too long."""
    text = _CONTROL.sub("?", text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def listed(items: Sequence[str], limit: int = SHOWN) -> str:
    """As many items as fit, and how many more there are."""
    text = ""
    for number, item in enumerate(items):
        more = len(items) - number
        item = shown(item, 120)
        if len(text) + len(item) + 16 > limit and number:
            return f"{text} and {more} more"
        text = f"{text}, {item}" if number else item
    return text
