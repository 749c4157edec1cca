"""A town's findings for other programs: one JSON document, or SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from civicops.assess.assessment import HostState
from civicops.assess.deadlines import Deadline, rules
from civicops.assess.finding import Judged
from civicops.assess.ranking import Ranked
from civicops.feeds.store import days_old
from civicops.report import sarif
from civicops.report.findings import Findings, Since
from civicops.report.findings_text import deadline_words
from civicops.text import printable
from civicops.town.waivers import Waiver


def as_json(told: Findings, *, every: bool = False) -> Iterator[str]:
    """The document in pieces, as a town can have a hundred thousand findings. `every`: with what is fine."""
    lists: dict[str, Iterable[Any]] = {"findings": _rows(told, waived=False), "waived": _rows(told, waived=True)}
    if every:
        lists["fine"] = map(_judged, told.fine)
    yield json.dumps(_head(told))[:-1]
    for name, rows in lists.items():
        yield f', "{name}": ['
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(row)
        yield "]"
    yield "}\n"


def _head(told: Findings) -> dict[str, Any]:
    assessment, today = told.assessment, told.assessment.moment.date()
    return {
        "schema": "civicops/findings-told/1",
        "town": assessment.town,
        "made_at": assessment.moment.isoformat(timespec="seconds"),
        "anchor": str(assessment.anchor),
        "feeds": [asdict(one) | {"days_old": days_old(one, today)} for one in assessment.feeds.values()],
        "rules": [
            {
                "name": one.name,
                "source": one.source,
                "checked_on": one.checked_on.isoformat(),
                "to_be_checked": one.check,
                "binding": one.binding,
                "clock": one.clock,
            }
            for one in rules()
        ],
        "doubts": list(assessment.doubts),
        "waivers_about_nothing": list(assessment.idle),
        "hosts": {one.name: _host(one) for one in assessment.hosts.values() if told.about(one.kind, one.name)},
        "since": _since(told.since),
    }


def _host(one: HostState) -> dict[str, Any]:
    stakes = one.stakes
    return asdict(one) | {
        "stakes": {
            "systems": list(stakes.systems),
            "departments": list(stakes.departments),
            "criticality": stakes.criticality,
            "handles": sorted(stakes.handles),
            "may_handle": sorted(stakes.may_handle),
        }
    }


def _since(told: Since | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "run": told.run,
        "at": told.at,
        "exact": told.exact,
        "feeds": list(told.feeds),
        "changes": [one._asdict() for one in told.changes],
    }


def _rows(told: Findings, *, waived: bool) -> Iterator[dict[str, Any]]:
    return map(_row, told.some(told.assessment.waived if waived else told.assessment.open))


def _row(one: Ranked) -> dict[str, Any]:
    told = one.inputs
    return _judged(one.judged) | {
        "since": one.since.isoformat(),
        "overdue": one.overdue,
        "deadline": _deadline(one.due),
        "deadlines": [_deadline(due) for due in one.deadlines],
        "rank": {
            "exposed": told.exposed,
            "exploited": told.exploited,
            "ransomware": told.ransomware,
            "epss": told.epss._asdict() if told.epss else None,
            "epss_unknown": told.epss_unknown,
            "criticality": told.criticality,
            "weight": told.weight,
            "priorities": list(told.priorities),
        },
        "waivers": [_waiver(waiver) for waiver in one.weighed.by],
        "waived_cves": [{"cve": cve, "waiver": _waiver(waiver)} for cve, waiver in one.weighed.without],
        "remarks": list(one.weighed.remarks),
    }


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "kind": one.kind,
        "about": list(one.about),
        "state": one.state,
        "severity": one.severity,
        "evidence": one.evidence,
        "remedy": one.remedy,
        "effort": one.effort,
        "frameworks": list(one.frameworks),
        "package": one.package,
        "cves": list(one.cves),
    }


def _deadline(due: Deadline | None) -> dict[str, Any] | None:
    if due is None:
        return None
    return {
        "rule": due.rule,
        "due": due.due.isoformat() if due.due else None,
        "earliest": due.earliest.isoformat() if due.earliest else None,
        "triage": due.triage,
        "why": due.why,
        "not_known": list(due.unknown),
        "cve": due.cve,
    }


def _waiver(one: Waiver) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "hosts": one.hosts,
        "reason": one.reason,
        "approver": one.approver,
        "granted": one.granted.isoformat(),
        "expires": one.expires.isoformat(),
        "line": one.line,
    }


def as_sarif(told: Findings, *, every: bool = False) -> Iterator[str]:
    """SARIF 2.1.0: a rule for each finding, a result for each host that it is about.

    What is waived is suppressed, with the reason; what is not known is a result of kind `review`; a host without an
    answer is a notification of the run. `every`: what is fine is there too, as results of kind `pass`.
    """
    ranked = told.some(told.assessment.ranked)
    fine = told.fine if every else ()
    first = {judged.id: judged for judged in reversed([*(one.judged for one in ranked), *fine])}
    index = {name: number for number, name in enumerate(sorted(first))}
    today = told.assessment.moment.date()
    results = [
        result
        for one in ranked
        for result in _results(one, index[one.judged.id], deadline_words(one.due, today) if one.due else "")
    ]
    results += [_plain(one, name, index[one.id], "pass", "none", one.evidence) for one in fine for name in one.about]
    missed = [one for one in told.assessment.hosts.values() if one.missed and told.about(one.kind, one.name)]
    notes = [sarif.note("error", f"{one.name}: {one.missed}") for one in missed]
    notes += [sarif.note("warning", one) for one in (*told.assessment.doubts, *told.assessment.idle)]
    log = sarif.log(
        told.assessment.town,
        "findings",
        rules=[_rule(first[name]) for name in index],
        results=results,
        notes=notes,
        successful=not missed,
    )
    yield from json.JSONEncoder(ensure_ascii=False, indent=1).iterencode(log)
    yield "\n"


def _rule(one: Judged) -> dict[str, Any]:
    return {
        "id": sarif.line(one.id),
        "shortDescription": {"text": sarif.line(one.title)},
        "help": {"text": sarif.line(one.remedy)},
        "defaultConfiguration": {"level": sarif.LEVELS[one.severity]},
        "properties": {
            "tags": [*(sarif.line(name, 100) for name in one.frameworks), "security"],
            "security-severity": sarif.SECURITY[one.severity],
        },
    }


def _results(one: Ranked, index: int, due: str) -> Iterator[dict[str, Any]]:
    judged, found = one.judged, one.judged.state == "found"
    said = [judged.evidence, *filter(None, [due if found else ""]), *one.weighed.remarks]
    kind, level = ("fail", sarif.LEVELS[judged.severity]) if found else ("review", "none")
    suppressions = [
        {
            "kind": "external",
            "status": "accepted",
            "justification": sarif.line(f"{waiver.reason} ({waiver.approver}, until {waiver.expires})"),
        }
        for waiver in one.weighed.by
    ]
    for name in judged.about:
        result = _plain(judged, name, index, kind, level, "; ".join(said))
        yield result | {"suppressions": suppressions} if suppressions else result


def _plain(one: Judged, about: str, index: int, kind: str, level: str, text: str) -> dict[str, Any]:
    return {
        "ruleId": sarif.line(one.id),
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": sarif.line(f"{about}: {one.title}: {text}", 2000)},
        "locations": sarif.locations(about),
        "partialFingerprints": {"civicopsFinding/v1": sarif.fingerprint(one.kind, about, one.id)},
        "properties": {
            "state": one.state,
            "severity": one.severity,
            "package": printable(one.package, 200),
            "cves": list(one.cves),
        },
    }
