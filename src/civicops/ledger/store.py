"""The ledger: what was answered, in the order it came in, so kept that a later change shows.

Rows are only ever appended. Each row's hash covers its fields, the hash of its body and the hash of the row before
it. Bodies lie in a second table, compressed, equal ones once; so one can be redacted or expired later without breaking
the chain. SQLite in WAL mode by default, PostgreSQL by `$CIVICOPS_LEDGER_URL` (`{town}` in it becomes the town's id; it
may be `@FILE`, where the file holds the address).
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from civicops.ledger.documents import Document, Status, canonical
from civicops.ledger.spool import now
from civicops.state import TownState

# Body sizes are bounded per kind on the way in; this bounds what a row that someone else wrote can unpack to.
_BODY_LIMIT = 64 * 1024 * 1024
_CHUNK = 400

metadata = sa.MetaData()

_sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

entries = sa.Table(
    "entry",
    metadata,
    sa.Column("seq", _sequence, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("target", sa.String(255)),
    sa.Column("run", sa.String(255), nullable=False),
    sa.Column("job", sa.String(255), nullable=False),
    sa.Column("check", sa.Boolean, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("collected_at", sa.String(40), nullable=False),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("body", sa.String(64), nullable=False),
    sa.Column("prev", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Index("entry_kind_host", "kind", "status", "host", "seq"),
    sa.Index("entry_run", "run", "seq"),
)

bodies = sa.Table(
    "body",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    # NULL once the body was redacted or has expired; the hash stays.
    sa.Column("packed", sa.LargeBinary),
)

head = sa.Table(
    "head",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("town", sa.String(64), nullable=False),
    sa.Column("count", _sequence, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)


class LedgerError(Exception):
    """The ledger can't be opened or used; the message says why and what to do."""


@dataclass(frozen=True)
class Anchor:
    """The head of a ledger at one moment. Kept elsewhere, it proves later that nothing before it has changed."""

    count: int
    hash: str

    def __str__(self) -> str:
        return f"{self.count}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read `COUNT:HASH`.

        :raises LedgerError: where it is not of that form.
        """
        count, _, digest = text.strip().partition(":")
        if not (count.isascii() and count.isdigit() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
            raise LedgerError(f"{text.strip()[:100]!r} is not an anchor: COUNT:HASH, as reports print it")
        return cls(int(count), digest)


@dataclass(frozen=True)
class Entry:
    """One row of the ledger, without its body."""

    seq: int
    id: str
    kind: str
    version: int
    status: Status
    reason: str | None
    host: str
    target: str | None
    run: str
    job: str
    check: bool
    attempt: int
    collected_at: str
    recorded_at: str
    body: str
    prev: str
    hash: str


_ENTRY_COLUMNS = [entries.c[field.name] for field in fields(Entry)]


def genesis(town: str) -> str:
    """What stands in `prev` of a town's first row."""
    return hashlib.sha256(f"civicops ledger of {town}".encode()).hexdigest()


def chain_hash(row: dict[str, Any]) -> str:
    """The hash of a row: over every field but itself."""
    return hashlib.sha256(canonical({name: value for name, value in row.items() if name != "hash"})).hexdigest()


