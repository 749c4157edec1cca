"""Configuration backup of a real network daemon: FRR's zebra and bgpd, over SSH and over telnet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civicops.ledger.store import Ledger
from civicops.state import TownState
from tests.hosts import podman
from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host, private_key
from tests.hosts.network import CAPABILITIES, Router
from tests.hosts.town import Spec, Town, start_hosts

VAULT = "vault password of the town"


@pytest.fixture(scope="module")
def router(hosts_available: None) -> Iterator[Router]:
    hosts = start_hosts({"edge1": Spec("bookworm", updates=True, options=CAPABILITIES)})
    router = Router(hosts["edge1"])
    try:
        router.install()
        yield router
    finally:
        podman.remove(router.host.container)


@pytest.fixture
def network(make_town: MakeTown, router: Router) -> Town:
    """A town with the router twice: by SSH, and by telnet."""
    town = make_town("demo", use={"edge1": router.host, "edge1-vty": router.host})
    town.specs = {
        "edge1": Spec(groups=("network",), vars=router.by_ssh()),
        "edge1-vty": Spec(groups=("network",), vars=router.by_telnet()),
    }
    town.write()
    vault = TownState(town.name, town.state).directory("vault") / "demo"
    vault.write_text(VAULT)
    vault.chmod(0o600)
    return town


def back_up(town: Town, *more: str, status: int = 0) -> str:
    done = town.controller.civicops("run", "network", "demo", *more)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def bodies(town: Town, kind: str) -> dict[str, Any]:
    with Ledger("demo", state=TownState("demo", town.state)) as ledger:
        latest = ledger.latest(kind)
        found = ledger.bodies(latest.values())
        return {host: found[entry.body] for host, entry in latest.items()}


def git(town: Town, *argv: str) -> str:
    place = town.state / "demo/network/configs"
    return subprocess.run(["git", "-C", place, *argv], capture_output=True, text=True, check=True).stdout


def everything(town: Town) -> bytes:
    """All that the controller has written, but the vault password: to look for secrets in."""
    kept = [path for path in town.state.rglob("*") if path.is_file() and "vault" not in path.parts]
    objects = subprocess.run(
        ["git", "-C", town.state / "demo/network/configs", "cat-file", "--batch-all-objects", "--batch"],
        capture_output=True,
        check=True,
    ).stdout
    return b"".join(path.read_bytes() for path in kept) + objects


def test_backup_change_and_diff_without_a_clear_text_password(network: Town, router: Router) -> None:
    said = back_up(network)
    configs, facts = bodies(network, "device-config"), bodies(network, "device-facts")
    assert {name: one["outcome"] for name, one in configs.items()} == {"edge1": "whole", "edge1-vty": "whole"}
    assert (configs["edge1"]["transport"], configs["edge1-vty"]["transport"]) == ("ssh", "telnet")
    assert facts["edge1"]["version"].startswith("8.4")
    text = git(network, "show", "main:edge1.cfg")
    assert " neighbor 192.0.2.9 password <secret " in text
    assert "ip route 203.0.113.0/24 blackhole" in text
    assert len(git(network, "log", "--format=%s").splitlines()) == 2
    clear = [password.encode() for password in router.passwords.values()]
    assert all(password.decode() in router.running() for password in clear), "FRR itself shows them"
    assert not any(password in everything(network) for password in clear)
    assert not any(password in said for password in router.passwords.values())

    # Nothing has changed: nothing is committed, and nothing counts as changed.
    again = back_up(network)
    assert len(git(network, "log", "--format=%s").splitlines()) == 2
    assert "2 ok" in again or "changed" not in again, again

    # A change is one commit of that device, says what, and is not saved on the device.
    router.tell("configure terminal", "router bgp 65001", "neighbor 192.0.2.10 remote-as 65003")
    try:
        back_up(network)
        assert bodies(network, "device-config")["edge1"]["changed"]
        difference = git(network, "log", "-1", "-p", "--format=%s", "--", "edge1.cfg")
        assert "+ neighbor 192.0.2.10 remote-as 65003" in difference
        assert difference.startswith("edge1: ")
        assert "router bgp 65001" in difference.splitlines()[0]
        # A changed secret shows as changed, and as nothing else.
        router.tell("configure terminal", "router bgp 65001", "neighbor 192.0.2.9 password another-secret-9")
        back_up(network)
        lines = git(network, "log", "-1", "-p", "--format=", "--", "edge1.cfg").splitlines()
        changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        assert [line[:35] for line in changed] == [
            "- neighbor 192.0.2.9 password <secr",
            "+ neighbor 192.0.2.9 password <secr",
        ]
        assert changed[0][1:] != changed[1][1:]
        assert b"another-secret-9" not in everything(network)
    finally:
        router.tell(
            "configure terminal",
            "router bgp 65001",
            "no neighbor 192.0.2.10",
            f"neighbor 192.0.2.9 password {router.passwords['bgp']}",
        )


def test_the_raw_form_decrypts_to_what_the_router_shows(network: Town, router: Router) -> None:
    back_up(network, "--limit", "edge1")
    done = network.controller.civicops("devices", "demo", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    target = network.folder / "edge1.raw"
    done = network.controller.civicops("devices", "demo", "export", "edge1", "--output", str(target))
    assert done.returncode == 0, done.stdout + done.stderr
    assert target.stat().st_mode & 0o777 == 0o600
    shown = router.running()
    assert target.read_text() == shown[shown.index("!\nfrr version") :].rstrip("\n") + "\n"


def test_a_key_that_is_not_known_and_one_that_has_changed(network: Town, router: Router) -> None:
    known = TownState("demo", network.state).known_hosts
    right = known.read_text()
    known.write_text("")
    said = back_up(network, "--limit", "edge1", status=1)
    assert "known_hosts" in said
    assert bodies(network, "contact")["edge1"]["outcome"] == "unreachable"
    back_up(network, "--limit", "edge1", "--accept-new-host-keys")
    assert router.host.address in known.read_text()
    kind, key = router.host.keys[0].split()[:2]
    known.write_text(f"{router.host.address} ssh-ed25519 {'A' * 24 + key[24:-4]}AAAA\n" if kind else "")
    said = back_up(network, "--limit", "edge1", "--accept-new-host-keys", status=1)
    assert bodies(network, "contact")["edge1"]["outcome"] == "unreachable"
    known.write_text(right)
    back_up(network, "--limit", "edge1")


def test_one_that_is_off_does_not_hold_up_the_others(network: Town, router: Router) -> None:
    network.specs["gone"] = Spec(groups=("network",), vars=dict(router.by_ssh()) | {"netmiko_connect_timeout": 3})
    network.hosts["gone"] = Host("gone", "none", "bookworm", "192.0.2.254")
    network.write()
    said = back_up(network, status=1)
    contacts = bodies(network, "contact")
    assert contacts["gone"]["outcome"] == "unreachable"
    assert bodies(network, "device-config").keys() == {"edge1", "edge1-vty"}
    assert "gone" in said


def test_check_mode_asks_and_keeps_nothing(network: Town, router: Router) -> None:
    back_up(network, "--check")
    assert not (network.state / "demo/network/configs/edge1.cfg").exists()
    assert not (network.state / "demo/network/raw").exists()
    assert not (network.state / "demo/network/index.json").exists()
    back_up(network)
    commits = git(network, "rev-parse", "main")
    router.tell("configure terminal", "ip route 198.51.100.0/24 blackhole")
    try:
        vault = TownState("demo", network.state).directory("vault") / "demo"
        done = network.controller.playbook(
            "civicops.town.network_backup", "--check", "--diff", "--vault-id", f"demo@{vault}"
        )
    finally:
        router.tell("configure terminal", "no ip route 198.51.100.0/24 blackhole")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ip route 198.51.100.0/24 blackhole" in done.stdout
    assert router.passwords["bgp"] not in done.stdout
    assert git(network, "rev-parse", "main") == commits


def test_by_way_of_another_host(network: Town, router: Router) -> None:
    """The jump host's sshd is OpenSSH; what is behind it, is called as the jump host sees it."""
    jump = {
        "ansible_host": "127.0.0.1",
        "netmiko_jump_host": router.host.address,
        "netmiko_jump_user": "root",
        "netmiko_jump_key_file": str(private_key()),
    }
    network.specs = {"edge1": Spec(groups=("network",), vars=dict(router.by_ssh()) | jump)}
    network.write()
    known = TownState("demo", network.state).known_hosts
    entries = known.read_text()
    known.write_text("".join(line for line in entries.splitlines(keepends=True) if router.host.address not in line))
    said = back_up(network, status=1)
    assert "known_hosts" in said, "the jump host's key is checked too"
    back_up(network, "--accept-new-host-keys")
    assert bodies(network, "device-config")["edge1"]["outcome"] == "whole"


def test_without_a_vault_password_nothing_is_asked(network: Town) -> None:
    (TownState("demo", network.state).directory("vault") / "demo").unlink()
    said = back_up(network, status=1)
    assert "vault" in said


def _figures(town: Town) -> dict[str, Any]:
    done = town.controller.civicops("report", "demo", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_report_shows_the_devices_and_what_has_changed(network: Town, router: Router, tmp_path: Path) -> None:
    back_up(network)
    router.tell("configure terminal", "ip route 198.51.100.0/24 blackhole")
    try:
        back_up(network)
    finally:
        router.tell("configure terminal", "no ip route 198.51.100.0/24 blackhole")
    told = _figures(network)["devices"]
    assert {line["name"] for line in told["lines"]} == {"edge1", "edge1-vty"}
    [newest, *_rest] = [one for one in told["changes"] if one["device"] == "edge1"]
    assert ["add", "+ip route 198.51.100.0/24 blackhole"] in newest["lines"]
    assert not any(password in json.dumps(told) for password in router.passwords.values())
