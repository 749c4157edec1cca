"""The worked example: its file is right, and says the same as its inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from civicops.town import load_town
from civicops.town.model import Town, TownFile

ROOT = Path(__file__).parents[3]
FAIRVIEW = ROOT / "inventories" / "fairview"
DOCUMENTATION = [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


@pytest.fixture(scope="module")
def town() -> Town:
    return load_town(FAIRVIEW)


@pytest.fixture(scope="module")
def inventory() -> dict[str, Any]:
    """What Ansible reads, and that it has nothing to say against it."""
    # The directory holds the town's calendars too, which Ansible would take for inventories.
    environment = {
        **os.environ,
        "ANSIBLE_INVENTORY_IGNORE_REGEX": r"^calendars$,^waivers\.yml$,^warranty\.csv$",
        "ANSIBLE_CONFIG": "",
    }
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(FAIRVIEW), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=60, check=True)
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def hosts_of(inventory: dict[str, Any], group: str) -> set[str]:
    entry = inventory.get(group, {})
    return set(entry.get("hosts", ())).union(
        *(hosts_of(inventory, child) for child in entry.get("children", ())), set()
    )


def groups_of(inventory: dict[str, Any], prefix: str) -> set[str]:
    """The groups with this prefix, empty ones too: Ansible lists those only as children of `all`."""
    return {name for name in inventory["all"]["children"] if name.startswith(prefix)}


def test_size(inventory: dict[str, Any]) -> None:
    windows, linux = hosts_of(inventory, "windows"), hosts_of(inventory, "linux")
    servers = {host for host in windows | linux if host.startswith("srv")}
    assert len(servers) == 3
    assert len((windows | linux) - servers) == 60
    assert len(hosts_of(inventory, "printers")) == 6
    assert len(hosts_of(inventory, "network")) == 10


def test_every_host_has_one_place(inventory: dict[str, Any]) -> None:
    places = ["ring_canary", "ring_early", "ring_broad", "ring_last", "observe_only", "network"]
    count = Counter(host for place in places for host in hosts_of(inventory, place))
    assert {host for host, times in count.items() if times != 1} == set()
    assert set(count) == set(inventory["_meta"]["hostvars"])


def test_every_host_has_one_department_and_one_way_to_reach_it(inventory: dict[str, Any]) -> None:
    departments = Counter(host for group in groups_of(inventory, "dept_") for host in hosts_of(inventory, group))
    assert set(departments) == set(inventory["_meta"]["hostvars"])
    assert set(departments.values()) == {1}
    ways = Counter(host for way in ("windows", "linux", "network", "observe_only") for host in hosts_of(inventory, way))
    assert set(ways) == set(inventory["_meta"]["hostvars"])
    assert set(ways.values()) == {1}


def test_groups_and_town_file_name_the_same(inventory: dict[str, Any], town: Town) -> None:
    assert groups_of(inventory, "dept_") == {f"dept_{department.id}" for department in town.departments}
    assert groups_of(inventory, "system_") == {f"system_{system.id}" for system in town.systems}


def test_pairs_are_pairs(inventory: dict[str, Any]) -> None:
    pairs = groups_of(inventory, "pair_")
    assert pairs
    assert all(len(hosts_of(inventory, pair)) == 2 for pair in pairs)


def test_host_patterns_name_groups_that_exist(inventory: dict[str, Any], town: Town) -> None:
    for part in (*town.maintenance.windows, *town.maintenance.freezes):
        for name in part.hosts.split(":"):
            assert name.lstrip("!&") in {"all", *inventory["all"]["children"]}, part.id


def test_addresses_are_for_documentation(inventory: dict[str, Any]) -> None:
    for host, values in inventory["_meta"]["hostvars"].items():
        address = values["ansible_host"]
        if address.endswith(".fairview.example"):
            continue
        assert any(ip_address(address) in network for network in DOCUMENTATION), host


def test_devices_name_their_platform(inventory: dict[str, Any]) -> None:
    for host in hosts_of(inventory, "network"):
        assert inventory["_meta"]["hostvars"][host]["netmiko_platform"]


def test_the_town_comes_back_from_its_dump(town: Town) -> None:
    text = TownFile(town=town).model_dump_json(by_alias=True, exclude_defaults=True)
    assert TownFile.model_validate_json(text).town.model_dump() == town.model_dump()


def test_the_calendar_is_whole() -> None:
    lines = (FAIRVIEW / "calendars/council.ics").read_bytes().split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR"
    assert lines[-2:] == [b"END:VCALENDAR", b""]
    assert all(len(line) <= 75 and b"\n" not in line for line in lines)


def test_the_smallest_town_is_small() -> None:
    file = load_town(ROOT / "inventories" / "localhost").path
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith(("#", "---"))]
    assert len(lines) == 4
