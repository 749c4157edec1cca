"""Dates and spans of time, as devices write them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime

_LONGEST = 300
# A second has so many of them; months are not told by any device.
SECONDS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(
    r"(\d{1,9})\s*(y|w|d|h|m|s)(?:(?:ea)?rs?|eeks?|ays?|ours?|in(?:ute)?s?|ec(?:ond)?s?)?(?:\(s\))?", re.IGNORECASE
)
_CLOCK = re.compile(r"\b(\d{1,3}):(\d{2})(?::(\d{2}))?\b")
_DATES = (
    (r"\b\d{4}-\d{1,2}-\d{1,2}(?!\d)", "%Y-%m-%d"),
    (r"\b\d{1,2}[- ][A-Za-z]{3}[- ]\d{4}\b", "%d-%b-%Y"),
    (r"\b\d{1,2}-[A-Za-z]{3}-\d{2}\b", "%d-%b-%y"),
    (r"\b[A-Z][a-z]{2}[ /]\d{1,2}[ /]\d{4}\b", "%b-%d-%Y"),
    (r"\b[A-Z][a-z]{2} \d{1,2} (?:\d\d:\d\d:\d\d )(?:[A-Z]{3,4} )?\d{4}\b", "%b-%d-%Y"),
    (r"\b\d{1,2}/\d{1,2}/\d{4}\b", "%m-%d-%Y"),
    (r"\b\d{1,2}/\d{1,2}/\d{2}\b", "%m-%d-%y"),
    (r"\b20\d{6}\b", "%Y%m%d"),
    (r"\b\d{6}\b", "%y%m%d"),
)


def day(told: str | None) -> str | None:
    """A date as devices write it ("20-Oct-23", "2025-03-11 11:59:04", "Jul 29 2022", "20210907"), as ISO 8601 does.

    Of "12/4/2024" the first is the month, as the vendors that write so are American.
    """
    text = " ".join((told or "")[:_LONGEST].split())
    for pattern, form in _DATES:
        found = re.search(pattern, text)
        if found:
            with suppress(ValueError):
                bare = re.sub(r"\d\d:\d\d:\d\d (?:[A-Z]{3,4} )?", "", found[0])
                moment = datetime.strptime(re.sub("[/ ]", "-", bare), form)
                if 1990 <= moment.year < 2100:
                    return moment.date().isoformat()
    return None


def uptime_seconds(told: str | None) -> int | None:
    """Seconds of an uptime as devices write it: "44 weeks, 4 days, 1 hour", "3h5m54s", "70,03:16:47"."""
    told = re.sub(r"^(\d{1,5}),(?=\d\d:)", r"\1d ", (told or "")[:_LONGEST])
    clock = _CLOCK.search(told)
    spans = _SPAN.findall(told[: clock.start()] + told[clock.end() :] if clock else told)
    if not spans and not clock:
        return None
    seconds = sum(int(number) * SECONDS[unit.lower()] for number, unit in spans)
    if clock:
        hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds += hours * 3600 + minutes * 60 + rest
    return seconds
