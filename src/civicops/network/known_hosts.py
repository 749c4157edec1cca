"""Host keys, judged by one known_hosts file alone, as OpenSSH writes it: hashed names, patterns, ports, @revoked.

paramiko's own reading of the file knows neither patterns nor @revoked, takes the first of several keys of a kind for
the only one, and needs time that grows with the square of the file.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from civicops.network.answers import DeviceError
from civicops.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")


@dataclass(frozen=True)
class _Line:
    kind: str
    key: bytes
    revoked: bool


class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """What the file says of one host. paramiko asks it for every key, since it is given no keys itself."""

    def __init__(self, file: Path, address: str, port: int, *, accept_new: bool = False) -> None:
        """`accept_new`: a host of which the file has no key is believed, and its key is put into the file."""
        self._file, self._accept_new = file, accept_new
        self._name = address if port == 22 else f"[{address}]:{port}"
        self._lines = list(_lines(file, self._name))

    def prefer(self, offered: Sequence[str]) -> tuple[str, ...]:
        """The kinds of key in the order in which to ask for them: first those that the file has of this host."""
        known = {kind for line in self._lines if not line.revoked for kind in _kinds(line.kind)}
        return tuple(sorted(offered, key=lambda kind: kind not in known))

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        blob = key.asbytes()
        if any(line.revoked and line.key == blob for line in self._lines):
            raise DeviceError("host_key", f"its host key is marked as revoked in {self._file}")
        known = [line for line in self._lines if not line.revoked]
        if any(line.key == blob for line in known):
            return
        shown = f"{key.get_name()} SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"
        name = printable(self._name, 100)
        if known:
            raise DeviceError(
                "host_key",
                f"THE HOST KEY OF {name} HAS CHANGED: somebody may be in between, or the device was replaced. It shows "
                f"{shown}. Nothing was sent to it. If that is right, take its old line out of {self._file}",
            )
        if not self._accept_new:
            raise DeviceError(
                "host_key",
                f"the host key of {name} is unknown: {shown}. Compare it on the device's console, then add it to "
                f"{self._file}; or once, where you trust the way to it: --accept-new-host-keys",
            )
        self._add(f"{self._name} {key.get_name()} {base64.b64encode(blob).decode()}\n")

    def _add(self, line: str) -> None:
        """Put a line at the file's end, while no other process or thread does."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                end = stream.seek(0, os.SEEK_END)
                whole = not end or os.pread(stream.fileno(), 1, end - 1) == b"\n"
                stream.write((b"" if whole else b"\n") + line.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DeviceError("settings", f"{self._file} can't be written to: {error.strerror}") from None


class AnyKey(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Takes any key: where the inventory says that host keys aren't checked."""

    def prefer(self, offered: Sequence[str]) -> tuple[str, ...]:
        return tuple(offered)

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, _key: paramiko.PKey) -> None:
        return


def _kinds(kind: str) -> tuple[str, ...]:
    return _RSA if kind == "ssh-rsa" else (kind,)


def _lines(file: Path, name: str) -> Iterator[_Line]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DeviceError("settings", f"{file} can't be read: {error.strerror}") from None
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        if _names(words[0], name):
            try:
                yield _Line(words[1], base64.b64decode(words[2], validate=True), bool(marker))
            except (binascii.Error, ValueError):
                continue


def _names(names: str, name: str) -> bool:
    """Whether a line's first word means this host."""
    if names.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in names[3:].split("|"))
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
    found = False
    for pattern in names.lower().split(","):
        if _matches(pattern.removeprefix("!"), name.lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _matches(pattern: str, name: str) -> bool:
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), name) is not None
