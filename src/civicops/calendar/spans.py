"""Spans of time, and the zone arithmetic of RFC 5545. Inside of this package a span is a pair of UTC moments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

Pair = tuple[datetime, datetime]
"""Start and end in UTC, the end excluded."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until `end`, which is excluded; both are aware and in UTC."""

    start: datetime
    end: datetime


def to_utc(local: datetime, zone: tzinfo) -> datetime:
    """The moment of a local time without zone: one in a gap moves forward by the gap, of two the first is meant."""
    return local.replace(tzinfo=zone).astimezone(UTC)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; raises ValueError for one without a zone, which could be any."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError("a moment without time zone")
    return moment.astimezone(UTC)


def joined(spans: Iterable[Pair]) -> Iterator[Pair]:
    """Spans in the order of their starts, those that touch or overlap made one."""
    current: Pair | None = None
    for span in spans:
        if current is None:
            current = span
        elif span[0] <= current[1]:
            if span[1] > current[1]:
                current = (current[0], span[1])
        else:
            yield current
            current = span
    if current is not None:
        yield current


def without(span: Pair, cuts: Iterable[Pair]) -> Iterator[Pair]:
    """What is left of a span; the cuts are in the order of their starts."""
    start, end = span
    for cut_start, cut_end in cuts:
        if cut_start >= end:
            break
        if cut_start > start:
            yield (start, cut_start)
        if cut_end > start:
            start = cut_end
            if start >= end:
                return
    if start < end:
        yield (start, end)
