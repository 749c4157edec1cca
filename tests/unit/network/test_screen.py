"""What a device writes, made text."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicops.network.screen import Screen, answer, lines_after_first


def _all(screen: Screen, *pieces: bytes) -> str:
    for piece in pieces:
        screen.feed(piece)
    return screen.take()


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"show x\r\na\r\nb\r\nsw#", "a\nb\n"),
        (b"show x\r\r\na\r\nsw#", "a\n"),
        (b"sw# show x\r\na\r\nsw#", "a\n"),
        (b"a\r\nshow xy\r\nsw#", "a\nshow xy\n"),
        (b"show x\r\n\x1b[2K\x1b[1;24r\x1b(Ba\x1b[0m\r\n\x1b]0;title\x07b\r\nsw#", "a\nb\n"),
        (b"show x\x1bEa\x1bE\x1b[24;1Hsw#", "a\n"),
        (b"show x\r\na\0b\x07\r\nsw#", "ab\x07\n"),
        ("show x\r\nB\xfcro\r\nsw#".encode("latin-1"), "Büro\n"),
        ("show x\r\nBüro\r\nsw#".encode(), "Büro\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_answer(written: bytes, text: str, size: int) -> None:
    screen = Screen(None)
    came = _all(screen, *(written[start : start + size] for start in range(0, len(written), size)))
    assert answer(came, "show x", "sw#") == text
    assert screen.stands_at("sw#")


@pytest.mark.parametrize("line", [b"xsw#", b"sw# x", b"other\rsw#", b"sw", b"", b"x" * 5000 + b"sw#"])
def test_what_is_not_the_prompt(line: bytes) -> None:
    screen = Screen(None)
    screen.feed(b"a\r\n" + line)
    assert not screen.stands_at("sw#")


def test_a_prompt_that_is_drawn_again() -> None:
    screen = Screen(None)
    screen.feed(b"a\r\n\rsw# \rsw# ")
    assert screen.stands_at("sw#")


def test_a_device_can_not_forge_the_place_of_a_mark() -> None:
    screen = Screen(re.compile("--More--"))
    came = _all(screen, b"show x\r\n\0\r    \rkept\r\n    kept\r\n")
    assert answer(came, "show x", "sw#") == "    kept\n    kept\n"


def test_an_indented_line_after_a_mark_keeps_its_indentation() -> None:
    screen = Screen(re.compile("--More--"))
    screen.feed(b"a\r\n--More--")
    assert screen.at_pager()
    screen.turn()
    assert not screen.at_pager()
    assert answer(_all(screen, b"\r        \r   b\r\n"), "show x", "sw#") == "a\n   b\n"


def test_an_escape_sequence_without_end_is_not_held_forever() -> None:
    screen = Screen(None)
    screen.feed(b"\x1b]0;" + b"x" * 1000)
    screen.feed(b"y\r\nsw#")
    assert screen.stands_at("sw#")


def test_lines_below_the_first() -> None:
    assert lines_after_first("sw#\r\n") == []
    assert lines_after_first("sw#\r\n\r\n{master:0} \r\n") == ["", "{master:0}"]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_where_the_packets_are_cut_does_not_matter(written: bytes, cuts: list[int]) -> None:
    whole, pieces = Screen(None), Screen(None)
    whole.feed(written)
    bounds = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    for start, end in pairwise(bounds):
        pieces.feed(written[start:end])
    assert pieces.take() == whole.take()
    assert pieces.shown() == whole.shown()


def test_what_is_said_does_not_become_longer() -> None:
    screen = Screen(None)
    said = b"\x1b[499D" * 1000 + b"\n"
    assert len(_all(screen, said)) < len(said)
