"""What users rely on after hardening: settings are as wanted and in force, people still get in, and it is told."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from testinfra.host import Host

from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify

HOSTS = {"bullseye", "bookworm", "trixie"}


@pytest.fixture
def name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.get_hostname())


@cache
def documents() -> dict[str, tuple[Any, Any]]:
    """By host, what the ledger holds of the two converges, each a run of its own."""
    with Ledger("molecule") as ledger:
        assert verify(ledger).good
        second = ledger.latest("baseline")
        first = ledger.previous(second.values())
        bodies = ledger.bodies([*first.values(), *second.values()])
    return {host: (bodies[first[host].body], bodies[second[host].body]) for host in HOSTS}


@pytest.fixture
def place() -> str:
    """Where the hosts keep the way back of the first converge."""
    with Ledger("molecule") as ledger:
        (run,) = {entry.run for entry in ledger.previous(ledger.latest("baseline").values()).values()}
    return f"/var/lib/civicops/runs/{run}/baseline"


def rows(body: Any) -> dict[str, Any]:
    return {row[0]: row for row in body["results"]["rows"]}


def test_each_host_was_hardened_and_then_left_as_it_was(name: str) -> None:
    first, second = documents()[name]
    assert (first["outcome"], second["outcome"]) == ("done", "done")
    assert first["counts"]["changed"] > 30
    assert not [row for row in rows(second).values() if row[2]]
    changed = {one for one, row in rows(first).items() if row[1] == "changed"}
    assert {rows(second)[one][1] for one in changed} == {"compliant"}


def test_what_is_told_as_not_so_has_a_reason(name: str) -> None:
    for row in rows(documents()[name][0]).values():
        assert row[1] in ("compliant", "changed") or row[5] or row[3], row
        assert row[1] != "error", row


def test_a_new_login_was_proven_and_nothing_waits(host: Host, name: str, place: str) -> None:
    first, _second = documents()[name]
    assert first["login"] == "confirmed"
    assert host.file(f"{place}/confirmed").exists
    assert not host.file("/var/lib/civicops/armed").exists
    assert "civicops-baseline" not in host.check_output("systemctl list-units --all --no-legend --plain")


def test_the_probes_were_green_before_and_after(name: str) -> None:
    first, _second = documents()[name]
    assert [(one["before"], one["after"]) for one in first["probes"]] == [("green", "green")]
    assert first["failed_units"]["after"] == first["failed_units"]["before"]


def test_ssh_is_as_wanted(host: Host) -> None:
    told = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines() if " " in line)
    assert int(told["maxauthtries"]) <= 4
    assert told["x11forwarding"] == "no"
    assert told["permitrootlogin"] in ("without-password", "prohibit-password")
    assert told["permitemptypasswords"] == "no"
    assert not [cipher for cipher in told["ciphers"].split(",") if "cbc" in cipher or "3des" in cipher]


def test_files_are_as_wanted(host: Host) -> None:
    assert host.file("/etc/crontab").mode & 0o077 == 0
    assert host.file("/etc/shadow").mode & 0o007 == 0
    assert host.file("/etc/ssh/sshd_config").mode & 0o022 == 0
    assert "/bin/false" in host.check_output("modprobe -n -v cramfs 2>&1 || true") or not host.exists("modprobe")
    assert host.file("/etc/issue").content_string.strip()


def test_what_programs_check_is_good(host: Host) -> None:
    assert host.run("sshd -t").rc == 0
    assert host.run("visudo -c").rc == 0
    assert host.run("pwck -r").rc in (0, 2), "2: homes of packages' users that Debian does not make"
    assert host.check_output("systemctl is-active ssh") == "active"


def test_the_way_back_is_kept_for_root_alone(host: Host, place: str) -> None:
    assert host.file(f"{place}/journal").exists
    assert (host.file(place).user, host.file(place).mode) == ("root", 0o700)
