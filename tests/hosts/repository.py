"""A small apt repository of our own packages, each with a fault or a habit that patch nights meet.

Built by dpkg-deb on this machine, served by a thread of the test's process, recognised as a security archive by what
its index says of itself.
"""

from __future__ import annotations

import gzip
import hashlib
import shlex
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, Self

from tests.hosts import podman
from tests.hosts.host import Host
from tests.hosts.tools import run

SUITE = "stable-security"
LABEL = "Civicops-Security"
SOURCE = "/etc/apt/sources.list.d/civicops-tests.list"
# The lists of our repository alone: a tenth of a second instead of all of Debian's.
UPDATE = (
    f"apt-get -qq -o APT::Update::Error-Mode=any -o Dir::Etc::sourcelist={SOURCE} -o Dir::Etc::sourceparts=- "
    "-o APT::Get::List-Cleanup=0 update"
)
IP_FREEBIND = 15  # Linux: the bridge and its address come with the first host
Fault = Literal["missing", "hang", "cut", "corrupt"]

# --- packages ---------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    """One version of one package.

    `files` by path, executable where they begin with `#!`; `scripts` by name (preinst, postinst, prerm, postrm), run
    by `sh -e`; `fields` are more lines of the control file, such as Breaks.
    """

    name: str
    version: str
    architecture: str = "all"
    depends: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    conffiles: Sequence[str] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """The control file, which is also the beginning of the entry in the index."""
        lines = {"Package": self.name, "Version": self.version, "Architecture": self.architecture}
        lines |= {"Maintainer": "Tests <tests@example.org>", "Section": "misc", "Priority": "optional"}
        lines |= {"Depends": self.depends} if self.depends else {}
        lines |= {**self.fields, "Description": f"made by a test, version {self.version}"}
        return "".join(f"{key}: {value}\n" for key, value in lines.items())

    @property
    def file_name(self) -> str:
        """The name of its .deb, as the archive gives it."""
        return f"{self.name}_{self.version.partition(':')[2] or self.version}_{self.architecture}.deb"

    def build(self, folder: Path) -> Path:
        """Write its .deb into the folder; raises RuntimeError with what dpkg-deb said."""
        with tempfile.TemporaryDirectory(dir=folder) as tree:
            control = Path(tree) / "DEBIAN"
            control.mkdir(mode=0o755)
            Path(tree).chmod(0o755)
            (control / "control").write_text(self.control)
            if self.conffiles:
                (control / "conffiles").write_text("".join(f"{path}\n" for path in self.conffiles))
            for name, script in self.scripts.items():
                (control / name).write_text(f"#!/bin/sh\nset -e\n{script}\n")
                (control / name).chmod(0o755)
            for path, content in self.files.items():
                place = Path(tree) / path.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                data = content.encode() if isinstance(content, str) else content
                place.write_bytes(data)
                place.chmod(0o755 if data.startswith(b"#!") else 0o644)
            target = folder / self.file_name
            run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, str(target)])
        return target


# As debhelper's: started at the first installation, restarted at later ones, and its failure is not dpkg's.
_START_UNIT = """
[ "$1" = configure ] || exit 0
deb-systemd-helper unmask UNIT >/dev/null || true
if deb-systemd-helper --quiet was-enabled UNIT; then deb-systemd-helper enable UNIT >/dev/null || true; fi
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  if [ -n "$2" ]; then action=restart; else action=start; fi
  deb-systemd-invoke $action UNIT >/dev/null || true
fi
"""
_STOP_UNIT = """
if [ -d /run/systemd/system ] && [ "$1" = remove ]; then deb-systemd-invoke stop UNIT >/dev/null || true; fi
"""
_WEB = """#!/usr/bin/python3
import functools, http.server, os, socket, sys
%s
serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/usr/share/fv-web")
server = http.server.ThreadingHTTPServer(("", 8080), serve)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
"""
_DAEMON = """#!/usr/bin/python3
import mmap, signal
with open("/usr/lib/fv/libfv.so", "rb") as library:
    mapped = mmap.mmap(library.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)
