"""What is accepted into a ledger, and what becomes a rejection with its reason."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest

from civicops.ledger import documents
from civicops.ledger.documents import Document, parse

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def envelope(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "civicops/contact/1",
        "id": str(uuid.uuid4()),
        "town": "riverton",
        "host": "web1",
        "target": None,
        "run": "r1",
        "job": "checkup",
        "check": False,
        "attempt": 1,
        "collected_at": "2026-11-23T11:59:00Z",
        "body": {"outcome": "failed", "task": "t", "reason": "r"},
    } | changes


def read(**changes: Any) -> Document:
    return parse(json.dumps(envelope(**changes)).encode(), "riverton", now=NOW)


def test_a_good_one_is_accepted() -> None:
    document = read()
    assert (document.status, document.reason, document.host) == ("accepted", None, "web1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"town": "otherville"}, "another town"),
        ({"town": 7}, "'town'"),
        ({"host": "x" * 300}, "'host'"),
        ({"schema": "civicops/../../etc/1"}, "'schema'"),
        ({"schema": "civicops/passwd/1"}, "no such kind"),
        ({"id": "../../etc/passwd"}, "'id'"),
        ({"collected_at": "yesterday"}, "'collected_at'"),
        ({"collected_at": "2026-11-23T11:59:00"}, "no zone"),
        ({"check": "no"}, "'check'"),
        ({"attempt": True}, "'attempt'"),
        ({"target": ["x"]}, "'target'"),
        ({"body": None}, "type"),
        ({"body": {"outcome": "fine", "task": "t", "reason": "r"}}, "outcome"),
        ({"body": {"outcome": "failed", "task": "t", "reason": "r" * 1001}}, "maxLength"),
        (
            {"body": {"outcome": "failed", "task": "t", "reason": "r", "more": "x" * 40000}},
            "limit for contact is 32768",
        ),
        ({"refused": "too large"}, "too large"),
    ],
)
def test_a_bad_one_is_a_rejection_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    document = read(**changes)
    assert document.status == "rejected"
    assert reason in (document.reason or "")


def test_a_reason_does_not_repeat_what_the_host_said() -> None:
    document = read(body={"outcome": "\x1b[31m<script>", "task": "t", "reason": "r"})
    assert "script" not in (document.reason or "")


def test_a_newer_version_waits_as_pending_with_its_body() -> None:
    document = read(schema="civicops/contact/2", body={"whatever": 1})
    assert (document.status, document.body) == ("pending", {"whatever": 1})


def test_a_clock_that_was_set_back_costs_no_document() -> None:
    assert read(collected_at="2099-01-01T00:00:00Z").status == "accepted"


def test_additive_fields_do_not_matter() -> None:
    assert read(body={"outcome": "failed", "task": "t", "reason": "r", "new": [1]}).status == "accepted"


def test_the_same_garbage_is_one_rejection() -> None:
    assert parse(b"garbage", "riverton", now=NOW).id == parse(b"garbage", "riverton", now=NOW).id


def test_halves_of_characters_do_not_survive() -> None:
    document = read(body={"outcome": "failed", "task": "\ud800", "reason": "r"})
    assert document.body["task"] == "\ufffd"


def test_every_schema_has_a_size_limit_and_is_itself_valid() -> None:
    """By an implementation of JSON Schema other than the one that checks documents."""
    from jsonschema import Draft202012Validator

    schemas = resources.files("civicops.ledger").joinpath("schemas")
    assert {"contact", "run", "host-facts"} <= documents.known_kinds().keys()
    for kind, version in documents.known_kinds().items():
        Draft202012Validator.check_schema(json.loads(schemas.joinpath(f"{kind}-{version}.json").read_text()))
        _validator, limit = documents._checker(kind, version)
        assert limit > 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (10**400, "64 bits"),
        (-(1 << 64), "64 bits"),
        (1e300, "64 bits"),
        ([{"deep": [[[[10**30]]]]}], "64 bits"),
        (json.loads("[" * 40 + "]" * 40), "nested deeper than 32"),
        (json.loads('{"a":' * 900 + "1" + "}" * 900), "nested deeper than 32"),
    ],
)
def test_what_no_reader_can_calculate_with_is_refused(more: Any, reason: str) -> None:
    body = {"outcome": "failed", "task": "t", "reason": "r", "more": more}
    document = read(body=body)
    assert (document.status, document.host) == ("rejected", "web1")
    assert reason in (document.reason or "")


def test_a_reason_holds_nothing_that_a_database_refuses_or_a_terminal_acts_on() -> None:
    """PostgreSQL takes no NUL: one such reason would keep every document of the spool from getting in."""
    body = {"host_time": None, "seen_as_root": True, "unread": [], "ssh": {"settings": {"\x00\x1b[31m\u202e": 5}}}
    document = read(schema="civicops/host-facts/1", body=body)
    assert document.status == "rejected"
    assert (document.reason or "").isprintable()


def test_the_longest_reason_of_a_contact_is_let_in() -> None:
    assert (
        read(body={"outcome": "failed", "task": "\U0001f600" * 255, "reason": "\U0001f600" * 1000}).status == "accepted"
    )
