"""What operators meet every day: sudo, jump hosts, vaults, proxies, host keys."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civicops.runs.environment import control_directory
from civicops.state import TownState
from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN
from tests.hosts.host import Host, private_key
from tests.hosts.images import OPS_PASSWORD
from tests.hosts.test_checkup import answer
from tests.hosts.town import Town

VAULT_PASSWORD = "an entirely different vault secret"


def holds(folder: Path, secret: str) -> list[str]:
    """The files below a folder that hold a secret."""
    needle = secret.encode()
    return [str(path) for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


def ops_town(make_town: MakeTown, shared_hosts: dict[str, Host], **more: object) -> Town:
    hosts = {name: shared_hosts[name] for name in ("bookworm", "trixie")}
    return make_town("demo", use=hosts, user="ops", vars={"ansible_become": True}, **more)


def saw_as_root(town: Town) -> bool:
    facts = town.controller.run(
        sys.executable,
        "-c",
        "from civicops.ledger.store import Ledger\n"
        "with Ledger('demo') as ledger:\n"
        "    latest = ledger.latest('host-facts')\n"
        "    print(all(body['seen_as_root'] for body in ledger.bodies(latest.values()).values()), len(latest))",
    )
    return facts.stdout.split() == ["True", "2"]


def test_sudo_with_a_password_from_the_towns_vault(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = ops_town(make_town, shared_hosts)
    vault = town.state / "demo" / "vault"
    vault.mkdir(mode=0o700)
    (vault / "demo").write_text(VAULT_PASSWORD)
    encrypted = town.controller.run(
        BIN / "ansible-vault", "encrypt_string", "--vault-id", f"demo@{vault / 'demo'}", OPS_PASSWORD
    ).stdout
    secrets = town.inventory / "group_vars" / "all" / "vault.yml"
    secrets.write_text(f"ansible_become_password: {encrypted}")
    done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 0, done.stderr
    assert saw_as_root(town)
    elsewhere = [place for place in holds(town.folder, VAULT_PASSWORD) if place != str(vault / "demo")]
    assert elsewhere == []
    assert holds(town.folder, OPS_PASSWORD) == [], "neither in artifacts nor in journals, ledger or report"
    (vault / "demo").rename(town.folder / "elsewhere")
    done = town.controller.civicops("checkup", "demo", "--vault-id", f"demo@{town.folder / 'elsewhere'}")
    assert done.returncode == 0, done.stderr


def test_sudo_with_a_password_that_is_asked_for(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = ops_town(make_town, shared_hosts)
    done = town.controller.civicops("checkup", "demo", "-K", stdin=f"{OPS_PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert saw_as_root(town)
    assert holds(town.folder, OPS_PASSWORD) == []
    assert OPS_PASSWORD not in done.stdout + done.stderr


def test_sudo_without_its_password_says_so(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = ops_town(make_town, shared_hosts)
    done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 1
    assert "sudo" in done.stderr.lower() or "password" in done.stderr.lower()


def test_a_jump_host_of_the_towns_own(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", use=shared_hosts)
    jump, inner = town.host("bookworm"), town.host("trixie")
    (town.inventory / "ssh.cfg").write_text(
        f"Host jump\n  HostName {jump.address}\n  User root\n  IdentityFile {private_key()}\n"
        f"Host {inner.address}\n  ProxyJump jump\n"
    )
    (town.state / "demo" / "known_hosts").write_text(
        "".join(f"jump,{jump.address} {key}\n" for key in jump.keys) + inner.known_hosts()
    )
    done = town.controller.civicops("checkup", "demo", "--limit", "trixie", "--json")
    assert done.returncode == 0, done.stderr
    came_from = inner.run("journalctl -u ssh --no-pager | grep 'Accepted publickey' | tail -1").stdout
    assert jump.address in came_from


def test_a_jump_hosts_key_is_checked_too(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", use=shared_hosts)
    jump, inner = town.host("bookworm"), town.host("trixie")
    (town.inventory / "ssh.cfg").write_text(
        f"Host jump\n  HostName {jump.address}\n  User root\n  IdentityFile {private_key()}\n"
        f"  StrictHostKeyChecking no\nHost {inner.address}\n  ProxyJump jump\n"
    )
    (town.state / "demo" / "known_hosts").write_text(inner.known_hosts())
    done = town.controller.civicops("checkup", "demo", "--limit", "trixie", "--json")
    assert answer(done)["hosts"]["trixie"] == "unreachable"


def test_first_contact_is_wanted_explicitly_and_a_changed_key_is_refused(
    make_town: MakeTown, shared_hosts: dict[str, Host]
) -> None:
    town = make_town("demo", use={"bookworm": shared_hosts["bookworm"]})
    known = town.state / "demo" / "known_hosts"
    true_keys = known.read_text()
    known.unlink()
    done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 1
    assert "--accept-new-host-keys" in done.stderr
    assert not known.exists()
    done = town.controller.civicops("checkup", "demo", "--accept-new-host-keys")
    assert done.returncode == 0, done.stderr
    assert "first contact" in done.stderr
    assert "SHA256:" in done.stderr
    assert set(known.read_text().split()) <= set(true_keys.split())
    assert town.controller.civicops("checkup", "demo").returncode == 0
    known.write_text(
        "\n".join(line.replace(shared_hosts["bookworm"].address, "other") for line in true_keys.splitlines())
        + f"\n{shared_hosts['bookworm'].address} "
        + shared_hosts["trixie"].keys[0]
        + "\n"
    )
    shutil.rmtree(control_directory(TownState("demo", town.state)))  # the connections that were proven before
    done = town.controller.civicops("checkup", "demo", "--accept-new-host-keys")
    assert done.returncode == 1, "a key that has changed is never accepted"
    assert "host key has changed" in done.stderr or "ssh said nothing in time" in done.stderr


@contextmanager
def connect_proxy() -> Iterator[tuple[int, list[str]]]:
    """A small HTTP CONNECT proxy on loopback; yields its port and the list of what it was asked for."""
    asked: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            place = request.split()[1].decode()
            asked.append(place)
            host, _, port = place.rpartition(":")
            remote = socket.create_connection((host, int(port)), timeout=10)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for pair in ((client, remote), (remote, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1], asked
    finally:
        server.close()


def test_ssh_through_a_proxy(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", use={"bookworm": shared_hosts["bookworm"]})
    with connect_proxy() as (port, asked):
        (town.inventory / "ssh.cfg").write_text(f"Host *\n  ProxyCommand nc -X connect -x 127.0.0.1:{port} %h %p\n")
        done = town.controller.civicops("checkup", "demo")
    assert done.returncode == 0, done.stderr
    assert set(asked) == {f"{shared_hosts['bookworm'].address}:22"}


def test_a_proxy_with_a_password_does_not_get_into_artifacts(
    make_town: MakeTown, shared_hosts: dict[str, Host]
) -> None:
    town = make_town("demo", use={"bookworm": shared_hosts["bookworm"]})
    done = town.controller.civicops(
        "checkup", "demo", https_proxy="http://fred:hunter2@127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    )
    assert done.returncode == 0, done.stderr
    assert "$https_proxy holds a password" in done.stderr
    assert holds(town.state, "hunter2") == []
    command = json.loads(next(town.state.glob("demo/runs/*/artifacts/*/command")).read_text())
    assert command["env"]["http_proxy"] == "http://127.0.0.1:9"
    assert "https_proxy" not in command["env"]


def test_a_host_that_vanishes_in_the_middle_is_noticed(make_town: MakeTown, shared_hosts: dict[str, Host]) -> None:
    town = make_town("demo", use={name: shared_hosts[name] for name in ("bookworm", "trixie")})
    (town.inventory / "ssh.cfg").write_text("Host *\n  ServerAliveInterval 1\n  ServerAliveCountMax 2\n")
    assert town.controller.civicops("checkup", "demo").returncode == 0  # leaves connections that look alive
    with town.host("trixie").unreachable():
        done = town.controller.civicops("checkup", "demo", "--json", timeout=60)
    assert answer(done)["hosts"] == {"bookworm": "ok", "trixie": "unreachable"}


DUMP = """#!/bin/sh
pid=$PPID
: > {into}
while [ "$pid" -gt 1 ] && ! tr '\\0' ' ' < /proc/$pid/cmdline | grep -q 'bin/civicops'; do
  {{
    echo "== $pid"; ls -l /proc/$pid/fd
    tr '\\0' '\\n' < /proc/$pid/cmdline
    tr '\\0' '\\n' < /proc/$pid/environ
  }} >> {into}
  pid=$(cut -d' ' -f4 /proc/$pid/stat)
