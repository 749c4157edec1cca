"""Work that belongs to the host: deaths of the controller, of the connection and of the host, and closed doors."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civicops.ledger.documents import check_body
from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN, ROOT, Done
from tests.hosts.host import Host
from tests.hosts.test_checkup import wait_for
from tests.hosts.town import Town

HERE = Path(__file__).parent / "host_work"
PLAYBOOK = HERE / "work.yml"
RUNS = "/var/lib/civicops/runs"
# A finished unit keeps its name, and a stop would wait for one that is at work.
FORGET = """
systemctl kill -s KILL 'civicops-*' 2>/dev/null || true
systemctl stop 'civicops-*'
systemctl reset-failed
rm -rf /var/lib/civicops ~clerk/.local
"""


@pytest.fixture(scope="module")
def hosts(make_module_town: MakeTown) -> dict[str, Host]:
    """Three hosts of this module's own, as its tests switch them off."""
    return make_module_town("demo", {"old1": "bullseye", "web1": "bookworm", "pc1": "trixie"}).hosts


@pytest.fixture
def town(make_town: MakeTown, hosts: dict[str, Host]) -> Iterator[Town]:
    yield make_town("demo", use=hosts)
    for host in hosts.values():
        host.run(FORGET)


def command(town: Town, *more: str, limit: str = "all") -> list[str]:
    """The playbook as an operator would start it, for `Controller.start`."""
    return [str(BIN / "ansible-playbook"), "-i", str(town.inventory), str(PLAYBOOK), "--limit", limit, *more]


def ssh(town: Town) -> dict[str, str]:
    known = town.state / town.name / "known_hosts"
    keepalive = "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=1 -o ServerAliveCountMax=3"
    return {
        "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
        "ANSIBLE_SSH_ARGS": keepalive,
        "CIVICOPS_INGEST": "later",
    }


def work(town: Town, *more: str, limit: str = "all", run: str = "r1", **env: str) -> Done:
    return town.controller.run(*command(town, *more, limit=limit), env=ssh(town) | {"CIVICOPS_RUN": run} | env)


def bodies(town: Town) -> dict[str, dict[str, Any]]:
    """What each host's document says, each of them as its schema wants it."""
    found: dict[str, dict[str, Any]] = {}
    for document in town.documents("wait"):
        body: dict[str, Any] = document["body"]  # type: ignore[assignment]
        check_body("wait", 1, body)
        assert str(document["host"]) not in found, "a host has one document of a run"
        found[str(document["host"])] = body
    return found


def begins(host: Host, run: str = "r1") -> int:
    """How often the work has begun on the host, by the host's own log."""
    return host.run(f"cat {RUNS}/{run}/wait/log 2>/dev/null || true").stdout.count(" began ")


def began(host: Host, run: str = "r1") -> bool:
    return host.run(f"test -e {RUNS}/{run}/wait/log", check=False).returncode == 0


def untouched(town: Town) -> bool:
    return all(
        host.run("test ! -e /var/lib/civicops", check=False).returncode == 0
        and not host.run("systemctl list-units --all --no-legend 'civicops-*-r1.service'").stdout.strip()
        for host in town.hosts.values()
    )


