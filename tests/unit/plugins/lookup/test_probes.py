"""The probes of a host's systems, as a template gets them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.civicops.town.plugins.lookup.probes import LookupModule

PAGE = {"kind": "http", "url": "http://127.0.0.1/"}
PORT = {"kind": "port", "port": 5432, "hosts": "db*"}
SYSTEMS = [{"id": "site", "probes": [PAGE, PORT]}, {"id": "files"}, {"id": "mail", "probes": [PAGE]}]


def asked(host: str, *groups: str, town: Any = None, terms: Any = ()) -> Any:
    loader = DataLoader()
    variables = {
        "inventory_hostname": host,
        "group_names": list(groups),
        "groups": {"all": ["web1", "db1", "pc1"], "system_site": ["web1", "db1"]},
        "town": {"systems": SYSTEMS} if town is None else town,
    }
    lookup = LookupModule(loader=loader, templar=Templar(loader, variables=variables))
    return lookup.run(list(terms), variables=variables)


def test_a_host_has_the_probes_of_its_systems_alone() -> None:
    assert asked("web1", "system_site", "system_files") == [PAGE | {"system": "site"}]
    assert asked("pc1", "dept_clerk") == []


def test_a_probe_may_be_for_some_hosts_of_a_system() -> None:
    assert asked("db1", "system_site") == [PAGE | {"system": "site"}, PORT | {"system": "site"}]


@pytest.mark.parametrize("town", [{}, {"systems": None}, {"systems": []}])
def test_a_town_may_have_none(town: Any) -> None:
    assert asked("web1", "system_site", town=town) == []


def test_it_takes_no_terms() -> None:
    with pytest.raises(AnsibleLookupError, match="takes no terms"):
        asked("web1", terms=["site"])
