"""Findings on what the module host_info really answers: of a made-up host with its faults, and of an empty tree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.civicops.town.plugins.module_utils._host_info import collect as collecting
from tests.unit.plugins.module_utils.host_info import conftest
from tests.unit.plugins.module_utils.host_info.conftest import NOW, MakeHost
from tests.unit.plugins.module_utils.host_info.test_collect import ANSWERS, DEBIAN

from civicops.assess.estate import Estate, Host
from civicops.assess.finding import Judged, Told
from civicops.assess.findings import look
from civicops.feeds.store import Index

host = conftest.host
"""The fixture: a host made of files and of commands' answers."""


def told(made: MakeHost, *parts: dict[str, str]) -> dict[str, Judged]:
    """What is said of the host that a tree is, by the finding's id."""
    moment = datetime.fromtimestamp(NOW, UTC)
    body = collecting.collect(made(*parts))
    estate = Estate(moment, {"web1": Host("web1", Told(body, moment))}, Index(Path("/nonexistent")))
    return {one.id: one for one in look(estate)}


def test_a_host_with_faults(host: MakeHost) -> None:
    found = told(host, DEBIAN, ANSWERS)
    names = {name for name, one in found.items() if one.state == "found"}
    assert names == {"hardware-age", "security-lists", "security-source", "time-sync"}
    assert "at least 6.6 years old (firmware date" in found["hardware-age"].evidence
    assert "no record of logins can be read" in found["account-never-used"].evidence
    assert found["sudo-no-password"].state == "fine"  # one user may run one command


def test_of_an_empty_tree_hardly_anything_is_fine(host: MakeHost) -> None:
    found = told(host)
    assert {name for name, one in found.items() if one.state == "fine"} == {
        "host-clock",
        "host-not-seen",
        "sudo-no-password",  # there is no sudo
    }
    assert {name for name, one in found.items() if one.state == "found"} <= {"time-sync"}
