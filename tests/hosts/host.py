"""One real host: how it is reached, and what can be done to it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import podman
from tests.hosts.images import APT_UPDATE, Mirror, ensure_image, security_source
from tests.hosts.tools import cache_dir, locked, run

READY_WITHIN = 90.0
# Writes no cache and takes no lock, so that it may be asked between a test's "before" and "after".
SIMULATE_UPGRADE = "apt-get -s -o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= dist-upgrade"

# Waits until systemd has started everything, lets the test key in, and prints the host's public keys.
SETTLE = """
for _ in $(seq 300); do
  case $(systemctl is-system-running 2>/dev/null || true) in running|degraded) settled=1; break;; esac
  sleep 0.2
done
[ "${settled:-}" ]
read -r key
for user in root ops clerk; do
  home=$(getent passwd $user | cut -d: -f6)
  install -d -m 700 -o $user -g $user $home/.ssh
  printf '%s\\n' "$key" > $home/.ssh/authorized_keys
  chown $user:$user $home/.ssh/authorized_keys
  chmod 600 $home/.ssh/authorized_keys
done
cat /etc/ssh/ssh_host_*_key.pub
"""


def private_key() -> Path:
    """The private key that test hosts accept, made once per machine and never part of the clone."""
    key = cache_dir() / "test_key"
    with locked("test-key"):
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "civicops test hosts", "-f", str(key)])
    return key


@dataclass
class Host:
    """A running host. `run` is its console and needs no network; `ssh` makes a new connection each time."""

    name: str
    container: str
    release: str
    address: str
    keys: tuple[str, ...] = ()
    port: int = 22

    @classmethod
    def start(
        cls,
        name: str,
        release: str,
        *,
        container: str,
        owner: str,
        updates: bool = False,
        options: tuple[str, ...] = (),
    ) -> Host:
        """Start a host and return when it is ready; `updates` gives it package lists and pending updates."""
        image = ensure_image(release, updates=updates)
        address = podman.start(container, image, hostname=name, owner=owner, options=options)
        host = cls(name, container, release, address)
        try:
            host.wait_ready()
        except BaseException:
            podman.remove(container)
            raise
        return host

    @classmethod
    def adopt(cls, name: str, release: str, container: str) -> Host:
        """Take up a host that is there already, started again if it was off."""
        run(["podman", "unpause", container], check=False)
        run(["podman", "start", container])
        show = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        host = cls(name, container, release, run(["podman", "inspect", "--format", show, container]).stdout.strip())
        host.wait_ready()
        return host

    @property
    def machine(self) -> str:
        """The address of the machine that the tests run on, as this host sees it."""
        return f"{self.address.rpartition('.')[0]}.1"

    # --- asking -------------------------------------------------------------

    def run(
        self, script: str, *, stdin: str | None = None, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root at the console."""
        return podman.execute(self.container, script, stdin=stdin, timeout=timeout, check=check)

    def ssh(
        self, script: str, *, user: str = "root", stdin: str | None = None, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script over a new SSH connection, the host's key checked."""
        known = cache_dir() / "known_hosts" / self.container
        known.parent.mkdir(exist_ok=True)
        known.write_text(self.known_hosts())
        options = [
            "-i",
            str(private_key()),
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=3",
        ]
        options += ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-F", "none", "-l", user, "-p", str(self.port)]
        try:
            return run(["ssh", *options, self.address, script], stdin=stdin, timeout=timeout, check=check)
        finally:
            known.unlink(missing_ok=True)

    def known_hosts(self) -> str:
        """The host's keys as lines of a known_hosts file, read at its console and so beyond doubt."""
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return "".join(f"{name} {key}\n" for key in self.keys)

    def started_at(self) -> int:
        """When process 1 started, in ticks of the machine's clock: a reboot in a container changes this alone."""
        return int(self.run("cut -d' ' -f22 /proc/1/stat").stdout)

    def read(self, path: str) -> bytes:
        """A file's content."""
        return self.run(f"cat {shlex.quote(path)}").stdout.encode(errors="surrogateescape")

    def tree(self, *paths: str) -> str:
        """Every file below the paths with size, mode, owner and times: equal means that nothing was written."""
        quoted = " ".join(map(shlex.quote, paths))
        return self.run(f"find {quoted} -printf '%p %s %m %U:%G %T@ %C@ %l\\n' | sort").stdout

    # --- coming and going ---------------------------------------------------

    def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Return when systemd has settled and sshd answers; raise after `within` seconds."""
        deadline = time.monotonic() + within
        self._wait_banner(deadline)
        key = private_key().with_suffix(".pub").read_text()
        left = max(5.0, deadline - time.monotonic())
        self.keys = tuple(self.run(SETTLE, stdin=key, timeout=left).stdout.splitlines())

    def _wait_banner(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((self.address, self.port), timeout=2) as line:
                    line.settimeout(2)
                    if line.recv(7) == b"SSH-2.0":
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise TimeoutError(f"{self.name} ({self.address}): no SSH; its console: podman exec -it {self.container} bash")

    def reboot(self) -> None:
        """Reboot and return when the host is ready again, proven by a new process 1."""
        before = self.started_at()
        self.run("systemctl reboot", check=False)
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            done = self.run("cut -d' ' -f22 /proc/1/stat", check=False)
            if done.returncode == 0 and int(done.stdout) != before:
                return self.wait_ready()
            time.sleep(0.3)
        raise TimeoutError(f"{self.name} did not come back from its reboot")

    def stop(self) -> None:
        """Switch the host off; connections are refused by nobody, as nobody is there."""
        run(["podman", "stop", "-t", "0", self.container])

    def start_again(self) -> None:
        """Switch it on again."""
        run(["podman", "start", self.container])
        self.wait_ready()

    def remove(self) -> None:
        """Remove the host, whatever state it is in."""
        podman.remove(self.container)

    # --- faults -------------------------------------------------------------

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze every process: connections are accepted by the kernel and never answered."""
        run(["podman", "pause", self.container])
        try:
            yield
        finally:
            run(["podman", "unpause", self.container])

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Drop every packet to SSH silently, as a firewall or a cut line does."""
        rule = ["INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP"]
        self._nsenter("-n", "iptables", "-I", *rule)
        try:
            yield
        finally:
            self._nsenter("-n", "iptables", "-D", *rule)

    def _nsenter(self, namespace: str, *command: str, stdin: str | None = None) -> None:
        pid = run(["podman", "inspect", "--format", "{{.State.Pid}}", self.container]).stdout.strip()
        run(["nsenter", "-t", pid, namespace, *command], stdin=stdin)

    def kill_sshd(self) -> None:
        """End sshd and its sessions, and keep it down until `start_sshd`: connections are refused."""
        self.run("systemctl kill -s KILL ssh; systemctl stop ssh")

    def start_sshd(self) -> None:
        """Bring sshd back."""
        self.run("systemctl start ssh")
        self._wait_banner(time.monotonic() + 20)

    def replace_python(self, script: str) -> None:
        """Put any program in the place of python3; the real one stays as /usr/bin/python3.real."""
        self.run("[ -e /usr/bin/python3.real ] || mv /usr/bin/python3 /usr/bin/python3.real")
        self.write("/usr/bin/python3", script, mode="755")

    def restore_python(self) -> None:
        """Put the real python3 back."""
        self.run("[ ! -e /usr/bin/python3.real ] || mv -f /usr/bin/python3.real /usr/bin/python3")

    def set_hostname(self, name: str | bytes) -> None:
        """Give the running kernel a host name, also one that no tool would accept (64 bytes at most)."""
        program = "import socket, sys; socket.sethostname(sys.stdin.buffer.read())"
        text = _bytes(name).decode(errors="surrogateescape")
        self._nsenter("-u", sys.executable, "-c", program, stdin=text)

    def write(self, path: str, content: str | bytes, *, mode: str = "644", owner: str = "root:root") -> None:
        """Write a file (bytes need not be UTF-8), its directory included."""
        text = content.decode(errors="surrogateescape") if isinstance(content, bytes) else content
        place = shlex.quote(path)
        folder = shlex.quote(os.path.dirname(path))  # noqa: PTH120  # a path on the host
        self._write(f"mkdir -p {folder}; cat > {place}; chmod {mode} {place}; chown {owner} {place}", text)

    def append(self, path: str, content: str | bytes) -> None:
        """Add to the end of a file."""
        text = content.decode(errors="surrogateescape") if isinstance(content, bytes) else content
        self._write(f"cat >> {shlex.quote(path)}", text)

    def _write(self, script: str, text: str) -> None:
        self.run(script, stdin=text, timeout=120)

    def add_package_entry(self, name: str | bytes, version: str | bytes = "1.0", **fields: str) -> None:
        """Add an installed package of any name to dpkg's database by hand."""
        entry = b"\nPackage: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\n" % _bytes(name)
        entry += b"Maintainer: Test <test@example.org>\nArchitecture: all\nVersion: %s\n" % _bytes(version)
        entry += b"".join(_bytes(f"{key.replace('_', '-')}: {value}\n") for key, value in fields.items())
        self.append("/var/lib/dpkg/status", entry + b"Description: made by a test\n")

    def add_user(self, name: str, *, gecos: str = "", shell: str = "/bin/bash", uid: int | None = None) -> None:
        """Add a user by hand, also one with a name that useradd refuses."""
        number = uid or 5000 + int(self.run("wc -l < /etc/passwd").stdout)
        self.append("/etc/passwd", f"{name}:x:{number}:{number}:{gecos}:/home/{number}:{shell}\n")
        self.append("/etc/group", f"{name}:x:{number}:\n")
        self.append("/etc/shadow", f"{name}:!:19000:0:99999:7:::\n")

    def add_service(
        self, name: str, *, description: str = "made by a test", command: str = "/bin/sleep infinity"
    ) -> None:
        """Add and start a systemd service of any (escaped) name and description."""
        unit = f"[Unit]\nDescription={description}\n[Service]\nExecStart={command}\n"
        unit += "[Install]\nWantedBy=multi-user.target\n"
        self.write(f"/etc/systemd/system/{name}.service", unit)
        self.run(f"systemctl daemon-reload; systemctl enable --now -- {shlex.quote(name + '.service')}")

    def with_security_updates(self) -> Host:
        """Add the security archive and fetch the lists, so that real security updates are pending."""
        self.write(
            "/etc/apt/sources.list.d/security.list",
            security_source(self.release.partition("-")[0], Mirror.of_this_machine()),
        )
        self.run(APT_UPDATE, timeout=300)
        return self

    def pending_updates(self) -> int:
        """How many packages apt would upgrade: the independent count to compare with."""
        listed = self.run(SIMULATE_UPGRADE, timeout=120).stdout
        return sum(line.startswith("Inst ") for line in listed.splitlines())


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
