"""The light check of a recurrence rule (RFC 5545): its syntax, and what civicops takes of it.

The rule names days; the time of day is `start`, so rules below DAILY and BYHOUR are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")

_DAYS = "MO|TU|WE|TH|FR|SA|SU"
_VALUES = {
    "FREQ": r"[A-Z]+",
    "INTERVAL": r"[1-9][0-9]{0,2}",
    "UNTIL": r"[0-9]{8}(T[0-9]{6}Z)?",
    "BYDAY": rf"([-+]?[1-9][0-9]?)?({_DAYS})(,([-+]?[1-9][0-9]?)?({_DAYS}))*",
    "BYMONTHDAY": r"[-+]?([1-9]|[12][0-9]|3[01])(,[-+]?([1-9]|[12][0-9]|3[01]))*",
    "BYYEARDAY": r"[-+]?[1-9][0-9]{0,2}(,[-+]?[1-9][0-9]{0,2})*",
    "BYWEEKNO": r"[-+]?[1-9][0-9]?(,[-+]?[1-9][0-9]?)*",
    "BYMONTH": r"([1-9]|1[0-2])(,([1-9]|1[0-2]))*",
    "BYSETPOS": r"[-+]?[1-9][0-9]{0,2}(,[-+]?[1-9][0-9]{0,2})*",
    "WKST": _DAYS,
}
_SHOWN = {
    "INTERVAL": "INTERVAL is a number from 1 to 999",
    "UNTIL": "UNTIL is a day such as 20271231, or a moment in UTC such as 20271231T235959Z",
    "BYDAY": "BYDAY is days such as MO,TH or, by month or year, 2TU or -1FR",
    "BYMONTHDAY": "BYMONTHDAY is days from 1 to 31, or -1 for the last",
    "BYMONTH": "BYMONTH is months from 1 to 12",
    "WKST": "WKST is one day such as MO",
}
_REFUSED = {
    "COUNT": "use UNTIL: what COUNT counts from is not in the rule",
    "BYHOUR": "the time of day stands in `start`",
    "BYMINUTE": "the time of day stands in `start`",
    "BYSECOND": "the time of day stands in `start`",
    "DTSTART": "the first day stands in `since`, the time of day in `start`",
}
_NOT_WITH = {
    "BYMONTHDAY": ("WEEKLY",),
    "BYYEARDAY": ("DAILY", "WEEKLY", "MONTHLY"),
    "BYWEEKNO": ("DAILY", "WEEKLY", "MONTHLY"),
}
_EXAMPLE = "such as FREQ=MONTHLY;BYDAY=2TU"


class RuleFault(ValueError):
    """What is wrong with a rule, and the remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def parse_rrule(text: str) -> dict[str, str]:
    """The parts of a rule by name, in its order; raises `RuleFault`."""
    if text.upper().startswith("RRULE:"):
        raise RuleFault("begins with RRULE:", "leave that out")
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals:
            raise RuleFault(f"has a part that is not NAME=VALUE: {_short(part)}", f"separate parts with ;, {_EXAMPLE}")
        if name in _REFUSED:
            raise RuleFault(f"has {name}", _REFUSED[name])
        if name not in _VALUES:
            raise RuleFault(f"has an unknown part {_short(name)}", "allowed, in capitals: " + ", ".join(_VALUES))
        if name in parts:
            raise RuleFault(f"has {name} twice", "keep one; several values are separated by commas")
        if not re.fullmatch(_VALUES[name], value):
            raise RuleFault(f"has {name}={_short(value)}", _SHOWN.get(name, f"write it as RFC 5545 does, {_EXAMPLE}"))
        parts[name] = value
    _check_together(parts)
    return parts


def format_rrule(parts: Mapping[str, str]) -> str:
    """The rule as text again: the inverse of `parse_rrule`."""
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _check_together(parts: Mapping[str, str]) -> None:
    frequency = parts.get("FREQ")
    if frequency is None:
        raise RuleFault("has no FREQ", f"begin with FREQ, {_EXAMPLE}")
    if frequency not in FREQUENCIES:
        raise RuleFault(f"has FREQ={_short(frequency)}", "allowed: " + ", ".join(FREQUENCIES))
    for name, others in _NOT_WITH.items():
        if name in parts and frequency in others:
            raise RuleFault(f"has {name} with FREQ={frequency}", "RFC 5545 does not allow the two together")
    if re.search(r"[0-9]", parts.get("BYDAY", "")) and (frequency in ("DAILY", "WEEKLY") or "BYWEEKNO" in parts):
        raise RuleFault(
            "has a numbered BYDAY that no month counts", "use FREQ=MONTHLY or YEARLY, or days without numbers"
        )
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise RuleFault("has BYSETPOS alone", "add what it chooses from, such as BYDAY=TU")


def _short(text: str) -> str:
    return text[:20] + ("..." if len(text) > 20 else "")
