# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""How a value that a host shows is held against the wanted one, for the types that take C(op)."""

from __future__ import annotations

import re
from typing import List, Optional

from .model import ParameterError, Params

OPS = ("eq", "min", "max", "one_of", "subset", "at_most_words", "present")
NOTHING = ("", "none")
SAME = {
    # Two words of OpenSSH's for one meaning; `sshd -T` prints the first (servconf.c, multistate_permitrootlogin).
    "prohibit-password": "without-password",
    "all": "yes",
    "delayed": "yes",
}


class Wanted:
    """A wanted value with its operator.

    V(eq): the same word, whatever its case; V(min), V(max): numbers, or several joined by colons; V(one_of): any of a
    list; V(subset): a comma list of nothing but these, in this order; V(at_most_words): a list in blanks of nothing but
    these; V(present): anything, which people must choose.
    """

    def __init__(self, params: Params) -> None:
        self.op = params.text("op", "eq", OPS)
        self.values: List[str] = []
        if self.op == "present":
            return
        if self.op in ("one_of", "subset", "at_most_words"):
            self.values = [word for value in params.texts("value") for word in self._split(value)]
        else:
            given = params.given.get("value")
            number = isinstance(given, int) and not isinstance(given, bool)
            self.values = [str(params.number("value")) if number else params.text("value")]
        if self.op in ("min", "max") and not re.fullmatch(r"[0-9]{1,15}(:[0-9]{1,15}){0,4}", self.values[0]):
            raise ParameterError(f"value is a number, not {self.values[0]!r:.60}")
        if not self.values:
            raise ParameterError("value is empty")

    def _split(self, value: str) -> List[str]:
        if self.op == "subset":
            return [word for word in value.split(",") if word]
        return value.split() if self.op == "at_most_words" else [value]

    @property
    def text(self) -> str:
        """What is written."""
        return self.values[0] if self.single else ("," if self.op == "subset" else " ").join(self.values)

    @property
    def single(self) -> bool:
        return self.op not in ("subset", "at_most_words")

    def __str__(self) -> str:
        if self.op == "present":
            return "set"
        if self.op in ("min", "max"):
            return f"{'at least' if self.op == 'min' else 'at most'} {self.values[0]}"
        if self.op == "one_of":
            return " or ".join(self.values)
        return self.text if self.single else f"nothing but {self.text}"

    def fits(self, value: Optional[str], *, zero_is_endless: bool = False) -> bool:
        """Whether what is there will do; C(zero_is_endless): 0 stands for no limit, so it is no small number."""
        value = (value or "").strip()
        if self.op == "present":
            return value not in NOTHING
        if self.op in ("min", "max"):
            return self._number_fits(value, zero_is_endless)
        if self.op == "subset":
            places = [self.values.index(word) if word in self.values else -1 for word in value.split(",")]
            return -1 not in places and places == sorted(places)
        if self.op == "at_most_words":
            return value in NOTHING or all(word in self.values for word in value.split())
        return any(_same(value) == _same(one) for one in self.values)

    def _number_fits(self, value: str, zero_is_endless: bool) -> bool:
        have, want = value.split(":"), self.values[0].split(":")
        if len(have) != len(want) or not all(re.fullmatch(r"[0-9]{1,15}", part) for part in have):
            return False
        if zero_is_endless and int(have[0]) == 0:
            return self.op == "min"
        pairs = [(int(one), int(other)) for one, other in zip(have, want)]
        return all(one >= other for one, other in pairs) if self.op == "min" else all(a <= b for a, b in pairs)


def _same(value: str) -> str:
    """Words are the same whatever their case, paths are not."""
    if value.startswith("/"):
        return value
    folded = " ".join(value.split()).casefold()
    return SAME.get(folded, folded)