class Ledger:
    """The ledger of one town. Use it as a context manager.

    :raises LedgerError: the database can't be opened, is of a newer civicops, or belongs to another town.
    """

    def __init__(self, town: str, *, state: TownState | None = None, url: str | None = None) -> None:
        self.town = town
        template = url or os.environ.get("CIVICOPS_LEDGER_URL")
        try:
            if template and template.startswith("@"):
                template = Path(template[1:]).read_text(encoding="utf-8").strip()
            if template:
                address = sa.make_url(template.replace("{town}", town))
            else:
                address = sa.URL.create("sqlite", database=str((state or TownState(town)).ledger))
            self._engine = _engine(address)
        except (sa.exc.ArgumentError, ImportError, ValueError, OSError) as error:
            raise LedgerError(
                f"CIVICOPS_LEDGER_URL can't be used ({' '.join(str(error).split())[:200]}): give "
                "postgresql+psycopg://USER@HOST/DATABASE, and install civicops[postgresql]"
            ) from error
        self._place = address.render_as_string()
        self._until: int | None = None
        try:
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        from civicops.ledger.versions import bring_up_to_date

        with self._told():
            bring_up_to_date(self._engine)
            owner = self._owner() or self._begin()
        if owner != self.town:
            raise LedgerError(
                f"{self._place}: this is the ledger of {owner}, not of {self.town}; "
                "give each town its own: put {town} into CIVICOPS_LEDGER_URL"
            )

    def _owner(self) -> str | None:
        with self._reading() as connection:
            return connection.scalar(sa.select(head.c.town))

    def _begin(self) -> str:
        """Write the head of an empty ledger, unless somebody was faster; returns whose it is."""
        with self._writing() as connection:
            if (owner := connection.scalar(sa.select(head.c.town))) is not None:
                return str(owner)
            connection.execute(head.insert().values(only=1, town=self.town, count=0, hash=genesis(self.town)))
        return self.town

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the database says (full, damaged, gone, locked) becomes one line that names it."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            message = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
            raise LedgerError(f"{self._place}: the ledger can't be used: {message}") from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with (
            self._told(),
            self._engine.connect().execution_options(civicops_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _reading(self, **options: Any) -> Iterator[sa.Connection]:
        with self._told(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    # --- writing -----------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Everything within is written together or not at all; nobody else writes to this ledger meanwhile."""
        with self._writing() as connection:
            connection.execute(sa.select(head.c.only).with_for_update()).one()
            yield connection

    def append(self, documents: Iterable[Document], within: sa.Connection | None = None) -> list[Document]:
        """Append documents in one transaction, durably; those whose id is there already are left out.

        `within` is a `transaction` of this ledger that they are to be part of. Returns the documents that were new.
        """
        wanted = list({document.id: document for document in documents}.values())
        if not wanted:
            return []
        packed = [_pack(document.body) for document in wanted]
        if within is not None:
            return self._append(within, wanted, packed)
        with self.transaction() as connection:
            return self._append(connection, wanted, packed)

    def _append(
        self, connection: sa.Connection, wanted: list[Document], packed: list[dict[str, Any]]
    ) -> list[Document]:
        tip = connection.execute(sa.select(head)).one()
        known = set(self._known(connection, entries.c.id, [document.id for document in wanted]))
        known_bodies = set(self._known(connection, bodies.c.hash, [body["hash"] for body in packed]))
        rows: list[dict[str, Any]] = []
        new_bodies: dict[str, dict[str, Any]] = {}
        appended: list[Document] = []
        count, previous, moment = tip._mapping["count"], tip.hash, now()
        for document, body in zip(wanted, packed, strict=True):
            if document.id in known:
                continue
            count += 1
            row = _row(document, count, body["hash"], moment, previous)
            previous = row["hash"]
            rows.append(row)
            appended.append(document)
            if body["hash"] not in known_bodies:
                new_bodies[body["hash"]] = body
        if not rows:
            return []
        if new_bodies:
            connection.execute(bodies.insert(), list(new_bodies.values()))
        connection.execute(entries.insert(), rows)
        connection.execute(head.update().values(count=count, hash=previous))
        return appended

    @staticmethod
    def _known(connection: sa.Connection, column: sa.Column[Any], values: Sequence[str]) -> Iterator[str]:
        for start in range(0, len(values), _CHUNK):
            yield from connection.scalars(sa.select(column).where(column.in_(values[start : start + _CHUNK])))

    # --- reading -----------------------------------------------------------------

    def until(self, seq: int) -> Ledger:
        """This ledger as it was when that number was its last: for reading alone, and while this one is open."""
        view = copy(self)
        view._until = seq
        return view

    def _there(self) -> sa.ColumnElement[bool]:
        """What is looked at: everything, or what there was then."""
        return sa.true() if self._until is None else entries.c.seq <= self._until

    def anchor(self) -> Anchor:
        """The ledger's head now."""
        with self._reading() as connection:
            count, digest = connection.execute(sa.select(head.c.count, head.c.hash)).one()
        return Anchor(count, digest)

    def latest(
        self, kind: str, *, status: Status = "accepted", before: int | None = None, job: str | None = None
    ) -> dict[str, Entry]:
        """The newest entry of a kind for each host, of one job or of any; with `before`, whose number is below it."""
        wanted = (entries.c.kind == kind) & (entries.c.status == status) & self._there()
        if job is not None:
            wanted &= entries.c.job == job
        if before is not None:
            wanted &= entries.c.seq < before
        newest = sa.select(sa.func.max(entries.c.seq)).where(wanted).group_by(entries.c.host)
        return {entry.host: entry for entry in self._entries(entries.c.seq.in_(newest))}

    def first(self, kind: str) -> dict[str, Entry]:
        """The oldest accepted entry of a kind for each host."""
        wanted = (entries.c.kind == kind) & (entries.c.status == "accepted") & self._there()
        oldest = sa.select(sa.func.min(entries.c.seq)).where(wanted).group_by(entries.c.host)
        return {entry.host: entry for entry in self._entries(entries.c.seq.in_(oldest))}

    def previous(self, latest: Iterable[Entry]) -> dict[str, Entry]:
        """For each given entry, the one of the same kind and host before it and of another run, where there is one."""
        found = {}
        with self._reading() as connection:
            for entry in latest:
                row = connection.execute(
                    sa.select(*_ENTRY_COLUMNS)
                    .where(entries.c.kind == entry.kind, entries.c.status == "accepted", entries.c.host == entry.host)
                    .where(entries.c.seq < entry.seq, entries.c.run != entry.run)
                    .order_by(entries.c.seq.desc())
                    .limit(1)
                ).one_or_none()
                if row is not None:
                    found[entry.host] = Entry(**row._mapping)
        return found

    def of_run(self, run: str) -> list[Entry]:
        """Every entry of one run, in order."""
        return self._entries((entries.c.run == run) & self._there())

    def newest(self, kind: str, limit: int, *, job: str | None = None) -> list[Entry]:
        """The newest entries of a kind, of one job or of any, newest first."""
        wanted = (entries.c.kind == kind) & self._there()
        query = sa.select(*_ENTRY_COLUMNS).where(wanted).order_by(entries.c.seq.desc()).limit(limit)
        if job is not None:
            query = query.where(entries.c.job == job)
        with self._reading() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    def body(self, entry: Entry) -> Any:
        """The body of one entry; None where it was redacted."""
        return self.bodies([entry]).get(entry.body)

    def bodies(self, wanted: Iterable[Entry], each: Callable[[Any], Any] = lambda body: body) -> dict[str, Any]:
        """The bodies of entries by their hash; redacted ones are missing. `each`: what is kept of a body, before the
        next one is read."""
        return {digest: each(json.loads(data)) for digest, data in self.raw_bodies(wanted)}

    def raw_bodies(self, wanted: Iterable[Entry]) -> Iterator[tuple[str, bytes]]:
        """Their bytes, as `canonical` writes them."""
        digests = sorted({entry.body for entry in wanted})
        with self._reading() as connection:
            for start in range(0, len(digests), _CHUNK):
                query = sa.select(bodies.c.hash, bodies.c.packed).where(
                    bodies.c.hash.in_(digests[start : start + _CHUNK]), bodies.c.packed.is_not(None)
                )
                for digest, packed in connection.execute(query):
                    yield digest, unpack(packed)

    def _entries(self, wanted: sa.ColumnElement[bool]) -> list[Entry]:
        query = sa.select(*_ENTRY_COLUMNS).where(wanted).order_by(entries.c.seq)
        with self._reading() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    def walk(self) -> Iterator[tuple[dict[str, Any], bytes | None]]:
        """Every row with its packed body (None where redacted or missing), in order; for `verify`."""
        query = (
            sa.select(*_ENTRY_COLUMNS, bodies.c.packed, bodies.c.hash.label("body_row"))
            .select_from(entries.outerjoin(bodies, entries.c.body == bodies.c.hash))
            .order_by(entries.c.seq)
        )
        with self._reading(yield_per=500) as connection:
            for row in connection.execute(query):
                values = dict(row._mapping)
                packed, body_row = values.pop("packed"), values.pop("body_row")
                yield values | {"body_missing": body_row is None}, packed


def unpack(packed: bytes) -> bytes:
    """The canonical bytes of a stored body.

    :raises LedgerError: it is damaged or unpacks to more than any body may have.
    """
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, _BODY_LIMIT)
    except zlib.error as error:
        raise LedgerError(f"a stored body is damaged: {error}") from error
    if not stream.eof:
        raise LedgerError("a stored body is cut short or larger than any body may be")
    return data


def _pack(body: Any) -> dict[str, Any]:
    data = canonical(body)
    return {"hash": hashlib.sha256(data).hexdigest(), "size": len(data), "packed": zlib.compress(data, 6)}


def _row(document: Document, seq: int, body: str, recorded_at: str, prev: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "seq": seq,
        "id": document.id,
        "kind": document.kind,
        "version": document.version,
        "status": document.status,
        "reason": document.reason,
        "host": document.host,
        "target": document.target,
        "run": document.run,
        "job": document.job,
        "check": document.check,
        "attempt": document.attempt,
        "collected_at": document.collected_at,
        "recorded_at": recorded_at,
        "body": body,
        "prev": prev,
    }
    return row | {"hash": chain_hash(row)}


def _engine(address: sa.URL) -> sa.Engine:
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address)
    engine = sa.create_engine(address, connect_args={"timeout": 60})

    # SQLAlchemy's recipe for SQLite: the driver must not open transactions by itself, and a writer takes its lock at
    # the start, so that two appenders wait for each other instead of one failing.
    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("civicops_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
