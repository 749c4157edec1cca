"""Read the ledger into what a report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from civicops.assess.estate import ASKS, AUDITS, UNTOLD
from civicops.assess.facts import Facts
from civicops.assess.hardening import read_hardening
from civicops.assess.standing import OWN
from civicops.feeds.store import Index
from civicops.ledger.store import Anchor, Entry, Ledger
from civicops.report.backups import Backups, read_backups
from civicops.report.devices import Devices, read_devices
from civicops.report.figures import WORST_FIRST, Figure, State, figures_of, worst
from civicops.report.findings_page import FindingsTold
from civicops.report.history import changes
from civicops.report.recovery import RecoveryTold, recovery_told
from civicops.report.undone import Undone, undone
from civicops.runs.judge import RunResult, judge
from civicops.state import TownState
from civicops.town.model import System

_RUNS_SHOWN = 12


@dataclass(frozen=True)
class Host:
    """One host of the report. `missed` tells why its newest state is not known; figures may be of an earlier answer."""

    number: int
    name: str
    state: State
    answered_at: str | None
    missed: str | None
    missed_at: str | None
    asked: bool
    figures: list[Figure]
    changed: list[str]
    compared_with: str | None
    unread: list[tuple[str, str]]

    @property
    def rank(self) -> tuple[int, str]:
        """Order of a list that begins with what is worst."""
        return WORST_FIRST.index(self.state), self.name

    def figure(self, key: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.key == key), None)


@dataclass(frozen=True)
class Run:
    """One run, as the history lists it."""

    id: str
    job: str
    recorded_at: str
    finished: bool
    check: bool
    outcomes: dict[str, int]


@dataclass(frozen=True)
class HardeningLine:
    """What the report says of hardening; the page of `civicops baseline` says the rest."""

    percent: int | None
    met: int
    total: int
    hosts: int
    not_known: list[str]
    lost: dict[str, int]
    """How many controls were met the time before and now are not, or were not seen, by host."""


@dataclass(frozen=True)
class TownReport:
    """Everything that a report shows."""

    town: str
    name: str
    made_at: datetime
    hosts: list[Host]
    gone: list[str]
    runs: list[Run]
    undone: list[Undone]
    hardening: HardeningLine | None
    """None where no host was ever audited."""
    backups: Backups | None
    """None where no host was ever asked for them."""
    recovery: RecoveryTold | None
    """None where no host is known."""
    devices: Devices | None
    """None where no network device was ever asked."""
    anchor: Anchor
    findings: FindingsTold | None = None
    """None where there is no town file, or no host was ever asked."""

    @property
    def asked(self) -> list[Host]:
        return [host for host in self.hosts if host.asked]

    @property
    def not_asked(self) -> list[Host]:
        return [host for host in self.hosts if not host.asked]

    @property
    def reached(self) -> list[Host]:
        return [host for host in self.asked if host.missed is None]

    @property
    def missed(self) -> list[Host]:
        return [host for host in self.asked if host.missed is not None]

    def with_state(self, key: str, state: State) -> list[Host]:
        """The hosts whose figure of that key has that state."""
        return [host for host in self.asked if (figure := host.figure(key)) is not None and figure.state == state]

    def told(self, key: str) -> list[Host]:
        """The hosts that answered this time and whose figure of that key is known and not bad."""
        known = ("good", "soon", "plain")
        return [host for host in self.reached if (figure := host.figure(key)) is not None and figure.state in known]


def collect(
    ledger: Ledger,
    name: str,
    moment: datetime | None = None,
    *,
    systems: tuple[System, ...] = (),
    groups: Mapping[str, Collection[str]] | None = None,
    state: TownState | None = None,
    index: Index | None = None,
) -> TownReport:
    """Read what a report shows. `moment` is the report's own time; it decides what has ended or ends soon. `systems`
    are the town's, and `groups` Ansible's variable of that name, which says where their hosts are. Changes of network
    devices' configurations are read from the town's `state`."""
    moment = moment or datetime.now(UTC)
    latest = ledger.latest("host-facts")
    previous = ledger.previous(latest.values())
    # Only the job that asks for facts tells that there are none: work that failed is told with that work.
    contacts = ledger.latest("contact", job=ASKS)
    refused = ledger.latest("host-facts", status="rejected")
    # A run has written one when it began, and another at the end of each attempt.
    written = [entry for entry in ledger.newest("run", 3 * _RUNS_SHOWN) if entry.status == "accepted"]
    run_entries = list({entry.run: entry for entry in reversed(written)}.values())[::-1][:_RUNS_SHOWN]
    last_asked = next((entry for entry in ledger.newest("run", 1, job=ASKS) if entry.status == "accepted"), None)
    wanted = [*latest.values(), *previous.values(), *contacts.values()]
    bodies = ledger.bodies([*wanted, last_asked] if last_asked else wanted)
    inventory: dict[str, str] = bodies[last_asked.body]["hosts"] if last_asked and last_asked.body in bodies else {}
    known = sorted({*inventory, *latest, *contacts, *refused})
    hosts: list[Host] = []
    gone: list[str] = []
    index = index or Index()
    with index.steady():
        for host in known:
            if inventory and host not in inventory:
                gone.append(host)
                continue
            hosts.append(
                _host(
                    len(hosts),
                    host,
                    bodies,
                    facts=latest.get(host),
                    before=previous.get(host),
                    contact=contacts.get(host),
                    refused=refused.get(host),
                    last_run=(last_asked, inventory[host]) if last_asked and host in inventory else None,
                    today=moment.date(),
                    index=index,
                )
            )
    runs = [_run(entry, judge(entry.run, ledger, cancelled=False)) for entry in run_entries]
    hardening = _hardening(ledger, [host.name for host in hosts if host.asked], inventory, moment)
    backups = read_backups(ledger, inventory or {host.name for host in hosts if host.asked}, moment)
    told = {
        host: Facts(bodies[entry.body], entry.collected_at) for host, entry in latest.items() if entry.body in bodies
    }
    there = inventory or {host.name: "answered" for host in hosts if host.asked}
    return TownReport(
        town=ledger.town,
        name=name,
        made_at=moment,
        hosts=hosts,
        gone=gone,
        runs=runs,
        undone=undone(ledger),
        hardening=hardening,
        backups=backups,
        recovery=recovery_told(ledger, there, told, moment, systems=systems, groups=groups),
        devices=read_devices(ledger, state, moment, index),
        anchor=ledger.anchor(),
    )


def _hardening(ledger: Ledger, asked: list[str], inventory: Collection[str], moment: datetime) -> HardeningLine | None:
    audited = ledger.latest("baseline").keys()
    if not audited:
        return None
    there = audited & set(inventory) if inventory else audited
    told = read_hardening(ledger, hosts={*asked, *there}, now=moment)
    score = told.score(OWN)
    return HardeningLine(
        percent=score.percent,
        met=score.met,
        total=score.total,
        hosts=len(told.hosts),
        not_known=[one.host for one in told.not_known],
        lost={one.host: count for one in told.known if (count := one.lost)},
    )


def _host(
    number: int,
    name: str,
    bodies: dict[str, Any],
    *,
    facts: Entry | None,
    before: Entry | None,
    contact: Entry | None,
    refused: Entry | None,
    last_run: tuple[Entry, str] | None,
    today: date,
    index: Index,
) -> Host:
    missed, missed_at = None, None
    answered = facts.seq if facts else 0
    if last_run and last_run[1] in UNTOLD and last_run[0].run != (facts.run if facts else None):
        missed, missed_at = UNTOLD[last_run[1]], last_run[0].collected_at
    told = bodies.get(contact.body) if contact and contact.seq > answered else None
    # An audit that failed is told with the hardening; the facts are there.
    if contact and told and not (facts and told.get("action") == AUDITS and contact.run == facts.run):
        missed, missed_at = f"{told['outcome']}: {told['reason']}", contact.collected_at
    if refused and refused.seq > max(answered, contact.seq if contact else 0):
        missed, missed_at = f"its answer was refused: {refused.reason}", refused.collected_at
    figures: list[Figure] = []
    changed: list[str] = []
    unread: list[tuple[str, str]] = []
    if facts and facts.body in bodies:
        now = Facts(bodies[facts.body], facts.collected_at)
        figures = figures_of(now, today, index)
        unread = [(str(one.get("item")), str(one.get("reason"))) for one in now.body.get("unread") or ()]
        if before and before.body in bodies:
            changed = changes(Facts(bodies[before.body], before.collected_at), now)
    states = [figure.state for figure in figures]
    return Host(
        number=number,
        name=name,
        state=worst([*states, "unknown"] if missed else states),
        answered_at=facts.collected_at if facts else None,
        missed=missed,
        missed_at=missed_at,
        asked=bool(facts or missed),
        figures=figures,
        changed=changed,
        compared_with=before.collected_at if before else None,
        unread=unread,
    )


def _run(entry: Entry, result: RunResult | None) -> Run:
    outcomes = Counter(result.hosts.values()) if result else Counter()
    finished = result is not None and result.finished
    return Run(entry.run, entry.job, entry.collected_at, finished, entry.check, dict(outcomes))
