# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""When each user last logged in, from whichever record the system keeps."""

from __future__ import annotations

import os
import struct
from typing import Dict, NamedTuple, Optional, Tuple

from .context import Context, clean, utc

LASTLOG = "/var/log/lastlog"
LASTLOG_RECORD = struct.Struct("=I32s256s")  # time, terminal, host: lastlog(8), one per uid
LASTLOG2 = "/var/lib/lastlog/lastlog2.db"
WTMP = "/var/log/wtmp"
WTMP_RECORD = struct.Struct("=hxxi32s4s32s256s2h3i16s20s")  # utmp(5), 384 bytes
WTMP_LIMIT = 4 << 20  # bytes, the newest
USER_PROCESS = 7


class Login(NamedTuple):
    at: Optional[str]
    come_from: Optional[str]


def text_of(raw: bytes) -> Optional[str]:
    return clean(raw.split(b"\0", 1)[0]) or None


def parse_lastlog_record(raw: bytes) -> Optional[Login]:
    if len(raw) != LASTLOG_RECORD.size:
        return None
    seconds, _, host = LASTLOG_RECORD.unpack(raw)
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
    """The host's record of logins: lastlog2, else lastlog with wtmp; basis says which."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.basis: Optional[str] = None
        self.by_name: Dict[str, Login] = {}
        self.lastlog: Optional[int] = None
        if ctx.exists(LASTLOG2):
            self._read_lastlog2()
        if self.basis is None:
            self._read_wtmp()
            self._open_lastlog()
        if self.basis is None:
            ctx.unread("users.last_login", "neither lastlog nor wtmp can be read")

    def _read_lastlog2(self) -> None:
        import sqlite3  # only on hosts whose record is a SQLite file

        try:
            # immutable: no lock and no journal is written
            base = sqlite3.connect(f"file:{self.ctx.path(LASTLOG2)}?mode=ro&immutable=1", uri=True, timeout=1)
            try:
                for name, seconds, host in base.execute("SELECT Name, Time, RemoteHost FROM Lastlog2 LIMIT 10000"):
                    if isinstance(seconds, int) and seconds:
                        self.by_name[str(name)] = Login(utc(seconds), str(host) if host else None)
            finally:
                base.close()
        except sqlite3.Error as error:
            self.ctx.unread("users.last_login", f"lastlog2: {error}")
            return
        self.basis = "lastlog2"

    def _read_wtmp(self) -> None:
        try:
            with open(self.ctx.path(WTMP), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - size % WTMP_RECORD.size - WTMP_LIMIT // WTMP_RECORD.size * WTMP_RECORD.size))
                self.by_name = parse_wtmp(file.read(WTMP_LIMIT))
        except OSError:
            return
        self.basis = "wtmp"

    def _open_lastlog(self) -> None:
        try:
            self.lastlog = os.open(self.ctx.path(LASTLOG), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        self.basis = "lastlog"

    def of(self, name: str, uid: int) -> Login:
        if self.lastlog is not None and uid < 1 << 31:
            found = parse_lastlog_record(os.pread(self.lastlog, LASTLOG_RECORD.size, uid * LASTLOG_RECORD.size))
            if found:
                return found
        return self.by_name.get(name, Login(None, None))

    def close(self) -> None:
        if self.lastlog is not None:
            os.close(self.lastlog)
