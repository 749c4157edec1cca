"""What two texts differ in, line by line, as a unified diff: bounded in work and in length, whatever the texts are."""

from __future__ import annotations

from difflib import unified_diff

LIMIT = 64 * 1024
"""How many characters of a diff are told."""
_MOST_PAIRS = 25_000_000  # pairs of lines that may have to be compared: 5,000 against 5,000, some seconds at worst
_CONTEXT = 3


def unified(old: str, new: str, *, limit: int = LIMIT) -> str:
    """The diff without a head of file names; empty where the texts are equal. What was cut is counted at its end."""
    before, after = _lines(old), _lines(new)
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    start = max(0, same - _CONTEXT)
    before, after = before[start:], after[start:]
    if len(before) * len(after) > _MOST_PAIRS:
        found = [_range(start, before, after), *(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    else:
        found = list(unified_diff(before, after, lineterm="", n=_CONTEXT))[2:]
        found = [_moved(line, start) if line.startswith("@@") else line for line in found]
    return _cut(found, limit)


def _lines(text: str) -> list[str]:
    if not text:
        return []
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    lines[-1] += "\n\\ No newline at end of file"
    return lines


def _range(start: int, before: list[str], after: list[str]) -> str:
    return f"@@ -{start + 1},{len(before)} +{start + 1},{len(after)} @@"


def _moved(head: str, by: int) -> str:
    """A hunk's head, for texts whose first `by` lines were not compared."""
    sides = []
    for side in head.split()[1:3]:
        first, comma, count = side[1:].partition(",")
        sides.append(f"{side[0]}{int(first) + by}{comma}{count}")
    return f"@@ {' '.join(sides)} @@"


def _cut(lines: list[str], limit: int) -> str:
    kept, size = 0, 0
    for line in lines:
        size += len(line) + 1
        if size > limit:
            break
        kept += 1
    if kept == len(lines):
        return "".join(f"{line}\n" for line in lines)
    told = "".join(f"{line}\n" for line in lines[:kept])
    return f"{told}({len(lines) - kept} more lines of the difference are not shown)\n"