print(mapped[:].decode(errors="replace")[:60].strip(), flush=True)
signal.pause()
"""


def _unit(name: str, program: str, kind: str) -> dict[str, str | bytes]:
    """The files of a package with a service, whose program says when it is ready if `kind` is notify."""
    unit = f"[Unit]\nDescription={name}, made by a test\n[Service]\nType={kind}\nExecStart=/usr/bin/{name}\n"
    unit += "[Install]\nWantedBy=multi-user.target\n"
    return {f"/lib/systemd/system/{name}.service": unit, f"/usr/bin/{name}": program}


def _unit_scripts(name: str) -> dict[str, str]:
    scripts = {"postinst": _START_UNIT, "prerm": _STOP_UNIT}
    return {script: text.replace("UNIT", f"{name}.service").strip() for script, text in scripts.items()}


def web(version: str, *, broken: bool = False) -> Package:
    """`fv-web`: a service on port 8080 whose page says `fv-web VERSION`.

    A broken version installs without a complaint, and the service it restarts does not come up.
    """
    program = _WEB % ('sys.exit("fv-web: this version is broken")' if broken else "")
    files = _unit("fv-web", program, "notify") | {"/usr/share/fv-web/index.html": f"fv-web {version}\n"}
    return Package("fv-web", version, depends="python3", files=files, scripts=_unit_scripts("fv-web"))


def failing(version: str, *, fails: bool = True) -> Package:
    """`fv-failing`: its postinst ends with exit status 1, so that dpkg leaves it half-configured."""
    script = 'echo "fv-failing: the database is not there" >&2; exit 1' if fails else ":"
    return Package("fv-failing", version, scripts={"postinst": script})


def slow(version: str, seconds: float = 10) -> Package:
    """`fv-slow`: its postinst takes that long, for kills and power cuts in the middle.

    Each run of it adds `begin VERSION` to /var/log/fv-slow.log, and `end VERSION` when it came so far.
    """
    log = "/var/log/fv-slow.log"
    script = f'[ "$1" = configure ] || exit 0\necho "begin {version}" >>{log}; sync {log}\nsleep {seconds}\n'
    return Package("fv-slow", version, scripts={"postinst": script + f'echo "end {version}" >>{log}; sync {log}'})


def configured(version: str, setting: str | None = None) -> Package:
    """`fv-conf`: its conffile /etc/fv-conf.conf differs in each version; edit it on the host for dpkg's question."""
    content = f"# fv-conf {version}\nsetting = {setting or version}\n"
    return Package("fv-conf", version, files={"/etc/fv-conf.conf": content}, conffiles=["/etc/fv-conf.conf"])


def wants_reboot(version: str) -> Package:
    """`fv-reboot`: after an upgrade it asks for a reboot as Debian's packages do, by /run/reboot-required and .pkgs."""
    script = (
        '[ "$1" = configure ] && [ -n "$2" ] || exit 0\n'
        'echo "*** System restart required ***" >/run/reboot-required\necho fv-reboot >>/run/reboot-required.pkgs'
    )
    return Package("fv-reboot", version, files={"/usr/share/fv-reboot/version": version}, scripts={"postinst": script})


def grows() -> tuple[Package, ...]:
    """`fv-app` 1.0, and 1.1, which depends on the new package `fv-extra`: `upgrade` holds it back, another may not."""
    extra = Package("fv-extra", "1.0", files={"/usr/share/fv-extra/here": "yes\n"})
    return Package("fv-app", "1.0"), Package("fv-app", "1.1", depends="fv-extra (>= 1.0)"), extra


def displaces() -> tuple[Package, ...]:
    """`fv-taker` 1.0, and 1.1, which can't be beside `fv-given` 1.0 and so would remove it."""
    given = Package("fv-given", "1.0", files={"/usr/share/fv-given/here": "yes\n"})
    clash = {"Conflicts": "fv-given", "Breaks": "fv-given"}
    return Package("fv-taker", "1.0"), Package("fv-taker", "1.1", fields=clash), given


def writes_etc(version: str) -> Package:
    """`fv-store`: its postinst writes /etc/fv-store/state, which dpkg knows nothing of, like the certificate store.

    The file says which versions were ever configured, so that putting an older package back does not put it back.
    """
    script = f'[ "$1" = configure ] || exit 0\nmkdir -p /etc/fv-store; echo "{version}" >>/etc/fv-store/state'
    return Package("fv-store", version, scripts={"postinst": script})


def library(version: str) -> Package:
    """`fv-lib`: /usr/lib/fv/libfv.so, which the daemon `fv-libd` maps, and keeps mapped after an upgrade."""
    return Package("fv-lib", version, "amd64", files={"/usr/lib/fv/libfv.so": f"libfv {version}\n" + "\0" * 8192})


def library_daemon(version: str = "1.0") -> Package:
    """`fv-libd`: a service which maps fv-lib's file executable; it prints the library's version when it starts."""
    files = _unit("fv-libd", _DAEMON, "simple")
    return Package("fv-libd", version, depends="python3, fv-lib", files=files, scripts=_unit_scripts("fv-libd"))


# --- the archive ------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    repository: Repository

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """The repository keeps what was asked; nothing is printed."""

    def do_GET(self) -> None:
        self.server.repository._answer(self)


