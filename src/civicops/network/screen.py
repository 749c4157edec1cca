"""What a device writes, made text: without the echo, the prompt, pager marks and what steers a terminal.

Bytes are read as Latin-1 for as long as a session lasts, so that a character that two packets share stays whole; an
answer that is UTF-8 becomes that at its end.
"""

from __future__ import annotations

import re

# A place where a pager mark was taken out. Devices' own NULs are dropped first, so it can't be forged.
_PAGED = "\0"
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*(?P<end>[@-~])"
    r"|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[()*+#%][!-~]|(?P<one>[0-Z\\-~]))"
)
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[()*+#%])?")
_LONGEST_ESCAPE = 300
_LONGEST_PROMPT = 4096
# How a mark is wiped away: the cursor goes back (carriage return, backspaces), blanks, and back again.
_WIPED = re.compile(r"\0+[\r\b]*(?: +[\r\b]+)*\0*")
_DROPPED = str.maketrans("", "", "\r\b\0\x1b")


class Screen:
    """What came since a moment, and the line that the cursor is in."""

    def __init__(self, pager: re.Pattern[str] | None) -> None:
        self._pager = pager
        self._lines: list[str] = []
        self._last = ""
        self._long = False
        self._held = ""
        self.fresh = False
        """Whether a line has ended since the last `take`."""

    def feed(self, data: bytes) -> None:
        text = self._held + data.decode("latin-1").replace("\0", "")
        self._held = ""
        begun = text.rfind("\x1b", max(0, len(text) - _LONGEST_ESCAPE))
        if begun >= 0 and _BEGUN.fullmatch(text, begun):
            text, self._held = text[:begun], text[begun:]
        if "\x1b" in text:
            text = _ESCAPE.sub(_drawn, text)
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self._lines.append(f"{self._last}{whole}\n")
            self._last, self._long, self.fresh = rest, False, True
        else:
            self._last += rest
        if len(self._last) > _LONGEST_PROMPT:
            self._lines.append(self._last)
            self._last, self._long = "", True

    def shown(self) -> str:
        """The line that the cursor is in, as it stands on a screen; "" while it is too long for a prompt."""
        parts = self._parts()
        return parts[-1].strip() if parts else ""

    def stands_at(self, prompt: str) -> bool:
        """Whether the line is the prompt and nothing else; some devices draw it more than once."""
        parts = self._parts()
        return bool(parts) and all(part.strip() == prompt for part in parts)

    def at_pager(self) -> bool:
        return self._mark() is not None

    def turn(self) -> None:
        """Take the pager's mark out; the next page is about to come."""
        mark = self._mark()
        if mark is not None:
            self._last = mark.string[: mark.start()] + _PAGED

    def take(self) -> str:
        """What came before the line that the cursor is in. It is not there any more afterwards; the line stays."""
        text = "".join(self._lines)
        self._lines.clear()
        self.fresh = False
        return text

    def _parts(self) -> list[str]:
        if self._long:
            return []
        return [part for part in _WIPED.sub("", self._last).split("\r") if part.strip()]

    def _mark(self) -> re.Match[str] | None:
        parts = self._parts()
        if self._pager is None or not parts or len(parts[-1]) > 200:
            return None
        return self._pager.search(parts[-1]) or self._pager.search(parts[-1].strip())


def answer(text: str, command: str, prompt: str) -> str:
    """The answer in what came after a command: without its echo, lines ended by LF alone."""
    for _ in range(3):
        line, newline, rest = text.partition("\n")
        if not newline or not _is_echo(line, command, prompt):
            break
        text = rest
    text = _WIPED.sub("", text).translate(_DROPPED)
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def lines_after_first(text: str) -> list[str]:
    """The lines below the first, without blanks at their ends."""
    return [line.translate(_DROPPED).rstrip() for line in text.split("\n")[1:-1]]


def _is_echo(line: str, command: str, prompt: str) -> bool:
    parts = [part for part in line.split("\r") if part.strip()]
    if not parts:
        return False
    typed = parts[-1].replace("\b", "").strip()
    return typed.endswith(command) and typed.removesuffix(command).strip() in ("", prompt)


def _drawn(escape: re.Match[str]) -> str:
    """An escape sequence as what it does to a line: most do nothing that matters.

    However far the cursor goes back, it is one backspace: what a device says must not become longer than it is.
    """
    if escape["end"] == "D":
        return "\b"
    return "\n" if escape["one"] == "E" else ""