done
exec {python} "$@"
"""


def test_a_run_of_one_town_holds_nothing_of_another(make_town: MakeTown, tmp_path: Path) -> None:
    make_town("beeville", use={}, hosts={})
    town = make_town("ayton", use={}, hosts={})
    dump, script = tmp_path / "dump", tmp_path / "python"
    script.write_text(DUMP.format(into=shlex.quote(str(dump)), python=sys.executable))
    script.chmod(0o755)
    here = {"ansible_connection": "local", "ansible_python_interpreter": str(script)}
    (town.inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"here": here}}}))
    secret_of_b = town.state / "beeville" / "vault-password"
    secret_of_b.write_text("hunter2")
    with secret_of_b.open() as held:
        os.set_inheritable(held.fileno(), True)
        environment = town.controller.environment | {
            "BEEVILLE_TOKEN": "hunter2",
            "SSH_AUTH_SOCK": "/tmp/agent-of-beeville",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(secret_of_b),
        }
        done = subprocess.run(
            [BIN / "civicops", "checkup", "ayton"],
            env=environment,
            pass_fds=[held.fileno()],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    seen = dump.read_text()
    assert seen.count("==") >= 2, "the worker and Ansible's main process"
    assert "CIVICOPS_TOWN=ayton" in seen
    assert "beeville" not in seen.lower()
    assert "hunter2" not in seen
    assert "agent-of" not in seen


def test_a_shared_vault_password_in_ansible_cfg_is_refused(make_town: MakeTown, tmp_path: Path) -> None:
    town = make_town("ayton", use={}, hosts={})
    (tmp_path / "ansible.cfg").write_text("[defaults]\nvault_password_file = everybody.txt\n")
    done = town.controller.civicops("checkup", "ayton")
    assert done.returncode == 2
    assert "vault_password_file" in done.stderr
    assert "ansible.cfg" in done.stderr


@pytest.mark.parametrize("towns", [("ayton", "beeville")])
def test_one_run_of_two_towns_is_refused(
    make_town: MakeTown, shared_hosts: dict[str, Host], towns: tuple[str, str]
) -> None:
    first, second = (make_town(name, use={"bookworm": shared_hosts["bookworm"]}) for name in towns)
    done = first.controller.playbook("-i", second.inventory, "civicops.town.checkup")
    assert done.returncode != 0
    assert not list(first.state.glob("*/ledger.sqlite"))