class Repository:
    """A mirror with our packages. What was published stays as it is until the next `publish`.

    `asked` holds the path of every request, so that a test can tell that nothing was fetched.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="civicops-apt-"))
        (self.folder / "pool").mkdir()
        self.packages: dict[tuple[str, str], Package] = {}
        self.asked: list[str] = []
        self._faults: dict[str, tuple[Fault, threading.Event]] = {}
        self._connections: set[socket.socket] = set()
        self._servers: list[_Server] = []
        self._date = datetime.now(UTC)
        self.gateway = f"{podman.ensure_network()}.1"
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- content ------------------------------------------------------------

    def add(self, *packages: Package) -> None:
        """Build packages and put them beside the versions that are there; `publish` makes them seen."""
        for package in packages:
            package.build(self.folder / "pool")
            self.packages[package.name, package.version] = package

    def withdraw(self, name: str, version: str) -> None:
        """Drop a version from the pool and, with the next `publish`, from the index, as archives do with old ones."""
        (self.folder / "pool" / self.packages.pop((name, version)).file_name).unlink()

    def publish(self) -> None:
        """Write the index anew, later than the one before."""
        self._date = max(datetime.now(UTC), self._date + timedelta(seconds=1))
        top = self.folder / "dists" / SUITE
        shutil.rmtree(top, ignore_errors=True)
        entries = "\n".join(map(self._entry, self.packages.values())).encode()
        for name in ("amd64", "all"):
            place = top / "main" / f"binary-{name}"
            place.mkdir(parents=True)
            (place / "Packages").write_bytes(entries)
            (place / "Packages.gz").write_bytes(gzip.compress(entries, mtime=0))
        files = sorted(path for path in top.rglob("*") if path.is_file())
        fields = {"Origin": "Civicops tests", "Label": LABEL, "Suite": SUITE, "Codename": SUITE}
        fields |= {"Date": format_datetime(self._date, usegmt=True)}
        fields |= {"Architectures": "all amd64", "Components": "main"}
        lines = [f"{key}: {value}" for key, value in fields.items()] + ["SHA256:"]
        lines += [f" {_sha256(path)} {path.stat().st_size} {path.relative_to(top)}" for path in files]
        (top / "Release").write_text("\n".join(lines) + "\n")

    def _entry(self, package: Package) -> str:
        path = self.folder / "pool" / package.file_name
        place = f"Filename: pool/{path.name}\nSize: {path.stat().st_size}\nSHA256: {_sha256(path)}\n"
        return package.control + place

    # --- hosts --------------------------------------------------------------

    def source_line(self, address: str | None = None) -> str:
        """The line for sources.list.d; `address` is this machine's as the host sees it (the bridge's by default)."""
        return f"deb [trusted=yes] http://{address or self.gateway}:{self.port}/ {SUITE} main\n"

    def enable(self, host: Host, install: Sequence[str] = ()) -> None:
        """Publish, add the source to a host, fetch the lists, and install packages given as NAME or NAME=VERSION."""
        self.publish()
        host.write(SOURCE, self.source_line(host.machine))
        self.refresh(host)
        if install:
            command = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --allow-downgrades --no-install-recommends install"
            host.run(f"{command} {shlex.join(install)}", timeout=300)

    def refresh(self, host: Host) -> None:
        """Make the host's lists of this repository what was published last."""
        host.run(UPDATE, timeout=60)

    # --- faults -------------------------------------------------------------

    def start(self) -> None:
        """Serve, at the port of the first time; on the bridge for containers and on loopback for VMs."""
        if self._servers:
            return
        for address in (self.gateway, "127.0.0.1"):
            server = _Server((address, self.port), _Handler)
            server.repository = self
            self.port = server.server_address[1]
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """The mirror is gone: transfers are cut and new connections are refused, until `start`."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.shutdown()
            server.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, lifted in self._faults.values():
            lifted.set()

    @contextmanager
    def broken(self, pattern: str, fault: Fault) -> Iterator[None]:
        """Give wrong answers for the paths (as in `asked`) that match: `pool/fv-web_1.1_*`, `*.deb`, `*`.

        missing: 404; hang: no answer at all; cut: half of the file; corrupt: other bytes of the same length.
        """
        lifted = threading.Event()
        self._faults[pattern] = (fault, lifted)
        try:
            yield
        finally:
            del self._faults[pattern]
            lifted.set()

    def _answer(self, request: _Handler) -> None:
        self._connections.add(request.connection)
        try:
            self._serve(request, request.path.lstrip("/"))
        except OSError:
            pass  # the client left, or `stop` cut the line
        finally:
            self._connections.discard(request.connection)

    def _serve(self, request: _Handler, path: str) -> None:
        self.asked.append(path)
        faults = [one for pattern, one in self._faults.items() if fnmatch(path, pattern)]
        fault, lifted = faults[0] if faults else (None, None)
        place = self.folder / path
        if fault == "hang" and lifted:
            lifted.wait()
            return
        if fault == "missing" or ".." in path or not place.is_file():
            request.send_error(404)
            return
        data = place.read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if fault == "cut":
            data = data[: len(data) // 2]
        elif fault == "corrupt":
            data = bytes(byte ^ 1 for byte in data)
        request.wfile.write(data)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
