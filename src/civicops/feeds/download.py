"""Downloads a file once: only what is new (ETag), on from where it broke off, within a size and a time."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from civicops.feeds.addresses import Address
from civicops.feeds.error import FeedError
from civicops.feeds.source import MB
from civicops.state import write_durably
from civicops.text import printable

_SILENCE = 30.0
_WHOLE = 3600.0
_TRIES = 3
_CHUNK = 262_144
_PACKED = (".gz", ".zip")


class _BrokeOffError(Exception):
    """The connection ended before the file did."""


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but never from https to something that proves less."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if newurl.partition(":")[0].lower() != req.type:
            raise FeedError(f"it sends on to {printable(newurl, 100)}, which is not {req.type}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Download:
    """One feed's download in a directory: `NAME.part` while it is under way, `NAME.json` what is known of it."""

    def __init__(self, directory: Path, name: str, address: Address) -> None:
        self.address = address
        self._part = directory / f"{name}.part"
        self._notes = directory / f"{name}.json"
        self._opener = urllib.request.build_opener(_SameScheme)

    def fetch(self) -> Path | None:
        """The downloaded file; None if the source says that it is what `taken` was told of.

        :raises FeedError: it can't be had, or is larger than allowed. What came so far is kept for the next time.
        """
        end = time.monotonic() + _WHOLE
        for attempt in range(_TRIES):
            try:
                return self._part if self._once(end) else None
            except _BrokeOffError as error:
                if attempt == _TRIES - 1:
                    raise FeedError(f"{self.address.url}: {error}; the next update goes on from there") from error
            except FeedError as error:
                raise FeedError(f"{self.address.url}: {error}") from error
            except urllib.error.HTTPError as error:
                self._part.unlink(missing_ok=True)
                raise FeedError(f"{self.address.url}: answers {error.code} {printable(error.reason, 80)}") from error
            except (OSError, http.client.HTTPException, ssl.SSLError) as error:
                reason = getattr(error, "reason", None) or error
                raise FeedError(f"{self.address.url}: {printable(reason, 200) or type(reason).__name__}") from error
        raise FeedError(f"{self.address.url}: can't be had")

    def taken(self) -> None:
        """The file was imported: drop it, and ask the next time for something newer only."""
        notes = self._read_notes()
        self._part.unlink(missing_ok=True)
        self._write_notes({"url": self.address.url, "etag": notes.get("part_etag", "")})

    def refused(self) -> None:
        """The file is no good: drop it, so that the next time all of it is fetched."""
        self._part.unlink(missing_ok=True)

    def forget(self) -> None:
        """Whatever was taken is gone: fetch all of it."""
        self._notes.unlink(missing_ok=True)

    def _once(self, end: float) -> bool:
        notes = self._read_notes()
        there = self._part.stat().st_size if self._part.exists() else 0
        headers = {"User-Agent": "civicops"}
        # What is packed already is not to be packed for the way: it would have to be unpacked twice.
        headers["Accept-Encoding"] = "identity" if self.address.url.endswith(_PACKED) else "gzip"
        strong = notes.get("part_etag", "")
        if there and strong and not strong.startswith("W/"):
            headers |= {"Range": f"bytes={there}-", "If-Range": strong}
        elif notes.get("etag"):
            headers["If-None-Match"] = notes["etag"]
        request = urllib.request.Request(self.address.url, headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=_SILENCE) as answer:
                self._receive(answer, there, end)
        except urllib.error.HTTPError as error:
            if error.code == 304:
                return False
            if error.code == 416:  # nothing is left to send, or it is another file now
                self._part.unlink(missing_ok=True)
                raise _BrokeOffError("can't be continued") from error
            raise
        return True

    def _receive(self, answer: Any, there: int, end: float) -> None:
        continued = answer.status == 206
        if continued and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-"):
            raise FeedError("continues with another part than was asked for")
        have = there if continued else 0
        length = answer.headers.get("Content-Length")
        whole = have + int(length) if length and length.isascii() and length.isdigit() else None
        self._check(whole or 0)
        notes = self._read_notes()
        self._write_notes(notes | {"url": self.address.url, "part_etag": answer.headers.get("ETag", "")})
        with self._part.open("ab" if continued else "wb") as stream:
            try:
                while chunk := answer.read1(_CHUNK):
                    have += len(chunk)
                    self._check(have)
                    stream.write(chunk)
                    if time.monotonic() > end:
                        raise _BrokeOffError(f"took more than {_WHOLE / 60:.0f} minutes")
            except (TimeoutError, ConnectionError, http.client.IncompleteRead) as error:
                raise _BrokeOffError(f"broke off at {have} bytes") from error
        if whole is not None and have != whole:
            raise _BrokeOffError(f"broke off at {have} of {whole} bytes")
        self._date(answer.headers.get("Last-Modified"))

    def _check(self, size: int) -> None:
        if size > self.address.limit:
            self._part.unlink(missing_ok=True)
            raise FeedError(f"has more than {self.address.limit / MB:g} MB, more than this feed may have")

    def _date(self, modified: str | None) -> None:
        """Give the file its source's date: the feeds that tell none have it from there."""
        try:
            moment = parsedate_to_datetime(modified or "").timestamp()
            os.utime(self._part, (moment, moment))
        except (ValueError, OverflowError, OSError):
            return

    def _read_notes(self) -> dict[str, str]:
        try:
            notes = json.loads(self._notes.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(notes, dict) or notes.get("url") != self.address.url:
            return {}
        return {key: value for key, value in notes.items() if isinstance(value, str)}

    def _write_notes(self, notes: dict[str, str]) -> None:
        write_durably(self._notes, json.dumps(notes).encode())
