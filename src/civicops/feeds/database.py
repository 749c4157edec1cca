"""The index's file: SQLite in `$CIVICOPS_STATE/.feeds/`, shared by all towns, since feeds are public."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

from civicops.feeds.error import FeedError
from civicops.state import locked, private_directory, state_root

_VERSION = 1
_PATIENCE = 60.0


def index_path(root: Path | None = None) -> Path:
    """Where the index lies."""
    return (root or state_root()) / ".feeds" / "index.sqlite"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The index for reading, as it is now, whatever is imported meanwhile; None where nothing was imported yet."""
    if not _there(path):
        yield None
        return
    with _told(path), closing(_connected(path)) as connection:
        _known_version(path, connection)
        connection.execute("PRAGMA query_only = on")
        connection.execute("BEGIN")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            yield connection
        else:  # made by an import that did not come to its end
            yield None


@contextmanager
def writing(path: Path, patience: float = _PATIENCE) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it, or nothing if anything is raised or the process dies.

    :raises FeedError: another import is still at work after `patience` seconds.
    """
    private_directory(path.parent)
    with _alone(path, patience), _told(path), closing(_connected(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        _known_version(path, connection)
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            schema = resources.files("civicops.feeds").joinpath("schema.sql").read_text(encoding="utf-8")
            for statement in schema.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _there(path: Path) -> bool:
    """Whether there is an index, in a directory that nobody else can write to; who only reads makes none."""
    try:
        path.parent.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FeedError(f"{path.parent}: {error.strerror}; set CIVICOPS_STATE to a directory of your own") from error
    private_directory(path.parent)
    return path.exists()


@contextmanager
def _alone(path: Path, patience: float) -> Iterator[None]:
    end = time.monotonic() + patience
    while True:
        with locked(path.with_name("lock")) as got:
            if got:
                yield
                return
        if time.monotonic() > end:
            raise FeedError("another import of feeds is going on; try again when it is done")
        time.sleep(0.05)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    path.chmod(0o600)
    return connection


def _known_version(path: Path, connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, _VERSION):
        raise FeedError(f"{path} is of another version of civicops: remove it and import the feeds again")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors in our words: a full disk, a file that is none of its own."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise FeedError(f"{path} is damaged: remove it and import the feeds again") from error
        if isinstance(error, sqlite3.OperationalError):
            raise FeedError(f"{path}: {error}") from error
        raise
