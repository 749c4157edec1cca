"""Every type of control is broken by hand on a real host, or it is said why it can't be."""

from __future__ import annotations

from ansible_collections.civicops.town.plugins.module_utils._baseline.model import Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.registry import TYPES
from tests.hosts.broken import BREAKS, NOT_HERE


def test_every_type_is_broken_by_hand_or_named_with_the_reason() -> None:
    broken = [one.type for one in BREAKS]
    assert len(broken) == len(set(broken))
    assert not set(broken) & set(NOT_HERE)
    assert set(broken) | set(NOT_HERE) == set(TYPES)
    assert all(NOT_HERE.values())


def test_each_break_has_parameters_that_its_type_takes_and_a_look_unless_it_is_for_people() -> None:
    for one in BREAKS:
        TYPES[one.type](Params(dict(one.params)))
        assert bool(one.look) == (one.state != "failed"), one.type
