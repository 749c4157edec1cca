"""Diffs: right for any two texts, and bounded."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.network import differences
from civicops.network.differences import unified

LINES = st.lists(st.sampled_from(["a", "b", "c", " d", "-e", "+f", "@@ -1 +1 @@", ""]), max_size=30)
NO_END = "\\ No newline at end of file"


def patched(old: str, diff: str) -> str:
    """The text after the diff is applied: a second opinion on hunks and their heads."""
    source = old.split("\n")
    made: list[str] = []
    place = 0
    for line in diff.split("\n")[:-1]:
        head = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line)
        if head:
            start = int(head[1]) - (head[2] != "0")
            made += source[place:start]
            place = start
            assert len(made) == int(head[3]) - (head[4] != "0")
        elif line[0] in " -":
            assert source[place] == line[1:]
            place += 1
            made += [line[1:]] if line[0] == " " else []
        else:
            assert line[0] == "+"
            made.append(line[1:])
    return "\n".join(made + source[place:])


@settings(deadline=None)
@given(LINES, LINES, LINES, LINES)
def test_the_old_text_and_the_diff_make_the_new_one(
    start: list[str], old: list[str], new: list[str], end: list[str]
) -> None:
    before = "".join(f"{line}\n" for line in [*start, *old, *end])
    after = "".join(f"{line}\n" for line in [*start, *new, *end])
    diff = unified(before, after)
    assert patched(before, diff) == after
    assert (diff == "") == (before == after)


def test_git_takes_it(tmp_path: Path) -> None:
    """A text without an end of line, and what Python takes for line ends and git does not."""
    old, new = "a\x0b\x85b\u2028c\r\n" * 9 + "last", "a\x0b\x85b\u2028c\r\n" * 8 + "more\nother last"
    file = tmp_path / "x"
    file.write_bytes(old.encode())
    diff = f"--- a/x\n+++ b/x\n{unified(old, new)}"
    assert diff.count(NO_END) == 2
    subprocess.run(["git", "apply", "--whitespace=nowarn"], input=diff.encode(), cwd=tmp_path, check=True)
    assert file.read_bytes() == new.encode()


def test_a_long_one_is_cut_and_says_so() -> None:
    old, new = "".join(f"line {number}\n" for number in range(1000)), ""
    diff = unified(old, new, limit=1000)
    assert len(diff) < 1100
    shown = diff.count("\n-line")
    assert diff.endswith(f"({1000 - shown} more lines of the difference are not shown)\n")
    assert unified("x" * 10_000, "y", limit=1000).count("x") == 0


def test_where_comparing_would_take_too_long_all_is_told_as_changed() -> None:
    before = "same\n" + "".join(f"{number}\n" for number in range(6000))
    after = "same\n" + "".join(f"{number}\n" for number in reversed(range(6000)))
    assert len(differences._lines(before)) ** 2 > differences._MOST_PAIRS
    diff = unified(before, after, limit=10**6)
    assert diff.startswith("@@ -1,6001 +1,6001 @@\n")
    assert patched(before, diff) == after
