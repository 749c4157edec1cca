"""Bodies of documents drawn from their schemas, at the edges of what these let in.

Nothing where something may be missing, numbers that no computer holds, dates that no calendar has, further columns and
keys, and text that is markup or steers a terminal.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from hypothesis import strategies as st

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
