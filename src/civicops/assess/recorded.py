"""What was found at the end of a run, as the ledger keeps it: so that what is new, gone or worse is exact, and
deadlines have a day to count from.

Of the same finding on many hosts there is one row. What is fine is left out, and nothing in a body tells the time:
where nothing has changed it is the same body, which the ledger keeps once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.finding import Judged
from civicops.assess.ranking import Ranked, Seen
from civicops.assess.recovery_known import listed
from civicops.feeds.store import Feed

Key = tuple[str, str, str]
"""A finding's id, the kind of what it is about, and its name."""
Rows = Mapping[tuple[str, str], Mapping[str, "Row"]]
"""By a finding's id and the kind of what it is about, by the name of that."""
Unseen = Mapping[str, frozenset[str] | None]


@dataclass(frozen=True)
class Row:
    """One finding of one host, device or system."""

    state: str
    severity: Severity
    package: str
    since: date
    cves: Mapping[str, date]
    """Each with the day on which it was first seen there."""
    waived: bool = False


@dataclass(frozen=True)
class Recorded:
    """The findings of one moment."""

    run: str = ""
    at: str = ""
    rows: Rows = field(default_factory=dict)
    systems: Mapping[str, tuple[str, ...]] | None = None
    """Each host's systems by their ids; None where they were not known."""
    feeds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Each feed's date and hash."""
    missing: frozenset[str] = frozenset()
    """Feeds of former records that were not here any more."""

    def lost(self, feeds: Collection[str]) -> frozenset[str]:
        """Of all feeds that were ever recorded those that are not here now."""
        return (self.missing | self.feeds.keys()) - frozenset(feeds)

    def seen(self, one: Judged, today: date) -> dict[Seen, Sequence[str]]:
        """Since when a finding is known, of which of those that it is about; what is new is so from today on."""
        found: dict[Seen, list[str]] = {}
        for row, about in self.of(one):
            since = min(row.since, today) if row else today
            former = row.cves if row else {}
            cves = tuple(min(former.get(cve, today), today) for cve in one.cves)
            found.setdefault(Seen(since, cves), []).extend(about)
        return dict(found)

    def of(self, one: Judged) -> list[tuple[Row | None, Sequence[str]]]:
        """The rows of a finding, each with those of what it is about that have it; None: those that have none."""
        rows = self.rows.get((one.id, one.kind))
        if not rows:
            return [(None, one.about)]
        about: dict[int, list[str]] = {}
        told: dict[int, Row | None] = {}
        for name in one.about:
            row = rows.get(name)
            about.setdefault(id(row), []).append(name)  # rows are shared, and hold what would be long to compare
            told[id(row)] = row
        return [(told[key], names) for key, names in about.items()]


NOTHING = Recorded()


def read_recorded(run: str, at: str, body: Mapping[str, Any]) -> Recorded:
    """A document of the kind `findings`, as it is asked."""
    rows: dict[tuple[str, str], dict[str, Row]] = {}
    same: dict[str, str] = {}
    for told in body["rows"]:
        cves = {cve: date.fromisoformat(day) for day, some in told["cves"] for cve in some}
        row = Row(
            told["state"],
            told["severity"],
            told["package"],
            date.fromisoformat(told["since"]),
            cves,
            told["waived"],
        )
        names = [same.setdefault(name, name) for name in told["about"]]
        rows.setdefault((told["id"], told["kind"]), {}).update(dict.fromkeys(names, row))
    systems = body["systems"]
    of_hosts: dict[str, list[str]] | None = None
    if systems is not None:
        of_hosts = {}
        for system, hosts in systems.items():
            for host in hosts:
                of_hosts.setdefault(host, []).append(system)
    return Recorded(
        run,
        at,
        rows,
        None if of_hosts is None else {host: tuple(some) for host, some in of_hosts.items()},
        {one["name"]: (one["date"], one["sha256"]) for one in body["feeds"]},
        frozenset(body.get("feeds_missing", ())),
    )


class _Rows:
    """Rows that are being gathered: of what is the same of several hosts, one."""

    def __init__(self) -> None:
        self._same: dict[tuple[Any, ...], list[str]] = {}

    def add(self, name: str, kind: str, about: Iterable[str], row: Row) -> None:
        days: dict[date, list[str]] = {}
        for cve, day in row.cves.items():
            days.setdefault(day, []).append(cve)
        packed = tuple((day, tuple(sorted(some))) for day, some in sorted(days.items()))
        same = (name, kind, row.state, row.severity, row.package, row.since, packed, row.waived)
        self._same.setdefault(same, []).extend(about)

    def told(self) -> list[dict[str, Any]]:
        return [_told(same, about) for same, about in sorted(self._same.items())]


