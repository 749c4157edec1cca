# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""When each user last logged in, from whichever record the system keeps."""

from __future__ import annotations

import os
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from .context import Context, clean, utc

LASTLOG = "/var/log/lastlog"
LASTLOG_RECORD = struct.Struct("=I32s256s")  # time, terminal, host: lastlog(8), one per uid
# Name, path, and query of (user, seconds since 1970, host) for the records that are SQLite files.
SQLITE_RECORDS = (
    ("lastlog2", "/var/lib/lastlog/lastlog2.db", "SELECT Name, Time, RemoteHost FROM Lastlog2 LIMIT 10000"),
    (
        "wtmpdb",
        "/var/lib/wtmpdb/wtmp.db",
        "SELECT User, MAX(Login) / 1000000, RemoteHost FROM wtmp WHERE Type = 3 GROUP BY User LIMIT 10000",
    ),
)
WTMP = "/var/log/wtmp"
WTMP_RECORD = struct.Struct("=hxxi32s4s32s256s2h3i16s20s")  # utmp(5), 384 bytes
WTMP_RECORDS = 10000  # the newest, 3.8 MB
USER_PROCESS = 7


class Login(NamedTuple):
    at: Optional[str]
    come_from: Optional[str]


NEVER = Login(None, None)


def text_of(raw: bytes) -> Optional[str]:
    return clean(raw.split(b"\0", 1)[0]) or None


def parse_lastlog_record(raw: bytes) -> Optional[Login]:
    if len(raw) != LASTLOG_RECORD.size:
        return None
    seconds, dummy, host = LASTLOG_RECORD.unpack(raw)
    return Login(utc(seconds), text_of(host)) if seconds else None


def parse_wtmp(data: bytes) -> Dict[str, Login]:
    """The newest login of each user name."""
    newest: Dict[str, Tuple[int, Optional[str]]] = {}
    whole = len(data) - len(data) % WTMP_RECORD.size
    for fields in WTMP_RECORD.iter_unpack(data[:whole]):
        kind, user, host, seconds = fields[0], text_of(fields[4]), text_of(fields[5]), fields[9]
        if kind == USER_PROCESS and user and seconds >= newest.get(user, (0, None))[0]:
            newest[user] = (seconds, host)
    return {user: Login(utc(seconds), host) for user, (seconds, host) in newest.items()}


class LoginRecord:
    """The host's records of logins, all that can be read; of several answers the newest counts."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.read: List[str] = []
        self.by_name: Dict[str, Login] = {}
        self.lastlog: Optional[int] = None
        for name, path, query in SQLITE_RECORDS:
            if ctx.exists(path):
                self._read_sqlite(name, path, query)
        self._read_wtmp()
        self._open_lastlog()
        if not self.read:
            ctx.unread("users.last_login", "no record of logins can be read (lastlog, lastlog2, wtmp, wtmpdb)")

    @property
    def basis(self) -> Optional[str]:
        return ", ".join(self.read) or None

    def _add(self, name: str, login: Login) -> None:
        if (login.at or "") > (self.by_name.get(name, NEVER).at or ""):
            self.by_name[name] = login

    def _read_sqlite(self, record: str, path: str, query: str) -> None:
        import sqlite3  # only on hosts whose record is a SQLite file

        try:
            # immutable: no lock is taken and no journal is written
            base = sqlite3.connect(f"file:{self.ctx.path(path)}?mode=ro&immutable=1", uri=True, timeout=1)
            try:
                for name, seconds, host in base.execute(query):
                    if isinstance(seconds, int) and seconds:
                        self._add(str(name), Login(utc(seconds), str(host) if host else None))
            finally:
                base.close()
        except sqlite3.Error as error:
            self.ctx.unread(f"users.last_login.{record}", str(error))
            return
        self.read.append(record)

    def _read_wtmp(self) -> None:
        try:
            with open(self.ctx.path(WTMP), "rb") as file:
                whole = file.seek(0, os.SEEK_END) // WTMP_RECORD.size
                file.seek(max(0, whole - WTMP_RECORDS) * WTMP_RECORD.size)
                found = parse_wtmp(file.read(WTMP_RECORDS * WTMP_RECORD.size))
        except OSError:
            return
        for name, login in found.items():
            self._add(name, login)
        self.read.append("wtmp")

    def _open_lastlog(self) -> None:
        try:
            self.lastlog = os.open(self.ctx.path(LASTLOG), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        self.read.append("lastlog")

    def of(self, name: str, uid: int) -> Login:
        if self.lastlog is not None and uid < 1 << 31:
            found = parse_lastlog_record(os.pread(self.lastlog, LASTLOG_RECORD.size, uid * LASTLOG_RECORD.size))
            if found:
                self._add(name, found)
        return self.by_name.get(name, NEVER)

    def close(self) -> None:
        if self.lastlog is not None:
            os.close(self.lastlog)
