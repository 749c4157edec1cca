"""What a change of a device's configuration touched, in a few words for the message of its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from civicops.network.platform import Platform, compiled
from civicops.network.redact import LONGEST_LINE
from civicops.text import printable

MOST_NAMES = 6
LONGEST_NAME = 60
FACTS = "the device itself"
DEEPEST = 2  # names of sections, from the outermost, that tell a nested one


@dataclass(frozen=True)
class Changes:
    """Lines more and fewer, and the names of what they stand in."""

    added: int = 0
    removed: int = 0
    touched: tuple[str, ...] = ()
    moved: bool = False
    """The same lines in another order."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)

    def words(self) -> str:
        """One short line, fit for a terminal."""
        if not self:
            return "nothing changed"
        names = [printable(name, LONGEST_NAME) for name in self.touched[:MOST_NAMES]]
        if len(self.touched) > MOST_NAMES:
            names.append(f"{len(self.touched) - MOST_NAMES} more")
        if not self.added and not self.removed:
            counts = "the same lines in another order"
        else:
            lines = "line" if self.added == 1 else "lines"
            counts = f"{self.added} {lines} more, {self.removed} fewer"
        return f"{', '.join(names)}: {counts}" if names else counts


def changes(platform: Platform, old: str, new: str) -> Changes:
    """What differs between two kept texts, each line seen with the section that it stands in."""
    before, after = Counter(_placed(platform, old)), Counter(_placed(platform, new))
    added, removed = after - before, before - after
    touched = dict.fromkeys(
        name for section, line in (*added, *removed) for name in _names(platform, section, line) if name
    )
    return Changes(
        added=added.total(),
        removed=removed.total(),
        touched=tuple(touched),
        moved=not added and not removed and old.split("\n") != new.split("\n"),
    )


def _names(platform: Platform, section: str, line: str) -> Iterator[str]:
    if section == FACTS:
        yield FACTS
        return
    for name, expression in platform.significant.items():
        if compiled(expression).search(line[:LONGEST_LINE]):
            yield name
    yield section


def _placed(platform: Platform, text: str) -> Iterator[tuple[str, str]]:
    """Each line with the names of the sections that it stands in, one within the other."""
    opens = compiled(platform.section) if platform.section else None
    ends = compiled(platform.section_ends) if platform.section_ends else None
    stack: list[tuple[int, str]] = []
    for line in _lines(text):
        if line.startswith(platform.comment):
            yield FACTS, line
            continue
        seen = line[:LONGEST_LINE]
        indent = len(seen) - len(seen.lstrip())
        found = opens.search(seen) if opens else None
        if found or ends is None:
            while stack and (indent <= stack[-1][0]):
                stack.pop()
        if found:
            stack.append((indent, found.group("name").strip()[: 2 * LONGEST_NAME]))
        yield " ".join(name for _, name in stack[:DEEPEST]), line
        if ends and ends.search(seen):
            stack.clear()


def _lines(text: str) -> Iterable[str]:
    return text.removesuffix("\n").split("\n") if text else ()
