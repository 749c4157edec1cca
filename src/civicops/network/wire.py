"""The bytes of one session, both ways: counted and timed, for netmiko's own steps and for ours."""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netmiko.channel import Channel

from civicops.network.answers import DeviceError

if TYPE_CHECKING:
    from netmiko._telnetlib import telnetlib

_CHUNK = 64 * 1024
# What a device may say before the first command, with banners and all: netmiko searches all of it again and again.
_MOST_GREETING = 64 * 1024
_LONGEST_LINE = 4096
# How long the data of one telnet option may be.
_MOST_OPTION = 4096
# How long it waits without looking whether it shall end.
_LISTENS = 0.5


@dataclass(frozen=True)
class Limits:
    """What a session may cost."""

    until: float
    """When it must be over, on the monotonic clock."""
    most_bytes: int
    stop: threading.Event | None = None
    """Set where nobody waits for the answers any more."""

    def left(self) -> float:
        if self.stop is not None and self.stop.is_set():
            raise DeviceError("cut", "it was not asked to the end: the run was ended")
        left = self.until - time.monotonic()
        if left <= 0:
            raise DeviceError("timeout", "the session took longer than session_timeout")
        return left


class Wire(Channel):
    """netmiko's channel, bounded. Every read and write raises a DeviceError where the session is over."""

    def __init__(self, remote: Any, telnet: bool, limits: Limits) -> None:
        self._remote = remote
        self._telnet: telnetlib.Telnet | None = remote if telnet else None
        self._limits = limits
        self._waiting = b""
        self._received = 0
        self._greeted = 0
        self._line = 0

    def receive(self, seconds: float) -> bytes:
        """What came, waiting at most so long for it; b"" if nothing did."""
        if self._waiting:
            data, self._waiting = self._waiting, b""
            return data
        until = time.monotonic() + seconds
        data = b""
        while not data:
            left = min(until - time.monotonic(), self._limits.left())
            data = self._read(min(left, _LISTENS))
            if left <= _LISTENS:
                break
        if not data:
            self._limits.left()
        self._received += len(data)
        if self._received > self._limits.most_bytes:
            raise DeviceError("flood", f"it said more than the {self._limits.most_bytes:,} bytes that it may")
        return data

    def wait(self, seconds: float) -> bool:
        """Whether something came within that time; it stays to be read."""
        self._waiting = self.receive(seconds)
        return bool(self._waiting)

    def send(self, text: str) -> None:
        self._limits.left()
        try:
            if self._telnet is not None:
                self._telnet.write(text.encode())  # type: ignore[no-untyped-call]
            else:
                self._remote.sendall(text.encode())
        except TimeoutError:
            raise DeviceError("timeout", "it takes nothing any more") from None
        except OSError:
            raise _cut() from None

    def write_channel(self, out_data: str) -> None:
        self.send(out_data)

    def read_buffer(self) -> str:
        return self.read_channel()

    def read_channel(self) -> str:
        """For netmiko: what is there now."""
        data = self.receive(0)
        self._greeted += len(data)
        long = max((len(line) for line in data.split(b"\n")[1:]), default=0)
        first = self._line + len(data.partition(b"\n")[0])
        self._line = len(data.rpartition(b"\n")[2]) + (0 if b"\n" in data else self._line)
        if self._greeted > _MOST_GREETING or max(long, first) > _LONGEST_LINE:
            raise DeviceError("flood", "it says more at login than a banner and a prompt")
        return data.decode("utf-8", "ignore")

    def _read(self, seconds: float) -> bytes:
        try:
            return self._read_telnet(seconds) if self._telnet is not None else self._read_ssh(seconds)
        except EOFError:
            raise _cut() from None
        except TimeoutError:
            return b""
        except OSError:
            raise _cut() from None

    def _read_ssh(self, seconds: float) -> bytes:
        if seconds <= 0 and not self._remote.recv_ready() and not (self._remote.closed or self._remote.eof_received):
            return b""
        self._remote.settimeout(max(seconds, 0.001))
        try:
            data: bytes = self._remote.recv(_CHUNK)
        finally:
            self._remote.settimeout(20)
        if not data:
            raise EOFError
        return data

    def _read_telnet(self, seconds: float) -> bytes:
        assert self._telnet is not None  # noqa: S101  # for mypy: the caller has looked
        until = time.monotonic() + seconds
        parts: list[bytes] = []
        size = 0
        while size < _CHUNK:
            # Not read_eager(): it goes on for as long as option negotiation comes, which is no data.
            try:
                part: bytes = self._telnet.read_very_lazy()  # type: ignore[no-untyped-call]
            except EOFError:
                if not parts:
                    raise
                break
            if part:
                parts.append(part)
                size += len(part)
            handle: socket.socket = self._telnet.get_socket()  # type: ignore[no-untyped-call]
            poll = select.poll()  # select() itself fails beyond 1,024 open files
            poll.register(handle, select.POLLIN)
            left = 0 if parts else max(0, until - time.monotonic())
            if not poll.poll(left * 1000):
                break
            self._telnet.fill_rawq()  # type: ignore[no-untyped-call]
            self._telnet.process_rawq()  # type: ignore[no-untyped-call]
            if len(self._telnet.sbdataq) > _MOST_OPTION:
                raise DeviceError("flood", "a telnet option of it has no end")
            if not left and not self._telnet.cookedq:
                break
        return b"".join(parts)


def _cut() -> DeviceError:
    return DeviceError("cut", "the connection ended in the middle")
