"""A host's facts as they are read: tables with what is there, and nothing that is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicops.assess.facts import Facts

COLUMNS = ["name", "version", "origin"]


def facts(**body: Any) -> Facts:
    return Facts(body, "2026-11-30T00:00:00Z")


@given(rows=st.lists(st.lists(st.none() | st.text(max_size=3), max_size=4)))
def test_some_columns_are_what_the_rows_have_of_them(rows: list[list[str | None]]) -> None:
    told = facts(packages={"columns": COLUMNS, "rows": rows})
    every = told.rows("packages") or []
    assert told.picked("packages", "origin", "name") == [(row.get("origin"), row.get("name")) for row in every]
    assert told.picked("packages", "last_used") == [(None,)] * len(rows)


@pytest.mark.parametrize("table", [None, [], {}, {"columns": None, "rows": [["a"]]}, {"columns": COLUMNS}])
def test_a_table_that_was_not_read_has_no_rows(table: object) -> None:
    assert facts(packages=table).picked("packages", "name") == []
    assert facts().picked("packages", "name") == []
