"""What a run is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from civicops.ledger.store import Ledger, LedgerError
from civicops.runs.environment import (
    control_directory,
    dropped_proxies,
    kept_environment,
    run_environment,
    write_ssh_config,
)
from civicops.state import StateError, TownState


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "site" / "inventories" / "riverton"
    path.mkdir(parents=True)
    return path


def environment(state: TownState, inventory: Path, **source: str) -> dict[str, str]:
    return run_environment(state, inventory=inventory, run="r1", job="checkup", source=source)


def test_nothing_of_the_callers_own_gets_in_but_what_is_named(state: TownState, inventory: Path) -> None:
    given = {"HOME": "/home/ann", "AWS_SECRET": "x", "ANSIBLE_VAULT_PASSWORD_FILE": "x", "SSH_AUTH_SOCK": "x"}
    found = environment(state, inventory, **given, LC_ALL="C.UTF-8", PYTHONPATH="/x", CIVICOPS_TOWN="otherville")
    assert found["HOME"] == "/home/ann"
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["CIVICOPS_TOWN"] == "riverton"
    assert not found.keys() & {"AWS_SECRET", "ANSIBLE_VAULT_PASSWORD_FILE", "SSH_AUTH_SOCK", "PYTHONPATH"}


def test_the_agent_is_handed_over_only_where_it_was_asked_for() -> None:
    assert kept_environment({"SSH_AUTH_SOCK": "/a"}, ssh_agent=True)["SSH_AUTH_SOCK"] == "/a"


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("http://proxy.example:3128", True),
        ("proxy.example:3128", True),
        ("http://ann:secret@proxy.example:3128", False),
        ("ann:secret@proxy.example", False),
        ("http://[broken", False),
    ],
)
def test_a_proxy_with_a_password_stays_out(address: str, kept: bool) -> None:
    assert ("https_proxy" in kept_environment({"https_proxy": address}, ssh_agent=False)) is kept
    assert dropped_proxies({"https_proxy": address}) == ([] if kept else ["https_proxy"])


def test_the_sites_callbacks_and_patterns_stay(state: TownState, inventory: Path) -> None:
    (inventory.parents[1] / "ansible.cfg").write_text(
        "[defaults]\ncallbacks_enabled = ansible.posix.profile_tasks\nforks = 7\ninventory_ignore_patterns = ^old$\n"
    )
    found = environment(state, inventory)
    assert found["ANSIBLE_CALLBACKS_ENABLED"] == "ansible.posix.profile_tasks,civicops.town.run"
    assert found["ANSIBLE_INVENTORY_IGNORE_REGEX"].split(",")[0] == "^old$"
    assert "ANSIBLE_FORKS" not in found


@pytest.mark.parametrize("key", ["vault_identity_list", "vault_password_file"])
def test_a_password_for_all_towns_is_refused(state: TownState, inventory: Path, key: str) -> None:
    (inventory.parents[1] / "ansible.cfg").write_text(f"[defaults]\n{key} = all.txt\n")
    with pytest.raises(StateError, match=f"ansible.cfg: {key}"):
        environment(state, inventory)


def test_a_towns_vault_identities_are_the_files_in_its_state(state: TownState, inventory: Path) -> None:
    (state.directory("vault") / "police").write_text("x")
    assert environment(state, inventory)["ANSIBLE_VAULT_IDENTITY_LIST"] == f"police@{state.root}/vault/police"


def test_the_towns_ssh_config_can_add_but_not_turn_checking_off(state: TownState, inventory: Path) -> None:
    (inventory / "ssh.cfg").write_text("Host *\n  StrictHostKeyChecking no\n  ProxyJump jump\n")
    lines = write_ssh_config(state, inventory, accept_new=False).read_text().splitlines()
    checking = lines.index("  StrictHostKeyChecking yes")
    assert checking < next(number for number, line in enumerate(lines) if "Include" in line)
    assert f'  UserKnownHostsFile "{state.known_hosts}"' in lines


def test_sockets_lie_elsewhere_where_the_states_path_is_too_long(tmp_path: Path) -> None:
    places = [control_directory(TownState(town, tmp_path / ("x" * 90))) for town in ("riverton", "beeville")]
    for place in places:
        assert len(str(place)) <= 75
        assert place.stat().st_mode & 0o777 == 0o700
        place.rmdir()
    assert places[0] != places[1], "towns never share one"


def test_the_ledgers_address_reaches_the_run_and_its_password_no_artifact(
    state: TownState, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql+psycopg://ann:secret@127.0.0.1:1/none"
    found = environment(state, inventory, CIVICOPS_LEDGER_URL=address)
    assert "secret" not in "".join(found.values())
    place = Path(found["CIVICOPS_LEDGER_URL"].removeprefix("@"))
    assert (place.read_text(), place.stat().st_mode & 0o777) == (address, 0o600)
    assert environment(state, inventory, **found)["CIVICOPS_LEDGER_URL"] == f"@{place}"
    assert "CIVICOPS_LEDGER_URL" not in environment(state, inventory)
    monkeypatch.setenv("CIVICOPS_LEDGER_URL", f"@{place}")
    with pytest.raises(LedgerError, match=r"127\.0\.0\.1:1/none") as told:
        Ledger("riverton", state=state)
    assert "secret" not in str(told.value)
    place.unlink()
    with pytest.raises(LedgerError, match="CIVICOPS_LEDGER_URL can't be used"):
        Ledger("riverton", state=state)
