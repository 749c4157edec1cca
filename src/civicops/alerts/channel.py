"""What all ways of sending have in common: the error that says why not, and an end to every connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Protocol

from civicops.alerts.message import Message
from civicops.text import printable

ANSWER_SECONDS = 10.0
"""How long one answer of a server is waited for."""


class Undelivered(Exception):
    """A message was not delivered, or perhaps not. The text is one line that says why, without any secret."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(printable(reason, 400))
        self.refused = refused
        """The server has seen this very message and refused it: another one may pass."""


class Channel(Protocol):
    """A way to one recipient."""

    def send(self, message: Message) -> None:
        """Deliver a message.

        :raises Undelivered: it did not arrive, or that is not known.
        """


class Deadline:
    """Ends a connection that takes longer in all than it may, however slowly the other side talks.

    A time limit of a socket counts anew with every byte; a server that sends one now and then would hold us for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._guard: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._guard is not None:
                self._guard.close()
                self._guard = None

    def connect(self, address: tuple[str, int], *arguments: Any) -> socket.socket:
        """As `socket.create_connection`; what it gives is ended when the time is over."""
        sock = socket.create_connection(address, *arguments)
        with self._lock:
            self._guard = sock.dup()
            late = self.passed
        if late:
            self._end()
        return sock

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            if self._guard is not None:
                with contextlib.suppress(OSError):
                    self._guard.shutdown(socket.SHUT_RDWR)
