"""A host's facts as assessment and report read them: what is not there is None, and `unread` tells why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, overload

ALL = "unread"
"""The item that says that more was not read than stands in the list."""


def below(item: str, part: str) -> bool:
    """Whether an `unread` item is a part of the facts, or lies within it."""
    return item.startswith(part) and (len(item) == len(part) or item[len(part)] == ".")


class Columns(Sequence[tuple[Any, ...]]):
    """A table's rows, held by columns: a long table takes half of the memory so, and a column of it costs nothing.
    Where rows are shorter than others, there is None."""

    def __init__(self, columns: Iterable[Sequence[Any]]) -> None:
        self._columns = list(columns)

    def column(self, at: int) -> Sequence[Any]:
        return self._columns[at] if at < len(self._columns) else [None] * len(self)

    def __len__(self) -> int:
        return len(self._columns[0]) if self._columns else 0

    @overload
    def __getitem__(self, at: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, at: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        return list(self)[at]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self._columns, strict=True)


def _column(columns: list[str], name: str, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """One column; None where it, or a row's cell of it, is not there."""
    if name not in columns:
        return [None] * len(rows)
    at = columns.index(name)
    if isinstance(rows, Columns):
        return rows.column(at)
    try:
        return list(map(itemgetter(at), rows))
    except IndexError:
        return [row[at] if at < len(row) else None for row in rows]


@dataclass(frozen=True)
class Facts:
    """The body of a `host-facts` document, and when the controller got it (UTC, RFC 3339)."""

    body: dict[str, Any]
    collected_at: str

    def get(self, *path: str) -> Any:
        """The value at a path of keys; None where any part of it is absent."""
        value: Any = self.body
        for key in path:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def rows(self, *path: str) -> list[dict[str, Any]] | None:
        """A `columns` and `rows` table as dicts; None where the host could not read it."""
        table = self.get(*path)
        if not isinstance(table, dict) or not isinstance(table.get("columns"), list):
            return None
        columns = table["columns"]
        return [dict(zip(columns, row, strict=False)) for row in table.get("rows") or ()]

    @cached_property
    def unread(self) -> tuple[tuple[str, str], ...]:
        """What could not be read: each item with the reason."""
        return tuple((str(one.get("item", "")), str(one.get("reason", ""))) for one in self.body.get("unread") or ())

    def cut(self, item: str) -> str | None:
        """Why an item itself was not read, or not whole; what stands below it does not count. Where even the list of
        what was not read is cut, that is why."""
        told = dict(reversed(self.unread))
        return told.get(item, told.get(ALL))

    def picked(self, table: str, *names: str) -> list[tuple[Any, ...]]:
        """Some columns of a table, a row a tuple; None in the place of a column that is not there. Of a long table it
        costs a tenth of `rows`. Empty where the host could not read it."""
        return list(zip(*(self.column(table, name) for name in names), strict=True))

    def column(self, table: str, name: str) -> Sequence[Any]:
        """Likewise, one column."""
        found = self.get(table)
        if not isinstance(found, dict) or not isinstance(found.get("columns"), list):
            return ()
        return _column(found["columns"], name, found.get("rows") or ())

    def why_unread(self, *items: str) -> str | None:
        """Why something could not be read: the reason of the first `unread` item that is one of these or below it."""
        return next((reason for item, reason in self.unread if any(below(item, one) for one in items)), None)
