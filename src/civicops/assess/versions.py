"""The order of package versions as dpkg and rpm have it, by keys that are made once.

A key is a string, and the plain order of such strings is the order of the versions: to compare a version with another
costs no more than to compare two strings, and equal versions have equal keys (`1.0` and `0:1.00-0` of Debian). Keys are
for comparing alone: they are not shown or kept, and one family's say nothing about the other's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NewType, TypeVar

from civicops.text import printable

DebianKey = NewType("DebianKey", str)
RpmKey = NewType("RpmKey", str)

LIMIT = 255
"""Characters of a version: a package's file is named by it, and no file's name is longer."""
KEPT = 1 << 15
"""Keys of a family that are kept: all versions of a town and of its feeds; with the longest versions, some 30 MB."""
EPOCH_LIMIT = 2**31 - 1
"""The highest epoch that dpkg takes."""

_WORD = re.compile("[!-~]+")
_EPOCH = re.compile("[+-]?[0-9]+")
_DEBIAN_PARTS = re.compile("([^0-9]*)([0-9]*)")
_RPM_PARTS = re.compile(r"([~^])|([0-9]+)|([A-Za-z]+)")

# What is below the end of a part, the end itself, and what is above it.
_TILDE, _END, _CARET, _LETTERS, _NUMBER = "\x01", "\x02", "\x03", "\x04", "\x05"
# dpkg: the tilde below all, then the end, letters, and every other character above them.
_DEBIAN_ORDER = {code: code + 128 for code in range(0x21, 0x7F) if not chr(code).isalnum()} | {ord("~"): _TILDE}

K = TypeVar("K")


class VersionError(ValueError):
    """What is no version of that family, so that nothing can be said of its order."""


def _memoised(make: Callable[[str], K]) -> Callable[[str], K]:
    return lru_cache(KEPT)(make)  # with the argument's type, which lru_cache alone would lose


@_memoised
def debian_key(version: str) -> DebianKey:
    """The key of [EPOCH:]UPSTREAM[-REVISION]; raises VersionError.

    What dpkg warns of and compares nevertheless (a version that starts with a letter, an odd ASCII character) has a
    key; what it refuses has none, and neither have characters other than ASCII's.
    """
    epoch, colon, rest = _word(version).partition(":")
    if not colon:
        epoch, rest = "0", epoch
    if not _EPOCH.fullmatch(epoch) or not 0 <= int(epoch) <= EPOCH_LIMIT:
        raise _error(version, f"its epoch is no number from 0 to {EPOCH_LIMIT}")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    if not upstream or not revision:
        raise _error(version, "a part of it is empty")
    return DebianKey(_number(str(int(epoch))) + _debian(upstream) + _debian(revision))


@_memoised
def rpm_key(evr: str) -> RpmKey:
    """The key of [EPOCH:]VERSION[-RELEASE]; raises VersionError.

    A version without a release is below the same one with any.
    """
    epoch, colon, rest = _word(evr).partition(":")
    if not colon:
        epoch, rest = "0", epoch
    if (epoch and not epoch.isdecimal()) or ":" in rest:
        raise _error(evr, "its epoch is no number")
    version, dash, release = rest.rpartition("-")
    if not dash:
        return RpmKey(_number(epoch) + _rpm(_filled(evr, rest)))
    return RpmKey(_number(epoch) + _rpm(_filled(evr, version)) + _rpm(_filled(evr, release)))


def _word(version: str) -> str:
    """The version, without the blanks around it that dpkg allows."""
    if len(version) > LIMIT:
        raise _error(version, f"it has more than {LIMIT} characters")
    word = version.strip(" \t")
    if not _WORD.fullmatch(word):
        raise _error(version, "it is not one word of ASCII characters")
    return word


def _filled(version: str, part: str) -> str:
    if not part:
        raise _error(version, "a part of it is empty")
    return part


def _error(version: str, why: str) -> VersionError:
    return VersionError(f"{printable(version, 100)!r} is no version: {why}")


def _number(digits: str) -> str:
    """Digits by value: what is longer is more. Their number is at most LIMIT, and so one character."""
    digits = digits.lstrip("0")
    return chr(len(digits)) + digits


def _debian(part: str) -> str:
    """Texts and numbers in turn, each text with an end: where one is over and another is not, the rest counts."""
    return "".join(
        text.translate(_DEBIAN_ORDER) + _END + _number(digits) for text, digits in _DEBIAN_PARTS.findall(part)
    )


def _rpm(part: str) -> str:
    """Marks, numbers and words, a word's end below its letters; what separates them is not looked at."""
    found = []
    for mark, digits, letters in _RPM_PARTS.findall(part):
        if mark:
            found.append(_TILDE if mark == "~" else _CARET)
        elif digits:
            found.append(_NUMBER + _number(digits))
        else:
            found.append(_LETTERS + letters)
    return "".join(found) + _END
