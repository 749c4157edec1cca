"""The second copy: what is remembered of it, and what of it is told, whatever restic and the other server do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import copies, standing
from ansible_collections.civicops.town.plugins.module_utils._backup.server_config import Client, Server
from ansible_collections.civicops.town.plugins.module_utils._backup.written import alone

HASHES = [f"{number:064x}" for number in range(3)]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    for name in ("pc", "new"):
        (tmp_path / "srv" / name / "snapshots").mkdir(parents=True)
    (tmp_path / "state").mkdir()
    clients = (Client("pc", 3600), Client("new", 3600))
    folders = {"root": str(tmp_path / "srv"), "state": str(tmp_path / "state"), "secrets": str(tmp_path / "secrets")}
    return Server("riverton", "root", **folders, certificate="", keep_within="90d", clients=clients, copy_to="b:8000")


class Restic:
    """What it was asked for, by host; C(says): what it refuses with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.says: dict[str, str] = {}
        monkeypatch.setattr(copies, "_restic", self)

    def __call__(self, server: Server, client: Client, seconds: float, *words: str) -> str:
        self.asked.append(f"{client.name} {words[0]}")
        if words[0] in self.says:
            raise copies.Refused(self.says[words[0]])
        return ""


@pytest.fixture
def restic(monkeypatch: pytest.MonkeyPatch) -> Restic:
    return Restic(monkeypatch)


def come(server: Server, name: str, *hashes: str) -> None:
    for one in hashes:
        Path(server.root, name, "snapshots", one).write_bytes(b"x")


def memory(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(server.state, copies.STATE).read_text())["clients"]
    return found


def told(server: Server, monkeypatch: pytest.MonkeyPatch, *, timer: bool = True, began: float = 0.0) -> list[str]:
    monkeypatch.setattr(standing, "_active", lambda unit: timer)
    monkeypatch.setattr(standing, "SERVERS", server.state)
    place = Path(server.state, "riverton", "server.json")
    place.parent.mkdir(exist_ok=True)
    place.touch()
    os.utime(place, (time.time() - began, time.time() - began))
    alarms: list[dict[str, str]] = []
    standing._copy(server.state, "riverton", {"copy_to": server.copy_to}, ["pc", "new"], alarms)
    assert {one["kind"] for one in alarms} <= {"copy"}
    return [one["text"] for one in alarms]


def test_what_is_new_is_copied_once(server: Server, restic: Restic, monkeypatch: pytest.MonkeyPatch) -> None:
    come(server, "pc", HASHES[0])
    restic.says = {"cat": "Fatal: unable to open config file: <config/> does not exist"}
    assert copies.copy(server) == 0
    assert restic.asked == ["pc cat", "pc init", "pc unlock", "pc copy"]
    restic.says, restic.asked = {}, []
    assert copies.copy(server) == 0
    assert restic.asked == [], "nothing is new"
    come(server, "pc", HASHES[1])
    copies.copy(server)
    assert restic.asked == ["pc cat", "pc unlock", "pc copy"]
    assert (memory(server)["pc"]["snapshots"], told(server, monkeypatch)) == (2, [])


def test_each_is_looked_for_anew_each_day(server: Server, restic: Restic, monkeypatch: pytest.MonkeyPatch) -> None:
    come(server, "pc", HASHES[0])
    copies.copy(server)
    restic.asked = []
    later = time.time() + 24 * 3600
    monkeypatch.setattr(copies.time, "time", lambda: later)
    copies.copy(server)
    assert "pc copy" in restic.asked


def test_a_copy_that_is_gone_is_told_until_somebody_accepts_it(
    server: Server, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(server, "pc", HASHES[0])
    copies.copy(server)
    come(server, "pc", HASHES[1])
    restic.says, restic.asked = {"cat": "<config/> does not exist"}, []
    for _ in range(2):
        assert copies.copy(server) == 1
    assert "pc init" not in restic.asked
    assert ["the copy is gone" in text for text in told(server, monkeypatch)] == [True]
    copies.forget(server, "pc")
    assert copies.copy(server) == 0
    assert "pc init" in restic.asked


def test_an_acceptance_in_the_middle_of_a_pass_is_kept(
    server: Server, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(server, "pc", HASHES[0])
    copies.copy(server)
    come(server, "pc", HASHES[1])

    def gone(*anything: Any) -> str:
        copies.forget(server, "pc")
        raise copies.Refused("<config/> does not exist")

    monkeypatch.setattr(copies, "_restic", gone)
    copies.copy(server)
    monkeypatch.setattr(copies, "_restic", restic)
    restic.says = {"cat": "<config/> does not exist"}
    assert copies.copy(server) == 0
    assert "pc init" in restic.asked


def test_a_server_that_is_off_is_told_and_a_lock_is_let_be_for_a_day(
    server: Server, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(server, "pc", HASHES[0])
    restic.says = {"cat": "dial tcp: connection refused\nIs there a repository at the following location?"}
    assert copies.copy(server) == 1
    assert told(server, monkeypatch) == [
        "pc: dial tcp: connection refused?Is there a repository at the following location?"
    ]
    restic.says = {"copy": "unable to create lock: repository is already locked by PID 7"}
    assert copies.copy(server) == 0
    assert told(server, monkeypatch) == []
    later = time.time() + 27 * 3600
    monkeypatch.setattr(standing.time, "time", lambda: later)
    assert any("pc: the second server was not brought up to date" in text for text in told(server, monkeypatch))


def test_a_copy_that_never_begins_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(server, monkeypatch, began=3600) == []
    assert len(told(server, monkeypatch, began=27 * 3600)) == 2
    assert "timer" in told(server, monkeypatch, timer=False)[0]


def test_who_waits_for_anothers_first_copy_is_remembered(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    come(server, "pc", HASHES[0])

    def cut(*anything: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "_restic", cut)
    with pytest.raises(KeyboardInterrupt):
        copies.copy(server)
    assert set(memory(server)) == {"pc", "new"}


def test_what_is_being_pruned_is_let_be(server: Server, restic: Restic) -> None:
    come(server, "pc", HASHES[0])
    with alone(server.busy(server.clients[0])):
        assert copies.copy(server) == 0
    assert restic.asked == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"to": "b:8000", "clients": [1]}', '{"to": "b:8000", "clients": {"pc": 7}}']
)
def test_a_memory_that_is_broken_is_made_anew(server: Server, restic: Restic, text: str) -> None:
    Path(server.state, copies.STATE).write_text(text)
    come(server, "pc", HASHES[0])
    assert copies.copy(server) == 0
    assert memory(server)["pc"]["snapshots"] == 1


def test_another_second_server_begins_anew(server: Server, restic: Restic) -> None:
    come(server, "pc", HASHES[0])
    copies.copy(server)
    restic.asked = []
    copies.copy(Server(**{**server.__dict__, "copy_to": "c:8000"}))
    assert "pc copy" in restic.asked