@contextlib.contextmanager
def background(town: Town, *more: str, limit: str, run: str = "r1") -> Iterator[subprocess.Popen[str]]:
    process = town.controller.start(*command(town, *more, limit=limit), env=ssh(town) | {"CIVICOPS_RUN": run})
    try:
        wait_for(lambda: began(town.host(limit), run), within=20)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def workers(town: Town) -> list[str]:
    """The processes of this town's playbooks that are alive, connections left aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            line = (path.parent / "cmdline").read_bytes()
            if f"CIVICOPS_STATE={town.state}".encode() in path.read_bytes() and b"ansible-playbook" in line:
                found.append(line.replace(b"\0", b" ").decode())
    return found


def test_three_releases_do_it_once(town: Town) -> None:
    done = work(town, "-e", "wait_seconds=3")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, body in bodies(town).items():
        assert body["outcome"] == "done", name
        assert (body["began"], body["adopted"], body["rebooted"]) == (True, False, False)
        assert 3 <= body["seconds"] < 6
        assert begins(town.host(name)) == 1
        assert town.host(name).run(f"stat -c %a%U {RUNS} {RUNS}/r1/wait").stdout.split() == ["700root", "700root"]
    assert len(bodies(town)) == 3
    again = work(town, "-e", "wait_seconds=3")
    assert again.returncode == 0
    assert "changed=1" not in again.stdout
    assert all(body["adopted"] and begins(town.host(name)) == 1 for name, body in bodies(town).items())


def test_a_rehearsed_failure_fails_the_host_and_leaves_its_systemd_well(town: Town) -> None:
    done = work(town, "-e", "wait_outcome=failed", limit="web1")
    assert done.returncode == 2
    assert "failed: the work ended with status 1" in done.stdout
    assert bodies(town)["web1"]["outcome"] == "failed"
    assert town.host("web1").run("systemctl is-system-running").stdout.strip() == "running"


def test_too_little_time_is_refused_on_the_host(town: Town) -> None:
    done = work(town, "-e", "ticket_seconds=5 ticket_needed=60", limit="web1")
    assert done.returncode == 0, done.stdout
    assert bodies(town)["web1"]["outcome"] == "refused"
    assert untouched(town)
    work(town, "-e", '{"ticket_may_start": false}', limit="web1")
    assert bodies(town)["web1"]["outcome"] == "refused"
    assert untouched(town)


def test_work_that_ends_after_the_ticket_is_told_as_late(town: Town) -> None:
    done = work(town, "-e", "ticket_seconds=2 ticket_needed=0 wait_seconds=4", limit="web1")
    assert done.returncode == 0, done.stdout
    assert bodies(town)["web1"]["outcome"] == "overrun"


def test_the_controller_is_killed_and_the_same_run_adopts(town: Town) -> None:
    with background(town, "-e", "wait_seconds=12", limit="web1") as process:
        process.kill()
        wait_for(lambda: not workers(town), within=5)
    assert bodies(town) == {}
    done = work(town, "-e", "wait_seconds=12", limit="web1")
    assert done.returncode == 0, done.stdout
    body = bodies(town)["web1"]
    assert (body["outcome"], body["adopted"]) == ("done", True)
    assert 12 <= body["seconds"] < 14
    assert begins(town.host("web1")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_playbook_that_is_told_to_end_does_so_at_once(town: Town, number: signal.Signals) -> None:
    with background(town, "-e", "wait_seconds=30", limit="web1") as process:
        told = time.monotonic()
        process.send_signal(number)
        process.wait(10)
        wait_for(lambda: not workers(town), within=5)
        assert time.monotonic() - told < 5


def test_sshd_goes_away_and_comes_back(town: Town) -> None:
    host = town.host("old1")
    with background(town, "-e", "wait_seconds=5", limit="old1") as process:
        host.kill_sshd()
        time.sleep(10)
        assert process.poll() is None
        host.start_sshd()
        assert process.wait(60) == 0
    assert bodies(town)["old1"]["outcome"] == "done"
    assert begins(host) == 1


def test_an_orderly_reboot_waits_for_the_work(town: Town) -> None:
    host = town.host("pc1")
    with background(town, "-e", "wait_seconds=10", limit="pc1") as process:
        host.reboot()
        assert process.wait(90) == 0
    body = bodies(town)["pc1"]
    assert body["outcome"] == "done"
    assert body["seconds"] >= 10


def test_a_power_cut_is_told_and_nothing_is_started_again(town: Town) -> None:
    host = town.host("web1")
    with background(town, "-e", "wait_seconds=10", limit="web1") as process:
        host.stop()
        host.start_again()
        output, _errors = process.communicate(timeout=90)
    assert process.returncode == 2, output
    body = bodies(town)["web1"]
    assert (body["outcome"], body["began"], body["rebooted"]) == ("interrupted", True, True)
    assert "started anew" in body["reason"]
    work(town, "-e", "wait_seconds=10", limit="web1")
    assert (bodies(town)["web1"]["outcome"], bodies(town)["web1"]["adopted"]) == ("interrupted", True)
    assert begins(host) == 1


FORGED = {
    "run": "r1",
    "job": "wait",
    "town": "demo",
    "deadline": 1e12,
    "needed": 0,
    "may_start": True,
    "adopts": False,
    "check": False,
}
CLOSED = {
    "only the work's tag": ["--tags", "work"],
    "started behind the gate": ["--start-at-task", "Wait"],
    "an empty ticket": ["-e", '{"opening": {"ticket": {}}}'],
    "a forged one": ["-e", json.dumps({"opening": {"ticket": FORGED | {"host": "web1", "seal": "0" * 64}}})],
    "a forged one that is no ASCII": ["-e", json.dumps({"opening": {"ticket": FORGED | {"seal": "é"}}})],
    "another host's": ["-e", "ticket_host=old1"],
    "another run's": ["-e", "ticket_run=r0"],
    "an empty ticket in check mode": ["--check", "-e", '{"opening": {"ticket": {}}}'],
}


@pytest.mark.parametrize("closed", CLOSED)
def test_doors_that_stay_closed(town: Town, closed: str) -> None:
    done = work(town, *CLOSED[closed], limit="web1")
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout
    assert untouched(town)
    assert bodies(town) == {}


def test_without_the_callback_nothing_is_done(town: Town, tmp_path: Path) -> None:
    nothing = tmp_path / "empty.cfg"
    nothing.touch()
    forged = json.dumps({"opening": {"ticket": FORGED}})
    for arguments in ([], ["--tags", "work", "-e", forged]):
        done = work(town, *arguments, limit="web1", ANSIBLE_CONFIG=str(nothing))
        assert done.returncode == 2
        assert "callbacks_enabled" in done.stdout
    assert untouched(town)


def test_without_the_package_nothing_is_done(town: Town, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "civicops"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('not here')\n")
    forged = json.dumps({"opening": {"ticket": FORGED}})
    done = work(town, "--tags", "work", "-e", forged, limit="web1", PYTHONPATH=str(broken.parent))
    assert done.returncode == 2
    assert "nothing is done: the Python package civicops can't be imported" in done.stdout
    assert untouched(town)


def test_check_mode_starts_nothing(town: Town) -> None:
    done = work(town, "--check", limit="web1,old1")
    assert done.returncode == 0, done.stdout
    assert {body["outcome"] for body in bodies(town).values()} == {"planned"}
    assert untouched(town)


def test_a_user_who_is_not_root(make_town: MakeTown, town: Town, hosts: dict[str, Host]) -> None:
    mine = make_town("other", use={"old1": hosts["old1"], "pc1": hosts["pc1"]}, user="clerk")
    done = work(mine, "-e", "wait_seconds=3")
    assert done.returncode == 0, done.stdout
    for name, body in bodies(mine).items():
        assert (body["outcome"], body["seconds"] >= 3) == ("done", True)
        place = "~clerk/.local/state/civicops/runs/r1/wait"
        assert mine.host(name).run(f"stat -c %a%U {place}; grep -c ' began ' {place}/log").stdout.split() == [
            "700clerk",
            "1",
        ]
    assert untouched(mine)


def test_root_without_systemd(town: Town) -> None:
    host = town.host("pc1")
    host.run("mv /run/systemd/system /run/systemd/hidden")
    try:
        done = work(town, "-e", "wait_seconds=4", limit="pc1")
    finally:
        host.run("mv /run/systemd/hidden /run/systemd/system")
    assert done.returncode == 0, done.stdout
    assert bodies(town)["pc1"]["outcome"] == "done"
    assert begins(host) == 1
    assert "civicops-wait" not in host.run("systemctl list-units --all 'civicops-*'").stdout


def test_a_planted_link_and_another_users_directory_are_refused(make_town: MakeTown, town: Town) -> None:
    mine = make_town("other", use={"old1": town.host("old1")}, user="clerk")
    host = mine.host("old1")
    host.run("su clerk -c 'mkdir -p ~/.local/state; ln -s /tmp ~/.local/state/civicops'")
    done = work(mine)
    assert done.returncode == 2
    assert "civicops is a link" in done.stdout
    host.run("rm ~clerk/.local/state/civicops; install -d -o ops -m 777 ~clerk/.local/state/civicops")
    assert "another user's" in work(mine).stdout
    host.run("install -d -o ops /var/lib/civicops")
    done = work(town, limit="old1")
    assert done.returncode == 2
    assert "/var/lib/civicops is a link, a file or another user's" in done.stdout


@pytest.fixture
def shipped(hosts: dict[str, Host]) -> Iterator[Host]:
    """A host with the code that starts work, so that many starts cost no controller."""
    host = hosts["web1"]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for part in ("_host_work", "_host_info"):
            inside = f"ansible_collections/civicops/town/plugins/module_utils/{part}"
            tar.add(ROOT / "plugins/module_utils" / part, inside, filter=_source_only)
        tar.add(HERE / "starts.py", "starts.py")
    host.run("mkdir -p /opt/shipped")
    host.run("base64 -d | tar -x -C /opt/shipped", stdin=_base64(archive.getvalue()))
    yield host
    host.run(f"rm -rf /opt/shipped; {FORGET}")


def _source_only(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in info.name else info


def _base64(data: bytes) -> str:
    import base64

    return base64.encodebytes(data).decode()


def test_twenty_parallel_starts_are_one(shipped: Host) -> None:
    told = shipped.run(
        "cd /opt/shipped; for one in $(seq 20); do python3 starts.py many 1 start & done; wait", timeout=120
    ).stdout.splitlines()
    states = [json.loads(line) for line in told]
    assert len(states) == 20
    assert sum(not state["adopted"] for state in states) == 1
    assert {state["state"] for state in states} <= {"running", "finished"}
    wait_for(lambda: "finished" in shipped.run("cd /opt/shipped; python3 starts.py many 1 look").stdout)
    assert begins(shipped, "many") == 1


def test_a_start_that_is_killed_anywhere_is_told_rightly(shipped: Host) -> None:
    """SIGKILL a start at drawn moments: what is told to have never begun never begins, and nothing begins twice."""
    dice = random.Random(7)  # noqa: S311  not for secrets
    before = time.monotonic()
    shipped.run("cd /opt/shipped; for one in 1 2 3; do python3 starts.py warm$one 0 start; done")
    usual = (time.monotonic() - before) / 3
    moments = [f"{dice.uniform(0.1, 1.1) * usual:.3f}" for _ in range(60)]
    script = "cd /opt/shipped\n"
    for number, moment in enumerate(moments):
        script += f"timeout -s KILL {moment} python3 starts.py k{number} 0 start >/dev/null 2>&1 || true\n"
        script += f"python3 starts.py k{number} 0 look\n"
    told = [json.loads(line) for line in shipped.run(script, timeout=180).stdout.splitlines()]
    time.sleep(2)
    seen = set()
    for number, state in enumerate(told):
        times = begins(shipped, f"k{number}")
        seen.add((state["state"], state["began"]))
        assert times <= 1
        if state["state"] in ("absent", "interrupted"):
            assert state["began"] is False
            assert times == 0
    print(sorted(map(str, seen)))
    assert {"absent"} < {state["state"] for state in told}, "some were killed before the claim, some after"
