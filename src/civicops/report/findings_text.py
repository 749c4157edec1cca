"""A town's findings for a terminal: the same finding of many hosts once, what is to be done first on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from civicops.assess.assessment import COLOURS, HostState
from civicops.assess.catalogue import SEVERITIES
from civicops.assess.deadlines import Deadline
from civicops.assess.finding import Judged, count, severities
from civicops.assess.ranking import Place, Ranked
from civicops.assess.recorded import Change
from civicops.assess.recovery_known import listed
from civicops.assess.waived import left_out
from civicops.assess.waived import told as waived_by
from civicops.report.findings import Findings, Since
from civicops.text import printable

SHOWN = 40
"""Findings that are listed where not all are asked for; the rest is counted."""
_NAMES, _CVES, _CHANGES = 5, 5, 30
_INDENT = 10


_EXPOSED = {True: "exposed to the Internet", False: "internal", None: "exposure not known"}
_EXPLOITED = {True: "exploited", False: "not known to be exploited", None: "exploited or not: not known"}
_CHANGED = {
    "new": "New",
    "worse": "Worse",
    "unseen": "Not seen any more (was found, and is not known now)",
    "unsure": "Not known any more",
    "better": "Better",
    "gone": "Gone",
}


@dataclass
class Group:
    """One finding of all the hosts of which the same is to be said."""

    first: Ranked
    places: dict[Place, list[str]] = field(default_factory=dict)
    evidence: set[str] = field(default_factory=set)
    cves: dict[str, None] = field(default_factory=dict)
    seen: set[tuple[str, ...]] = field(default_factory=set)
    remarks: dict[str, None] = field(default_factory=dict)

    @property
    def about(self) -> list[str]:
        """Those first that it is most urgent for."""
        return [name for _, names in sorted(self.places.items()) for name in sorted(names)]


def grouped(ranked: Iterable[Ranked]) -> list[Group]:
    """In the order of the first of each."""
    groups: dict[tuple[object, ...], Group] = {}
    for one in ranked:
        judged, due, weighed = one.judged, one.due, one.weighed
        dates = (due.rule, due.due, due.earliest) if due else None
        waivers = tuple(waiver.line for waiver in weighed.by)
        key = (judged.id, judged.title, judged.kind, judged.state, judged.severity, dates, waivers)
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(one)
        group.places.setdefault(one.place, []).extend(judged.about)
        group.evidence.add(judged.evidence)
        if judged.cves not in group.seen:
            group.seen.add(judged.cves)
            group.cves |= dict.fromkeys(judged.cves)
        if weighed.remarks or weighed.without:
            group.remarks |= dict.fromkeys((*weighed.remarks, *filter(None, [left_out(weighed)])))
    return list(groups.values())


def lines(told: Findings, *, every: bool = False) -> Iterator[str]:
    """All of it. `every`: what is fine too, and more than `SHOWN` findings."""
    one_host = told.hosts is not None and len(told.hosts) == 1
    yield from _head(told)
    if told.since is not None:
        yield from _since(told.since, every=every)
        return
    opened = told.some(told.assessment.open)
    found = [one for one in opened if one.judged.state == "found"]
    unknown = [one for one in opened if one.judged.state == "unknown"]
    waived = told.some(told.assessment.waived)
    limit = len(opened) + len(waived) if every or one_host else SHOWN
    today = told.assessment.moment.date()
    host = told.assessment.hosts[next(iter(told.hosts))] if told.hosts and one_host else None
    for title, some in (("Found", found), ("Not known", unknown), ("Waived", waived)):
        yield from _section(title, some, limit, today, host)
    for line in told.assessment.idle if told.hosts is None else ():
        yield f"waiver: {printable(line, 500)}"
    if every:
        yield from _fine(told.fine)


def _head(told: Findings) -> Iterator[str]:
    assessment = told.assessment
    hosts = [one for one in assessment.hosts.values() if told.about(one.kind, one.name)]
    if told.hosts is not None and len(hosts) == 1:
        (host,) = hosts
        yield printable(f"{told.town.id}: {host.name}: {host.colour}{': ' + host.missed if host.missed else ''}", 700)
        yield f"  {_EXPOSED[host.exposure.value]}: {printable(host.exposure.why, 300)}"
    else:
        colours = Counter(one.colour for one in hosts)
        words = ", ".join(f"{colours[one]:,} {one}" for one in COLOURS if colours[one])
        devices = sum(one.kind == "device" for one in hosts)
        counts = [_count(len(hosts) - devices, "host")] + [_count(devices, "network device")] * bool(devices)
        yield f"{printable(told.town.name, 200)} ({told.town.id}): {' and '.join(counts)}: {words}"
    yield f"  {_counts(told.some(assessment.open))}"
    if assessment.feeds:
        yield f"  feeds: {printable(', '.join(f'{one.name} {one.date}' for one in assessment.feeds.values()), 600)}"
    for doubt in assessment.doubts:
        yield f"  note: {printable(doubt, 700)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _counts(opened: Sequence[Ranked]) -> str:
    counts = severities(one.judged for one in opened if one.judged.state == "found")
    found = ", ".join(f"{counts[one]:,} {one}" for one in reversed(SEVERITIES) if counts[one])
    late = count(one.judged for one in opened if one.judged.state == "found" and one.overdue)
    unknown = count(one.judged for one in opened if one.judged.state == "unknown")
    said = [f"found: {found}" if found else "nothing found"]
    said += [f"{late:,} overdue"] if late else []
    said += [f"not known: {unknown:,}"] if unknown else []
    return "; ".join(said)


def _section(title: str, ranked: Sequence[Ranked], limit: int, today: date, host: HostState | None) -> Iterator[str]:
    """`host`: the one that alone was asked for; then it is told too what a place rests on."""
    groups = grouped(ranked)
    if not groups:
        return
    yield ""
    yield f"{title}:"
    for group in groups[:limit]:
        yield from _group(group, today, host)
    if groups[0].first.judged.state == "unknown":
        yield f"-> {printable(groups[0].first.judged.remedy, 400)}"
    rest = groups[limit:]
    if rest:
        counts = Counter(one.first.judged.severity for one in rest)
        words = ", ".join(f"{counts[one]} {one}" for one in reversed(SEVERITIES) if counts[one])
        yield f"and {len(rest)} more, which come later: {words} (--all lists them, --host HOST tells of one host)"


def _group(group: Group, today: date, host: HostState | None) -> Iterator[str]:
    judged, about = group.first.judged, group.about
    names = listed(about, _NAMES)
    where = f"{_count(len(about), judged.kind)}: {names}" if len(about) > 1 else names
    of = f"{printable(judged.package, 80)}: " if judged.package else ""
    yield f"{judged.severity:<{_INDENT}}{of}{printable(judged.title, 200)} [{printable(judged.id, 120)}]"
    pad = " " * _INDENT
    yield pad + printable(where, 700)
    if judged.state == "found" and (due := group.first.due) is not None:
        yield pad + deadline_words(due, today)
    evidence = next(iter(group.evidence)) if len(group.evidence) == 1 else f"{judged.evidence} (others differ)"
    yield pad + printable(evidence, 400)
    if group.cves:
        yield pad + printable(listed(group.cves, _CVES), 300)
    if group.first.weighed.waived:
        yield pad + printable(f"waived: {waived_by(group.first.weighed)}", 600)
    for remark in group.remarks:
        yield pad + printable(remark, 400)
    if host is not None:
        yield pad + printable(input_words(group.first, host.stakes.systems), 500)
    if judged.remedy and judged.state == "found":
        yield f"{pad}-> {printable(judged.remedy, 400)}"


def deadline_words(due: Deadline, today: date) -> str:
    """By when, by whose rule, and what is not known of it."""
    if due.due is None:
        words = "due with the next upgrade"
    elif due.due < today:
        words = f"overdue since {due.due}"
    else:
        words = f"due by {due.due}"
    because = ", ".join(filter(None, [due.why, due.cve]))
    words += f" ({due.rule}{': ' if because else ''}{because})"
    if due.triage:
        words += ", with forensic triage"
    if due.earliest is not None and due.earliest != due.due:
        words += f"; it could be {due.earliest} already: {', '.join(due.unknown)}"
    return printable(words, 500)


def input_words(one: Ranked, systems: Sequence[str]) -> str:
    """What a finding's place rests on. `systems`: those of the host that it is about."""
    told = one.inputs
    systems = one.judged.about if one.judged.kind == "system" else systems
    said = [f"since {one.since}"]
    if one.judged.cves:
        said.append(_EXPLOITED[told.exploited])
        if told.exploited:
            said.append("by extortionists too" if told.ransomware else "by extortionists or not: not known")
        epss = f"EPSS {told.epss.score:.3f}" if told.epss else "EPSS not known"
        said.append(epss + (f" (not known of {told.epss_unknown})" if told.epss and told.epss_unknown else ""))
    of = listed(systems) if systems else "no system that is known"
    said.append(f"{of}, criticality {told.criticality if told.criticality is not None else 'not known'}")
    if told.priorities:
        said.append(f"weight {told.weight:.2f} by {listed(told.priorities)}")
    return "place: " + "; ".join(said)


