# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Limits of the document, applied to everything that comes from a host, in one place.

The same numbers stand in the schema C(host-facts-1.json). They lie well above what real hosts have (a desktop
with 3,000 packages is 400 KB) and well below what hurts a controller that takes in a thousand hosts.
"""

from __future__ import annotations

from typing import Any, Dict, List

from .context import Context, clean

TEXT_LIMIT = 1000  # characters of one string
LIST_LIMIT = 10000  # items of one list
KEY_LIMIT = 200  # keys of one object
DEPTH_LIMIT = 8
SECTION_LIMIT = 2 << 20  # characters of one top-level key
UNREAD_LIMIT = 500  # items under "unread"


class Section:
    """One top-level value on its way into the document, with the room that is left for it."""

    def __init__(self, ctx: Context, name: str) -> None:
        self.ctx = ctx
        self.name = name
        self.room = SECTION_LIMIT

    def cut(self, what: str) -> None:
        self.ctx.unread(self.name, f"truncated: {what}")

    def text(self, value: str) -> str:
        if not value.isascii() or "\0" in value:
            value = clean(value.encode("utf-8", "surrogateescape" if _lone_bytes(value) else "replace"))
        if len(value) > TEXT_LIMIT:
            self.cut(f"a text was longer than {TEXT_LIMIT} characters")
            value = value[:TEXT_LIMIT]
        self.room -= len(value)
        return value

    def value(self, value: Any, depth: int = 0) -> Any:
        self.room -= 8
        if value is None or isinstance(value, (bool, int)):
            return value if value is None or abs(value) < 1 << 63 else None
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float):
            return value if value - value == 0 else None  # neither NaN nor infinite: JSON has none
        if depth >= DEPTH_LIMIT:
            self.cut(f"nested deeper than {DEPTH_LIMIT}")
            return None
        if isinstance(value, dict):
            return self._dict(value, depth)
        return self._list(value, depth)

    def _dict(self, value: Dict[str, Any], depth: int) -> Dict[str, Any]:
        result: Dict[str, Any] = {}
        for key, item in value.items():
            if len(result) >= KEY_LIMIT or self.room <= 0:
                self.cut(f"only {len(result)} of {len(value)} keys kept")
                break
            result[self.text(str(key))] = self.value(item, depth + 1)
        return result

    def _list(self, value: Any, depth: int) -> Any:
        result: List[Any] = []
        for item in value:
            if len(result) >= LIST_LIMIT or self.room <= 0:
                self.cut(f"only {len(result)} of {len(value)} items kept")
                break
            result.append(self.value(item, depth + 1))
        return result


def _lone_bytes(value: str) -> bool:
    """Whether all surrogates in a text stand for undecodable bytes of a file name."""
    return all("\udc80" <= char <= "\udcff" for char in value if "\ud800" <= char <= "\udfff")


def bounded(ctx: Context, document: Dict[str, Any]) -> Dict[str, Any]:
    """The document within all limits; what was cut is noted under C(unread)."""
    result = {name: Section(ctx, name).value(value) for name, value in document.items()}
    # What is missing of a whole section comes first: no crowd of files that can't be read drives it out.
    items = sorted(ctx.unread_items.items(), key=lambda one: "." in one[0] or "/" in one[0])
    unread = [{"item": item, "reason": reason} for item, reason in items]
    if len(unread) > UNREAD_LIMIT:
        more = len(unread) - UNREAD_LIMIT + 1
        unread = [*unread[: UNREAD_LIMIT - 1], {"item": "unread", "reason": f"truncated: {more} more"}]
    result["unread"] = Section(ctx, "unread").value(unread)
    return result
