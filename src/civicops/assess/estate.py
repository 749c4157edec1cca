"""What is known of a town's hosts and devices at a moment: what findings look at, beside those of recovery."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from civicops.assess.bulk import Shared, uncollected
from civicops.assess.devices import Device, devices
from civicops.assess.facts import Facts
from civicops.assess.finding import Told
from civicops.feeds.store import Index
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment as moment_of
from civicops.town.problems import TownFileError
from civicops.town.warranty import NAME, Warranties, load_warranties

if TYPE_CHECKING:
    from civicops.town.model import Department, System, Town

Read = Callable[[Iterable[Entry]], Mapping[str, Any]]
"""Reads the bodies of entries, by their hash."""
FACTS_STALE = timedelta(days=35)
"""How old a host's facts may be to be good news: a checkup a month, and some days."""
ASKS = "checkup"
"""The job whose hosts answer with their facts."""
AUDITS = "civicops.town.baseline"
"""The action of the same job that asks besides: where it failed, the host has answered all the same."""
UNTOLD = {
    "failed": "failed: no reason was recorded",
    "unreachable": "unreachable: no reason was recorded",
    "no_answer": "the run ended before it answered",
}
"""What a run's own summary says of a host, where no document of the host's tells more."""


@dataclass(frozen=True)
class Host:
    """One host of the inventory that is no network device."""

    name: str
    told: Told | None
    """Its newest facts; None where it has never answered."""
    groups: frozenset[str] = frozenset()
    """Ansible's groups that it is in."""
    asked: bool = True
    """Whether a checkup has ever asked it; nothing then is known, and nobody has tried."""
    missed: str = ""
    """Why there is no answer of it since."""

    @cached_property
    def facts(self) -> Facts | None:
        return Facts(self.told.body, self.told.at.isoformat()) if self.told else None


@dataclass(frozen=True)
class Estate:
    """A town at a moment, by the ledger, the feeds and the town file."""

    moment: datetime
    hosts: Mapping[str, Host]
    index: Index
    devices: Mapping[str, Device] = field(default_factory=dict)
    town: Town | None = None
    """None where a report is made without a town file; nothing then is known of departments and systems."""
    groups: Mapping[str, Collection[str]] | None = None
    """Ansible's variable of that name; None where the inventory could not be read."""
    warranties: Warranties | None = None
    """The town's list of warranties; None where it has none, or none that can be used."""
    warranty_fault: str = ""
    """Why the list that is there can't be used."""

    @property
    def today(self) -> date:
        return self.moment.date()

    def departments(self, host: str) -> list[Department]:
        """The departments whose group a host or device is in."""
        return [one for one in self.town.departments if self._has(f"dept_{one.id}", host)] if self.town else []

    def systems(self, host: str) -> list[System]:
        """The systems whose group a host or device is in."""
        return [one for one in self.town.systems if self._has(f"system_{one.id}", host)] if self.town else []

    def _has(self, group: str, host: str) -> bool:
        return host in (self.groups or {}).get(group, ())


def read_estate(
    ledger: Ledger,
    moment: datetime,
    *,
    index: Index | None = None,
    town: Town | None = None,
    groups: Mapping[str, Collection[str]] | None = None,
    before: int | None = None,
    read: Read | None = None,
) -> Estate:
    """Read it. `before`: from what the ledger had before that number alone. `read`: what reads bodies in the place of
    the ledger's own `bodies`."""
    latest = ledger.latest("host-facts", before=before)
    contacts = ledger.latest("contact", job=ASKS, before=before)
    asked = ledger.latest("run", job=ASKS, before=before)
    last = max(asked.values(), key=lambda entry: entry.seq, default=None)
    refused = ledger.latest("host-facts", status="rejected", before=before)
    told, missed, outcomes = _read(read or partial(ledger.bodies, each=Shared().body), latest, contacts, refused, last)
    network = devices(ledger, moment, ())
    hosts = {
        name: Host(
            name,
            told=replace(told[name], old=moment - told[name].at > FACTS_STALE) if name in told else None,
            asked=name in told or name in missed or outcomes.get(name, "not_asked") != "not_asked",
            missed=missed.get(name, ""),
        )
        for name in sorted(outcomes or {*told, *missed})
        if name not in network
    }
    there = {name: one for name, one in network.items() if not outcomes or name in outcomes}
    return placed(Estate(moment, hosts, index or Index(), there, town, None, *_warranties(town)), groups)


def placed(estate: Estate, groups: Mapping[str, Collection[str]] | None) -> Estate:
    """The same with the inventory's groups; None: it could not be read."""
    member_of: dict[str, set[str]] = {}
    for group, members in (groups or {}).items():
        for name in members:
            member_of.setdefault(name, set()).add(group)
    hosts = {name: replace(host, groups=frozenset(member_of.get(name, ()))) for name, host in estate.hosts.items()}
    return replace(estate, hosts=hosts, groups=groups)


def _warranties(town: Town | None) -> tuple[Warranties | None, str]:
    """The list that lies beside the town's inventory, and why it can't be used."""
    if town is None:
        return None, ""
    try:
        return load_warranties(town.directory), ""
    except LookupError:  # a town that was read from no file
        return None, ""
    except TownFileError as error:
        many = f"{len(error.problems)} mistakes" if len(error.problems) > 1 else "a mistake"
        return None, f"{NAME} has {many}: civicops town check tells"


def _read(
    read: Read,
    latest: Mapping[str, Entry],
    contacts: Mapping[str, Entry],
    refused: Mapping[str, Entry],
    last: Entry | None,
) -> tuple[dict[str, Told], dict[str, str], dict[str, str]]:
    """Each host's facts; why one has given none since; and the inventory with what became of each, by the last run."""
    with uncollected():
        bodies = read([*latest.values(), *contacts.values(), *([last] if last else ())])
    told = {
        name: Told(bodies[entry.body], moment_of(entry.collected_at))
        for name, entry in latest.items()
        if entry.body in bodies
    }
    outcomes: dict[str, str] = bodies[last.body]["hosts"] if last and last.body in bodies else {}
    missed = {}
    for name, outcome in outcomes.items():
        if last and outcome in UNTOLD and (name not in told or latest[name].run != last.run):
            missed[name] = UNTOLD[outcome]
    for name, entry in contacts.items():
        body = bodies.get(entry.body)
        if body is None or (name in told and entry.seq < latest[name].seq):
            continue
        # An audit that failed is told with the hardening; the facts are there.
        if not (name in told and body.get("action") == AUDITS and entry.run == latest[name].run):
            missed[name] = f"{body['outcome']}: {body['reason']}"
    for name, entry in refused.items():
        if entry.seq > max(one[name].seq if name in one else 0 for one in (latest, contacts)):
            missed[name] = f"its answer was refused: {entry.reason}"
    return told, missed, outcomes
