"""What a backup server is told of its clients, and what is missing in the vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible_collections.civicops.town.plugins.lookup import backup_clients

ROOT = Path(__file__).parents[4]


def ask(*names: str, **hosts: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = backup_clients.LookupModule().run(list(names), {"hostvars": hosts})
    return found


def test_passwords_come_from_the_vault_or_by_name() -> None:
    secrets = {"pc": {"server": "s", "repository": "r"}}
    [one] = ask("pc", pc={"backup_secrets": secrets, "backup_client_server_password": "mine"})
    assert (one["name"], one["server_password"], one["repository_password"]) == ("pc", "mine", "r")


def test_schedule_and_how_late_it_may_be() -> None:
    secrets = {"pc": {"server": "s", "repository": "r"}}
    [usual, other] = ask(
        "pc",
        "pc",
        pc={"backup_secrets": secrets, "backup_client_delay": 0, "backup_client_time_limit": "60"},
    )
    assert usual == other
    assert (usual["schedule"], usual["late_after"]) == ("*-*-* 01:00", 60 + 3600)


def test_a_second_server_waits_longer() -> None:
    secrets = {"pc": {"server": "s", "repository": "r"}}
    hosts = {"hostvars": {"pc": {"backup_secrets": secrets}}}
    lookup = backup_clients.LookupModule()
    late = [lookup.run(["pc"], hosts, **more)[0]["late_after"] for more in ({}, {"later": 100})]
    assert late[1] - late[0] == 100
    with pytest.raises(AnsibleLookupError, match="no option sooner; there is: later"):
        lookup.run(["pc"], hosts, sooner=1)


@pytest.mark.parametrize("given", [{}, {"backup_secrets": {}}, {"backup_secrets": {"pc": {"server": "s"}}}])
def test_a_host_without_a_password_is_named_with_the_remedy(given: dict[str, Any]) -> None:
    with pytest.raises(AnsibleLookupError, match=r"^pc has no password .*backup_secrets\.pc\."):
        ask("pc", pc=given)


def test_the_defaults_are_those_of_the_role() -> None:
    role = yaml.safe_load((ROOT / "roles" / "backup_client" / "defaults" / "main.yml").read_text())
    assert role["backup_client_schedule"] == backup_clients.SCHEDULE
    assert role["backup_client_delay"] == backup_clients.DELAY
    assert role["backup_client_time_limit"] == backup_clients.TIME_LIMIT
