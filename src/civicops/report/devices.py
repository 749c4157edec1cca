"""What a report says of network devices: what they are, how their configurations are kept, what has changed in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from civicops.assess.device_life import Lives, Support
from civicops.assess.devices import Device, devices
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.moments import stamp
from civicops.network.differences import unified
from civicops.network.store import Store, StoreError
from civicops.report.figures import WORST_FIRST, State
from civicops.state import StateError, TownState

SHOWN_FOR = timedelta(days=35)
"""How old a change of a configuration may be to be shown: a month's, and some days."""
_CHANGES, _OF_ONE, _LINES = 60, 5, 300
_DAY = 86_400


@dataclass(frozen=True)
class DeviceLine:
    """One network device. What it is, it has said itself."""

    name: str
    state: State
    kind: str
    serial: str
    software: str
    support: str
    """How long its software is supported, or why that is not known."""
    support_state: State
    up: str
    neighbours: int
    whole_at: str | None
    """When its configuration was last seen whole, and kept."""
    asked_at: str
    alarms: list[str]
    remarks: list[str]


@dataclass(frozen=True)
class ConfigChange:
    """One change of one device's configuration, without secrets."""

    device: str
    at: str
    words: str
    lines: list[tuple[str, str]]
    """Each with `add`, `cut`, `place` or nothing."""
    more: int
    """Lines that are not shown."""


@dataclass(frozen=True)
class Devices:
    """The devices that were asked, the worst first; those of the group that gave no document yet; the last changes."""

    lines: list[DeviceLine]
    none_known: list[str]
    changes: list[ConfigChange]

    def with_state(self, *states: State) -> list[DeviceLine]:
        """The devices of these states."""
        return [line for line in self.lines if line.state in states]


def read_devices(ledger: Ledger, state: TownState | None, moment: datetime, index: Index) -> Devices | None:
    """None where no device of the town was ever asked."""
    asked = next((entry for entry in ledger.newest("run", 20, job="network") if entry.status == "accepted"), None)
    if asked is None:
        return None
    body = ledger.body(asked)
    inventory: Collection[str] = body["hosts"] if body else ()
    outcomes: dict[str, str] = body["hosts"] if body else {}
    group = {name for name, outcome in outcomes.items() if outcome != "not_asked"}
    found = devices(ledger, moment, inventory)
    lives = Lives(index, moment.date())
    told = (_line(one, lives.of(one)) for one in found.values())
    lines = sorted(told, key=lambda line: (WORST_FIRST.index(line.state), line.name))
    return Devices(lines, sorted(group - found.keys()), list(_changes(state, found, moment)) if state else [])


def _line(one: Device, support: Support) -> DeviceLine:
    facts = one.facts.body if one.facts else {}
    state: State = "bad" if one.alarms else "soon" if one.remarks else "good"
    found: State = "bad" if support.severity == "high" else "soon"
    return DeviceLine(
        name=one.name,
        state=state,
        kind=" ".join(part for part in (facts.get("vendor"), facts.get("model")) if part)
        or one.config.body["platform"],
        serial=facts.get("serial") or "",
        software=", made ".join(part for part in (facts.get("version"), facts.get("software_built")) if part),
        support=support.text,
        support_state={"found": found, "unknown": "unknown", "fine": "good"}[support.state],
        up=_days(facts),
        neighbours=len(facts.get("neighbours") or ()),
        whole_at=stamp(one.whole_at) if one.whole_at else None,
        asked_at=stamp(one.config.at),
        alarms=list(one.alarms),
        remarks=list(one.remarks),
    )


def _days(facts: dict[str, Any]) -> str:
    seconds = facts.get("uptime_seconds")
    if seconds is None:
        return ""
    days = int(seconds) // _DAY
    return f"{days:,} {'day' if days == 1 else 'days'}" if days else "less than a day"


def _changes(state: TownState, found: Collection[str], moment: datetime) -> Iterator[ConfigChange]:
    """The newest changes of these devices, the newest first."""
    with suppress(StoreError, StateError):
        store = Store(state)
        kept = {name: store.look(name) for name in found}
        lately = [name for name, one in kept.items() if one and one.changed and moment - one.changed < SHOWN_FOR]
        pairs = []
        for name in lately:
            commits = store.history(name, limit=_OF_ONE + 1)
            befores = [*commits[1:], None]
            new = zip(commits[:_OF_ONE], befores, strict=False)
            pairs += [(name, now, before) for now, before in new if moment - now.at < SHOWN_FOR]
        for name, now, before in sorted(pairs, key=lambda pair: (pair[1].at, pair[0]), reverse=True)[:_CHANGES]:
            old = store.text(name, before.id) if before else None
            lines = (
                unified(old, store.text(name, now.id) or "").removesuffix("\n").split("\n") if old is not None else []
            )
            yield ConfigChange(
                device=name,
                at=stamp(now.at),
                words=now.subject.removeprefix(f"{name}: "),
                lines=[(_sort(line), line) for line in lines[:_LINES]],
                more=max(0, len(lines) - _LINES),
            )


def _sort(line: str) -> str:
    return {"+": "add", "-": "cut", "@": "place"}.get(line[:1], "")
