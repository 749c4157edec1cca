"""What may be asked for, and when a dump is one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import dumps, kept
from ansible_collections.civicops.town.plugins.module_utils._backup.config import (
    ConfigError,
    Dump,
    parsed,
    read,
    repository,
    secrets_of,
    without,
    written,
)

GOOD: dict[str, Any] = {"paths": ["/etc"], "dumps": [{"name": "a", "kind": "postgresql"}], "period": 3600}
PASSWORD = "0123456789abcdef0123"


def test_what_is_written_is_read_back() -> None:
    config = read(written(GOOD))
    assert (config.paths, config.period, config.dumps[0].kind) == (("/etc",), 3600, "postgresql")
    assert config == parsed(GOOD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paths": [], "dumps": []}, "nothing would be backed up"),
        ({"paths": ["etc"]}, "paths: 'etc' is no absolute path"),
        ({"paths": ["/etc\n/root"]}, "no absolute path"),
        ({"excludes": ["a\nb"]}, "excludes"),
        ({"dumps": [{"name": "../x", "kind": "ldap"}]}, "the name '../x'"),
        ({"dumps": [{"name": "a", "kind": "oracle"}]}, "kind 'oracle'; there are postgresql"),
        ({"dumps": [{"name": "a", "kind": "sqlite"}]}, "has no path"),
        ({"dumps": [{"name": "a", "kind": "command"}]}, "has no command"),
        ({"dumps": [{"name": "a", "kind": "mysql", "database": "--all"}]}, "begin with a dash"),
        ({"dumps": [{"name": "a", "kind": "ldap"}, {"name": "a", "kind": "ldap"}]}, "used twice"),
        ({"dumps": [{"name": "a", "kind": "ldap", "end": "*** END"}]}, "end is no regular expression"),
        ({"dumps": [{"name": "a", "kind": "ldap", "seconds": -1}]}, "seconds is -1; wanted is a number"),
        ({"dumps": [{"name": "a", "kind": "ldap", "secnds": 1}]}, "there is no secnds"),
        ({"dumps": ["x"]}, "no mapping"),
        ({"period": "x"}, "period is 'x'; wanted is a number"),
        ({"nothing": 1}, "there is no nothing"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as told:
        parsed({**GOOD, **change})
    assert words in str(told.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_file_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        read(text)


def test_an_address_holds_the_password_and_nothing_else_can_slip_in() -> None:
    address = repository("vault.example", 8000, "pc1", PASSWORD)
    assert address == f"rest:https://pc1:{PASSWORD}@vault.example:8000/pc1/"
    assert without(f"x {address} y", secrets_of(address)).count(PASSWORD) == 0
    for bad in (
        ("vault/x", "pc1", PASSWORD),
        ("v", "..", PASSWORD),
        ("v", "a/b", PASSWORD),
        ("v", "pc1", "short"),
        ("v", "pc1", PASSWORD + "@"),
    ):
        with pytest.raises(ConfigError):
            repository(bad[0], 8000, bad[1], bad[2])


def take(folder: Path, script: str, last: int | None = None, **more: Any) -> dict[str, Any]:
    dump = Dump("one", "command", command=("/bin/sh", "-c", script), **more)
    return dumps.take(dump, str(folder), last)


def test_a_good_dump_is_there_and_nobody_elses(tmp_path: Path) -> None:
    told = take(tmp_path, "echo all of it")
    assert (told["outcome"], told["bytes"]) == ("good", 10)
    [path] = tmp_path.iterdir()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("all of it\n", 0o600)


@pytest.mark.parametrize(
    ("script", "more", "words"),
    [
        ("echo half; exit 1", {}, "exit 1"),
        ("echo half; echo why >&2; exit 4", {}, "exit 4: why"),
        ("echo half; kill -9 $$", {}, "exit -9"),
        ("true", {}, "0 bytes"),
        ("echo 1", {"min_bytes": 50}, "at least 50"),
        ("echo 1", {"end": "the end$"}, "before its end"),
        ("sleep 30", {"seconds": 1}, "did not end within 1 s"),
        ("sleep 30 & sleep 30", {"seconds": 1}, "did not end within 1 s"),
    ],
)
def test_what_is_no_dump_leaves_the_last_good_one(
    tmp_path: Path, script: str, more: dict[str, Any], words: str
) -> None:
    assert take(tmp_path, "echo the last good one")["outcome"] == "good"
    told = take(tmp_path, script, **more)
    assert told["outcome"] == "failed"
    assert words in told["reason"]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the last good one\n"]


def test_one_that_shrinks_is_kept_and_told(tmp_path: Path) -> None:
    assert take(tmp_path, "echo 12345", last=100)["outcome"] == "shrunk"
    assert take(tmp_path, "echo 12345", last=11)["outcome"] == "good"
    assert take(tmp_path, "echo 12345", last=100, shrink_percent=100)["outcome"] == "good"


def test_the_end_is_a_line_of_the_last(tmp_path: Path) -> None:
    assert take(tmp_path, "echo row; echo END OF EXPORT", end="^END OF EXPORT$")["outcome"] == "good"


def test_a_command_that_is_not_there_and_a_link_in_the_way(tmp_path: Path) -> None:
    told = dumps.take(Dump("one", "command", command=("/nowhere/x",)), str(tmp_path), None)
    assert "No such file" in told["reason"]
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "one.dump.new").symlink_to(secret)
    assert take(tmp_path, "echo x")["outcome"] == "good"
    assert secret.read_text() == "secret"


@pytest.fixture
def safe_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests lie below /tmp, which is open to all: root would read no database there."""
    monkeypatch.setattr(dumps, "folder_of", lambda path: contextlib.nullcontext())


