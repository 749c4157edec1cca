"""A finding: what it is, and what it says of a host, a device or a system.

What is not known is a state of its own, and what was fine when a host was asked last is not known any more once that is
too long ago. Bad news stays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from civicops.assess.catalogue import SEVERITIES, Severity

State = Literal["found", "unknown", "fine"]
RECORD = "findings"
"""The kind of documents by which the ledger keeps what was found at the end of a run."""
STATES: tuple[State, ...] = get_args(State)
"""Worst first."""
Effort = Literal["low", "medium", "high"]
"""What mending it takes: minutes in the inventory; some hours; hardware, money or a change of habits."""
Kind = Literal["host", "device", "system"]
"""What a finding is about; a device is a host of the inventory that is asked by the job network."""

Known = TypeVar("Known")
"""What a finding looks at: all that is known of a town in its field."""

_ASK = (
    "Ask again: the jobs checkup, backup and drill bring what a host can tell; what it can't, somebody has to look at."
)


@dataclass(frozen=True)
class Told:
    """A document's body, and when the controller got it. `old`: it is too old to be good news."""

    body: dict[str, Any]
    at: datetime
    old: bool = False
    by: str = ""
    """The host that has answered, where it is another than the one that is told of."""


@dataclass(frozen=True)
class Evidence:
    """What was seen of one host, device or system. It rests on `told`."""

    about: str
    state: State
    text: str
    told: tuple[Told | None, ...] = ()
    severity: Severity | None = None
    """Where it is another than the finding's own."""
    kind: Kind = "host"
    id: str = ""
    """Where one class tells of several things: this one's id, which begins with the finding's own."""
    title: str = ""
    """Likewise."""
    remedy: str = ""
    """Where it is another than the finding's own."""
    package: str = ""
    """The source package that it is about."""
    cves: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """More hosts of which the very same was seen."""


class Finding(ABC, Generic[Known]):
    """One thing that may be wrong, of any host, device or system."""

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]
    frameworks: ClassVar[tuple[str, ...]]
    remedy: ClassVar[str]
    effort: ClassVar[Effort]

    @abstractmethod
    def look(self, town: Known) -> Iterable[Evidence]:
        """What there is to say of it in a town."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding as a report shows it, of all hosts, devices or systems of which the same is to be said."""

    id: str
    title: str
    about: tuple[str, ...]
    """Their names, each once, in order."""
    state: State
    severity: Severity
    evidence: str
    frameworks: tuple[str, ...]
    remedy: str
    effort: Effort
    kind: Kind = "host"
    package: str = ""
    cves: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[int, int, str, tuple[str, ...]]:
        """Order of a list that begins with what is worst."""
        return STATES.index(self.state), -SEVERITIES.index(self.severity), self.id, self.about


def judged(finding: Finding[Any], evidence: Iterable[Evidence]) -> list[Judged]:
    """What a finding has to say: the same of several hosts once."""
    about: dict[tuple[Any, ...], list[str]] = {}
    for one in evidence:
        state, text = one.state, one.text
        old = [told.at for told in one.told if told is not None and told.old]
        if state == "fine" and old:
            state, text = "unknown", f"it was so on {min(old):%Y-%m-%d}, and nothing is known since: {text}"
        said = (one.id, one.title, state, one.severity, text, one.remedy, one.kind, one.package, one.cves)
        about.setdefault(said, []).extend((one.about, *one.others))
    return [_judged(finding, said, tuple(sorted(set(names)))) for said, names in about.items()]


def _judged(finding: Finding[Any], said: tuple[Any, ...], about: tuple[str, ...]) -> Judged:
    name, title, state, severity, text, remedy, kind, package, cves = said
    return Judged(
        id=name or finding.id,
        title=title or finding.title,
        about=about,
        state=state,
        severity=severity or finding.severity,
        evidence=text,
        frameworks=finding.frameworks,
        remedy=(remedy or finding.remedy) if state == "found" else _ASK if state == "unknown" else "",
        effort=finding.effort if state == "found" else "low",
        kind=kind,
        package=package,
        cves=cves,
    )


def count(told: Iterable[Judged]) -> int:
    """How many findings these are, each of one host, device or system."""
    return sum(len(one.about) for one in told)


def severities(told: Iterable[Judged]) -> Counter[Severity]:
    """Likewise, by severity."""
    found = Counter[Severity]()
    for one in told:
        found[one.severity] += len(one.about)
    return found
