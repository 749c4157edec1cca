"""Network devices that were taken over, played: they may lie about themselves, and harm nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from civicops.ledger.store import Ledger
from tests.hosts.controller import BIN
from tests.hosts.replayed import VAULT_PASSWORD, ReplayedTown
from tests.standins import devices
from tests.standins.playing import PASSWORD, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer

SCRIPT = "<script>alert(1)</script>"
ESCAPES = "\x1b[31m\x1b]0;owned\x07"
TEMPLATE = "{{ lookup('pipe', 'touch /tmp/civicops-owned') }}"
STEERING = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E]} - {"\n"}
CONFIG = "show running-config"
SECRET = "hunter2-of-the-town"


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer() as playing:
        yield playing


def town_of(folder: Path, replayer: Replayer, played: Mapping[str, tuple[Recording, Manner | None]]) -> ReplayedTown:
    found, known = {}, []
    for name, (recording, manner) in played.items():
        device = replayer.ssh(recording, manner)
        found[name] = {"netmiko_port": device.port, "netmiko_session_timeout": 20}
        known.append(f"[127.0.0.1]:{device.port} {device.key}")
    return ReplayedTown(folder, found, known)


def ios() -> Recording:
    return devices.read(devices.OWN / "ios.yaml")


def config_of(recording: Recording) -> str:
    return "".join(recording.answers[CONFIG])


def bodies(town: ReplayedTown, kind: str) -> dict[str, Any]:
    with Ledger(town.name, state=town.state) as ledger:
        latest = ledger.latest(kind)
        found = ledger.bodies(latest.values())
        return {host: found[entry.body] for host, entry in latest.items()}


def test_devices_that_lie_flood_and_never_end_harm_nobody(tmp_path: Path, replayer: Replayer) -> None:
    evil = f"{SCRIPT}{TEMPLATE}../../../../tmp/civicops-owned"
    text = config_of(ios()).replace("hostname rathaus-sw1", f"hostname {evil}{ESCAPES}\nalias exec x {evil}")
    version = f"Cisco IOS Software, {SCRIPT} Version {TEMPLATE}, RELEASE\n{evil} uptime is 2 weeks, 3 days{ESCAPES}\n"
    liar = replace(ios().with_answers({CONFIG: text, "show version": version}), prompt="../../../tmp/civicops-owned#")
    banner = f"{ESCAPES}{SCRIPT}{TEMPLATE}\n" * 500
    town = town_of(
        tmp_path,
        replayer,
        {
            "good": (ios(), None),
            "liar": (liar, Manner(banner=banner)),
            "flood": (ios(), Manner(flood=100_000_000)),
            "endless": (ios(), Manner(page=3, endless=True)),
            "cut": (ios(), Manner(cut_after=700)),
        },
    )
    done = town.controller.civicops("run", "network", "demo", timeout=200)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    configs = bodies(town, "device-config")
    assert configs["good"]["outcome"] == "whole"
    contacts = bodies(town, "contact")
    assert {"flood", "endless", "cut"} <= contacts.keys()
    assert not {"flood", "endless", "cut"} & {name for name, one in configs.items() if one["outcome"] == "whole"}
    kept = sorted(path.name for path in town.configs.glob("*.cfg"))
    assert set(kept) <= {"good.cfg", "liar.cfg"}
    assert "good.cfg" in kept

    report = town.controller.civicops("report", "demo", "--output", str(tmp_path / "reports"))
    assert report.returncode == 0, report.stderr
    [page] = (tmp_path / "reports").glob("*.html")
    html = page.read_text()
    assert "<script" not in html
    listed = town.controller.civicops("devices", "demo")
    for told in (said, report.stdout, listed.stdout):
        assert not set(told) & STEERING, "a control character reached the terminal"
    assert not Path("/tmp/civicops-owned").exists()


def test_secrets_reach_nothing_but_the_encrypted_form(tmp_path: Path, replayer: Replayer) -> None:
    text = config_of(ios()).replace(
        "\nend", f"\nusername bob password 0 {SECRET}\nsnmp-server community {SECRET} RW\nend"
    )
    town = town_of(tmp_path, replayer, {"sw1": (ios().with_answers({CONFIG: text}), None)})
    first = town.controller.civicops("run", "network", "demo")
    assert first.returncode == 0, first.stdout + first.stderr
    verbose = town.controller.playbook(
        "civicops.town.network_backup", "-vvvv", "--diff", "--vault-id", f"demo@{town.vault}"
    )
    assert verbose.returncode == 0, verbose.stdout + verbose.stderr
    report = town.controller.civicops("report", "demo", "--json")
    secrets = [SECRET, PASSWORD, VAULT_PASSWORD]
    for told in (first, verbose, report):
        assert not any(secret in told.stdout + told.stderr for secret in secrets)
    for path in town.state.root.rglob("*"):
        if path.is_file() and path != town.vault:
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
    done = town.controller.civicops("devices", "demo", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    target = tmp_path / "sw1.raw"
    done = town.controller.civicops("devices", "demo", "export", "sw1", "--output", str(target))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"username bob password 0 {SECRET}" in target.read_text()
    assert SECRET not in done.stdout


def test_two_towns_keep_apart(tmp_path: Path, replayer: Replayer) -> None:
    one = town_of(tmp_path / "a", replayer, {"sw1": (ios(), None)})
    two = town_of(tmp_path / "b", replayer, {"sw1": (ios(), None)})
    for town in (one, two):
        done = town.controller.civicops("run", "network", "demo")
        assert done.returncode == 0, done.stdout + done.stderr
    first, second = (json.dumps((town.configs / "sw1.cfg").read_text()) for town in (one, two))
    assert first != second, "fingerprints of one town say nothing in another one"
    assert first.split("<secret ")[0] == second.split("<secret ")[0]


def test_passwords_come_from_the_vault(tmp_path: Path, replayer: Replayer) -> None:
    town = town_of(tmp_path, replayer, {"sw1": (ios(), None), "sw2": (ios(), None)})
    identity = f"demo@{town.vault}"
    variables = town.inventory / "group_vars" / "all"
    common = json.loads((variables / "network.yml").read_text())
    del common["netmiko_password"]
    (variables / "network.yml").write_text(json.dumps(common | {"netmiko_password": "{{ vault_network_password }}"}))
    secret = json.dumps({"vault_network_password": PASSWORD})
    sealed = town.controller.run(
        BIN / "ansible-vault", "encrypt", "--vault-id", identity, "--output", "-", stdin=secret
    )
    (variables / "vault.yml").write_text(sealed.stdout)
    inline = town.controller.run(BIN / "ansible-vault", "encrypt_string", "--vault-id", identity, PASSWORD).stdout
    (town.inventory / "host_vars").mkdir()
    (town.inventory / "host_vars" / "sw2.yml").write_text(f"netmiko_password: {inline}")
    done = town.controller.civicops("run", "network", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    (variables / "vault.yml").unlink()
    done = town.controller.civicops("run", "network", "demo")
    assert done.returncode == 1
    assert "vault_network_password" in done.stdout + done.stderr, "what is missing is named"
    assert bodies(town, "contact").keys() == {"sw1"}, "and the other device is asked"
