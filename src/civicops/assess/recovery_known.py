"""What the ledger's newest documents say of each host's recovery: its backup, its drills, its accounts and keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from civicops.assess.facts import Facts
from civicops.assess.finding import Told
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment as moment_of
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.town.model import System

STALE = timedelta(days=2)
"""How old a host's word may be before it says nothing any more: backups are taken daily, and their state with them."""
FACTS_STALE = timedelta(days=35)
"""The same of accounts and keys, which change more slowly: a checkup a month, and some days."""
TESTED = timedelta(days=365)
"""How old a restore test may be. CIS 11.5 wants one each quarter, and our own drill is weekly; NIST CP-9(1) leaves the
time to the organisation, for which a year is the longest that is in use."""
# So far back a host's drills are looked through for one of its own backup.
_BACK = 20


@dataclass(frozen=True)
class Host:
    """One host of the inventory, by its newest documents."""

    name: str
    asked: bool = True
    """Whether jobs ask such a host at all; network devices, among others, are not."""
    status: Told | None = None
    drill: Told | None = None
    facts: Told | None = None
    may_serve: bool = True
    """Whether the inventory has it among its backup servers. Its own word is taken only where that can't be read."""

    @property
    def client(self) -> dict[str, Any] | None:
        """What it says as one that is backed up; None where it is not known to be."""
        return self.status.body["client"] if self.status else None

    @property
    def server(self) -> dict[str, Any] | None:
        """What it says as a backup server; None where it is not known to be one."""
        return self.status.body["server"] if self.status and self.may_serve else None

    @property
    def known(self) -> Facts | None:
        """Its facts, as they are read."""
        return Facts(self.facts.body, self.facts.at.isoformat()) if self.facts else None

    @cached_property
    def keeps(self) -> frozenset[str]:
        """The hosts whose backups lie here."""
        return frozenset(str(one["name"]) for one in (self.server or {}).get("clients", ()))


@dataclass(frozen=True)
class Recovery:
    """A town's hosts and systems, as far as recovery goes."""

    moment: datetime
    hosts: Mapping[str, Host]
    systems: tuple[System, ...] = ()
    members: Mapping[str, Collection[str]] | None = None
    """Each system's hosts, by its id; None where the inventory could not be read."""

    @property
    def clients(self) -> list[tuple[Host, Told, dict[str, Any]]]:
        """The hosts that are backed up, each with its document and what that says of the client."""
        return [
            (host, host.status, host.client)
            for host in self.hosts.values()
            if host.status is not None and host.client is not None
        ]

    @property
    def servers(self) -> list[tuple[Host, Told, dict[str, Any]]]:
        """The backup servers, each with its document and what that says of the server."""
        return [
            (host, host.status, host.server)
            for host in self.hosts.values()
            if host.status is not None and host.server is not None
        ]

    def keepers(self, name: str) -> list[tuple[Host, Told, dict[str, Any]]]:
        """The servers that say that a host's backups lie with them."""
        return [one for one in self.servers if name in one[0].keeps]

    def of_system(self, system: System) -> list[Host]:
        """A system's hosts; one of which nothing is known stands there without documents."""
        return [self.hosts.get(name) or Host(name) for name in (self.members or {}).get(f"system_{system.id}", ())]


def read_recovery(
    ledger: Ledger,
    inventory: Mapping[str, str],
    facts: Mapping[str, Facts],
    moment: datetime,
    *,
    systems: tuple[System, ...] = (),
    groups: Mapping[str, Collection[str]] | None = None,
) -> Recovery:
    """Read it. `inventory` is what a run's summary says of its hosts: of each, what it came to; `facts` are their
    newest ones, which a report has read already."""
    status = _newest(ledger, "backup-status", moment - STALE)
    accounts = {host: _told(one.body, one.collected_at, moment - FACTS_STALE) for host, one in facts.items()}
    drills = read_drills(ledger, moment, inventory)
    hosts = {
        name: Host(
            name,
            asked=outcome != "not_asked",
            status=status.get(name),
            drill=drills.get(name),
            facts=accounts.get(name),
            may_serve=groups is None or name in groups.get("backup_server", ()),
        )
        for name, outcome in sorted(inventory.items())
    }
    return Recovery(moment, hosts, systems, groups)


def _newest(ledger: Ledger, kind: str, since: datetime) -> dict[str, Told]:
    latest = ledger.latest(kind)
    bodies = ledger.bodies(latest.values())
    return {
        host: _told(bodies[entry.body], entry.collected_at, since)
        for host, entry in latest.items()
        if entry.body in bodies
    }


def _told(body: dict[str, Any], collected_at: str, since: datetime) -> Told:
    at = moment_of(collected_at)
    return Told(body, at, at < since)


def read_drills(ledger: Ledger, moment: datetime, inventory: Collection[str] = ()) -> dict[str, Told]:
    """The newest drill of each host's backup, whichever host of the inventory has held it; any, where that is empty."""
    found: dict[str, Told] = {}
    looked_at = [entry for host, entry in ledger.latest("drill").items() if not inventory or host in inventory]
    for dummy in range(_BACK):
        bodies = ledger.bodies(looked_at)
        further: list[Entry] = []
        for entry in looked_at:
            body = bodies.get(entry.body)
            of = str((body or {}).get("of") or entry.host)
            if body is not None:
                at = moment_of(entry.collected_at)
                by = "" if of == entry.host else entry.host
                _keep_newer(found, of, Told(body, at, moment - at > TESTED, by))
            if of != entry.host:
                further.append(entry)
        looked_at = list(ledger.previous(further).values())
        if not looked_at:
            break
    return found


def _keep_newer(found: dict[str, Told], host: str, told: Told) -> None:
    if host not in found or found[host].at < told.at:
        found[host] = told


def brief(value: object) -> str:
    """A name or reason that a host has given, fit to stand in a sentence."""
    return printable(value, 120)


def listed(names: Iterable[object], most: int = 5) -> str:
    """Some names, and how many more there are."""
    every = list(names)
    return ", ".join(map(brief, every[:most])) + (f" and {len(every) - most} more" if len(every) > most else "")


def age_of(text: str | None, moment: datetime) -> timedelta | None:
    """How long ago a host's own stamp was; None where it is none, or is yet to come."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    age = moment - (when if when.tzinfo else when.replace(tzinfo=UTC))
    return age if age > timedelta(minutes=-10) else None
