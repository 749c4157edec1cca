# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Lengths of time as people write them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhd])+")


class OptionError(Exception):
    """An option can't be what was given; the message names it and says what it can be."""


def seconds(name: str, text: Any) -> float:
    """A length such as 90s, 5m or 1h30m, in seconds; a bare number counts seconds. Raises OptionError."""
    words = str(text).strip()
    if re.fullmatch("[0-9]{1,9}", words):
        return float(words)
    if not _DURATION.fullmatch(words):
        raise OptionError(f"{name} is {words[:40]!r}: give a length such as 90s, 5m or 1h30m")
    return sum(float(amount) * _UNITS[unit] for amount, unit in re.findall(r"(\d+)([smhd])", words))
