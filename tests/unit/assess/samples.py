"""Baseline documents for tests, and a ledger that has them."""

from __future__ import annotations

import uuid
from typing import Any

from civicops.assess.standing import STATES
from civicops.ledger.documents import Document, check_body
from civicops.ledger.store import Ledger

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}=cmd|'/C calc'!A0\x1b[31m\u202e"
"""What a host may put where it can write text."""

COLUMNS = ["id", "state", "changed", "was", "wanted", "reason"]


def row(name: str, state: str, *, changed: bool = False, was: str = "", wanted: str = "", why: str = "") -> list[Any]:
    return [name, state, changed or state == "changed", was, wanted, why]


def body(*rows: list[Any], **more: Any) -> dict[str, Any]:
    """The body of an audit, as the schema takes it."""
    counts = {state: sum(one[1] == state for one in rows) for state in STATES}
    made = {
        "outcome": "planned",
        "reason": "",
        "host_time": "2026-11-27T08:00:00Z",
        "took_seconds": 0.4,
        "seen_as_root": True,
        "profile": "town-minimum",
        "role": "server",
        "catalogue": "0" * 64,
        "waivers": [],
        "results": {"columns": COLUMNS, "rows": list(rows)},
        "counts": {state: count for state, count in counts.items() if count},
    } | more
    check_body("baseline", 1, made)
    return made


def undo(of_run: str, *back: str) -> dict[str, Any]:
    """The body of a run that was put back."""
    made = {
        "outcome": "done",
        "reason": "",
        "host_time": None,
        "took_seconds": 1.0,
        "of_run": of_run,
        "undone": {"back": list(back), "left": [], "failed": []},
    }
    check_body("baseline", 1, made)
    return made


def add(
    ledger: Ledger, told: Any, *, host: str = "web1", run: str = "run-1", kind: str = "baseline", **more: Any
) -> None:
    """Append one document; as if by the job checkup in check mode, unless told otherwise."""
    fields: dict[str, Any] = {
        "kind": kind,
        "version": 1,
        "id": str(uuid.uuid4()),
        "town": ledger.town,
        "host": host,
        "target": None,
        "run": run,
        "job": "checkup",
        "check": kind == "baseline",
        "attempt": 1,
        "collected_at": "2026-11-27T08:00:00.000000Z",
        "body": told,
        "status": "accepted",
        "reason": None,
    }
    ledger.append([Document(**(fields | more))])


def contact(action: str, outcome: str = "failed", reason: str = "the module failed") -> dict[str, Any]:
    return {"outcome": outcome, "task": "t", "action": action, "reason": reason, "ignored": False}
