"""Text that came from a host, made fit to be shown on a terminal or in a log.

Standard library only: Ansible's workers import this.
"""

from __future__ import annotations

import re

# Everything that steers a terminal or reorders what is read: C0 and C1 controls (line breaks included), soft hyphen,
# zero-width and bidirectional format characters, line and paragraph separators, lone surrogates, byte-order mark.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]+"
)


def printable(value: object, limit: int = 1000) -> str:
    """One line of at most `limit` characters without anything that steers a terminal; runs of such become a space."""
    text = value if isinstance(value, str) else str(value)
    text = text[: 4 * limit]
    if not (text.isascii() and text.isprintable()):  # most are: that they are costs a tenth of looking for the rest
        text = _STEERING.sub(" ", text)
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_of_many(line: str, limit: int = 1000) -> str:
    """The same for one line of a text: indented as it was, a tab as four spaces."""
    line = line[: 4 * limit].replace("\t", "    ").rstrip()
    bare = line.lstrip(" ")
    return " " * min(len(line) - len(bare), limit // 2) + printable(bare, limit)


def size(amount: float) -> str:
    """Bytes as people say them, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