def as_body(
    ranked: Iterable[Ranked],
    before: Recorded,
    today: date,
    *,
    feeds: Iterable[Feed] = (),
    systems: Mapping[str, Sequence[str]] | None = None,
    unseen: Unseen | None = None,
) -> dict[str, Any]:
    """What is recorded of findings. `systems`: each system's hosts. `before`: the newest record; what was in it and
    could not be looked at this time is kept as unknown, so that no deadline begins anew when it is seen again.
    `unseen`: see `Blind`."""
    rows, feeds = _Rows(), list(feeds)
    there: dict[tuple[str, str], set[str]] = {}
    blind = Blind(unseen or {})
    for one in ranked:
        judged = one.judged
        if judged.state == "fine":
            continue
        there.setdefault((judged.id, judged.kind), set()).update(judged.about)
        if judged.state == "unknown":
            blind.add(judged.id, judged.about)
        every = (*judged.cves, *(cve for cve, _ in one.weighed.without))
        for former, about in before.of(judged):
            cves = {cve: min(former.cves.get(cve, today), today) if former else today for cve in every}
            if judged.state == "unknown" and former:
                cves |= former.cves
            since = min(former.since, today) if former else today
            row = Row(judged.state, judged.severity, judged.package, since, cves, one.weighed.waived)
            rows.add(judged.id, judged.kind, about, row)
    for (name, kind), some in before.rows.items():
        for about in some.keys() - there.get((name, kind), set()):
            old = some[about]
            if blind.to((name, kind, about), old):
                rows.add(name, kind, [about], Row("unknown", old.severity, old.package, old.since, old.cves))
    return {
        "feeds": [{"name": one.name, "date": one.date, "sha256": one.sha256} for one in feeds],
        "feeds_missing": sorted(before.lost([one.name for one in feeds])),
        "systems": None if systems is None else {name: sorted(hosts) for name, hosts in systems.items()},
        "rows": rows.told(),
    }


class Blind:
    """What could not be looked at. Of a package, by `unseen`: each host's source packages that could not be assessed,
    None where that is all of them. Of all else: a host has a finding that is not known, of this id or of its beginning.
    """

    def __init__(self, unseen: Unseen) -> None:
        self._unseen = unseen
        self._unknown: dict[str, list[str]] = {}

    def add(self, name: str, about: Iterable[str]) -> None:
        """A finding that is not known."""
        for one in about:
            self._unknown.setdefault(one, []).append(name)

    def to(self, key: Key, row: Row) -> bool:
        """Whether a finding that is not there could not be looked at."""
        name, kind, about = key
        if row.package and kind == "host" and about in self._unseen:
            sources = self._unseen[about]
            return sources is None or row.package in sources
        return any(name == one or name.startswith(f"{one}-") for one in self._unknown.get(about, ()))


def _told(same: tuple[Any, ...], about: Sequence[str]) -> dict[str, Any]:
    name, kind, state, severity, package, since, days, waived = same
    return {
        "id": name,
        "kind": kind,
        "state": state,
        "severity": severity,
        "package": package,
        "since": since.isoformat(),
        "cves": [[day.isoformat(), list(some)] for day, some in days],
        "waived": waived,
        "about": sorted(about),
    }


class Change(NamedTuple):
    """One finding that is not as it was."""

    id: str
    kind: str
    about: str
    what: str
    """new, gone, worse, better, unseen (found before, and now not known), or unsure (not known, and known before)."""
    severity: Severity
    why: str
    """In words: what was, and what is."""


WHAT = ("new", "worse", "unseen", "unsure", "better", "gone")
"""The kinds of changes, those that want a look first."""


def changes(
    before: Rows,
    now: Rows,
    there: Mapping[str, object] | None = None,
    unseen: Unseen | None = None,
) -> list[Change]:
    """What is different; worst first. `there`: the hosts and devices of the inventory; `unseen`: see `Blind`."""
    blind = Blind(unseen or {})
    found = []
    for key, row in each(now):
        if row.state == "unknown":
            blind.add(key[0], [key[2]])
        if (told := _changed(key, before.get(key[:2], {}).get(key[2]), row)) is not None:
            found.append(told)
    for key, row in each(before):
        if row.state != "found" or key[2] in now.get(key[:2], {}):
            continue
        if there is not None and key[1] != "system" and key[2] not in there:
            found.append(Change(*key, "gone", row.severity, "it is not in the inventory any more"))
        elif blind.to(key, row):
            found.append(Change(*key, "unseen", row.severity, "it was found before, and is not known now"))
        else:
            found.append(Change(*key, "gone", row.severity, "it was found before, and is not there now"))
    return sorted(found, key=lambda one: (WHAT.index(one.what), -SEVERITIES.index(one.severity), one.id, one.about))


def each(rows: Rows) -> Iterator[tuple[Key, Row]]:
    """Row by row."""
    for (name, kind), some in rows.items():
        for about, row in some.items():
            yield (name, kind, about), row


def _changed(key: Key, before: Row | None, now: Row) -> Change | None:
    if now.state == "unknown":
        if before is None:
            return Change(*key, "unsure", now.severity, "it is not known now")
        if before.state == "found":
            return Change(*key, "unseen", now.severity, "it was found before, and is not known now")
        return None
    if before is None or before.state != "found":
        return Change(*key, "new", now.severity, "it was not known before" if before else "it was not found before")
    worse, better = _steps(before, now)
    if not (worse or better):
        return None
    return Change(*key, "worse" if worse else "better", now.severity, "; ".join([*worse, *better]))


def _steps(before: Row, now: Row) -> tuple[list[str], list[str]]:
    """In what a finding that was there is worse, and in what it is better."""
    worse: list[str] = []
    better: list[str] = []
    step = SEVERITIES.index(now.severity) - SEVERITIES.index(before.severity)
    if step:
        (worse if step > 0 else better).append(f"{before.severity}, now {now.severity}")
    if more := sorted(now.cves.keys() - before.cves.keys()):
        worse.append(f"{len(more)} more: {listed(more, 3)}")
    if less := sorted(before.cves.keys() - now.cves.keys()):
        better.append(f"{len(less)} fewer: {listed(less, 3)}")
    if before.waived and not now.waived:
        worse.append("it was waived before")
    if now.waived and not before.waived:
        better.append("it is waived now")
    return worse, better
