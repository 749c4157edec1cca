"""What in an inventory's groups would quietly mean something else than somebody meant."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from civicops.calendar import matching
from civicops.gate.chains import Chains
from civicops.gate.rings import RINGS, Groups, few, ordered
from civicops.town import Town

_KINDS = ("ring_", "dept_", "system_", "pair_")


def doubts(town: Town, groups: Groups) -> Iterator[str]:
    """One line each: groups that the gate does not know by their name, pairs of one, patterns that mean no host, probes
    that ask nobody.

    `groups` is Ansible's variable of that name.
    """
    known = {
        "ring_": {f"ring_{ring}" for ring in RINGS},
        "dept_": {f"dept_{one.id}" for one in town.departments},
        "system_": {f"system_{one.id}" for one in town.systems},
    }
    every = {"observe_only", *(name for names in known.values() for name in names)}
    for name in sorted(groups):
        kind = next((one for one in known if name.startswith(one)), None)
        if kind is not None and name not in known[kind]:
            yield f"the group {name}: {_instead(name, known[kind])}"
        elif name not in every and not name.startswith(_KINDS) and (near := get_close_matches(name, every, 1, 0.85)):
            yield f"the group {name} is one like any other; {near[0]} was meant?"
        elif name.startswith("pair_") and len(groups[name]) < 2:
            yield f"the group {name} has {len(groups[name])} host, and keeps nobody apart: put the partner into it"
    chains = Chains({one.id: one.needs for one in town.systems if one.needs}, groups, ordered(groups))
    for circle in chains.circles():
        yield f"the hosts {few(sorted(circle))} need each other by their systems, so that none waits for another"
    patterns = [(window.id, window.hosts) for window in town.maintenance.windows]
    patterns += [(freeze.id, freeze.hosts) for freeze in town.maintenance.freezes]
    for named, pattern in patterns:
        if not matching(pattern, groups):
            yield f"the hosts of {named}, {pattern}, are none of the inventory"
    for system in town.systems:
        members = set(groups.get(f"system_{system.id}", ()))
        for number, probe in enumerate(system.probes):
            if not members & matching(probe.hosts, groups):
                which = f", whose hosts are {probe.hosts}," if members and probe.hosts != "all" else ""
                yield f"the probe {number + 1} of {system.id}{which} asks nobody: no host of system_{system.id} has it"


def _instead(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"there is no such one in the town file; {near[0]} was meant?" if near else "the town file knows none such"
