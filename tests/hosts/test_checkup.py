"""The main job on three releases of real hosts, and what happens when hosts, the network or the controller die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.controller import Done
from tests.hosts.host import Host
from tests.hosts.town import Spec, Town

NOWHERE = Spec(vars={"ansible_host": "192.0.2.1", "ansible_ssh_timeout": 2})  # RFC 5737: never anybody's


def answer(done: Done) -> dict[str, Any]:
    """The one JSON document of a `--json` command."""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(town: Town) -> dict[str, dict[str, Any]]:
    """What the report says of each host."""
    report = answer(town.controller.civicops("report", town.name, "--json"))
    return {host["name"]: host for host in report["hosts"]}


def page(done: Done) -> str:
    """The report that a command wrote."""
    return Path(done.stdout.rpartition("Report: ")[2].strip()).read_text()


def wait_for(what: Callable[[], bool], within: float = 60) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.1)


def ssh_processes() -> bytes:
    """The command lines of all ssh processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes())
    return b"\n".join(line for line in lines if line.startswith(b"ssh"))


def test_three_releases_one_of_them_stopped(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", {"web2": "bookworm"}, use=shared_hosts)
    assert town.controller.civicops("checkup", "demo").returncode == 0
    town.host("web2").stop()
    done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 1, done.stderr
    assert "3 of 4 hosts answered" in done.stdout
    assert "web2" in done.stdout
    told = figures(town)
    assert told["web2"]["missed"].startswith("unreachable: ")
    assert told["web2"]["figures"], "what it answered the first time is still shown"
    for release in ("bullseye", "bookworm", "trixie"):
        assert told[release]["missed"] is None
        facts = {figure["key"]: figure for figure in told[release]["figures"]}
        assert facts["os"]["value"].lower().count(release) == 1
    assert {figure["key"]: figure for figure in told["bullseye"]["figures"]}["os"]["state"] == "bad"  # past its LTS
    assert "web2" in page(done)
    verified = town.controller.civicops("ledger", "verify", "demo")
    assert verified.returncode == 0, verified.stderr


def test_a_checkup_changes_nothing_on_the_host(make_town: MakeTown) -> None:
    town = make_town("demo", {"pc1": Spec("bookworm", updates=True)})
    host = town.host("pc1")
    for condition in (
        "true",
        "rm -f /var/cache/apt/*.bin",
        "touch -d 2020-01-01 /var/cache/apt/*.bin 2>/dev/null || true",
    ):
        host.run(condition)
        before = host.tree("/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/etc")
        assert town.controller.civicops("checkup", "demo").returncode == 0
        assert host.tree("/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/etc") == before
    facts = {figure["key"]: figure for figure in figures(town)["pc1"]["figures"]}
    assert facts["updates"]["value"] == f"{host.pending_updates()} waiting"


@pytest.mark.parametrize("names", [["gone1"], ["gone1", "gone2", "gone3"]], ids=["the only host", "a whole batch"])
def test_nobody_can_be_reached(make_town: MakeTown, names: list[str]) -> None:
    town = make_town("demo", use={}, hosts={})
    hosts = {name: dict(NOWHERE.vars) for name in names}
    (town.inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 1, done.stderr
    for name in names:
        assert f"{name}: unreachable: " in done.stderr
        assert figures(town)[name]["missed"].startswith("unreachable: ")


def test_the_first_host_can_not_be_reached_and_the_others_are_done(town: Town) -> None:
    hosts = json.loads((town.inventory / "hosts.yml").read_text().removeprefix("---\n"))
    hosts["all"]["hosts"] = {"aaa": dict(NOWHERE.vars)} | hosts["all"]["hosts"]
    (town.inventory / "hosts.yml").write_text(json.dumps(hosts))
    done = town.controller.civicops("checkup", "demo", "--json")
    assert done.returncode == 1
    assert answer(done)["hosts"] == {"aaa": "unreachable", "bullseye": "ok", "bookworm": "ok", "trixie": "ok"}


def _start(town: Town) -> subprocess.Popen[str]:
    return town.controller.start(
        Path(town.controller.environment["PATH"].split(":")[0]) / "civicops", "checkup", "demo"
    )


def _spooled(town: Town) -> int:
    return len(town.documents("host-facts"))


def test_killed_in_the_middle_nothing_is_lost(town: Town) -> None:
    with town.host("trixie").paused():
        process = _start(town)
        wait_for(lambda: _spooled(town) == 2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(1)
    listed = town.controller.civicops("runs", "demo", "--json")
    (record,) = json.loads(listed.stdout)
    assert record["state"] == "lost"
    wait_for(lambda: {name for name, host in figures(town).items() if host["answered_at"]} >= {"bullseye", "bookworm"})
    assert town.controller.civicops("ledger", "verify", "demo").returncode == 0
    done = town.controller.civicops("checkup", "demo", "--json")
    assert done.returncode == 0, done.stderr
    assert set(answer(done)["hosts"].values()) == {"ok"}


def test_cancel_keeps_what_was_answered_and_exits_with_4(town: Town) -> None:
    with town.host("trixie").paused():
        process = _start(town)
        wait_for(lambda: _spooled(town) == 2)
        (record,) = json.loads(town.controller.civicops("runs", "demo", "--json").stdout)
        assert record["state"] == "running"
        second = town.controller.civicops("checkup", "demo")
        assert second.returncode == 3, "the same job runs once at a time"
        town.controller.civicops("runs", "demo", "cancel", record["order"]["run"])
        assert process.wait(30) == 4
        told = process.stdout.read() if process.stdout else ""
        assert "2 ok" in told, told
        assert "1 no answer" in told or "1 unreachable" in told, "where the machine is slow, ssh gives up first"
        wait_for(lambda: str(town.state).encode() not in ssh_processes(), within=10)  # trixie holds nothing open
    (record,) = json.loads(town.controller.civicops("runs", "demo", "--json").stdout)
    assert record["state"] == "cancelled"
    # trixie's worker may outlive the run; its answer is then taken in as a latecomer
    assert {name for name, host in figures(town).items() if host["answered_at"]} >= {"bullseye", "bookworm"}


def test_plain_ansible_playbook_records_too(town: Town) -> None:
    done = town.controller.playbook("civicops.town.checkup")
    assert done.returncode == 0, done.stdout + done.stderr
    assert town.documents() == [], "the callback has taken the spool in"
    assert all(host["missed"] is None and host["figures"] for host in figures(town).values())
    with town.host("trixie").unreachable():
        done = town.controller.playbook(
            "civicops.town.checkup", ANSIBLE_SSH_TIMEOUT="2", ANSIBLE_SSH_ARGS="-o ControlMaster=no -o ControlPath=none"
        )
    assert done.returncode != 0
    assert figures(town)["trixie"]["missed"].startswith("unreachable: ")


def test_check_mode_answers_the_same(town: Town) -> None:
    done = town.controller.civicops("run", "checkup", "demo", "--check", "--limit", "bookworm", "--json")
    assert done.returncode == 0, done.stderr
    assert answer(done)["hosts"]["bookworm"] == "ok"
    assert answer(done)["hosts"]["trixie"] == "not_asked"


def test_without_the_callback_the_playbook_fails_and_says_so(town: Town, tmp_path: Path) -> None:
    nothing = tmp_path / "empty.cfg"
    nothing.touch()
    done = town.controller.playbook("civicops.town.checkup", ANSIBLE_CONFIG=str(nothing))
    assert done.returncode == 2
    assert "callbacks_enabled" in done.stdout


def test_a_limit_that_leaves_nobody_is_bad_input(town: Town) -> None:
    done = town.controller.civicops("checkup", "demo", "--limit", "nobody")
    assert done.returncode == 2
    assert "nobody" in done.stderr


def test_record_false_returns_the_answer_and_needs_no_town(town: Town) -> None:
    done = town.controller.ansible("bookworm", "-m", "civicops.town.host_info", "-a", "record=false packages=false")
    assert done.returncode == 0, done.stdout
    assert '"machine_id"' in done.stdout
    assert town.documents() == []
