"""What a user relies on after an inventory: the documents are in the ledger, they are true, and the hosts unchanged."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify

RELEASES = {"bullseye": "11", "bookworm": "12", "trixie": "13"}


@pytest.fixture
def name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.get_hostname())


@cache
def documents() -> dict[str, Any]:
    """The newest facts of each host, from the ledger alone."""
    with Ledger("molecule") as ledger:
        assert verify(ledger).good
        return {host: ledger.body(entry) for host, entry in ledger.latest("host-facts").items()}


@pytest.fixture
def facts(name: str) -> dict[str, Any]:
    """What the ledger holds of this host."""
    found: dict[str, Any] = documents()[name]
    return found


def test_every_host_answered() -> None:
    assert set(documents()) == set(RELEASES)


def test_the_host_is_told_as_it_is(host: Host, facts: dict[str, Any], name: str) -> None:
    identity = facts["identity"]
    assert identity["hostname"] == host.check_output("hostname") == name
    assert identity["machine_id"] == host.file("/etc/machine-id").content_string.strip()
    assert str(identity["os"]["version"]) == RELEASES[name] == host.system_info.release.partition(".")[0]
    assert facts["seen_as_root"] is True


def test_every_package_is_there(host: Host, facts: dict[str, Any]) -> None:
    columns = facts["packages"]["columns"]
    told = {(row[columns.index("name")], row[columns.index("version")]) for row in facts["packages"]["rows"]}
    listed = host.check_output("dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}\\n'").splitlines()
    assert told == {tuple(line.split("|")[1:]) for line in listed if line.startswith("ii ")}


def test_pending_updates_are_those_of_apt(host: Host, facts: dict[str, Any], name: str) -> None:
    without_caches = "-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    simulated = host.check_output(f"apt-get -s -o Debug::NoLocking=1 {without_caches} dist-upgrade").splitlines()
    pending = {line.split()[1] for line in simulated if line.startswith("Inst ")}
    if name == "bookworm":
        columns = facts["updates"]["columns"]
        assert pending == {row[columns.index("name")] for row in facts["updates"]["rows"]}
        assert len(pending) >= 10
    else:  # it has no package lists, so nobody knows
        assert pending == set()
        assert facts["updates"] is None
        assert "updates" in {entry["item"] for entry in facts["unread"]}


def test_the_listening_sshd_is_seen(host: Host, facts: dict[str, Any]) -> None:
    assert host.socket("tcp://0.0.0.0:22").is_listening
    columns = facts["sockets"]["columns"]
    assert 22 in {row[columns.index("port")] for row in facts["sockets"]["rows"]}


def test_nothing_on_the_host_changed(host: Host, name: str) -> None:
    before = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"{name}.before").read_text()
    script = Path(__file__).parents[2] / "list-files.sh"
    done = host.run(script.read_text())
    assert done.rc == 0
    assert set(before.splitlines()) ^ set(done.stdout.splitlines()) == set()


def test_the_spool_is_empty_and_closed_to_others() -> None:
    state = Path(os.environ["CIVICOPS_STATE"], "molecule")
    assert state.stat().st_mode & 0o777 == 0o700
    assert list(state.glob("spool/*/*.json")) == []
    assert subprocess.run(["civicops", "ledger", "verify", "molecule"], check=False).returncode == 0
