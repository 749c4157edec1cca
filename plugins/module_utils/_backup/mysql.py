# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Dumps of MariaDB and MySQL, restored into a server of their own and counted table by table.

All of a dump is restored, with C(--all-databases) the accounts too, which the throw-away server does not heed. The
server's own databases are not counted: it writes to them itself.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Dict, List, Tuple

from .._host_info.context import clean
from .scratch import NotTried, RestoreError, Scratch, program, scratch

USER = "mysql"
_START = 120.0
_OWN = (b"mysql", b"sys", b"performance_schema", b"information_schema")
_LARGEST = "1G"  # of one row
_NAME = rb"`((?:[^`]|``)+)`"
_USE = re.compile(rb"USE " + _NAME + rb";")
_CREATE = re.compile(rb"CREATE TABLE (?:IF NOT EXISTS )?" + _NAME + rb" \(")
_INSERT = re.compile(
    rb"(?:INSERT|REPLACE) +(?:IGNORE +)?INTO " + _NAME + rb" (?:\(`(?:[^`]|``)+`(?:, ?`(?:[^`]|``)+`)*\) )?VALUES"
)
_LIST = """
select hex(table_schema), hex(table_name) from information_schema.tables
where table_type in ('BASE TABLE', 'SYSTEM VERSIONED')
and table_schema not in ('mysql', 'sys', 'performance_schema', 'information_schema')
"""

Tables = Dict[Tuple[bytes, bytes], int]
"""Rows by database and table."""


def held(path: str) -> Tables:
    """What a dump of mysqldump holds. A row's line breaks are escaped, so that each line stands for itself."""
    found: Tables = {}
    base, table, code = b"", None, False
    with open(path, "rb") as stream:
        for line in stream:
            if code:
                code = line.rstrip() != b"DELIMITER ;"
                continue
            if table is None and (insert := _INSERT.match(line)):
                table, line = (base, _plain(insert[1])), line[insert.end() :]
            if table is not None:
                found[table] = found.get(table, 0) + rows_in(line)
                table = None if line.rstrip().endswith(b";") else table
            elif use := _USE.match(line):
                base = _plain(use[1])
            elif create := _CREATE.match(line):
                found.setdefault((base, _plain(create[1])), 0)
            else:
                code = line.startswith(b"DELIMITER ") and line.rstrip() != b"DELIMITER ;"
    return {table: rows for table, rows in found.items() if table[0] not in _OWN}


def rows_in(line: bytes) -> int:
    """How many rows are in a line of values: the brackets outside of its texts."""
    without = line.replace(b"\\\\", b"").replace(b"\\'", b"")
    return b"".join(without.split(b"'")[::2]).count(b"(")


def _plain(name: bytes) -> bytes:
    return name.replace(b"``", b"`")


def restored(path: str) -> Tuple[int, int]:
    """Restore a dump; how many tables and rows there are. Raises NotTried, RestoreError."""
    server, client = program("mariadbd", "mysqld"), program("mariadb", "mysql")
    if server is None or client is None:
        raise NotTried("no MariaDB or MySQL server is installed here to restore it into")
    with scratch(USER) as place:
        _make(place, server)
        _start(place, server)
        words = [client, "--no-defaults", f"--socket={place.folder}/socket", "--user=root", "--batch"]
        words += ["--skip-column-names", "--default-character-set=utf8mb4", f"--max-allowed-packet={_LARGEST}"]
        with open(path, "rb") as stream:
            place.run(*words, stdin=stream)
        return _compared(held(path), _counted(place, words))


def _make(place: Scratch, server: str) -> None:
    """A data directory, whose root needs no password: nobody but the user reaches it."""
    data = f"--datadir={place.folder}/data"
    if installer := program("mariadb-install-db", "mysql_install_db"):
        place.run(installer, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db")
    else:
        place.run(server, "--no-defaults", "--initialize-insecure", data)


def _start(place: Scratch, server: str) -> None:
    """One that listens to nothing but its socket, and writes to nothing outside of its directory."""
    folder = place.folder
    files = [f"--datadir={folder}/data", f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
    files += [f"--log-error={folder}/log", f"--tmpdir={folder}", f"--secure-file-priv={folder}"]
    quick = ["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", f"--max-allowed-packet={_LARGEST}"]
    alone = ["--skip-networking", "--loose-mysqlx=OFF", "--event-scheduler=OFF", "--local-infile=OFF"]
    process = place.serve(server, "--no-defaults", *files, *quick, *alone)
    until = time.monotonic() + _START
    while not _answers(f"{folder}/socket"):
        if process.poll() is not None or time.monotonic() > until:
            raise RestoreError(f"{server} did not start: {_last_words(place)}")
        time.sleep(0.1)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError:
            return False
    return True


def _last_words(place: Scratch) -> str:
    """The last error in the server's log."""
    try:
        with place.opened("log") as stream:
            lines = clean(stream.read(1 << 20)).splitlines()
    except RestoreError:
        lines = []
    errors = [line.partition("[ERROR]")[2].strip() for line in lines if "[ERROR]" in line]
    return (errors or lines or ["it said nothing"])[-1][-200:]


def _counted(place: Scratch, client: List[str]) -> Tables:
    listed = [line.split("\t") for line in place.run(*client, f"--execute={_LIST}").splitlines()]
    tables = [(bytes.fromhex(base), bytes.fromhex(table)) for base, table in listed]
    counts = b"".join(b"select count(*) from %s.%s;\n" % (_quoted(base), _quoted(table)) for base, table in tables)
    return dict(zip(tables, map(int, place.run(*client, stdin=counts).split())))


def _quoted(name: bytes) -> bytes:
    return b"`" + name.replace(b"`", b"``") + b"`"


def _compared(wanted: Tables, found: Tables) -> Tuple[int, int]:
    for table in sorted(wanted.keys() | found.keys()):
        name = clean(b".".join(table))
        if table not in found:
            raise RestoreError(f"the table {name} is in the dump, and did not come back")
        if table not in wanted:
            raise RestoreError(f"the table {name} came back, and its rows are not found in the dump")
        if found[table] != wanted[table]:
            raise RestoreError(f"{name}: {found[table]} rows came back of the {wanted[table]} that are in the dump")
    return len(found), sum(found.values())
