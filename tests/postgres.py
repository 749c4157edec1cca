"""A real PostgreSQL for tests: Debian's package, a cluster of its own in a temporary directory.

`postgres_url` and `empty_postgres_database` are fixtures for every test, by way of tests/conftest.py.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.hosts.tools import HostsUnavailable, apt_install, cache_dir, run

UNPRIVILEGED = ("postgres", "nobody")


class Postgres:
    """One server on loopback and on a socket below its directory, run by a user other than root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = programs(folder)
        self.user = next(name for name in UNPRIVILEGED if _exists(name)) if os.geteuid() == 0 else ""

    def start(self) -> str:
        """Make the cluster, start it, and return its address for SQLAlchemy."""
        if self.user:
            shutil.chown(self.folder, self.user)
        data, port = self.folder / "data", _free_port()
        self._run("initdb", "-D", str(data), "-U", "civicops", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-w", "-t", "30", "-l", str(self.folder / "log"), "-o", options, "start")
        return f"postgresql+psycopg://civicops@127.0.0.1:{port}/postgres"

    def stop(self) -> None:
        """Stop the server at once."""
        with contextlib.suppress(RuntimeError):
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "30", "-m", "immediate", "stop")

    def _run(self, program: str, *argv: str) -> None:
        become = ["runuser", "-u", self.user, "--"] if self.user else []
        # pg_ctl's server inherits what it is given: a pipe would never see its end.
        with (self.folder / "commands").open("a+") as log:
            done = subprocess.run(
                [*become, str(self.programs / program), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                check=False,
                timeout=90,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
            if done.returncode:
                log.seek(0)
                raise RuntimeError(f"{program}: exit {done.returncode}\n{log.read()}")


def programs(folder: Path) -> Path:
    """Where a server's programs lie: the newest installed one, else Debian's package unpacked into the folder."""
    found = _below(Path("/"))
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        found = _unpacked(folder)
    if found is None:
        raise HostsUnavailable(
            "PostgreSQL's server is missing: sudo apt-get install --no-install-recommends postgresql"
        )
    return found


def _below(root: Path) -> Path | None:
    found = root.glob("usr/lib/postgresql/*/bin/postgres")
    return max((path.parent for path in found), key=lambda path: int(path.parent.name), default=None)


def _unpacked(folder: Path) -> Path | None:
    """Unpack the package without installing it, so that this machine gets no database service, user or certificate."""
    done = apt_install(["tzdata"])
    if done.returncode:
        raise HostsUnavailable(f"apt-get install fails: {done.stderr.strip()[-500:]}")
    package = next(name for name in _needs("postgresql") if re.fullmatch(r"postgresql-\d+", name))
    done = apt_install([name for name in _needs(package) if name.startswith("lib")])
    if done.returncode:
        raise HostsUnavailable(f"PostgreSQL's libraries can't be installed: {done.stderr.strip()[-500:]}")
    debs = cache_dir() / "debs"
    debs.mkdir(exist_ok=True)
    if not list(debs.glob(f"{package}_*.deb")):
        run(["apt-get", "-qq", "download", package], cwd=debs, timeout=300)
    for deb in debs.glob(f"{package}_*.deb"):
        run(["dpkg-deb", "-x", str(deb), str(folder / "server")])
    return _below(folder / "server")


def _needs(package: str) -> list[str]:
    """The packages that a package depends on."""
    return re.findall(r"^\s*\|?Depends: (\S+)", run(["apt-cache", "depends", package]).stdout, re.MULTILINE)


def _exists(user: str) -> bool:
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a running PostgreSQL with an empty database, for the whole session."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        try:
            server = Postgres(Path(folder))
        except HostsUnavailable as error:
            demanded = os.environ.get("CI") == "true" or os.environ.get("CIVICOPS_REQUIRE_HOSTS") == "1"
            (pytest.fail if demanded else pytest.skip)(str(error))
        try:
            yield server.start()
        finally:
            server.stop()


@pytest.fixture
def empty_postgres_database(postgres_url: str) -> Iterator[str]:
    """The address of a new, empty database for one test, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield postgres_url.rpartition("/")[0] + f"/{name}"
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
