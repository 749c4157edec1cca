"""What `civicops findings` tells: a town's findings now, and what is different since a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from civicops.assess.assessment import Assessment, assess, newest
from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.finding import RECORD, Judged, count
from civicops.assess.ranking import Ranked
from civicops.assess.recorded import NOTHING, Change, Recorded, as_body, changes, read_recorded
from civicops.feeds.store import Index
from civicops.ledger.store import Entry, Ledger
from civicops.moments import moment as moment_of
from civicops.report.chosen import chosen
from civicops.runs.inventory import InventoryError, read_groups
from civicops.runs.journal import NoSuchRunError
from civicops.state import RUN_ID, TownState
from civicops.text import printable
from civicops.town import Town
from civicops.town.waivers import Waiver, load_waivers

LAST = "last"
"""Instead of a run's id: the newest record from before the newest answer."""
UNKNOWN: Literal["unknown"] = "unknown"
"""For `--fail-on`: what is not known."""
_ANSWERS = ("host-facts", "backup-status", "drill", "device-config")
"""The kinds of documents that findings are made from."""
_LOOKED_AT = 400


class NothingKnownError(Exception):
    """There is nothing that could be assessed; the message says what to do."""


@dataclass(frozen=True)
class Since:
    """What is different since a run."""

    run: str
    at: str
    exact: bool
    """By what was recorded when it had ended; else worked out anew from its documents, with the feeds of today."""
    changes: tuple[Change, ...]
    feeds: tuple[str, ...]
    """Feeds that are others now, each with its former and its present date."""


