# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Restoring a dump into a throw-away server, and counting what is in it: the proof that it can be done."""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import tempfile
from typing import IO, Any, Dict, List, Optional, Tuple

from .._host_info.context import COMMAND_ENVIRONMENT, clean
from .config import Dump

_SECONDS = 4 * 3600
_COPY = re.compile(rb"COPY (\S+) \(.*\) FROM stdin;\n?$")
_COUNT = """
select count(*), coalesce(sum((xpath('/row/c/text()', query_to_xml(
  format('select count(*) as c from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0)
from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
"""


class NotTried(Exception):
    """There is nothing here to restore it into; the message says what is missing."""


class RestoreError(Exception):
    """It can't be restored, or is not what it was; the message says why."""


def restored(dump: Dump, path: str) -> Tuple[int, int]:
    """Restore a dump; how many tables and rows there are. Raises NotTried, RestoreError."""
    if dump.kind == "sqlite":
        return _sqlite(path)
    if dump.kind == "postgresql":
        return _postgresql(dump, path)
    raise NotTried(f"a dump of kind {dump.kind} is compared with what was dumped, and not restored")


def _sqlite(path: str) -> Tuple[int, int]:
    try:
        base = sqlite3.connect(path)
        try:
            if (found := base.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise RestoreError(f"the database is not whole: {found}")
            names = [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            quoted = ['"' + name.replace('"', '""') + '"' for name in names]
            rows = sum(base.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in quoted)  # noqa: S608
            return len(names), int(rows)
        finally:
            base.close()
    except sqlite3.Error as error:
        raise RestoreError(f"the database can't be opened: {error}") from error


def rows_of(path: str) -> int:
    """How many rows a dump of pg_dump holds: the lines of its COPY commands."""
    rows, inside = 0, False
    with open(path, "rb") as stream:
        for line in stream:
            if inside:
                if line.rstrip(b"\n") == b"\\.":
                    inside = False
                else:
                    rows += 1
            elif line.startswith(b"COPY "):
                inside = bool(_COPY.match(line))
    return rows


def _postgresql(dump: Dump, path: str) -> Tuple[int, int]:
    """Into a cluster of its own, that listens to a socket in its own directory alone and is gone afterwards."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda one: int(one.split("/")[4]))
    if not folders:
        raise NotTried("no PostgreSQL server is installed here to restore it into")
    programs = os.path.dirname(folders[-1])
    try:
        user = pwd.getpwnam(dump.user or "postgres")
    except KeyError:
        raise NotTried(f"there is no user {dump.user or 'postgres'} here to run a server") from None
    scratch = tempfile.mkdtemp(prefix="civicops-drill-", dir="/var/tmp")
    try:
        os.chown(scratch, user.pw_uid, user.pw_gid)
        cluster = _Cluster(programs, scratch, user.pw_uid, user.pw_gid)
        cluster.run("initdb", "-D", f"{scratch}/data", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {scratch} -c listen_addresses='' -c fsync=off"
        cluster.run(
            "pg_ctl", "-w", "-t", "120", "-D", f"{scratch}/data", "-l", f"{scratch}/log", "-o", options, "start"
        )
        try:
            return _counted(cluster, path)
        finally:
            cluster.run("pg_ctl", "-w", "-D", f"{scratch}/data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _counted(cluster: _Cluster, path: str) -> Tuple[int, int]:
    connection = ["-h", cluster.folder, "-X", "-q", "-d"]
    # Roles that are not in the dump make errors that mean nothing here; what counts is counted below.
    with open(path, "rb") as stream:
        cluster.run("psql", *connection, "postgres", stdin=stream, fails=True)
    listed = cluster.run(
        "psql", *connection, "postgres", "-At", "-c", "select datname from pg_database where datallowconn"
    )
    tables = rows = 0
    for name in listed.splitlines():
        if name.startswith("template"):
            continue
        found = cluster.run("psql", *connection, name, "-At", "-F", " ", "-c", _COUNT).split()
        tables, rows = tables + int(found[0]), rows + int(found[1])
    wanted = rows_of(path)
    if rows != wanted:
        raise RestoreError(f"{rows} rows came back of the {wanted} that are in the dump")
    return tables, rows


class _Cluster:
    """Commands as the database's user; nothing of the host's own clusters is reached."""

    def __init__(self, programs: str, folder: str, uid: int, gid: int) -> None:
        self.programs, self.folder, self.uid, self.gid = programs, folder, uid, gid

    def run(self, program: str, *words: str, stdin: Optional[IO[Any]] = None, fails: bool = False) -> str:
        environment: Dict[str, str] = dict(COMMAND_ENVIRONMENT, HOME=self.folder, LC_ALL="C.UTF-8")
        command: List[str] = [os.path.join(self.programs, program), *words]
        try:
            done = subprocess.run(
                command,
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
                env=environment,
                user=self.uid,
                group=self.gid,
                extra_groups=[],
                cwd=self.folder,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RestoreError(f"{program}: {error}") from error
        if done.returncode and not fails:
            raise RestoreError(f"{program}: exit {done.returncode} {clean(done.stderr or b'').strip()[-200:]}")
        return clean(done.stdout)
