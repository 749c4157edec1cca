"""A real PostgreSQL for tests: Debian's package, a cluster of its own in a temporary directory.

`postgres_url` and `empty_postgres_database` are fixtures for every test, by way of tests/conftest.py.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.hosts.tools import HostsUnavailable, ensure_packages

UNPRIVILEGED = ("postgres", "nobody")


class Postgres:
    """One server on loopback and on a socket below its directory, run by a user other than root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = programs()
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


def programs() -> Path:
    """Where the newest installed server lies; installed first where root may. Raises HostsUnavailable otherwise."""
    found = _installed()
    if found is None:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            # The package would make and start a cluster of its own on the machine; this keeps it from that.
            settings = Path("/etc/postgresql-common")
            settings.mkdir(exist_ok=True)
            if not (settings / "createcluster.conf").exists():
                (settings / "createcluster.conf").write_text("create_main_cluster = false\n")
        ensure_packages({"/usr/lib/postgresql/bin/postgres": "postgresql"}, "the ledger's PostgreSQL test")
        found = _installed()
    if found is None:
        raise HostsUnavailable(
            "PostgreSQL's server is missing: sudo apt-get install --no-install-recommends postgresql"
        )
    return found


def _installed() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


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
