"""Which hosts an Ansible pattern means, from Ansible's `groups` variable alone. Tested against Ansible itself."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping

from civicops.town.patterns import split_pattern
from civicops.town.rrule import RuleFault

_LOCAL = ("127.0.0.1", "localhost", "::1")
_SUBSCRIPT = re.compile(r".+\[(?:-?[0-9]+|[0-9]+[:-][0-9]*)\]$")


def matching(pattern: str, groups: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The hosts of a pattern: parts joined first, then `&` parts cut out, then `!` parts taken away.

    `groups` is Ansible's variable: group names to names of hosts, `all` included.

    :raises RuleFault: a subscript such as `web[0]`, which depends on the order of the inventory, or what can't be read.
    """
    parts = split_pattern(pattern)
    plain = [part for part in parts if part[0] not in "!&"] or ["all"]
    hosts: set[str] = set()
    for part in plain:
        hosts |= _of(part, groups)
    for part in parts:
        if part[0] == "&":
            hosts &= _of(part[1:], groups)
    for part in parts:
        if part[0] == "!":
            hosts -= _of(part[1:], groups)
    return frozenset(hosts)


def _of(part: str, groups: Mapping[str, Collection[str]]) -> set[str]:
    """The hosts of one part, without its sign: of every group that it names, else (or also) the hosts that it names."""
    if not part or (part[0] != "~" and _SUBSCRIPT.match(part)):
        raise RuleFault(f"the pattern {part!r} has a subscript or no name", "name a group or the hosts")
    everyone = groups.get("all", ())
    if part in everyone:
        return {part}
    try:
        expression = re.compile(part[1:] if part[0] == "~" else fnmatch.translate(part))
    except (re.error, OverflowError):
        raise RuleFault(f"the pattern {part!r} can't be read", "such as ~web[0-9]+") from None
    named = _matches(expression, groups)
    hosts = {host for group in named for host in groups[group]}
    if not named or part[0] == "~" or any(special in part for special in ".?*["):
        hosts.update(_matches(expression, everyone))
    if not hosts and part in _LOCAL:
        # Ansible's implicit localhost, unless a host of the inventory is this machine under another of these names.
        hosts.add(next((host for host in everyone if host in _LOCAL), part))
    return hosts


def _matches(expression: re.Pattern[str], names: Iterable[str]) -> list[str]:
    return [name for name in names if expression.match(name)]
