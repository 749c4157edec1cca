# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Dumps of databases: each to a file of its own, whole or not at all, its command's exit status, end and size judged.

restic takes what it reads from a pipe for the whole, also where the command before it has died.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Optional, Tuple

from .._baseline.files import folder_of
from .._host_info.context import COMMAND_ENVIRONMENT, clean
from .config import Dump

ENDINGS = {"postgresql": "sql", "mysql": "sql", "sqlite": "sqlite", "ldap": "ldif", "command": "dump"}
# What the tools write last, once all was written: pg_dump(1), pg_dumpall(1), mysqldump(1), slapcat(8).
ENDS = {
    "postgresql": r"-- PostgreSQL database( cluster)? dump complete",
    "mysql": r"^-- Dump completed",
    "ldap": r"\n\n\Z",  # slapcat ends each entry with an empty line
}
_MYSQL = ("--single-transaction", "--quick", "--routines", "--events", "--triggers")
_LAST = 4096  # bytes that are looked at for the end
_SAID = 2000  # bytes of what a command says
# The database's own way to copy it while it is in use; the copy is looked at before it counts.
_SQLITE = """
import sqlite3, sys
source = sqlite3.connect("file:%s?mode=ro" % sys.argv[1].replace("%", "%25").replace("?", "%3f"), uri=True, timeout=60)
copy = sqlite3.connect(sys.argv[2])
source.backup(copy)
found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
copy.close()
raise SystemExit(0 if found == "ok" else "the copy is not whole: " + found)
"""


class DumpError(Exception):
    """No dump, and why. The last good one is left where it is."""


def file_of(dump: Dump) -> str:
    """The name of its file."""
    return f"{dump.name}.{ENDINGS[dump.kind]}"


def take(dump: Dump, folder: str, last_bytes: Optional[int]) -> Dict[str, Any]:
    """Take one dump; what became of it, in the words of the document. Never raises."""
    told: Dict[str, Any] = {"name": dump.name, "kind": dump.kind, "outcome": "failed", "bytes": None, "reason": ""}
    place = os.path.join(folder, file_of(dump))
    try:
        size = _take(dump, place)
    except Exception as error:  # whatever it is: the other dumps and the files are backed up all the same
        told["reason"] = clean(str(error).encode("utf-8", "replace"))[:300]
        return told
    told.update(outcome="good", bytes=size)
    if last_bytes and size < last_bytes * (100 - dump.shrink_percent) / 100:
        told.update(outcome="shrunk", reason=f"{size} bytes; the last good one had {last_bytes}")
    return told


def _take(dump: Dump, place: str) -> int:
    fresh = place + ".new"
    if os.path.lexists(fresh):
        os.unlink(fresh)  # of a try that was cut off
    try:
        if dump.kind == "sqlite":
            _sqlite(dump, fresh)
        else:
            _command(dump, fresh)
        size = _judge(dump, fresh)
        os.replace(fresh, place)
        return size
    except BaseException:
        if os.path.lexists(fresh):
            os.unlink(fresh)
        raise


def _judge(dump: Dump, fresh: str) -> int:
    with open(fresh, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(0, size - _LAST))
        last = clean(stream.read())
    if size < max(1, dump.min_bytes):
        raise DumpError(f"the dump has {size} bytes; wanted are at least {max(1, dump.min_bytes)}")
    end = dump.end or ENDS.get(dump.kind, "")
    if end and not re.search(end, last, re.MULTILINE):
        raise DumpError("the dump ends before its end, though the command said that all is well")
    return size


def command_of(dump: Dump) -> Tuple[List[str], str]:
    """The command that writes the dump to its standard output, and the user that runs it."""
    if dump.kind == "postgresql":
        one = ["pg_dump", "--", dump.database] if dump.database else ["pg_dumpall"]
        return one, dump.user or "postgres"
    if dump.kind == "mysql":
        tool = "mysqldump" if shutil.which("mysqldump", path=COMMAND_ENVIRONMENT["PATH"]) else "mariadb-dump"
        which = ["--databases", dump.database] if dump.database else ["--all-databases"]
        return [tool, *_MYSQL, *which], dump.user or "root"
    if dump.kind == "ldap":
        return ["slapcat", *(["-b", dump.database] if dump.database else [])], dump.user
    return list(dump.command), dump.user


def _command(dump: Dump, fresh: str) -> None:
    argv, user = command_of(dump)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as output:
        _run(argv, user, dump.seconds, output)
        os.fsync(output.fileno())


def _sqlite(dump: Dump, fresh: str) -> None:
    """By the owner of the database: it is its data, and what reads it is not root."""
    info = os.lstat(dump.path)
    if not stat.S_ISREG(info.st_mode):
        raise DumpError(f"{dump.path} is no database file; a link is not followed")
    owner = dump.user or _name(info.st_uid)
    if info.st_uid == 0 or owner == "root":
        with folder_of(dump.path):  # root reads nothing that somebody else could put in its place
            pass
    between = tempfile.mkdtemp(prefix="civicops-dump-", dir="/var/tmp")
    try:
        entry = _user(owner)
        os.chown(between, entry.pw_uid, entry.pw_gid)
        copy = os.path.join(between, "copy")
        _run([sys.executable, "-I", "-c", _SQLITE, dump.path, copy], owner, dump.seconds, None)
        found = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(found, "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise DumpError("the copy of the database is no file")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as output:
                shutil.copyfileobj(source, output, 1 << 20)
                output.flush()
                os.fsync(output.fileno())
    finally:
        shutil.rmtree(between, ignore_errors=True)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise DumpError(f"the database is owned by the user {uid}, whom nobody knows; name one by `user`") from None


def _user(name: str) -> Any:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise DumpError(f"there is no user {name} to run the dump") from None


def _run(argv: List[str], user: str, seconds: int, output: Optional[Any]) -> None:
    """Run to its end, as the user, with no terminal and no input; all that it started ends with it."""
    more: Dict[str, Any] = {}
    home = "/"
    if user and os.geteuid() == 0:
        entry = _user(user)
        more = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}
        home = entry.pw_dir
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(COMMAND_ENVIRONMENT, HOME=home),
            cwd="/",
            start_new_session=True,
            **more,
        )
    except OSError as error:
        raise DumpError(f"{argv[0]}: {error.strerror}") from error
    try:
        said = process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        raise DumpError(f"{argv[0]} did not end within {seconds} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        words = clean(said[-_SAID:]).strip().splitlines()
        raise DumpError(f"{argv[0]}: exit {process.returncode}{': ' + words[-1] if words else ''}")
