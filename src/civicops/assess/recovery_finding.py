"""A finding about recovery: what it is, and what it says of a host or a system.

What is not known is a state of its own, and what was fine when a host was asked last is not known any more once that is
too long ago. Bad news stays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.recovery_known import Recovery, Told

State = Literal["found", "unknown", "fine"]
STATES: tuple[State, ...] = get_args(State)
"""Worst first."""
Effort = Literal["low", "medium", "high"]
"""What mending it takes: minutes in the inventory; some hours; hardware, money or a change of habits."""


_ASK = (
    "Ask again: the jobs checkup, backup and drill bring what a host can tell; what it can't, somebody has to look at."
)


@dataclass(frozen=True)
class Evidence:
    """What was seen of one host or system. It rests on `told`."""

    about: str
    state: State
    text: str
    told: tuple[Told | None, ...] = ()
    severity: Severity | None = None
    """Where it is another than the finding's own."""


class Finding(ABC):
    """One thing that may be wrong, of any host or system."""

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]
    frameworks: ClassVar[tuple[str, ...]]
    remedy: ClassVar[str]
    effort: ClassVar[Effort]

    @abstractmethod
    def look(self, town: Recovery) -> Iterable[Evidence]:
        """What there is to say of it in a town."""


@dataclass(frozen=True)
class Judged:
    """One finding of one host or system, as a report shows it."""

    id: str
    title: str
    about: str
    state: State
    severity: Severity
    evidence: str
    frameworks: tuple[str, ...]
    remedy: str
    effort: Effort

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """Order of a list that begins with what is worst."""
        return STATES.index(self.state), -SEVERITIES.index(self.severity), self.id, self.about


def judged(finding: Finding, one: Evidence) -> Judged:
    state, text = one.state, one.text
    old = [told.at for told in one.told if told is not None and told.old]
    if state == "fine" and old:
        state, text = "unknown", f"it was so on {min(old):%Y-%m-%d}, and nothing is known since: {text}"
    return Judged(
        finding.id,
        finding.title,
        one.about,
        state,
        one.severity or finding.severity,
        text,
        finding.frameworks,
        finding.remedy if state == "found" else _ASK if state == "unknown" else "",
        finding.effort if state == "found" else "low",
    )
