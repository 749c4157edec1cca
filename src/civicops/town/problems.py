"""What can be wrong with a town file, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ECHO_LIMIT = 60
"""Characters of a value that a message repeats."""

Place = tuple[str | int, ...]
"""Where in the file's data: keys and list positions, from the top."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in one place of a town file."""

    file: str
    """The file as the caller named it."""
    line: int
    """Line, counted from 1; 0 when the whole file is meant."""
    column: int
    """Column, counted from 1; 0 when the whole line or file is meant."""
    key: str
    """The key's path, such as `town.systems[2].criticality`; empty when there is none."""
    message: str
    """What is wrong."""
    remedy: str
    """What is allowed, or what to do."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.key}: {self.message}" if self.key else self.message
        return f"{escaped(where)}: {what}; {self.remedy}" if self.remedy else f"{escaped(where)}: {what}"


class TownFileError(Exception):
    """A town can't be found, or its file can't be used; `problems` holds every reason, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(tuple(problems))
        self.problems: tuple[Problem, ...] = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def escaped(text: str) -> str:
    """The text with everything that a terminal could act on written as an escape (`\\x1b`, `\\u202e`)."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def echo(value: object) -> str:
    """A value from the file as a message may repeat it: one line, harmless, at most `ECHO_LIMIT` characters."""
    if isinstance(value, str):
        shown, more = escaped(value[:ECHO_LIMIT]), len(value) > ECHO_LIMIT
        if len(shown) > ECHO_LIMIT:
            shown, more = shown[:ECHO_LIMIT], True
        return f'"{shown}..."' if more else f'"{shown}"'
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return escaped(str(value))[:ECHO_LIMIT]


def key_path(place: Place) -> str:
    """The place as people write it: `town.systems[2].criticality`."""
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = echo(part)[1:-1]
            path += f".{name}" if path else name
    return path


def whole(path: Path | str, message: str, remedy: str) -> TownFileError:
    """The error for something that concerns a whole file or directory."""
    return TownFileError([Problem(str(path), 0, 0, "", message, remedy)])


def cant_read(error: Exception) -> str:
    """Why a path could not be read, in the operating system's words."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"can't be read: {echo(reason)[1:-1]}"
