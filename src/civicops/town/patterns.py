"""Host patterns of Ansible: how one is taken apart, and which ones a town file may hold.

Refused are those that Ansible takes otherwise than their writer means, or that depend on the order of an inventory.
"""

from __future__ import annotations

import fnmatch
import re

from .rrule import RuleFault

_SUBSCRIPT = re.compile(r".+\[(?:-?[0-9]+|[0-9]+[:-][0-9]*)\]$")
# Ansible reads what looks like an address as one pattern, colons and all.
_ADDRESS = re.compile(r"[^:]*:[0-9]+|[0-9a-fA-F:.]*(?:::|(?:[0-9a-fA-F]{1,4}:){5})[0-9a-fA-F:.]*")


def split_pattern(pattern: str) -> list[str]:
    """The parts of a pattern, as Ansible splits it: at commas, or else at colons that are not inside of brackets."""
    parts = pattern.split(",") if "," in pattern else re.findall(r"(?:[^\s:\[\]]|\[[^\]]*\])+", pattern)
    return [part.strip() for part in parts if part.strip()]


def check_pattern(pattern: str) -> None:
    """Raise `RuleFault` for a pattern that means something else than it looks like, or that depends on an order."""
    if "," in pattern and ":" in re.sub(r"\[[^\]]*\]", "", pattern):
        raise RuleFault("has both , and : between its parts", "use one of them: all,!dept_police")
    if "," not in pattern and _ADDRESS.fullmatch(pattern):
        raise RuleFault("looks like an address with a port to Ansible", "separate the parts with commas")
    if re.sub(r"\[[^\[\]]*\]", "", pattern).count("[") or re.sub(r"\[[^\[\]]*\]", "", pattern).count("]"):
        raise RuleFault("has a bracket without its other half", "such as web[ab]")
    parts = split_pattern(pattern)
    if not parts:
        raise RuleFault("names no host", "write all for every host")
    for part in parts:
        name = part[1:] if part[0] in "!&" else part
        if not name or name[0] in "!&":
            raise RuleFault("has a ! or & without a name behind it", "such as all:!dept_police")
        if name[0] != "~" and _SUBSCRIPT.match(name):
            raise RuleFault("has a subscript, which depends on the order of the inventory", "name a group or the hosts")
        try:
            re.compile(name[1:] if name[0] == "~" else fnmatch.translate(name))
        except (re.error, OverflowError):
            raise RuleFault("has an expression that can't be read", "such as ~web[0-9]+") from None
