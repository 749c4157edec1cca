"""How hosts stand against their profiles, for other programs: JSON, CSV and SARIF 2.1.0.

Text from hosts is data: a spreadsheet takes none of it for a formula, and nothing in it steers a terminal.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from civicops.assess.catalogue import FRAMEWORKS, Control
from civicops.assess.hardening import Hardening, Standing
from civicops.assess.standing import Score, Verdict
from civicops.report import sarif
from civicops.text import printable

_CELL = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "|", "%")
"""With these a spreadsheet's formula can begin; full-width twins of the first ones are taken for them by some."""
_WIDE = str.maketrans("＝＋－＠", "=+-@")  # noqa: RUF001


def plain(told: Hardening) -> dict[str, Any]:
    """Everything as plain data, for `--json` and `--format json`."""
    return {
        "schema": "civicops/hardening/1",
        "town": told.town,
        "made_at": told.made_at.isoformat(timespec="seconds"),
        "run": told.run,
        "catalogue": told.catalogue.sha256,
        "anchor": str(told.anchor),
        "frameworks": {name: FRAMEWORKS.get(name, "profile") for name in told.frameworks()},
        "scores": {name: _score(told.score(name)) for name in told.frameworks()},
        "hosts": [_host(one) for one in told.hosts],
        "gone": list(told.gone),
        "doubts": list(told.doubts),
    }


