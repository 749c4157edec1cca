"""Limits of the document, and that the schema has the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info import bounds
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context

SCHEMA = Path(__file__).parents[5] / "src/civicops/ledger/schemas/host-facts-1.json"


def test_ten_megabytes_of_text_become_a_thousand_characters() -> None:
    answer = bounds.bounded(Context(), {"identity": {"hostname": "h" * (10 << 20)}})
    assert answer["identity"]["hostname"] == "h" * bounds.TEXT_LIMIT
    assert answer["unread"] == [{"item": "identity", "reason": "truncated: a text was longer than 1000 characters"}]


def test_a_section_has_limited_room() -> None:
    rows = [["x" * 900] for _ in range(9000)]
    answer = bounds.bounded(Context(), {"packages": {"rows": rows}})
    assert len(json.dumps(answer)) < bounds.SECTION_LIMIT * 1.1
    assert answer["unread"][0]["item"] == "packages"


def test_file_names_that_are_no_utf8_lose_only_their_odd_bytes() -> None:
    answer = bounds.bounded(Context(), {"services": ["caf\udcc3\udca9", "a\udcff", "lone\ud800"]})
    assert answer["services"] == ["café", "a\ufffd", "lone?"]


def test_what_is_unread_is_bounded_too() -> None:
    ctx = Context()
    for number in range(2000):
        ctx.unread(f"item{number}", "r" * 5000)
    answer = bounds.bounded(ctx, {})
    assert len(answer["unread"]) == bounds.UNREAD_LIMIT
    assert answer["unread"][-1] == {"item": "unread", "reason": "truncated: 1501 more"}


def test_that_a_section_is_cut_is_told_whatever_else_was_not_read() -> None:
    ctx = Context()
    for number in range(2000):
        ctx.unread(f"ssh.authorized_keys.{number}", "needs root")
    answer = bounds.bounded(ctx, {"packages": {"rows": [["x"]] * 20000}})
    assert answer["unread"][0] == {"item": "packages", "reason": "truncated: only 10000 of 20000 items kept"}


def numbers(schema: Any, key: str) -> set[int]:
    found = {schema[key]} if isinstance(schema, dict) and isinstance(schema.get(key), int) else set()
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    return found.union(*(numbers(item, key) for item in inner)) if inner else found


@pytest.mark.parametrize(
    ("key", "limit"),
    [("maxLength", bounds.TEXT_LIMIT), ("maxItems", bounds.LIST_LIMIT), ("maxProperties", bounds.KEY_LIMIT)],
)
def test_the_schema_allows_what_the_module_allows(key: str, limit: int) -> None:
    assert max(numbers(json.loads(SCHEMA.read_text()), key)) == limit
