"""Values from feeds: each is checked for its type, length and form before it goes into the index."""

from __future__ import annotations

import re
from datetime import date

from civicops.feeds.error import FeedError
from civicops.text import printable

_CVE = re.compile(r"CVE-([12][0-9]{3})-([0-9]{4}|[1-9][0-9]{4,8})", re.ASCII)
_SURROGATE = re.compile("[\0\ud800-\udfff]")
_PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9.+_@:~-]{0,199}", re.ASCII)
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~_^%-]{0,199}", re.ASCII)
_NUMBERS = 10**9


def shown(value: object) -> str:
    """A value for an error's line."""
    return repr(printable(value, 60)) if isinstance(value, str) else type(value).__name__


def text(value: object, what: str, limit: int = 200) -> str:
    """A string that is not too long, and that any database and any terminal's encoding can hold."""
    if not isinstance(value, str):
        raise FeedError(f"{what}: {shown(value)} where a text belongs")
    if len(value) > limit:
        raise FeedError(f"{what}: a text of {len(value)} characters; at most {limit} are read")
    if (not value.isascii() and _SURROGATE.search(value)) or "\0" in value:
        raise FeedError(f"{what}: {shown(value)} is no proper text")
    return value


def listed(value: object, what: str, limit: int = 100_000) -> list[object]:
    if not isinstance(value, list):
        raise FeedError(f"{what}: {shown(value)} where a list belongs")
    if len(value) > limit:
        raise FeedError(f"{what}: a list of {len(value)}; at most {limit} are read")
    return value


def mapped(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FeedError(f"{what}: {shown(value)} where an object belongs")
    return value


def day(value: object, what: str) -> str:
    """A day as YYYY-MM-DD; of a moment, its day."""
    found = text(value, what, 60)
    head = found[:10]
    try:
        if len(head) != 10 or found[10:11] not in ("", "T", " "):
            raise ValueError
        return date.fromisoformat(head).isoformat()
    except ValueError as error:
        raise FeedError(f"{what}: {shown(found)} is no date") from error


def number(value: object, what: str, top: float) -> float:
    """A number from 0 to `top`; also when it is written as a text."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        found = float(value)
        if not 0 <= found <= top:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise FeedError(f"{what}: {shown(value)} is no number from 0 to {top:g}") from error
    return found


def package(value: object, what: str) -> str:
    if not _PACKAGE.fullmatch(text(value, what)):
        raise FeedError(f"{what}: {shown(value)} is no package's name")
    return str(value)


def version(value: object, what: str) -> str:
    if not _VERSION.fullmatch(text(value, what)):
        raise FeedError(f"{what}: {shown(value)} is no version")
    return str(value)


def is_cve(value: str) -> bool:
    return _CVE.fullmatch(value) is not None


def cve_number(value: object, what: str = "CVE") -> int:
    """A CVE's id as a number: what the index keeps, at a third of the text's size.

    :raises FeedError: it is no CVE's id.
    """
    match = _CVE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise FeedError(f"{what}: {shown(value)} is no CVE's id")
    return int(match[1]) * _NUMBERS + int(match[2])


def cve_text(value: int) -> str:
    """The inverse of `cve_number`."""
    year, serial = divmod(value, _NUMBERS)
    return f"CVE-{year}-{serial:04d}"