def _score(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else asdict(score) | {"percent": score.percent}


def _host(one: Standing) -> dict[str, Any]:
    return {
        "host": one.host,
        "known": one.known,
        "audited_at": one.at,
        "run": one.run or None,
        "job": one.job or None,
        "check": one.check,
        "outcome": one.outcome or None,
        "reason": one.reason,
        "profile": one.profile or None,
        "role": one.role or None,
        "catalogue": one.catalogue or None,
        "seen_as_root": one.seen_as_root,
        "doubts": list(one.doubts),
        "scores": {name: _score(one.score(name)) for name in one.scores or ()},
        "waivers": [asdict(waiver) for waiver in one.waivers],
        "drift": asdict(one.drift) if one.drift else None,
        "controls": [_control(verdict) for verdict in one.verdicts],
    }


def _control(one: Verdict) -> dict[str, Any]:
    return {
        "id": one.control.id,
        "title": one.control.title,
        "severity": one.control.severity,
        "state": one.state,
        "met": one.met,
        "would_change": one.would_change,
        "was": one.was,
        "wanted": one.wanted,
        "reason": one.reason,
        "identifiers": {name: list(ids) for name, ids in one.control.frameworks.items()},
    }


COLUMNS = (
    "host", "audited_at", "run", "profile", "role", "control", "title", "severity", "state", "met", "was", "wanted",
    "reason", *FRAMEWORKS,
)  # fmt: skip


def as_csv(told: Hardening) -> str:
    """One line for each host and control; a host of which nothing is known has one, with the state `not_known`."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in _lines(told):
        writer.writerow([cell(value) for value in line])
    return out.getvalue()


def _lines(told: Hardening) -> Iterator[list[str]]:
    for host in told.hosts:
        if not host.verdicts:
            yield [host.host, *[""] * 7, "not_known", "no", "", "", "; ".join(host.doubts), *[""] * len(FRAMEWORKS)]
        for one in host.verdicts:
            ids = [" ".join(one.control.frameworks.get(name, ())) for name in FRAMEWORKS]
            reason = "; ".join([one.reason, *host.doubts]) if host.stale else one.reason
            yield [
                host.host, host.at or "", host.run, host.profile, host.role, one.control.id,
                one.control.title if one.control.known else "", one.control.severity or "",
                one.state, "yes" if one.met and not host.stale else "no", one.was, one.wanted, reason, *ids,
            ]  # fmt: skip


def cell(value: str) -> str:
    """A text as a cell: one line, nothing that steers, and with `'` before what a spreadsheet would calculate."""
    begins_so = value[:1] in ("\t", "\r", "\n")
    clean = printable(value, _CELL)
    # Spaces and quotes before it are skipped by some.
    first = clean.lstrip(" \"'").translate(_WIDE)[:1]
    return f"'{clean}" if first in _FORMULA or begins_so else clean


def as_sarif(told: Hardening) -> dict[str, Any]:
    """SARIF 2.1.0. A rule for each control that was looked at, a result for each that a host does not meet.

    Hosts are logical locations. What is waived is a result that is suppressed, with the reason; what could not be
    looked at is one of kind `review`, and a host of which nothing is known a notification of the run.
    """
    controls = {one.control.id: one.control for host in told.hosts for one in host.verdicts}
    index = {name: number for number, name in enumerate(controls)}
    results = [
        _result(host, one, index[one.control.id])
        for host in told.hosts
        for one in host.verdicts
        if one.counts and not one.met
    ]
    notes = [_note(host) for host in told.hosts if host.at is None or host.doubts]
    return sarif.log(
        told.town,
        "baseline",
        rules=[_rule(one) for one in controls.values()],
        results=results,
        notes=[*notes, *(sarif.note("error", doubt) for doubt in told.doubts)],
        successful=not (told.not_known or told.doubts),
    )


def _rule(control: Control) -> dict[str, Any]:
    tags = [f"{name}:{one}" for name, ids in control.frameworks.items() for one in ids]
    properties: dict[str, Any] = {"tags": [*tags, "security"]}
    if control.severity:
        properties["security-severity"] = sarif.SECURITY[control.severity]
    rule: dict[str, Any] = {
        "id": sarif.line(control.id),
        "shortDescription": {"text": sarif.line(control.title)},
        "defaultConfiguration": {"level": sarif.LEVELS[control.severity]},
        "properties": properties,
    }
    if control.rationale:
        rule["fullDescription"] = {"text": control.rationale}
    if control.verification:
        rule["help"] = {"text": f"To see it on a host: {control.verification}"}
    return rule


_KINDS = {"error": "review", "not_enforceable": "fail", "failed": "fail", "changed": "fail", "waived": "fail"}


def _result(host: Standing, one: Verdict, index: int) -> dict[str, Any]:
    kind = _KINDS.get(one.state, "fail")
    said = [f"{host.host}: {one.control.title}: {one.state.replace('_', ' ')}"]
    said += [f"is: {one.was}"] * bool(one.was) + [f"wanted: {one.wanted}"] * bool(one.wanted)
    said += [one.reason] * bool(one.reason) + list(host.doubts) * host.stale
    # Only what fails has a level.
    level = sarif.LEVELS[one.control.severity] if kind == "fail" else "none"
    result: dict[str, Any] = {
        "ruleId": sarif.line(one.control.id),
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": sarif.line("; ".join(said), 2000)},
        "locations": sarif.locations(host.host),
        "partialFingerprints": {"civicopsHostControl/v1": sarif.fingerprint(host.host, one.control.id)},
        "properties": {"state": one.state, "wouldChange": one.would_change, "auditedAt": host.at},
    }
    if one.state == "waived":
        result["suppressions"] = [_suppression(host, one)]
    return result


def _suppression(host: Standing, one: Verdict) -> dict[str, Any]:
    waiver = next((waiver for waiver in host.waivers if waiver.control == one.control.id), None)
    if waiver is None:
        return {"kind": "external", "status": "underReview", "justification": sarif.line(one.reason or "waived")}
    ends = "ran out on" if waiver.expired else "until"
    return {
        "kind": "external",
        # One that has run out excuses nothing any more.
        "status": "rejected" if waiver.expired else "accepted",
        "justification": sarif.line(f"{waiver.reason} ({waiver.approver}, {ends} {waiver.until})"),
    }


def _note(host: Standing) -> dict[str, Any]:
    text = f"{host.host}: {'; '.join(host.doubts) or 'never audited'}"
    level = "error" if host.at is None or host.stale else "warning"
    return sarif.note(level, text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


EXPORTS: dict[str, Callable[[Hardening], str]] = {
    "json": lambda told: _json(plain(told)),
    "csv": as_csv,
    "sarif": lambda told: _json(as_sarif(told)),
}
"""By the format's name, which is the file's ending too."""
