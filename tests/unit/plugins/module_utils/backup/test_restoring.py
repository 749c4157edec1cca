"""What a dump holds by its own text, and a place for a server that is gone afterwards."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import databases, dumps, ldap, mysql, scratch
from ansible_collections.civicops.town.plugins.module_utils._backup.config import Dump
from hypothesis import given
from hypothesis import strategies as st

ME = pwd.getpwuid(os.geteuid()).pw_name
DUMP = r"""
/*M!999999\- enable the sandbox mode */
-- Current Database: `mysql`
USE `mysql`;
CREATE TABLE `global_priv` (
  `Host` char(255) NOT NULL
);
INSERT INTO `global_priv` VALUES
('localhost');
-- Current Database: `util``ity`
USE `util``ity`;
CREATE TABLE `water` (
  `name` text DEFAULT NULL COMMENT 'INSERT INTO (x)'
);
LOCK TABLES `water` WRITE;
INSERT INTO `water` VALUES (1,'a (b'),(2,'it\'s (x'),(3,'back\\'),(4,'\\\'('),(5,'');
INSERT INTO `water` VALUES
(6,'a\nINSERT INTO `water` VALUES (1);'),
(7,_binary '\0('),
(8,NULL);
UNLOCK TABLES;
CREATE TABLE `empty` (
  `id` int(11)
);
CREATE TABLE `o'clock (x` (
  `id` int(11)
);
INSERT INTO `o'clock (x` (`a (b`, `c'd`) VALUES (1,0x2829),(-2.5e10,'(');
REPLACE INTO `water` VALUES (9,'x');
/*!50001 CREATE VIEW `seen` AS SELECT 1 AS `id` */;
DELIMITER ;;
CREATE PROCEDURE `fill`()
BEGIN
INSERT INTO `water` VALUES (1),(2);
END ;;
DELIMITER ;
CREATE TABLE IF NOT EXISTS `last` (
INSERT INTO `last` VALUES (1);
-- Dump completed on 2026-11-30
"""


def test_tables_and_rows_of_a_dump(tmp_path: Path) -> None:
    (tmp_path / "all.sql").write_text(DUMP)
    base = b"util`ity"
    assert mysql.held(str(tmp_path / "all.sql")) == {
        (base, b"water"): 9,
        (base, b"empty"): 0,
        (base, b"o'clock (x"): 2,
        (base, b"last"): 1,
    }


def escaped(text: str) -> str:
    """As mysqldump writes it."""
    for letter, written in (("\\", "\\\\"), ("\0", "\\0"), ("\n", "\\n"), ("\r", "\\r"), ("'", "\\'")):
        text = text.replace(letter, written)
    return f"'{text}'"


@given(st.lists(st.lists(st.text("ab\\'(),;\n\0é"), min_size=1, max_size=3), min_size=1, max_size=6), st.booleans())
def test_rows_are_counted_whatever_is_in_them(rows: list[list[str]], lines: bool) -> None:
    written = [f"({','.join(map(escaped, row))})" for row in rows]
    text = (",\n" if lines else ",").join(written) + ";\n"
    assert sum(mysql.rows_in(line.encode()) for line in text.split("\n")) == len(rows)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({(b"a", b"b"): 3}, "a.b: 3 rows came back of the 4 that are in the dump"),
        ({}, "the table a.b is in the dump, and did not come back"),
        ({(b"a", b"b"): 4, (b"a", b"c"): 1}, "the table a.c came back, and its rows are not found"),
    ],
)
def test_what_did_not_come_back_is_told(found: mysql.Tables, words: str) -> None:
    assert mysql._compared({(b"a", b"b"): 4}, {(b"a", b"b"): 4}) == (1, 4)
    with pytest.raises(scratch.RestoreError, match=words):
        mysql._compared({(b"a", b"b"): 4}, found)


def test_entries_and_settings_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "x.ldif").write_text("dn: dc=town\nou: x\n dn: no\ndescription: dn: no\n\ndn:: YWJj\nou: y\n\n")
    assert ldap.entries((tmp_path / "x.ldif").read_bytes().splitlines()) == 2
    text = "olcSuffix: dc=town\nolcDbDirectory: /var/lib/ld\n ap\n\nolcDbDirectory:: L3g=\n"
    assert ldap.elsewhere(text, "/var/tmp/x/db") == (
        "olcSuffix: dc=town\nolcDbDirectory: /var/tmp/x/db/0\n\nolcDbDirectory: /var/tmp/x/db/1\n",
        2,
    )


@pytest.mark.parametrize(("text", "outcome"), [("dn: dc=town\nou: x\n\n", "good"), ("dn: dc=town\nou: x\n", "failed")])
def test_a_directory_ends_with_an_empty_line(tmp_path: Path, text: str, outcome: str) -> None:
    (tmp_path / "x.ldif").write_text(text)
    dump = Dump("x", "command", command=("/bin/cat", str(tmp_path / "x.ldif")), end=dumps.ENDS["ldap"])
    assert dumps.take(dump, str(tmp_path), None)["outcome"] == outcome


@pytest.mark.parametrize(
    ("kind", "words"),
    [("mysql", "no MariaDB or MySQL server"), ("ldap", "no slapd"), ("command", "of kind command is compared")],
)
def test_without_a_server_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    monkeypatch.setitem(scratch.COMMAND_ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(scratch.NotTried, match=words):
        databases.restored(Dump("x", kind), str(tmp_path / "x"))


@pytest.mark.parametrize(("there", "tool"), [(["mysqldump", "mariadb-dump"], "mysqldump"), ([], "mariadb-dump")])
def test_mariadbs_own_name_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], tool: str
) -> None:
    for name in there:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setitem(dumps.COMMAND_ENVIRONMENT, "PATH", str(tmp_path))
    argv, user = dumps.command_of(Dump("x", "mysql"))
    assert (argv[0], user) == (tool, "root")


def alive(marker: str) -> bool:
    return any(marker.encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())


def test_a_place_is_gone_with_all_that_ran_there() -> None:
    with pytest.raises(scratch.RestoreError, match="sh: exit 3 why"), scratch.scratch(ME) as place:
        server = place.serve("sleep", "98765.4")
        assert place.run("sh", "-c", "pwd; echo $HOME").split() == [place.folder, place.folder]
        assert place.run("cat", stdin=b"x") == "x"
        place.run("sh", "-c", "echo why >&2; exit 3")
    assert server.returncode == -9
    assert not Path(place.folder).exists()
    assert not alive("98765.4")


def test_nothing_is_read_but_a_file() -> None:
    with scratch.scratch(ME) as place:
        place.run("sh", "-c", "echo x > file; ln -s /etc/passwd link; mkfifo pipe")
        with place.opened("file") as stream:
            assert stream.read() == b"x\n"
        for name, words in (("link", "Too many levels"), ("pipe", "is no file"), ("gone", "No such file")):
            with pytest.raises(scratch.RestoreError, match=words):
                place.opened(name)


def test_what_does_not_end_is_ended_with_its_children() -> None:
    with scratch.scratch(ME) as place:
        place.until = time.monotonic()
        with pytest.raises(scratch.RestoreError, match="sh did not end within"):
            place.run("sh", "-c", "sleep 98765.3 & sleep 98765.3; true")
        with pytest.raises(scratch.RestoreError, match="nowhere: No such file"):
            place.run("/nowhere")
    time.sleep(0.1)
    assert not alive("98765.3")
    with pytest.raises(scratch.NotTried, match="no user nobody-at-all"), scratch.scratch("nobody-at-all"):
        pass
