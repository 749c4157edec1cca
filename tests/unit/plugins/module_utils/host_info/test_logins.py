"""Last logins from records as systems keep them: struct files and SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ansible_collections.civicops.town.plugins.module_utils._host_info import logins
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context

from .conftest import MakeHost


def wtmp_record(user: bytes, host: bytes, seconds: int, kind: int = logins.USER_PROCESS) -> bytes:
    return logins.WTMP_RECORD.pack(kind, 1, b"pts/0", b"", user, host, 0, 0, 0, seconds, 0, b"", b"")


def test_records_have_the_sizes_that_the_manuals_give() -> None:
    assert (logins.WTMP_RECORD.size, logins.LASTLOG_RECORD.size) == (384, 292)


def test_wtmp_keeps_the_newest_login(host: MakeHost) -> None:
    data = wtmp_record(b"ann", b"a", 1_763_800_000) + wtmp_record(b"ann", b"b", 1_763_700_000)
    record = logins.LoginRecord(
        host({"/var/log/wtmp": data + wtmp_record(b"ann", b"", 1_763_899_999, kind=8) + b"torn"})
    )
    assert record.of("ann", 1000) == logins.Login("2025-11-22T08:26:40Z", "a")
    assert record.of("bob", 1001) == logins.NEVER
    assert record.basis == "wtmp"


def test_lastlog_is_read_by_uid_and_its_newer_answer_wins(host: MakeHost) -> None:
    lastlog = bytes(292 * 3) + logins.LASTLOG_RECORD.pack(1_763_900_000, b"pts/1", b"10.0.0.9")
    record = logins.LoginRecord(
        host({"/var/log/lastlog": lastlog, "/var/log/wtmp": wtmp_record(b"ann", b"old", 1_763_000_000)})
    )
    assert record.of("ann", 3).come_from == "10.0.0.9"
    assert record.of("root", 0) == logins.NEVER
    assert record.of("far", 60000) == logins.NEVER
    assert record.basis == "wtmp, lastlog"
    record.close()


def sqlite(ctx: Context, path: str, *statements: str) -> None:
    file = Path(ctx.path(path))
    file.parent.mkdir(parents=True)
    with sqlite3.connect(file) as base:
        for statement in statements:
            base.execute(statement)


def test_sqlite_records(host: MakeHost) -> None:
    ctx = host()
    sqlite(
        ctx,
        "/var/lib/lastlog/lastlog2.db",
        "CREATE TABLE Lastlog2 (Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)",
        "INSERT INTO Lastlog2 VALUES ('ann', 1763800000, 'pts/0', '10.0.0.1', NULL)",
    )
    sqlite(
        ctx,
        "/var/lib/wtmpdb/wtmp.db",
        "CREATE TABLE wtmp (ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER,"
        " TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT",
        "INSERT INTO wtmp VALUES (1, 3, 'ann', 1763900000000000, NULL, 'pts/0', '10.0.0.2', NULL)",
        "INSERT INTO wtmp VALUES (2, 3, 'bob', 1763800000000000, NULL, 'tty1', NULL, NULL)",
    )
    record = logins.LoginRecord(ctx)
    assert record.of("ann", 1000) == logins.Login("2025-11-23T12:13:20Z", "10.0.0.2")
    assert record.of("bob", 1001) == logins.Login("2025-11-22T08:26:40Z", None)


def test_a_broken_sqlite_record_is_unread(host: MakeHost) -> None:
    ctx = host({"/var/lib/lastlog/lastlog2.db": "no database"})
    assert logins.LoginRecord(ctx).basis is None
    assert "users.last_login.lastlog2" in ctx.unread_items
    assert "users.last_login" in ctx.unread_items
