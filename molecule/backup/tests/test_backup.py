"""What users rely on once backups are set up: they are taken, nobody else reads them, and it is told how they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from civicops.ledger.store import Ledger
from civicops.ledger.verify import verify

SERVER, CLIENTS = "bookworm", {"bullseye", "trixie"}
SETTINGS = "/etc/civicops/backup-server/molecule"
KEPT = "/var/lib/civicops/backup-server/molecule"


@pytest.fixture
def name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.get_hostname())


@pytest.fixture
def server(host: Host, name: str) -> Host:
    if name != SERVER:
        pytest.skip("a client")
    return host


@pytest.fixture
def client(host: Host, name: str) -> Host:
    if name not in CLIENTS:
        pytest.skip("the server")
    return host


def test_the_ledger_knows_how_each_host_stands() -> None:
    with Ledger("molecule") as ledger:
        assert verify(ledger).good
        bodies: dict[str, Any] = {host: ledger.body(entry) for host, entry in ledger.latest("backup-status").items()}
    assert set(bodies) == {SERVER, *CLIENTS}
    assert bodies[SERVER]["server"]["serving"] is True
    assert {one["name"] for one in bodies[SERVER]["server"]["clients"]} == CLIENTS
    for name in CLIENTS:
        assert (bodies[name]["client"]["reachable"], bodies[name]["server"]) == (True, None)
        assert {one["kind"] for one in bodies[name]["alarms"]} <= {"never"}


def test_the_server_runs_as_a_user_of_its_own(server: Host) -> None:
    service = server.service("civicops-restic-molecule.service")
    assert service.is_running
    assert service.is_enabled
    [process] = server.process.filter(comm="rclone")
    assert process.user == "backup-molecule"
    assert server.user("backup-molecule").shell == "/usr/sbin/nologin"
    assert server.socket("tcp://8000").is_listening
    for timer in ("cycle", "prune"):
        assert server.service(f"civicops-backup-{timer}-molecule.timer").is_enabled


@pytest.mark.parametrize(
    ("path", "mode", "user", "group"),
    [
        ("/srv/backup/molecule", 0o700, "backup-molecule", "backup-molecule"),
        (f"{SETTINGS}/htpasswd", 0o640, "root", "backup-molecule"),
        (f"{SETTINGS}/server.key", 0o640, "root", "backup-molecule"),
        (f"{SETTINGS}/authority.key", 0o600, "root", "root"),
        (KEPT, 0o700, "root", "root"),
        (f"{KEPT}/secrets/trixie", 0o600, "root", "root"),
    ],
)
def test_what_is_secret_on_the_server(server: Host, path: str, mode: int, user: str, group: str) -> None:
    found = server.file(path)
    assert (found.mode, found.user, found.group) == (mode, user, group)


def test_what_is_secret_on_a_client(client: Host) -> None:
    assert client.file("/etc/civicops/backup").mode == 0o700
    for name in ("repository", "password", "config.json"):
        found = client.file(f"/etc/civicops/backup/{name}")
        assert (found.mode, found.user) == (0o600, "root")


def test_a_host_backs_itself_up_and_gets_back_what_was_there(client: Host) -> None:
    assert client.service("civicops-backup.timer").is_enabled
    assert client.run("systemctl start civicops-backup.service").rc == 0
    last = json.loads(client.file("/var/lib/civicops/backup/state.json").content_string)["runs"][-1]
    assert (last["outcome"], last["alarms"]) == ("complete", [])
    files = "--repository-file repository --password-file password --cacert server.pem"
    told = f"cd /etc/civicops/backup && restic --no-cache {files} dump {last['snapshot']} /etc/passwd"
    assert client.check_output(told) == client.file("/etc/passwd").content_string.strip()


def test_each_repository_is_whole_by_the_servers_own_look(server: Host) -> None:
    assert server.run("systemctl start civicops-backup-cycle-molecule.service").rc == 0
    told = json.loads(server.file(f"{KEPT}/cycle.json").content_string)
    assert {name: one["alarms"] for name, one in told["clients"].items()} == {name: [] for name in CLIENTS}
    assert set(told["clients"]) == CLIENTS