@pytest.mark.skipif(os.geteuid() != 0, reason="root's own rule")
def test_root_reads_no_database_that_somebody_could_exchange(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").execute("create table t (a)").connection.commit()
    told = dumps.take(Dump("pay", "sqlite", path=str(tmp_path / "x.db")), str(tmp_path), None)
    assert "open to others" in told["reason"]


@pytest.mark.usefixtures("safe_way")
def test_sqlite_is_copied_whole_while_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "base ?%.db"
    base = sqlite3.connect(path)
    base.execute("pragma journal_mode=wal")
    base.execute("create table pay (amount)")
    base.executemany("insert into pay values (?)", [(n,) for n in range(1000)])
    base.commit()
    base.execute("insert into pay values (1)")  # not committed
    folder = tmp_path / "dumps"
    folder.mkdir()
    told = dumps.take(Dump("pay", "sqlite", path=str(path)), str(folder), None)
    assert told["outcome"] == "good", told
    copy = sqlite3.connect(folder / "pay.sqlite")
    assert copy.execute("select count(*) from pay").fetchone() == (1000,)


@pytest.mark.usefixtures("safe_way")
def test_what_is_no_database_is_no_dump(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all, " * 100)
    told = dumps.take(Dump("pay", "sqlite", path=str(tmp_path / "x.db")), str(tmp_path), None)
    assert (told["outcome"], "not a database" in told["reason"]) == ("failed", True)
    told = dumps.take(Dump("pay", "sqlite", path=str(tmp_path)), str(tmp_path), None)
    assert "no database file" in told["reason"]
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    told = dumps.take(Dump("pay", "sqlite", path=str(tmp_path / "link.db")), str(tmp_path), None)
    assert "a link is not followed" in told["reason"]


@pytest.mark.parametrize(
    ("options", "command", "user"),
    [
        ({"kind": "postgresql"}, ["pg_dumpall"], "postgres"),
        ({"kind": "postgresql", "database": "pay", "user": "ops"}, ["pg_dump", "--", "pay"], "ops"),
        ({"kind": "ldap", "database": "dc=town"}, ["slapcat", "-b", "dc=town"], ""),
    ],
)
def test_the_tools_commands(options: dict[str, Any], command: list[str], user: str) -> None:
    assert dumps.command_of(Dump("one", **options)) == (command, user)


def test_mysql_takes_one_database_or_all() -> None:
    assert dumps.command_of(Dump("one", "mysql"))[0][-1] == "--all-databases"
    assert dumps.command_of(Dump("one", "mysql", database="pay"))[0][-2:] == ["--databases", "pay"]


def test_what_is_remembered(tmp_path: Path) -> None:
    state = kept.read(str(tmp_path))
    assert state == {"running": None, "runs": [], "complete": None, "dumps": {}}
    good = {"outcome": "complete", "dumps": [{"name": "a", "outcome": "good", "bytes": 7}]}
    bad = {"outcome": "failed", "dumps": [{"name": "a", "outcome": "shrunk", "bytes": 2}]}
    for run in (good, *[bad] * (kept.RUNS - 1)):
        state = kept.ended(state, run)
    kept.write(state, str(tmp_path))
    state = kept.read(str(tmp_path))
    assert (state["complete"], kept.good_bytes(state, "a"), kept.good_bytes(state, "b")) == (good, 7, None)
    assert len(kept.ended(state, bad)["runs"]) == kept.RUNS
    (tmp_path / kept.STATE).write_text("[]")
    with pytest.raises(ValueError, match="is the disk whole"):
        kept.read(str(tmp_path))
