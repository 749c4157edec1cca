"""The hosts are what the other tests take them for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts import podman
from tests.hosts.conftest import MakeTown
from tests.hosts.controller import ROOT
from tests.hosts.host import Host
from tests.hosts.images import OPS_PASSWORD, Mirror
from tests.hosts.town import Spec, Town

PYTHON = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}


@pytest.mark.parametrize("release", PYTHON)
def test_systemd_runs_and_the_release_is_real(shared_hosts: dict[str, Host], release: str) -> None:
    host = shared_hosts[release]
    assert host.run("systemctl is-system-running").stdout.strip() == "running"
    assert f"VERSION_CODENAME={release}" in host.run("cat /etc/os-release").stdout
    assert host.ssh("python3 -V").stdout.startswith(f"Python {PYTHON[release]}.")


def test_hosts_share_no_identity(shared_hosts: dict[str, Host]) -> None:
    assert len({host.keys for host in shared_hosts.values()}) == 3
    assert len({host.read("/etc/machine-id") for host in shared_hosts.values()}) == 3


def test_a_reboot_is_proven_by_a_new_process_1_and_keeps_the_address(make_town: MakeTown) -> None:
    host = make_town(hosts={"pc1": "bookworm"}).host("pc1")
    keys, before = host.keys, host.started_at()
    host.reboot()
    assert host.started_at() > before
    assert host.keys == keys
    assert host.ssh("hostname").stdout.strip() == "pc1"


def test_sudo_needs_the_password(shared_hosts: dict[str, Host]) -> None:
    host = shared_hosts["bookworm"]
    assert host.ssh("sudo -n true", user="ops", check=False).returncode != 0
    assert host.ssh("sudo -S -p '' id -u", user="ops", stdin=OPS_PASSWORD + "\n").stdout.strip() == "0"
    assert host.ssh("sudo -S -p '' id -u", user="clerk", stdin=OPS_PASSWORD + "\n", check=False).returncode != 0


def test_the_controller_reaches_the_town_with_host_keys_checked(town: Town) -> None:
    done = town.controller.ansible("all", "-m", "ping")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"ping": "pong"') == 3
    town.trust("bookworm", "trixie")
    done = town.controller.ansible("all", "-m", "ping", ANSIBLE_SSH_CONTROL_PATH_DIR=str(town.sockets / "other"))
    assert done.returncode == 4
    assert "bullseye | UNREACHABLE!" in done.stdout, done.stdout  # the reason may come too late for Ansible to see it


def test_updates_are_pending_where_wanted(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    host = make_town(hosts={"pc1": Spec(updates=True)}).host("pc1")
    assert host.pending_updates() >= 10
    assert "Packages" not in shared_hosts["bookworm"].run("ls /var/lib/apt/lists").stdout


def test_security_updates_can_be_switched_on(make_town: MakeTown) -> None:
    host = make_town(hosts={"pc1": "bullseye"}).host("pc1")
    assert host.pending_updates() == 0
    assert host.with_security_updates().pending_updates() > 0


def test_faults(make_town: MakeTown) -> None:
    town = make_town(hosts={"pc1": "bookworm"})
    host = town.host("pc1")

    def reached() -> bool:
        return host.ssh("true", check=False).returncode == 0

    with host.unreachable():
        assert not reached()
    with host.paused():
        assert not reached()
    host.kill_sshd()
    assert not reached()
    host.start_sshd()
    assert reached()

    host.replace_python("#!/bin/sh\necho '{\"lies\": true}'\n")
    assert '"lies": true' in town.controller.ansible("all", "-m", "ping").stdout
    host.restore_python()

    host.set_hostname(b"<b>{{ 7*7 }}\x1b[31m\xff")
    assert (
        host.run("cat /proc/sys/kernel/hostname").stdout.encode(errors="surrogateescape")
        == b"<b>{{ 7*7 }}\x1b[31m\xff\n"
    )
    host.add_package_entry("<script>alert(1)</script>", "1{{ x }}")
    assert b"<script>alert(1)</script>" in host.read("/var/lib/dpkg/status")
    host.add_user("$(touch /tmp/x)", gecos="a\x1bb")
    assert "$(touch /tmp/x)" in host.run("getent passwd").stdout
    host.add_service("evil", description="<i>{{ lookup('pipe','id') }}</i>")
    assert host.run("systemctl is-active evil").stdout.strip() == "active"

    host.stop()
    assert town.controller.ansible("all", "-m", "ping", "-T", "2").returncode == 4
    host.start_again()
    assert reached()


def test_leftovers_of_a_killed_run_are_removed_and_a_living_runs_are_not(hosts_available: None) -> None:
    program = (
        "import time; from tests.hosts.town import Spec, start_hosts\n"
        "start_hosts({'left': Spec()}); print('up', flush=True); time.sleep(99)"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        assert other.stdout
        assert other.stdout.readline() == "up\n"
        (left,) = [one for one in podman.containers() if one.owner.startswith(f"{other.pid}-")]
        assert left.name not in podman.sweep()
        other.kill()
        other.wait()
        assert left.name in podman.sweep()
        assert left.name not in {one.name for one in podman.containers()}
    finally:
        other.kill()


def test_a_dead_owner_is_told_from_a_process_with_the_same_id() -> None:
    owner = podman.this_process()
    assert podman.is_alive(owner)
    assert podman.is_alive(podman.KEEP)
    pid, started, boot = owner.split("-")
    assert not podman.is_alive(f"{pid}-{int(started) - 1}-{boot}")
    assert not podman.is_alive("unknown")


def test_the_mirror_is_read_from_apts_own_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# deb http://no/debian x main\n")
    (tmp_path / "sources.list.d" / "other.list").write_text("deb [arch=amd64] https://example.org/tool stable main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://one/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://two/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert Mirror.of_this_machine(tmp_path) == Mirror("http://one/debian", "http://two/debian-security")
    (tmp_path / "sources.list.d" / "debian.sources").unlink()
    (tmp_path / "sources.list").write_text("deb http://one/debian bookworm main\n")
    assert Mirror.of_this_machine(tmp_path) == Mirror("http://one/debian", "http://one/debian-security")


def test_the_town_is_written_as_a_site_would(town: Town) -> None:
    written = json.loads((town.inventory / "group_vars/all/town.yml").read_text().removeprefix("---\n"))
    assert written == {"town": {"id": "demo", "name": "Demo", "timezone": "America/New_York"}}
    assert (town.state / "demo").stat().st_mode & 0o777 == 0o700
    before = time.monotonic()
    assert town.documents() == []
    assert time.monotonic() - before < 1
