"""Whatever stands in the file: a Town or a TownFileError, soon."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.town import Town, TownFileError, load_town
from civicops.town.check import MAX_PROBLEMS, check_text
from civicops.town.model import TownFile
from civicops.town.rrule import RuleFault, format_rrule, parse_rrule
from civicops.town.scalars import MAX_DURATION, format_duration, parse_duration

EXAMPLE = (Path(__file__).parents[3] / "inventories/fairview/group_vars/all/town.yml").read_text(encoding="utf-8")
NOWHERE = Path("/nonexistent/fairview")
WORDS = "town id systems maintenance 22:30 NO 1_0 0x1 2026-01-01 ~ << = 1e400 -.inf --- ... {{ {% &a *a !x é"
MARKS = ["\n", "\n  ", "  ", " ", ": ", "- ", "? ", *"\t\r\ufeff\x00\u2028{}[]'\"|>#,%\\"]
PIECES = st.sampled_from([*WORDS.split(), *MARKS, "town:\n  ", "9" * 30])
unhurried = settings(deadline=None)


def said_of(content: bytes) -> None:
    town, problems = check_text(content, "town.yml", NOWHERE)
    assert (town is None) or isinstance(town, Town)
    assert town is not None or problems
    assert all(str(problem).isprintable() for problem in problems)


@unhurried
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    said_of(content)


@unhurried
@given(st.text(max_size=400))
def test_any_text(text: str) -> None:
    said_of(text.encode("utf-8", "surrogatepass"))


@unhurried
@given(st.lists(PIECES, max_size=60))
def test_any_yaml(pieces: list[str]) -> None:
    said_of("".join(pieces).encode())


@unhurried
@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 40), st.lists(PIECES, max_size=3))
def test_the_example_with_a_hole(start: int, length: int, pieces: list[str]) -> None:
    said_of((EXAMPLE[:start] + "".join(pieces) + EXAMPLE[start + length :]).encode())


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted({*TownFile.model_json_schema()["$defs"]["Town"]["properties"], "nmae"})


@unhurried
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_any_data(data: dict[str, Any]) -> None:
    said_of(yaml.safe_dump({"town": data}, allow_unicode=True).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900_000,
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{n}: &a [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" for n in range(12)),
        "town:\n  systems:\n" + "    - {id: NO}\n" * 40_000,
        "town:\n  systems:\n" + "    - {id: a, name: b, department: c}\n" * 20_000,
        "town:\n" + "".join(f"  key{n}: 1\n" for n in range(40_000)),
        "town:\n  name: '" + "\u202e" * 300_000 + "'\n",
        "- " * 400_000,
        "town: " + "x" * 900_000,
        "town:\n  " + "x" * 900_000 + ": 1\n",
    ],
    ids=["brackets", "bomb", "traps", "references", "keys", "control", "dashes", "long value", "long key"],
)
def test_hostile_files_end_soon(text: str, write_town: Any) -> None:
    directory = write_town(text)
    start = time.process_time()
    with pytest.raises(TownFileError) as caught:
        load_town(directory)
    assert time.process_time() - start < 5
    assert len(caught.value.problems) <= MAX_PROBLEMS + 1
    assert all(len(str(problem)) < 1000 for problem in caught.value.problems)


@unhurried
@given(st.integers(0, int(MAX_DURATION.total_seconds()) // 60))
def test_durations_come_back(minutes: int) -> None:
    duration = timedelta(minutes=minutes)
    assert parse_duration(format_duration(duration)) == duration


@unhurried
@given(st.text(alphabet="0123456789dhm -", max_size=8))
def test_a_duration_is_read_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= MAX_DURATION
    assert parse_duration(format_duration(duration)) == duration


DAYS = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, unique=True).map(",".join)
RULES = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])},
    optional={
        "INTERVAL": st.integers(1, 999).map(str),
        "UNTIL": st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8)),
        "BYDAY": DAYS,
        "BYMONTH": st.integers(1, 12).map(str),
        "WKST": st.sampled_from(["MO", "SU"]),
    },
)


@unhurried
@given(RULES)
def test_rules_come_back(parts: dict[str, str]) -> None:
    assert parse_rrule(format_rrule(parts)) == parts


@unhurried
@given(
    st.lists(
        st.sampled_from(["FREQ", "=", "DAILY", ";", "INTERVAL", "0", "12", "BYDAY", "MO", ",", "-1", "COUNT", "x"])
    )
)
def test_a_rule_is_read_or_refused(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        parts = parse_rrule(text)
    except RuleFault as fault:
        assert fault.message
        assert fault.remedy
    else:
        assert format_rrule(parts) == text
