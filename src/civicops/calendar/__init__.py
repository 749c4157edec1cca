"""Windows and freezes: may this job touch this host now, and until when?

    calendar = load_calendar(town)
    answer = calendar.may("patch", "pc1", datetime.now(UTC), groups)

Imports `civicops.town` alone. Names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Answer, Calendar, Occurrence, load_calendar
    from .frozen import FrozenSpan
    from .patterns import matching
    from .spans import Span

__all__ = ["Answer", "Calendar", "FrozenSpan", "Occurrence", "Span", "load_calendar", "matching"]

_HOMES = {
    "Answer": "answers",
    "Calendar": "answers",
    "FrozenSpan": "frozen",
    "Occurrence": "answers",
    "Span": "spans",
    "load_calendar": "answers",
    "matching": "patterns",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
