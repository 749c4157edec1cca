"""One file that may hold a feed: plain, gzip or zip, read as a stream, within bounds, never unpacked to the disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

from civicops.feeds.error import FeedError
from civicops.text import printable

MB = 1_000_000
HEAD = 65_536
# What no honest file comes near: a tracker of all of Debian has 80 MB, an advisory of a kernel 5 MB; text packs 30:1.
_DOCUMENT = 256 * MB
_RECORD = 16 * MB
_STRING = 1 * MB
_BRACKETS = 4_000_000
_COMMAS = 12_000_000
_ALWAYS_ALLOWED = 32 * MB
_RATIO = 200
_ENTRIES = 1_000_000

_DAY_IN_NAME = re.compile(r"(?<![0-9])20[0-9]{2}-[01][0-9]-[0-3][0-9](?![0-9])")
# The last two are zipfile's own: a way of packing that it does not know, and a part that wants a password.
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _Bounded(io.RawIOBase):
    """A stream that counts what comes out of it into a budget shared with others, and stops at its end."""

    def __init__(self, inner: IO[bytes], budget: list[int]) -> None:
        self._inner, self._budget = inner, budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._budget[0] -= len(data)
        if self._budget[0] < 0:
            raise FeedError("it unpacks to more than is allowed")
        buffer[: len(data)] = data
        return len(data)


class Source:
    """A file that is there to be imported. `name` is what messages call it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = printable(path.name, 120)

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedReader]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FeedError(f"{self.name}: is no ordinary file")
                yield stream
        except OSError as error:
            if isinstance(error, gzip.BadGzipFile):
                raise FeedError(f"{self.name}: is broken: {error}") from error
            raise FeedError(f"{self.name}: can't be read: {error.strerror}") from error
        except _BROKEN as error:
            raise FeedError(f"{self.name}: is broken: {printable(error, 200)}") from error
        except FeedError as error:
            if str(error).startswith(self.name):
                raise
            raise FeedError(f"{self.name}: {error}") from error

    def sha256(self) -> str:
        with self._opened() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def date(self) -> tuple[str, str]:
        """The day that the file's name tells, else the one of its last change; and which of the two."""
        found = _DAY_IN_NAME.findall(self.path.name)
        if found:
            return found[-1], "name"
        with self._opened() as stream:
            changed = os.fstat(stream.fileno()).st_mtime
        return datetime.fromtimestamp(changed, UTC).date().isoformat(), "file"

    def size(self) -> int:
        """How much it says it unpacks to: to tell the larger of two, for nothing else."""
        with self._opened() as raw:
            packed = os.fstat(raw.fileno()).st_size
            magic = raw.read(4)
            if magic[:2] == b"\x1f\x8b" and packed > 4:
                raw.seek(-4, os.SEEK_END)
                return int.from_bytes(raw.read(4), "little")
            if magic == b"PK\x03\x04":
                with zipfile.ZipFile(raw) as archive:
                    return sum(info.file_size for info in archive.infolist())
            return packed

    def head(self) -> bytes:
        """The first bytes, by which its format is recognised; of a zip, those of its first files."""
        with self._documents(4 * HEAD) as documents:
            heads = [stream.read(HEAD if at == 0 else HEAD // 8) for at, stream in enumerate(islice(documents, 8))]
        return b"\n".join(heads)

    def lines(self, limit: int) -> Iterator[str]:
        """The lines of a text."""
        with self._documents(limit) as documents:
            for stream in documents:
                for line in _lines(stream):
                    yield _decoded(line)

    def document(self, limit: int = _DOCUMENT) -> object:
        """The one JSON document that the file is."""
        with self._documents(limit) as documents:
            for stream in documents:
                return _parsed(stream.read(limit + 1))
        raise FeedError(f"{self.name}: is empty")

    def records(self, limit: int) -> Iterator[object]:
        """The JSON documents in the file: one a line, or one in each file of a zip, or a single one."""
        with self._documents(limit) as documents:
            for stream in documents:
                yield from _records(stream)

    @contextmanager
    def _documents(self, limit: int) -> Iterator[Iterator[io.BufferedReader]]:
        with self._opened() as raw:
            packed = os.fstat(raw.fileno()).st_size
            magic = raw.read(4)
            raw.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
                    yield iter([_bounded(unpacked, [min(limit, max(_ALWAYS_ALLOWED, _RATIO * packed))])])  # type: ignore[arg-type]
            elif magic == b"PK\x03\x04":
                with zipfile.ZipFile(raw) as archive:
                    yield _entries(archive, min(limit, max(_ALWAYS_ALLOWED, _RATIO * packed)))
            else:
                yield iter([_bounded(raw, [limit])])


def _bounded(stream: IO[bytes], budget: list[int]) -> io.BufferedReader:
    return io.BufferedReader(_Bounded(stream, budget))


def _entries(archive: zipfile.ZipFile, allowed: int) -> Iterator[io.BufferedReader]:
    names = [info for info in archive.infolist() if info.filename.endswith((".json", ".jsonl"))]
    if len(names) > _ENTRIES:
        raise FeedError(f"a zip of {len(names)} files; at most {_ENTRIES} are read")
    budget = [allowed]
    for info in names:
        with archive.open(info) as stream:
            yield _bounded(stream, budget)


def _lines(stream: io.BufferedReader) -> Iterator[bytes]:
    while line := stream.readline(_RECORD + 1):
        if len(line) > _RECORD:
            raise FeedError(f"a line of more than {_RECORD // MB} MB")
        yield line


def _records(stream: io.BufferedReader) -> Iterator[object]:
    """One document a line; where the first line alone is none, the whole is one."""
    first = b""
    for line in _lines(stream):
        if not line.strip():
            continue
        if first:
            yield _parsed(first)
            yield _parsed(line)
            for rest in _lines(stream):
                if rest.strip():
                    yield _parsed(rest)
            return
        first = line
        if line.strip() in (b"{", b"[") or not line.rstrip().endswith((b"}", b"]")):
            yield _parsed(line + stream.read(_RECORD + 1 - len(line)), _RECORD)
            return
    if first:
        yield _parsed(first)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FeedError("is no text in UTF-8") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FeedError(f"the key {printable(key, 60)!r} stands twice in one object")
            seen.add(key)
    for key, value in pairs:
        if (type(value) is str and len(value) > _STRING) or len(key) > 1000:
            raise FeedError(f"{printable(key, 60)}: a text of more than {_STRING // MB} MB, or a key of 1,000 letters")
    return found


def _constant(name: str) -> NoReturn:
    raise FeedError(f"{name} is no JSON")


def _parsed(data: bytes, limit: int = _DOCUMENT) -> object:
    if len(data) > limit:
        raise FeedError(f"a document of more than {limit // MB} MB")
    if data.count(b"{") + data.count(b"[") > _BRACKETS or data.count(b",") > _COMMAS:
        raise FeedError("a document of too many parts")
    try:
        return json.loads(_decoded(data), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError as error:
        raise FeedError("is nested too deep") from error
    except json.JSONDecodeError as error:
        raise FeedError(f"is broken JSON: {error.msg}, line {error.lineno}, character {error.pos}") from error
    except ValueError as error:
        raise FeedError(f"is broken JSON: {printable(error, 100)}") from error
