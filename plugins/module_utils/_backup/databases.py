# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Restoring a dump into a throw-away server, and counting what is in it: the proof that it can be done."""

from __future__ import annotations

import glob
import os
import re
import sqlite3
import subprocess
from typing import Optional, Tuple

from . import ldap, mysql
from .config import Dump
from .scratch import NotTried, RestoreError, Scratch, scratch

_COPY = re.compile(rb"COPY (\S+) \(.*\) FROM stdin;\n?$")
_COUNT = """
select count(*), coalesce(sum((xpath('/row/c/text()', query_to_xml(
  format('select count(*) as c from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0)
from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
"""


def restored(dump: Dump, path: str) -> Tuple[Optional[int], int]:
    """Restore a dump; how many tables and rows there are; LDAP has entries alone. Raises NotTried, RestoreError."""
    if dump.kind == "sqlite":
        return _sqlite(path)
    if dump.kind == "postgresql":
        return _postgresql(dump, path)
    if dump.kind == "mysql":
        return mysql.restored(path)
    if dump.kind == "ldap":
        return None, ldap.restored(dump, path)
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
    with scratch(dump.user or "postgres") as place:
        data = f"{place.folder}/data"
        place.run(f"{programs}/initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = ["-o", f"-k {place.folder} -c listen_addresses='' -c fsync=off"]
        control = [f"{programs}/pg_ctl", "-w", "-t", "120", "-D", data, "-l", f"{place.folder}/log"]
        place.run(*control, *options, "start", stderr=subprocess.DEVNULL)
        try:
            return _counted(place, f"{programs}/psql", path)
        finally:
            place.run(*control, "-m", "immediate", "stop", stderr=subprocess.DEVNULL)


def _counted(place: Scratch, psql: str, path: str) -> Tuple[int, int]:
    connection = [psql, "-h", place.folder, "-X", "-q", "-d"]
    # Roles that are not in the dump make errors that mean nothing here; what counts is counted below.
    with open(path, "rb") as stream:
        place.tried(*connection, "postgres", stdin=stream)
    listed = place.run(*connection, "postgres", "-At", "-c", "select datname from pg_database where datallowconn")
    tables = rows = 0
    for name in listed.splitlines():
        if name.startswith("template"):
            continue
        found = place.run(*connection, name, "-At", "-F", " ", "-c", _COUNT).split()
        tables, rows = tables + int(found[0]), rows + int(found[1])
    wanted = rows_of(path)
    if rows != wanted:
        raise RestoreError(f"{rows} rows came back of the {wanted} that are in the dump")
    return tables, rows