@dataclass(frozen=True)
class Findings:
    """The findings that are told, of all hosts or of some."""

    town: Town
    assessment: Assessment
    since: Since | None = None
    hosts: frozenset[str] | None = None
    """Those that were asked for; None: all."""

    def about(self, kind: str, name: str) -> bool:
        """Whether something is about a host that was asked for, or a system of one."""
        if self.hosts is None:
            return True
        if kind == "system":
            return bool(self.hosts & set((self.assessment.systems or {}).get(name, ())))
        return name in self.hosts

    def some(self, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """Those findings that are about what was asked for, and of what they are about that alone."""
        if self.hosts is None:
            return ranked
        cut = ((one, self._cut(one.judged)) for one in ranked)
        return [one._replace(weighed=one.weighed._replace(judged=judged)) for one, judged in cut if judged.about]

    @property
    def fine(self) -> Sequence[Judged]:
        """Likewise, what is fine."""
        if self.hosts is None:
            return self.assessment.fine
        return [judged for judged in map(self._cut, self.assessment.fine) if judged.about]

    def _cut(self, one: Judged) -> Judged:
        return replace(one, about=tuple(name for name in one.about if self.about(one.kind, name)))


def read_findings(
    town: Town,
    state: TownState,
    *,
    hosts: Collection[str] = (),
    since: str | None = None,
    now: datetime | None = None,
) -> Findings:
    """Assess a town from its ledger; asks no host.

    :raises NothingKnownError: no host has ever been asked.
    :raises NoSuchHostError: one of `hosts` means none.
    :raises NoSuchRunError: the ledger does not know `since`.
    :raises TownFileError: the waivers can't be read.
    """
    moment = now or datetime.now(UTC)
    waivers = load_waivers(town.directory)
    index = Index()
    # Ansible starts meanwhile.
    with ThreadPoolExecutor(1) as pool, Ledger(town.id, state=state) as ledger:
        asked = pool.submit(_inventory, town, state)
        before = newest(ledger)
        told = assess(ledger, moment, town, lambda: asked.result()[0], index, waivers=waivers, recorded=before)
        groups, trouble = asked.result()
        if not told.hosts:
            raise NothingKnownError(f"{town.id}: no host has been asked yet: civicops checkup {town.id}")
        if trouble:
            told = replace(told, doubts=(*told.doubts, trouble))
        wanted = chosen(hosts, groups or {}, told.hosts) if hosts else None
        found = Findings(town, told, hosts=wanted)
        if since is None:
            return found
        return replace(found, since=_since(ledger, found, since, groups, index, waivers, before))


def _inventory(town: Town, state: TownState) -> tuple[Mapping[str, Collection[str]] | None, str]:
    """The inventory's groups, or why it can't be read."""
    try:
        return read_groups(town, state), ""
    except InventoryError as error:
        return None, printable(error, 700)


def _since(
    ledger: Ledger,
    found: Findings,
    run: str,
    groups: Mapping[str, Collection[str]] | None,
    index: Index,
    waivers: tuple[Waiver, ...],
    before: Recorded,
) -> Since:
    told = found.assessment
    now = read_recorded(
        "", "", as_body(told.ranked, before, told.moment.date(), feeds=told.feeds.values(), unseen=told.unseen)
    )
    entry = _last_record(ledger) if run == LAST else _record_of(ledger, run)
    body = ledger.body(entry) if entry is not None else None
    if entry is not None and body is not None:
        then, exact = read_recorded(entry.run, entry.collected_at, body), True
    elif run == LAST:
        raise NoSuchRunError(
            f"nothing was recorded before the newest answers of {ledger.town}: name a run, of those that "
            f"`civicops runs {ledger.town}` lists"
        )
    else:
        then, exact = _worked_out(ledger, run, found.town, groups, index, waivers), False
    there = told.hosts
    different = tuple(
        one for one in changes(then.rows, now.rows, there, told.unseen) if found.about(one.kind, one.about)
    )
    return Since(then.run, then.at, exact, different, tuple(_other_feeds(then, now)) if exact else ())


def _other_feeds(then: Recorded, now: Recorded) -> list[str]:
    dates = {name: (then.feeds.get(name), now.feeds.get(name)) for name in sorted({*then.feeds, *now.feeds})}
    return [
        f"{printable(name, 60)} {old[0] if old else 'missing'} -> {new[0] if new else 'missing'}"
        for name, (old, new) in dates.items()
        if old != new
    ]


def _last_record(ledger: Ledger) -> Entry | None:
    answered = max((entry.seq for kind in _ANSWERS for entry in ledger.latest(kind).values()), default=0)
    records = [one for one in ledger.newest(RECORD, _LOOKED_AT) if one.status == "accepted" and one.seq < answered]
    return records[0] if records else None


def _record_of(ledger: Ledger, run: str) -> Entry | None:
    records = [one for one in ledger.of_run(_checked(run)) if one.kind == RECORD and one.status == "accepted"]
    return records[-1] if records else None


def _checked(run: str) -> str:
    if not RUN_ID.fullmatch(run):
        raise NoSuchRunError(f"--since {printable(run, 80)!r} is no run's id; `civicops runs TOWN` lists them")
    return run


def _worked_out(
    ledger: Ledger,
    run: str,
    town: Town,
    groups: Mapping[str, Collection[str]] | None,
    index: Index,
    waivers: tuple[Waiver, ...],
) -> Recorded:
    """How it stood when a run had ended that nothing was recorded for: by the documents until then."""
    told = ledger.of_run(run)
    if not told:
        raise NoSuchRunError(f"the ledger of {ledger.town} has no run {run}; `civicops runs {ledger.town}` lists them")
    last = told[-1]
    moment = moment_of(last.recorded_at)
    former = assess(ledger.until(last.seq), moment, town, groups, index, waivers=waivers, recorded=NOTHING)
    return read_recorded(run, last.recorded_at, as_body(former.ranked, NOTHING, moment.date()))


@dataclass(frozen=True)
class Shortfall:
    """Why `--fail-on` fails, in words."""

    words: str


def shortfall(told: Findings, demands: Collection[str]) -> Shortfall | None:
    """Whether something is found of a severity that is demanded not to be, or a higher one, and not waived; or, where
    `unknown` is demanded, something is not known. None where not."""
    short = []
    opened = told.some(told.assessment.open)
    levels = [one for one in SEVERITIES if one in demands]
    if levels:
        lowest = SEVERITIES.index(levels[0])
        found = (one.judged for one in opened if one.judged.state == "found")
        number = count(one for one in found if SEVERITIES.index(one.severity) >= lowest)
        if number:
            above = "" if levels[0] == SEVERITIES[-1] else " or higher"
            short.append(f"{number} of severity {levels[0]}{above} found and not waived")
    if UNKNOWN in demands and (words := _not_known(told, opened)):
        short.append(words)
    return Shortfall(f"--fail-on: {'; '.join(short)}") if short else None


def _not_known(told: Findings, opened: Collection[Ranked]) -> str:
    number = count(one.judged for one in opened if one.judged.state == "unknown")
    missed = [one for one in told.assessment.hosts.values() if one.missed and told.about(one.kind, one.name)]
    said = [f"{number} not known"] if number else []
    said += [f"{len(missed)} hosts without an answer"] if missed else []
    # Whichever hosts were asked for: what is not known of the whole may be about them.
    return "; ".join([*filter(None, [", ".join(said)]), *told.assessment.doubts])


def demand(value: str) -> Severity | Literal["unknown"] | None:
    """What `--fail-on` may name; None where it is something else."""
    return next((one for one in (*SEVERITIES, UNKNOWN) if one == value), None)
