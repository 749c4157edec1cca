"""Which towns, systems and hosts an advisory hits: `civicops findings --advisory`.

Each town's ledger is opened by itself, and every line names its town. A town that could not be looked at is told.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from civicops.assess.advisory import Hit, Hits, hits
from civicops.assess.finding import RECORD
from civicops.assess.ranking import catalogue_holds
from civicops.assess.recovery_known import listed
from civicops.feeds.store import Exploited, Feed, Index, days_old
from civicops.feeds.values import is_cve
from civicops.ledger.store import Ledger, LedgerError
from civicops.state import TOWN_ID, StateError, TownState, state_root
from civicops.text import printable
from civicops.town.directories import embedded_dir, find_towns, inventories_dir, town_dir
from civicops.town.problems import TownFileError

_NAME = re.compile(r"[A-Z][A-Z0-9]{1,15}-[A-Za-z0-9][A-Za-z0-9:._-]{0,80}")
_COUNTED = ("DSA", "DLA", "USN")
"""Advisories whose names end in the number of the edition."""
_NAMES = 12
_STATES = ("fixable", "restart", "support_ended", "unfixed")
_WORDS = {
    "fixable": "an update mends it",
    "restart": "updated, and former files are still in use",
    "support_ended": "its support has ended",
    "unfixed": "no version mends it yet",
}


class NoAdvisoryError(Exception):
    """What was asked for is no advisory, or there is nothing to ask; the message says what to do."""


@dataclass(frozen=True)
class Told:
    """What an advisory does to all towns that were looked at."""

    name: str
    known: bool
    """Whether any feed has it."""
    exploited: Exploited | None
    catalogue: bool
    """Whether CISA's catalogue of exploited vulnerabilities is here, and new enough to say that something is not in it.
    """
    feeds: Mapping[str, Feed]
    towns: tuple[Hits, ...]
    not_looked_at: Mapping[str, str]
    """Towns that could not be looked at, each with why."""


def ask(name: str, town: str | None, inventories: Path | None, *, now: datetime | None = None) -> Told:
    """Ask the ledgers of one town, or of all that this user has; no host is asked.

    :raises NoAdvisoryError: it is no advisory's name, or no feed is there.
    :raises TownFileError: there is no such town.
    """
    name = name.strip()
    # People type CVEs in any case; advisories' own names may have small letters after the first part.
    head, dash, rest = name.partition("-")
    name = f"{head.upper()}{dash}{rest}"
    if not _NAME.fullmatch(name) or (head.upper() == "CVE" and not is_cve(name)):
        raise NoAdvisoryError(
            f"--advisory {printable(name, 100)!r} is no advisory's name: CVE-2026-1234, DSA-5678-1, ALSA-2026:1234"
        )
    if head.upper() in _COUNTED and "-" not in rest:
        raise NoAdvisoryError(f"--advisory {name}: its makers count its editions, the first is {name}-1")
    index, moment = Index(), now or datetime.now(UTC)
    with index.steady():
        feeds = index.status()
        exploited = index.kev(name) if is_cve(name) else None
        known = index.naming(name, ()).known
    if not feeds:
        raise NoAdvisoryError("no feed is here, so nothing is known of any advisory: civicops feeds update")
    found, left = [], {}
    for one in _wanted(town, inventories):
        try:
            found.append(_in_town(one, index, name, moment, inventories))
        except _NotLookedAtError as error:
            left[one] = str(error)
        except (StateError, LedgerError, TownFileError) as error:
            left[one] = printable(error, 400)
        except OSError as error:
            left[one] = printable(f"{error.filename or 'its state'}: {error.strerror}", 400)
    if town is None:
        left |= _strangers({*left, *(one.town for one in found)})
    return Told(name, known, exploited, catalogue_holds(feeds.get("kev"), moment.date()), feeds, tuple(found), left)


class _NotLookedAtError(Exception):
    """Why a town could not be looked at."""


def _wanted(town: str | None, inventories: Path | None) -> list[str]:
    if town is not None:
        return [town_dir(town, inventories).name]
    embedded = embedded_dir()
    every = [*find_towns(inventories), *(find_towns(embedded) if embedded and inventories_dir(inventories) else ())]
    names = {path.name for path in every}
    # A clone's own towns are examples: only those that have been looked at are of interest.
    own = {path.name for path in find_towns(inventories)} if inventories_dir(inventories) else set()
    return sorted(name for name in names if name in own or (TOWN_ID.fullmatch(name) and (state_root() / name).is_dir()))


def _strangers(looked_at: set[str]) -> dict[str, str]:
    """Towns that this user has a ledger of, and that no inventory names."""
    why = "this user has a ledger of it, and the inventories have no such town"
    try:
        there = sorted(path.name for path in state_root().iterdir() if TOWN_ID.fullmatch(path.name))
        # Of other users' towns nothing can be seen.
        own = [name for name in there if os.access(state_root() / name / "ledger.sqlite", os.R_OK)]
    except OSError:
        return {}
    return {name: why for name in own if name not in looked_at}


def _in_town(name: str, index: Index, advisory: str, moment: datetime, inventories: Path | None) -> Hits:
    state = TownState(name)
    elsewhere = bool(os.environ.get("CIVICOPS_LEDGER_URL"))
    if not state.root.is_dir() or not (elsewhere or (state.root / "ledger.sqlite").is_file() or _spooled(state)):
        raise _NotLookedAtError("this user has no ledger of it")
    if _spooled(state):
        from civicops.runs.start import take_in

        take_in(name, state)
    with Ledger(name, state=state) as ledger, ThreadPoolExecutor(1) as pool:
        # Ansible starts meanwhile.
        asked = None if ledger.newest(RECORD, 1) else pool.submit(_systems_of, name, state, inventories)
        told = hits(ledger, index, advisory, moment)
        if not (told.hits or told.unknown or told.not_hit):
            raise _NotLookedAtError(f"no host has been asked yet: civicops checkup {name}")
        return replace(told, systems=asked.result()) if asked is not None and told.hits else told


def _spooled(state: TownState) -> bool:
    spool = state.root / "spool"
    return spool.is_dir() and any(spool.iterdir())


def _systems_of(name: str, state: TownState, inventories: Path | None) -> dict[str, tuple[str, ...]] | None:
    """Where nothing was recorded yet: each host's systems by the inventory; None where that can't be read."""
    from civicops.runs.inventory import InventoryError, read_groups
    from civicops.town.loader import load_town

    try:
        town = load_town(town_dir(name, inventories))
        groups = read_groups(town, state)
    except (InventoryError, TownFileError):
        return None
    systems: dict[str, tuple[str, ...]] = {}
    for one in town.systems:
        for host in groups.get(f"system_{one.id}", ()):
            systems[host] = (*systems.get(host, ()), one.id)
    return systems


def lines(told: Told) -> Iterator[str]:
    """For a terminal: towns, systems, packages, hosts."""
    yield f"{told.name}: {_threat(told)}"
    dates = ", ".join(f"{one.name} {one.date}" for one in told.feeds.values())
    if not told.known:
        yield f"  no feed of advisories here has it, so nothing is known of it: {printable(dates, 500)}"
    for town in told.towns:
        yield from _town(town)
    for name, why in told.not_looked_at.items():
        yield f"{printable(name, 80)}: not looked at: {printable(why, 500)}"
    if not told.towns and not told.not_looked_at:
        yield "no town is there to be looked at: name the inventories' directory with --inventories"
    if told.known:
        yield f"  by the feeds {printable(dates, 500)}"


def _threat(told: Told) -> str:
    if told.exploited is not None:
        ransom = ", by extortionists too" if told.exploited.ransomware else ""
        return f"exploited, in CISA's catalogue since {told.exploited.added}{ransom}"
    if not is_cve(told.name):
        return "whether it is exploited is told of CVEs alone"
    kev = told.feeds.get("kev")
    if kev is None:
        return "exploited or not is not known: the feed kev is missing: civicops feeds update kev"
    if told.catalogue:
        return f"not in CISA's catalogue of exploited ones of {kev.date}"
    return f"exploited or not is not known: CISA's catalogue here is of {kev.date}: civicops feeds update kev"


def _town(town: Hits) -> Iterator[str]:
    hosts = {one.host for one in town.hits}
    count = len(hosts) + len(town.unknown) + len(town.not_hit)
    words = [f"{len(hosts):,} of {count:,} hosts hit"]
    words += [f"{len(town.unknown):,} not known"] if town.unknown else []
    if town.devices:
        words.append(f"{len(town.devices):,} network devices, of which no feed here speaks: not known")
    at = f" (hosts as of the checkup of {town.hosts_at[:10]})" if town.hosts_at else ""
    yield f"{town.town}: {'; '.join(words)}{at}"
    if hosts:
        yield f"  systems: {_systems(town, hosts)}"
    alike: dict[tuple[str, str, str, str], list[Hit]] = {}
    for one in town.hits:
        alike.setdefault((one.state, one.package, one.version, one.fixed), []).append(one)
    for (state, package, version, fixed), some in sorted(alike.items(), key=lambda pair: _order(*pair)):
        mended = f", mended by {printable(fixed, 200)}" if fixed else ""
        what = f"{printable(package, 100)} {printable(version, 100)}: {_WORDS.get(state, state)}{mended}"
        if units := sorted({unit for one in some for unit in one.restart}):
            what += f": {listed(units)}"
        yield f"  {town.town}: {what}"
        yield f"    {len(some):,}: {printable(listed((one.host for one in some), _NAMES), 900)}"
    for doubt in town.doubts:
        yield f"  {town.town}: note: {printable(doubt, 300)}"
    reasons = Counter(town.unknown.values())
    for why, number in reasons.most_common():
        names = [host for host, said in town.unknown.items() if said == why]
        yield f"  {town.town}: not known of {number:,}: {printable(why, 300)}: {printable(listed(names, _NAMES), 600)}"


def _order(key: tuple[str, str, str, str], some: list[Hit]) -> tuple[int, int, str, str]:
    state, package, version, _ = key
    return (_STATES.index(state) if state in _STATES else len(_STATES)), -len(some), package, version


def _systems(town: Hits, hosts: set[str]) -> str:
    if town.systems is None:
        return "not known, as inventory or town file can't be read"
    counts = Counter(system for host in hosts for system in town.systems.get(host, ()))
    without = sum(host not in town.systems for host in hosts)
    said = [f"{printable(name, 60)} ({count:,})" for name, count in counts.most_common()]
    said += [f"{without:,} hosts of none"] if without else []
    at = f" (as recorded on {town.systems_at[:10]})" if town.systems_at else ""
    return f"{', '.join(said)}{at}"


def plain(told: Told) -> dict[str, Any]:
    """Everything as plain data, for `--json`."""
    today = datetime.now(UTC).date()
    return {
        "schema": "civicops/advisory-told/1",
        "advisory": told.name,
        "known": told.known,
        "exploited": told.exploited._asdict() if told.exploited else None if told.catalogue else "not known",
        "feeds": [asdict(one) | {"days_old": days_old(one, today)} for one in told.feeds.values()],
        "towns": [_plain_town(one) for one in told.towns],
        "not_looked_at": dict(told.not_looked_at),
    }


def _plain_town(town: Hits) -> dict[str, Any]:
    systems = town.systems
    hosts = sorted({one.host for one in town.hits})
    return {
        "town": town.town,
        "hosts_at": town.hosts_at or None,
        "hosts_hit": hosts,
        "systems_hit": None if systems is None else sorted({name for host in hosts for name in systems.get(host, ())}),
        "systems_at": town.systems_at or None,
        "hits": [
            one._asdict() | {"systems": None if systems is None else list(systems.get(one.host, ()))}
            for one in town.hits
        ],
        "not_known": dict(town.unknown),
        "not_hit": list(town.not_hit),
        "devices_not_known": list(town.devices),
        "doubts": list(town.doubts),
    }
