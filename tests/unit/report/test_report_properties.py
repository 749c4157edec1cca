"""Whatever a host answers, as long as the schema lets it in: every report is written, and shows it as text.

The bodies are drawn from the schema itself, at its edges: nothing where something may be missing, numbers that no
computer holds, dates that no calendar has, further columns and keys, and text that is markup or steers a terminal.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from tests.unit.schema_bodies import SCHEMAS, bodies

from civicops.ledger import spool
from civicops.ledger.documents import Document, parse
from civicops.ledger.store import Ledger
from civicops.report.collect import TownReport, collect
from civicops.report.write import render, summary
from civicops.state import TownState
from civicops.town.model import System

SYSTEMS = (System(id="payroll", name="Payroll", rto_hours=4, rpo_hours=1),)
GROUPS = {"system_payroll": ["web1", "db1"], "backup_server": ["web1", "db1"]}
TAGS = """html head meta title style body header h1 h2 h3 p main div b span section table tbody thead tr td th a br
small details summary ul li code"""
ATTRIBUTES = "lang charset http-equiv content name class id style href open"


class Page(HTMLParser):
    """The tags and attributes of a page, and what is not ours among them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS.split():
            self.strange.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES.split() or (name == "href" and not re.fullmatch("#host-[0-9]+", value or "")):
                self.strange.append(f"{tag} {name}={value}")


def harmless(text: str) -> bool:
    return not set(text) & {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x202E, 0x2066]}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    root = tmp_path_factory.mktemp("state")
    with Ledger("riverton", state=TownState("riverton", root)) as opened:
        yield opened


def put(ledger: Ledger, kind: str, host: str, body: dict[str, Any], moment: datetime) -> Document:
    """What a host has answered, as ingest takes it."""
    envelope = {
        "schema": f"civicops/{kind}/1",
        "id": str(uuid.uuid4()),
        "town": "riverton",
        "host": host,
        "target": None,
        "run": str(uuid.uuid4()),
        "job": "checkup",
        "check": False,
        "attempt": 1,
        "collected_at": spool.now(),
        "body": body,
    }
    document = parse(json.dumps(envelope).encode(), "riverton", now=moment)
    event(f"{kind}: {document.reason or document.status}")
    ledger.append([document])
    return document


def check_report(ledger: Ledger, moment: datetime) -> TownReport:
    """The report in each of its forms, harmless in all of them."""
    report = collect(ledger, "Riverton", moment, systems=SYSTEMS, groups=GROUPS)
    json.dumps(asdict(report), allow_nan=False, default=str)
    assert all(harmless(line) for line in summary(report))
    page = render(report)
    assert harmless(page.replace("\n", ""))
    parser = Page()
    parser.feed(page)
    assert not parser.strange
    return report


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies(SCHEMAS["host-facts"]))
def test_what_the_schema_lets_in_never_breaks_a_report(ledger: Ledger, body: dict[str, Any]) -> None:
    moment = datetime.now(UTC)
    document = put(ledger, "host-facts", "web1", body, moment)
    report = check_report(ledger, moment)
    if document.status == "rejected":
        assert report.missed


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(status=bodies(SCHEMAS["backup-status"]), drill=bodies(SCHEMAS["drill"]), facts=bodies(SCHEMAS["host-facts"]))
def test_nor_do_backups_and_drills(
    ledger: Ledger, status: dict[str, Any], drill: dict[str, Any], facts: dict[str, Any]
) -> None:
    moment = datetime.now(UTC)
    for kind, body in (("backup-status", status), ("drill", drill), ("host-facts", facts)):
        put(ledger, kind, "db1", body, moment)
    report = check_report(ledger, moment)
    assert report.recovery is not None
