"""Whatever a night comes to, and whatever its hosts say: counts add up, nobody is missing, pages are text."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.unit.report.nights import HOSTILE, Evening, patch_body, updates_body

from civicops.ledger.documents import DocumentError, check_body
from civicops.ledger.store import Ledger
from civicops.report.night import AWRY, WORST_FIRST, Night
from civicops.report.night_collect import collect_night
from civicops.report.night_words import words_of
from civicops.report.night_write import EDITIONS, render
from civicops.state import TownState
from civicops.town.model import Department, System, Town

SCHEMA = json.loads(resources.files("civicops.ledger").joinpath("schemas", "patch-1.json").read_text())
OUTCOMES = SCHEMA["properties"]["outcome"]["enum"]
CODES = ["window", "frozen", "halt", "pair", "late", "observe_only", "canary", "soak", "no_such_rule"]
TEXTS = st.one_of(st.sampled_from(["", HOSTILE, "\x00\ud800", "x" * 250, "2024-02-30"]), st.text(max_size=20))
TAGS = """html head meta title style body header h1 h2 h3 p main div b span section table tbody thead tr td th a br
small details summary ul li code"""
ATTRIBUTES = "lang charset http-equiv content name class id style href"


class Page(HTMLParser):
    """What is in a page that is not ours, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.strange: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS.split():
            self.strange.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES.split() or (name == "href" and not re.fullmatch("#host-[0-9]+", value or "")):
                self.strange.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def pages(night: Night) -> Iterator[str]:
    """Both editions, each looked at; yields their texts."""
    words = words_of(night)
    assert all(harmless(line) for line in words.summary)
    for edition in EDITIONS:
        page = render(night, words, edition)
        assert harmless(page.replace("\n", ""))
        parser = Page()
        parser.feed(page)
        assert parser.strange == []
        yield "".join(parser.text)


def harmless(text: str) -> bool:
    return not set(text) & {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x202E, 0x2066]}