def _since(told: Since, *, every: bool) -> Iterator[str]:
    yield f"Since {printable(told.run, 130)} of {told.at[:16].replace('T', ' ')}Z:"
    if not told.exact:
        yield "  nothing was recorded then: worked out from its documents, with the feeds and waivers of today"
    for feed in told.feeds:
        yield f"  feed: {feed}"
    if not told.changes:
        yield "  nothing is different"
    for what, some in groupby(told.changes, key=lambda one: one.what):
        changes = list(some)
        yield f"{_CHANGED[what]}: {len(changes):,}"
        alike: dict[tuple[str, str, str], list[Change]] = {}
        for one in changes:
            alike.setdefault((one.id, one.severity, one.why), []).append(one)
        rows = list(alike.items())
        for (name, severity, why), ones in rows if every else rows[:_CHANGES]:
            where = listed((one.about for one in ones), _NAMES)
            yield "  " + printable(f"{severity:<{_INDENT}}{name}: {where}: {why}", 600)
        if not every and len(rows) > _CHANGES:
            yield f"  and {len(rows) - _CHANGES} more (--all lists them)"


def _fine(fine: Sequence[Judged]) -> Iterator[str]:
    if not fine:
        return
    yield ""
    yield "Fine:"
    alike: dict[tuple[str, str], list[str]] = {}
    for one in fine:
        alike.setdefault((one.title, one.id), []).extend(one.about)
    for (title, name), about in sorted(alike.items()):
        yield f"  {printable(title, 200)} [{printable(name, 120)}]: not so on {listed(about, _NAMES)}"
