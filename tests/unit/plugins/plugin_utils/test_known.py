"""What the plugins take for true: Ansible's own word, not a variable's."""

from __future__ import annotations

import pytest
from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.utils.context_objects import CLIArgs
from ansible_collections.civicops.town.plugins.plugin_utils import known


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_host", None)
    monkeypatch.setattr(known, "_groups", None)
    monkeypatch.setattr(known, "_extra", frozenset())
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"connection": "ssh"}))


def test_a_variable_that_says_another_host_is_refused() -> None:
    known.begins("web1")
    assert known.host({"inventory_hostname": "web1"}) == "web1"
    with pytest.raises(AnsibleActionFail, match="this task is for web1, not for 'pc1'"):
        known.host({"inventory_hostname": "pc1"})


def test_without_the_callback_the_variable_counts() -> None:
    assert known.host({"inventory_hostname": "web1"}) == "web1"


def test_what_sends_every_host_to_one_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known.note({}, ["wait_seconds", "ansible_user"])
    assert known.redirects() == []
    known.note({}, ["ansible_host", "wait_seconds", "ansible_connection"])
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"connection": "local"}))
    assert known.redirects() == ["-c local", "-e ansible_connection", "-e ansible_host"]


def test_the_groups_are_those_of_the_beginning() -> None:
    with pytest.raises(AnsibleActionFail, match="callback"):
        known.groups()
    groups = {"all": ["web1"], "ring_canary": ["web1"]}
    known.note(groups, [])
    groups["ring_canary"].append("pc1")
    assert known.groups()["ring_canary"] == ["web1"]
