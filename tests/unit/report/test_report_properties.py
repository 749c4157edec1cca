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
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from civicops.ledger import spool
from civicops.ledger.documents import Document, parse
from civicops.ledger.store import Ledger
from civicops.report.collect import TownReport, collect
from civicops.report.write import render, summary
from civicops.state import TownState
from civicops.town.model import System

SCHEMAS = {
    kind: json.loads(resources.files("civicops.ledger").joinpath("schemas", f"{kind}-1.json").read_text())
    for kind in ("host-facts", "backup-status", "drill")
}
DEFINED = {name: part for schema in SCHEMAS.values() for name, part in schema.get("$defs", {}).items()}
MARKUP = "<hostile onload=alert(1)>\"'><script>alert(1)</script>&{{ 7*7 }}{% raw %}"
STEERING = "\x1b[31m\x1b]0;owned\x07\r\n\u202eback\u2066\u200b\x9b2J\ud800\x00"
TEXTS = st.one_of(
    st.sampled_from(
        ["", MARKUP, STEERING, f"{STEERING}{MARKUP}" * 9, "../" * 20, "0", "debian", "12", "all", "x" * 1000]
    ),
    st.sampled_from(["2024-02-30", "9999-12-31T23:59:59Z", "0001-01-01", "0000-00-00", "2024-W53-7", "99999-01-01"]),
    st.text(max_size=30),
)
NUMBERS = st.one_of(
    st.integers(0, 1 << 50), st.sampled_from([0, 1, 1.0, 100, 1 << 40, (1 << 63) - 1, 1e18, 1 << 63, 10**309, 1e308])
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS, st.sampled_from([-1, -(1 << 63), 0.5, -1e18])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
SYSTEMS = (System(id="payroll", name="Payroll", rto_hours=4, rpo_hours=1),)
GROUPS = {"system_payroll": ["web1", "db1"], "backup_server": ["web1", "db1"]}
TAGS = """html head meta title style body header h1 h2 h3 p main div b span section table tbody thead tr td th a br
small details summary ul li code"""
ATTRIBUTES = "lang charset http-equiv content name class id style href open"


def bodies(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema lets in: a strategy for the part of JSON Schema that ours use."""
    if "$ref" in schema:
        return bodies(DEFINED[schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        return bodies(_merged([*schema["allOf"], {key: schema[key] for key in schema if key != "allOf"}]))
    if "anyOf" in schema:
        return st.one_of([bodies(part) for part in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type")
    if kinds is None:
        return ANYTHING
    return st.one_of([_of_type(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _merged(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for schema in schemas:
        schema = DEFINED[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        whole["properties"] |= schema.get("properties", {})
        whole["required"] += schema.get("required", [])
    return whole


def _of_type(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
        return TEXTS.map(lambda text: text[: schema.get("maxLength", 1000)])
    if kind == "array":
        first = [bodies(item) for item in schema.get("prefixItems", [])]
        further = bodies(schema.get("items", {}))
        if first:
            return st.tuples(st.tuples(*first), st.lists(further, max_size=2)).map(lambda two: [*two[0], *two[1]])
        return st.lists(further, min_size=schema.get("minItems", 0), max_size=max(3, schema.get("minItems", 0) + 1))
    if kind == "object":
        properties = {name: bodies(part) for name, part in schema.get("properties", {}).items()}
        required = {name: properties.pop(name) for name in schema.get("required", ())}
        more = schema.get("additionalProperties")
        most = 0 if more is False else 2
        further = st.dictionaries(TEXTS, bodies(more) if more else ANYTHING, max_size=most)
        known = st.fixed_dictionaries(required, optional=properties)
        return st.tuples(further, known).map(lambda two: two[0] | two[1])
    floats = st.floats(0, schema.get("maximum", 1e308))
    return {"integer": NUMBERS, "number": floats, "boolean": st.booleans(), "null": st.none()}[kind]


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
