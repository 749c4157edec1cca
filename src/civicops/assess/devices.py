"""How the configuration backups of network devices stand at a moment, by their newest documents."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from civicops.assess.finding import Told
from civicops.ledger.store import Ledger
from civicops.moments import moment as moment_of
from civicops.text import printable

CONFIG, FACTS = "device-config", "device-facts"
"""The kinds of documents that tell of network devices."""
DUE = timedelta(days=8)
"""How old the last whole configuration may be: a weekly job, and a day."""
FACTS_STALE = timedelta(days=35)
"""How old what a device says of itself may be to be good news, as of hosts."""


@dataclass(frozen=True)
class Device:
    """One network device. What it says of itself is its own word."""

    name: str
    config: Told
    facts: Told | None
    whole_at: datetime | None
    """When its configuration was last seen whole, and kept."""
    alarms: tuple[str, ...]
    """What is wrong with its backup, in words."""
    ages: tuple[datetime, ...]
    """The moments at which time alone changes something."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What its configuration and its session have shown, that wants a look."""
        return tuple(_remarks(self.config.body))


def devices(ledger: Ledger, moment: datetime, inventory: Collection[str]) -> dict[str, Device]:
    """The devices of the inventory that were ever asked for their configuration; all, where it is empty."""
    newest = {name: entry for name, entry in ledger.latest(CONFIG).items() if not inventory or name in inventory}
    if not newest:
        return {}
    told = ledger.latest(FACTS)
    bodies = ledger.bodies([*newest.values(), *(told[name] for name in newest if name in told)])
    found = {}
    for name, entry in newest.items():
        if entry.body not in bodies:
            continue
        fact = told.get(name)
        facts = None
        if fact and fact.body in bodies:
            at = moment_of(fact.collected_at)
            facts = Told(bodies[fact.body], at, moment - at > FACTS_STALE)
        found[name] = device(name, Told(bodies[entry.body], moment_of(entry.collected_at)), facts, moment)
    return found


def device(name: str, config: Told, facts: Told | None, moment: datetime) -> Device:
    """Judge one device."""
    body = config.body
    whole_at = moment_of(body["whole_at"]) if body["whole_at"] else None
    due = whole_at + DUE if whole_at is not None else None
    alarms = []
    if body["outcome"] == "refused":
        alarms.append(f"refused: {body['reason']}")
    if whole_at is None:
        alarms.append("none: no whole configuration was ever kept")
    elif due is not None and due < moment:
        alarms.append(f"late: the last whole configuration is of {whole_at:%Y-%m-%d}")
    return Device(
        name=name,
        config=config,
        facts=facts,
        whole_at=whole_at,
        alarms=tuple(printable(alarm, 600) for alarm in alarms),
        ages=(due,) if due is not None and due >= moment else (),
    )


def _remarks(body: dict[str, Any]) -> Iterator[str]:
    signs = body["signs"]
    if body["transport"] == "telnet":
        yield "reached by telnet: passwords and configuration cross the network readable"
    if signs["telnet"]:
        yield "can be managed by telnet"
    if signs["http"]:
        yield "can be managed by HTTP"
    if signs["default_community"]:
        yield "SNMP with the community public or private"
    if signs["time"] is False:
        yield "no time server"
    if signs["log"] is False:
        yield "sends its log nowhere"
    if body["unsaved"]:
        yield "not saved: what runs differs from what it starts with"
    if not body["tested"]:
        yield "a platform that was never tested with a real device"