def drawn(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema lets in, at its edges: for the part of JSON Schema that the schema of `patch` uses."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_type(kind, schema) for kind in kinds])


def _of_type(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "string":
        return TEXTS.map(lambda text: text[: schema.get("maxLength", 1000)])
    if kind == "array" and "prefixItems" in schema:
        return st.tuples(*[drawn(part) for part in schema["prefixItems"]]).map(list)
    if kind == "array":
        return st.lists(drawn(schema["items"]), max_size=3)
    if kind == "object" and "propertyNames" in schema:
        names = st.sampled_from(schema["propertyNames"]["enum"])
        return st.dictionaries(names, drawn(schema["additionalProperties"]), max_size=4)
    if kind == "object":
        parts = {name: drawn(part) for name, part in schema["properties"].items()}
        required = {name: parts.pop(name) for name in schema["required"]}
        return st.fixed_dictionaries(required, optional=parts)
    numbers = st.floats(0, 10000000) | st.sampled_from([0, 10000000])
    return {"number": numbers, "boolean": st.booleans(), "null": st.none()}[kind]


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(
        id="riverton",
        name="Riverton",
        timezone="America/New_York",
        departments=(Department(id="police", name="Police"), Department(id="fire", name="Fire")),
        systems=(System(id="web", name="Web page"),),
    )


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    root = tmp_path_factory.mktemp("state")
    with Ledger("riverton", state=TownState("riverton", root)) as opened:
        yield opened


WORDS = st.one_of(
    st.tuples(st.just("gate"), st.sampled_from(["open", *CODES])),
    st.tuples(st.just("patch"), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("contact"), st.sampled_from(["failed", "unreachable", "ignored"])),
    st.tuples(st.sampled_from(["rejected", "pending", "updates"]), st.just("")),
)
RUN_SAYS = st.sampled_from(["ok", "changed", "failed", "unreachable", "not_asked", "no_answer"])


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    hosts=st.lists(st.tuples(st.lists(WORDS, max_size=4), RUN_SAYS), max_size=8),
    ended=st.booleans(),
    check=st.booleans(),
    groups=st.none() | st.lists(st.sampled_from(["dept_police", "dept_fire", "system_web", "ring_canary"]), max_size=8),
)
def test_counts_add_up_and_nobody_is_missing(
    ledger: Ledger,
    town: Town,
    hosts: list[tuple[list[tuple[str, str]], str]],
    ended: bool,
    check: bool,
    groups: list[str] | None,
) -> None:
    evening = Evening(run=f"r{uuid.uuid4().hex}", check=check)
    names = [f"host{number:02}" for number in range(len(hosts))]
    evening.begun(*names)
    for name, (told, _) in zip(names, hosts, strict=True):
        for kind, what in told:
            write(evening, name, kind, what)
    if ended:
        evening.ended({name: says for name, (_, says) in zip(names, hosts, strict=True)})
    evening.write(ledger)
    member: dict[str, list[str]] | None = None
    if groups is not None:
        member = {"all": list(names)}
        for name, group in zip(names, groups, strict=False):
            member.setdefault(group, []).append(name)
    night = collect_night(ledger, town, evening.run, groups=member)
    words = words_of(night)
    assert [host.name for host in night.hosts] == names, "each host once"
    assert sum(night.counts.values()) == len(names)
    assert sum(sum(ring.states.values()) for ring in night.rings) <= len(night.wanted)
    left = [host.name for line in words.left for host in line.hosts]
    if not check:
        assert sorted([*left, *(host.name for host in night.of("done"))]) == sorted(host.name for host in night.wanted)
        assert words.done + len(left) == words.wanted
    if parts := words.departments:
        assert sum(part.hosts for part in parts) == len(night.wanted)
        assert all(part.done + len(part.left) == part.hosts for part in parts)
    for host in night.hosts:
        told_well = any(kind == "patch" and what == "done" for kind, what in hosts[host.number][0])
        assert host.state != "done" or told_well, "done by its own word alone"
        assert host.away_at_most is not None or host.touched
    assert bool(words.alarms) or (night.ended and not night.of(*AWRY) and bool(night.wanted))
    assert [WORST_FIRST.index(line.state) for line in words.left] == sorted(
        WORST_FIRST.index(line.state) for line in words.left
    )
    event(f"{len(night.counts)} states")
    for text in pages(night):
        assert all(name in text for name in names)


def write(evening: Evening, host: str, kind: str, what: str) -> None:
    if kind == "gate" and what == "open":
        evening.opened(host)
    elif kind == "gate":
        evening.refused(host, what, "never changed" if what == "observe_only" else HOSTILE)
    elif kind == "patch":
        evening.add("patch", host, patch_body(what, reason=HOSTILE[:900]))
    elif kind == "contact":
        evening.contact(host, "failed" if what == "failed" else "unreachable", HOSTILE, ignored=what == "ignored")
    elif kind == "updates":
        evening.add("updates", host, updates_body(why=2))
    else:
        evening.add("patch", host, {"bytes": 9}, status=kind, reason=HOSTILE)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=drawn(SCHEMA), name=TEXTS.filter(lambda text: bool(text) and "\0" not in text and text.isprintable()))
def test_whatever_a_host_says_is_shown_as_text(ledger: Ledger, town: Town, body: dict[str, Any], name: str) -> None:
    body = json.loads(re.sub(r"\\ud[89a-f]..", "?", json.dumps(body)))  # as the way in does
    try:
        check_body("patch", 1, body)
    except DocumentError as error:
        event(str(error)[:60])
        return
    evening = Evening(run=f"r{uuid.uuid4().hex}")
    evening.begun(name[:255])
    evening.opened(name[:255], ring=HOSTILE[:40])
    evening.add("patch", name[:255], body)
    evening.approved(HOSTILE[:200], [name[:255]])
    evening.write(ledger)
    night = collect_night(ledger, town, evening.run, groups={"all": [name[:255]]})
    assert sum(night.counts.values()) == 1
    texts = list(pages(night))
    assert len(texts) == len(EDITIONS)
    assert not any("openssl" in text for text in texts)
