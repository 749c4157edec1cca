# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What a setting may be, as data: one value, at least or at most a number, one of several, any, or not set at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Tuple

from .model import ParameterError, Params

OPS = ("eq", "min", "max", "range", "one_of", "present", "absent")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_YES = ("yes", "true", "on", "1", "y", "t", "enable")
_NO = ("no", "false", "off", "0", "n", "f", "disable")


@dataclass(frozen=True)
class Rule:
    """What is wanted of a value.

    C(also) are values that do as well (0 for "never"); C(target) is what is set where the rule is broken; C(default)
    is what a program takes where nothing is set, None where a setting must be there.
    """

    op: str
    values: Tuple[str, ...]
    also: Tuple[str, ...] = ()
    target: str = ""
    default: Optional[str] = None
    booleans: bool = False  # yes, true, on and 1 are the same

    @classmethod
    def of(cls, params: Params, *, booleans: bool = False, ops: Tuple[str, ...] = OPS) -> Rule:
        """From op, value, also, set and default. Raises ParameterError."""
        op = params.text("op", "eq", ops)
        if op == "absent":
            params.maybe("value")
            return cls(op, ())
        if op == "present":
            params.maybe("value")
            return cls(op, (), (), params.text("set"), params.maybe("default"), booleans)
        values = tuple(params.texts("value"))
        if len(values) != (2 if op == "range" else 1) and op != "one_of":
            raise ParameterError(f"value: {op} takes {'two values' if op == 'range' else 'one value'}")
        if not values:
            raise ParameterError("value is empty")
        if op in ("min", "max", "range") and not all(_NUMBER.fullmatch(one) for one in values):
            raise ParameterError(f"value: {op} takes whole numbers")
        target = params.maybe("set") or (values[-1] if op == "range" else values[0])
        rule = cls(op, values, tuple(params.texts("also", [])), target, params.maybe("default"), booleans)
        if not rule.met(target):
            raise ParameterError(f"set: {target} does not keep the rule itself")
        return rule

    @property
    def text(self) -> str:
        first = self.values[0] if self.values else ""
        words = {
            "eq": first,
            "min": f"{first} or more",
            "max": f"{first} or less",
            "range": " to ".join(self.values),
            "one_of": " or ".join(self.values),
            "present": "set",
            "absent": "not set",
        }[self.op]
        return " or ".join((words, *self.also))

    def met(self, value: Optional[str]) -> bool:
        """Whether what is set (None: nothing) keeps the rule."""
        if self.op == "absent":
            return value is None
        if value is None:
            value = self.default
        if value is None or self.op == "present":
            return bool(value)
        if any(self.same(value, one) for one in self.also):
            return True
        if self.op in ("eq", "one_of"):
            return any(self.same(value, one) for one in self.values)
        if not _NUMBER.fullmatch(value):
            return False
        number, bounds = int(value), [int(one) for one in self.values]
        if self.op == "range":
            return bounds[0] <= number <= bounds[1]
        return number >= bounds[0] if self.op == "min" else number <= bounds[0]

    def same(self, one: str, other: str) -> bool:
        """Equal as texts, as numbers, or (where such are meant) as yes and no; blanks count once."""
        one, other = " ".join(one.split()), " ".join(other.split())
        if one == other:
            return True
        if _NUMBER.fullmatch(one) and _NUMBER.fullmatch(other):
            return int(one) == int(other)
        if self.booleans:
            one, other = one.lower(), other.lower()
            return (one in _YES and other in _YES) or (one in _NO and other in _NO)
        return False
