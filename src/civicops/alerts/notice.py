"""What people are told: a notice, and its words made fit to be sent, as some of them came from a host."""

from __future__ import annotations

from dataclasses import dataclass

from civicops.text import printable
from civicops.town import vocabulary

SUBJECT_LIMIT = 150
"""Characters of a subject."""

TEXT_LIMIT = 20_000
"""Characters of a text."""

KEY_LIMIT = 200
"""Characters of a key as it is shown; two keys are told apart by all of their characters."""

_LINE_LIMIT = 2000


@dataclass(frozen=True)
class Notice:
    """One thing that people are told of, or, with `resolved`, that it is over."""

    kind: vocabulary.Notice
    key: str
    """What the matter is, such as `run:patch` or `town-file`: while it is open, it is not told again."""
    subject: str
    text: str
    resolved: bool = False


def one_line(words: str, limit: int = SUBJECT_LIMIT) -> str:
    """A subject: one line without anything that steers, so that it can't end a mail's header and begin another."""
    return printable(words, limit) or "(no subject)"


def lines(words: str, limit: int = TEXT_LIMIT) -> str:
    """A text of several lines, each without anything that steers; indentation is kept."""
    shown = []
    for line in words[: 4 * limit].replace("\r\n", "\n").split("\n"):
        indent = min(len(line) - len(line.lstrip(" ")), 40)
        shown.append((" " * indent + printable(line, _LINE_LIMIT)).rstrip())
    text = "\n".join(shown).strip("\n")
    return text if len(text) <= limit and len(words) <= 4 * limit else text[: limit - 1] + "…"
