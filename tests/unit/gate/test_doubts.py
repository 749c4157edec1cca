"""What is told of an inventory whose groups would quietly mean something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.towns import MakeTown
from typer.testing import CliRunner

from civicops.cli.town import app
from civicops.gate.doubts import doubts
from civicops.state import TownState

NIGHT = {"id": "night", "jobs": ["wait"], "rrule": "FREQ=DAILY", "start": "22:00", "duration": "4h"}
POLICE = [{"id": "police", "name": "Police"}]


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ({"ring_canary": ["a"], "dept_police": ["a"], "pair_x": ["a", "b"], "web": ["a"]}, ""),
        (
            {"ring_canray": ["a"]},
            "the group ring_canray: there is no such one in the town file; ring_canary was meant?",
        ),
        ({"dept_polcie": ["a"]}, "dept_police was meant?"),
        ({"system_mainframe": ["a"]}, "the town file knows none such"),
        ({"observe-only": ["a"]}, "observe_only was meant?"),
        ({"pair_x": ["a"]}, "keeps nobody apart"),
    ],
)
def test_groups(make_town: MakeTown, groups: dict[str, list[str]], told: str) -> None:
    town = make_town(departments=POLICE, maintenance={"windows": [NIGHT]})
    found = list(doubts(town, {"all": ["a", "b"]} | groups))
    assert len(found) == bool(told)
    assert told in "".join(found)


def test_hosts_that_need_each_other(make_town: MakeTown) -> None:
    systems = [{"id": "app", "name": "App", "needs": ["db"]}, {"id": "db", "name": "Database", "needs": ["san"]}]
    town = make_town(systems=[*systems, {"id": "san", "name": "Storage"}])
    groups = {"all": ["a", "b"], "system_app": ["a"], "system_san": ["a"], "system_db": ["b"]}
    told = "the hosts a, b need each other by their systems, so that none waits for another"
    assert list(doubts(town, groups)) == [told]
    assert list(doubts(town, groups | {"system_san": []})) == []


def test_a_freeze_that_freezes_nobody(make_town: MakeTown) -> None:
    freeze = {"id": "council", "kind": "council", "from": "2026-11-23", "to": "2026-11-25", "hosts": "web11"}
    town = make_town(maintenance={"freezes": [freeze]})
    assert list(doubts(town, {"all": ["web1"]})) == ["the hosts of council, web11, are none of the inventory"]


@pytest.mark.parametrize(("hosts", "groups", "told"), [
    ("all", {"system_web": ["web1"]}, []),
    ("web1", {"system_web": ["web1"]}, []),
    ("web*:!web1", {"system_web": ["web1"]},
     ["the probe 1 of web, whose hosts are web*:!web1, asks nobody: no host of system_web has it"]),
    ("web1", {"system_web": ["web2"]},
     ["the probe 1 of web, whose hosts are web1, asks nobody: no host of system_web has it"]),
    ("all", {}, ["the probe 1 of web asks nobody: no host of system_web has it"]),
])  # fmt: skip
def test_a_probe_that_asks_nobody(
    make_town: MakeTown, hosts: str, groups: dict[str, list[str]], told: list[str]
) -> None:
    """It would look as if the system were watched over in the night."""
    probe = {"kind": "port", "port": 80, "hosts": hosts}
    town = make_town(systems=[{"id": "web", "name": "Web", "probes": [probe]}])
    assert list(doubts(town, {"all": ["web1", "web2"]} | groups)) == told


def test_the_command_reads_the_inventory_when_it_is_asked_to(make_town: MakeTown, state: TownState) -> None:
    def check(*options: str) -> Any:
        return CliRunner().invoke(app, ["check", "riverton", *options, "--inventories", str(town.directory.parent)])

    town = make_town()
    assert check("--hosts").exit_code == 0
    hosts = {"all": {"children": {"ring_canray": {"hosts": {"web1": None}}}}}
    (town.directory / "hosts.yml").write_text(json.dumps(hosts))
    assert check().exit_code == 0
    assert (check("--hosts").exit_code, "ring_canary was meant?" in check("--hosts").stderr) == (2, True)
    (town.directory / "hosts.yml").write_text("all: [")
    broken = check("--hosts")
    assert broken.exit_code == 2
    assert "the inventory can't be read" in broken.stderr and len(broken.stderr.splitlines()) == 1
