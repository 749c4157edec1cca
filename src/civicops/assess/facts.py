"""A host's facts as assessment and report read them: what is not there is None, and `unread` tells why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

ALL = "unread"
"""The item that says that more was not read than stands in the list."""


def _column(columns: list[str], name: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """One column; None where it, or a row's cell of it, is not there."""
    if name not in columns:
        return [None] * len(rows)
    at = columns.index(name)
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

    def cut(self, item: str) -> str | None:
        """Why an item itself was not read, or not whole; what stands below it does not count. Where even the list of
        what was not read is cut, that is why."""
        told = {one.get("item"): str(one.get("reason")) for one in reversed(self.body.get("unread") or ())}
        return told.get(item, told.get(ALL))

    def picked(self, table: str, *names: str) -> list[tuple[Any, ...]]:
        """Some columns of a table, a row a tuple; None in the place of a column that is not there. Of a long table it
        costs a tenth of `rows`. Empty where the host could not read it."""
        found = self.get(table)
        if not isinstance(found, dict) or not isinstance(found.get("columns"), list):
            return []
        columns, rows = found["columns"], found.get("rows") or ()
        lists = {name: _column(columns, name, rows) for name in names}
        return list(zip(*(lists[name] for name in names), strict=True))

    def why_unread(self, *items: str) -> str | None:
        """Why something could not be read: the reason of the first `unread` item that is one of these or below it."""
        for entry in self.body.get("unread") or ():
            item = str(entry.get("item", ""))
            if any(item == wanted or item.startswith(f"{wanted}.") for wanted in items):
                return str(entry.get("reason", ""))
        return None
