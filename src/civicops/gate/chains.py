"""Who is worked on before whom: the hosts of a system that another one needs, as a database before its application.

Systems that a needed system needs come before both. A host has the needs of all of its systems. Hosts that need each
other round about (a machine with a part of each) wait for none of them: nobody could begin.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from civicops.gate.rings import Groups, Ordered

Needs = Mapping[str, Collection[str]]
"""Systems by their ids, and the systems that each needs."""

_Kind = frozenset[str]
_Node = TypeVar("_Node")


class Chains:
    """The order within each ring. Rings come first: what is needed in another ring keeps nobody waiting."""

    def __init__(self, needs: Needs, groups: Groups, order: Ordered) -> None:
        self._order = order
        whole = {system: _reachable(system, needs) for system in needs if needs[system]}
        self._needs = whole
        named = set(whole).union(*whole.values())
        of: dict[str, set[str]] = {}
        for system in named:
            for host in groups.get(f"system_{system}", ()):
                of.setdefault(host, set()).add(system)
        # Hosts with the same systems are alike; there are few such kinds, however many hosts.
        self._kinds = {host: frozenset(systems) for host, systems in of.items() if host in order.of}
        self._before: dict[str, dict[_Kind, frozenset[str]]] = {}
        self._circles: dict[str, list[frozenset[str]]] = {}

    def before(self, host: str) -> frozenset[str]:
        """The hosts of its ring that are worked on before this one."""
        kind = self._kinds.get(host)
        if kind is None:
            return frozenset()
        ring = self._order.of[host]
        if ring not in self._before:
            self._look_at(ring)
        return self._before[ring][kind]

    def circles(self) -> Iterator[frozenset[str]]:
        """Sets of hosts of which each needs the others, so that none waits."""
        for ring in self._order.rings:
            if ring not in self._before:
                self._look_at(ring)
            yield from self._circles[ring]

    def _look_at(self, ring: str) -> None:
        members: dict[_Kind, set[str]] = {}
        for host in self._order.rings[ring]:
            if (kind := self._kinds.get(host)) is not None:
                members.setdefault(kind, set()).add(host)
        needed = {kind: frozenset().union(*(self._needs.get(system, ()) for system in kind)) for kind in members}
        steps = {kind: [one for one in members if one != kind and one & needed[kind]] for kind in members}
        reach = {kind: _reachable(kind, steps) for kind in members}
        self._before[ring] = {
            kind: frozenset(host for one in reach[kind] if kind not in reach[one] for host in members[one])
            for kind in members
        }
        round_about = {frozenset(one for one in reach[kind] if kind in reach[one]) for kind in members}
        self._circles[ring] = [
            frozenset(host for one in circle for host in members[one]) for circle in round_about if circle
        ]


def _reachable(start: _Node, steps: Mapping[_Node, Iterable[_Node]]) -> frozenset[_Node]:
    """Everything that comes after a start, the start itself only where there is a way back to it."""
    found: set[_Node] = set()
    ahead = list(steps.get(start, ()))
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead.extend(steps.get(one, ()))
    return frozenset(found)
