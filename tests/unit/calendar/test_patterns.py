"""A host pattern means what it means to Ansible."""

from __future__ import annotations

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from civicops.calendar import matching
from civicops.town.patterns import check_pattern
from civicops.town.rrule import RuleFault

HOSTS = ["web1", "web2", "web10", "db.one", "db-2", "pc", "dept_x", "10.0.0.1", "abc"]
# A host with the name of a group is not in Ansible's own `groups`, and Ansible warns of it: left out.
GROUPS = ["web", "dept_police", "dept_fire", "ring_early", "pc1", "ab", "a.b", "empty"]


def inventory(members: dict[str, list[str]], hosts: list[str]) -> tuple[InventoryManager, dict[str, list[str]]]:
    """Ansible's inventory, and its variable `groups`."""
    manager = InventoryManager(loader=DataLoader(), sources=[])
    for group in GROUPS:
        manager.add_group(group)
    for host in hosts:
        manager.add_host(host)
    for group, names in members.items():
        for host in names:
            if host in hosts:
                manager.add_host(host, group=group)
    manager.reconcile_inventory()
    return manager, {name: [host.name for host in group.get_hosts()] for name, group in manager.groups.items()}


NAMES = st.sampled_from([*HOSTS, *GROUPS, "all", "ungrouped", "nobody", "localhost", "127.0.0.1"])
WILD = st.sampled_from(
    ["web*", "dept_*", "*", "db.*", "[aw]*", "web[ab]", "~web", "~.*[0-9]", "~dept_[pf].*", "a*", "al*"]
)
PARTS = st.tuples(st.sampled_from(["", "", "!", "&"]), st.one_of(NAMES, NAMES, WILD)).map("".join)
PATTERNS = st.one_of(
    st.lists(PARTS, min_size=1, max_size=4).flatmap(
        lambda parts: st.sampled_from([":", ","]).map(lambda by: by.join(parts))
    ),
    st.text(alphabet="ab1*.:,!&~[]-_w", min_size=1, max_size=10),
)
MEMBERS = st.dictionaries(st.sampled_from(GROUPS), st.lists(st.sampled_from(HOSTS), max_size=4, unique=True))


@settings(max_examples=700, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(PATTERNS, MEMBERS, st.lists(st.sampled_from(HOSTS), min_size=1, unique=True))
def test_as_ansible_does(pattern: str, members: dict[str, list[str]], hosts: list[str]) -> None:
    try:
        check_pattern(pattern)
    except RuleFault as fault:
        assert fault.remedy
        assume(False)
    manager, groups = inventory(members, hosts)
    assert matching(pattern, groups) == {host.name for host in manager.get_hosts(pattern)}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all:!dept_police", {"web1", "web2", "pc"}),
        ("!dept_police", {"web1", "web2", "pc"}),
        ("all:&web:!web2", {"web1"}),
        ("!web2:web", {"web1"}),
        ("web,pc", {"web1", "web2", "pc"}),
        ("dept_*", {"db.one"}),
        ("~web[0-9]", {"web1", "web2"}),
        ("nobody", set()),
    ],
)
def test_examples(pattern: str, expected: set[str]) -> None:
    groups = {"all": ["web1", "web2", "db.one", "pc"], "web": ["web1", "web2"], "dept_police": ["db.one"]}
    assert matching(pattern, groups) == expected


@pytest.mark.parametrize("pattern", ["web[0]", "all:!web[1:2]", "web*[-1]", "~[,a"])
def test_refused_here_too(pattern: str) -> None:
    with pytest.raises(RuleFault):
        matching(pattern, {"all": ["a"]})
