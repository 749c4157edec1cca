"""What every finding of a host's facts has in common: whom it looks at, and that nothing is fine that was not read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import yaml

from civicops.assess.catalogue import Severity
from civicops.assess.estate import Estate, Host
from civicops.assess.facts import ALL, Facts, below
from civicops.assess.finding import Evidence, Finding, State
from civicops.assess.measures import moment_of
from civicops.assess.recovery_known import brief
from civicops.text import printable

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LONGEST = 600


@dataclass(frozen=True)
class Said:
    """What a finding says of one host; the rest of an `Evidence` is the same for all that it says of that host."""

    state: State
    text: str
    severity: Severity | None = None
    id: str = ""
    title: str = ""
    remedy: str = ""


class HostFinding(Finding[Estate]):
    """A finding that is seen in a host's facts. Hosts without any are the finding `host-not-seen`'s alone."""

    reads: ClassVar[tuple[str, ...]] = ()
    """Items of the facts; where one or a part of it was not read, nothing is fine."""
    despite: ClassVar[tuple[str, ...]] = ()
    """Parts of them that it does not look at."""

    def applies(self, facts: Facts) -> bool:
        """Whether it can be said of such a host at all."""
        return True

    @abstractmethod
    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterable[Said]:
        """What there is to say of one host."""

    def look(self, town: Estate) -> Iterator[Evidence]:
        for host in town.hosts.values():
            if host.asked and host.facts is not None and self.applies(host.facts):
                every = list(self.of(host, host.facts, town))
                for said in every:
                    yield self._evidence(host, host.facts, said)
                # Others of its kind may be there, too: without a word they would count as gone.
                if all(said.id for said in every) and (why := self.lacking(host.facts)):
                    text = f"beside what was found there may be more, as not all was read: {why}"
                    yield self._evidence(host, host.facts, Said("unknown", text))

    def _evidence(self, host: Host, facts: Facts, said: Said) -> Evidence:
        state, text = said.state, said.text
        if state == "fine" and (why := self.lacking(facts)):
            state, text = "unknown", f"what was read is fine, but not all was: {why}"
        return Evidence(
            host.name,
            state,
            printable(text, _LONGEST),
            (host.told,),
            said.severity,
            id=said.id,
            title=said.title,
            remedy=said.remedy,
        )

    def lacking(self, facts: Facts) -> str:
        """Why something that it reads was not read whole; empty where all was."""
        for item, reason in unread(facts, *self.reads):
            if self.matters(item, reason):
                return f"{brief(item)}: {brief(reason)}"
        return ""

    def matters(self, item: str, reason: str) -> bool:
        """Whether something that was not read keeps it from saying that all is fine."""
        return not any(below(item, one) for one in self.despite)

    def not_known(self, facts: Facts, what: str, *items: str) -> Said:
        """That something could not be read, and why."""
        why = facts.why_unread(*(items or self.reads)) or "the host did not tell"
        return Said("unknown", f"{what} not known: {brief(why)}")


def unread(facts: Facts, *items: str) -> Iterator[tuple[str, str]]:
    """What is `unread` of some items: each with the reason. An item's whole, where only that is told, counts, and so
    does that the list of them is cut."""
    for item, reason in facts.unread:
        if item == ALL or any(below(item, one) or below(one, item) for one in items):
            yield item, reason


def machine(facts: Facts) -> str:
    """physical, vm or container; empty where it is not known."""
    return str(facts.get("identity", "virtualization", "kind") or "")


def clock(host: Host) -> datetime:
    """What the host's own clock said when it answered: its own stamps are compared with that."""
    facts, told = host.facts, host.told
    if facts is None or told is None:
        raise ValueError(f"{host.name} has told nothing")
    return moment_of(facts.get("host_time")) or told.at


def cells(facts: Facts, *path: str) -> list[dict[str, Any]]:
    """The rows of a table; none where it was not read."""
    return facts.rows(*path) or []


def data(name: str) -> Any:
    """A data file that lies beside the findings, by its name without `.yml`."""
    from importlib import resources

    text = resources.files("civicops.assess.findings").joinpath(f"{name}.yml").read_text(encoding="utf-8")
    return _LOADER(text).get_single_data()
