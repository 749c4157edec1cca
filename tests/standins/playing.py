"""A session with a device that is played: what it says to what it is told, and how it misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.standins.recording import Recording

USER = "backup"
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Manner:
    """How a device behaves, beside what it says."""

    user: str = USER
    password: str = PASSWORD
    banner: str = ""
    """What it shows before the greeting."""
    enable_secret: str | None = None
    echo: bool = True
    line_end: str = "\r\n"
    per_write: int = 0
    """How many bytes it writes at once; 0: all of them."""
    delay: float = 0
    """How many seconds it rests after each write."""
    cut_after: int | None = None
    """After how many bytes, from the greeting on, the connection ends."""
    cut_gently: bool = False
    """Whether it says goodbye as SSH does, instead of breaking the connection off."""
    silent_after: int | None = None
    """After how many bytes it says nothing any more."""
    flood: int = 0
    """How many bytes its answers have at least."""
    page: int = 0
    """After how many lines of an answer it shows its pager's mark; 0: never."""
    mark: str = " --More-- "
    wipe: str = "\r         \r"
    endless: bool = False
    """Whether each page is followed by another one."""
    accept: str = ""
    """What it shows before the first prompt, to wait for the key that stands in it between quotes."""
    closed_shell: bool = False
    """Whether it never answers the request for a shell."""


@dataclass
class Device:
    """A device that is being played."""

    port: int
    key: str
    received: list[str] = field(default_factory=list)
    """The commands that came, over all sessions."""
    logins: list[str] = field(default_factory=list)
    """The passwords that it was given."""
    written: int = 0
    """How many bytes it has shown, over all sessions."""

    def known_hosts(self, path: Path, names: str = "") -> Path:
        """Add its line to a known_hosts file."""
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{names or f'[127.0.0.1]:{self.port}'} {self.key}\n")
        return path


class Gone(Exception):
    """The session is over."""


class Stream(Protocol):
    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def abort(self) -> None: ...


class Session:
    """One session with a device, over whatever carries it."""

    def __init__(
        self, recording: Recording, manner: Manner, device: Device, get: Callable[[], Awaitable[bytes]], out: Stream
    ) -> None:
        self._recording = recording
        self._manner = manner
        self._device = device
        self._get = get
        self._out = out
        self._written = 0
        self._privileged = not recording.user_prompt

    async def run(self) -> None:
        await self.say(self._manner.banner)
        if self._manner.accept:
            await self.say(self._manner.accept)
            if await self._key() != self._manner.accept.split("'")[1].encode():
                raise Gone
        await self.say(self._recording.greeting + self._prompt)
        while True:
            command = await self.line()
            if command:
                self._device.received.append(command)
            await self._do(command)

    @property
    def _prompt(self) -> str:
        return self._recording.prompt if self._privileged else self._recording.user_prompt

    async def _do(self, command: str) -> None:
        echo = self._manner.echo
        line = f"{command}\n" if echo else ("\n" if not command else "")
        if command in self._recording.leaves:
            await self.say(line)
            raise Gone
        if not command:
            await self.say(line + self._prompt)
        elif command == "enable" and not self._privileged:
            await self._enable(line)
        elif command in self._recording.answers and self._privileged:
            preparing = command.startswith(("terminal ", "screen-length ", "set ", "no "))
            await self._show(line, self._recording.answers[command], Manner() if preparing else self._manner)
        elif command.startswith("terminal ") and not self._privileged:
            await self.say(line + self._prompt)
        else:
            await self.say(line + self._recording.refusal + self._prompt)

    async def _enable(self, line: str) -> None:
        if self._manner.enable_secret is None:
            self._privileged = True
            await self.say(line + self._prompt)
            return
        await self.say(line + "Password: ")
        for left in (2, 1, 0):
            given = await self.line()
            if given == self._manner.enable_secret:
                self._privileged = True
                break
            if left:
                await self.say("\nPassword: ")
        await self.say(("\n" if self._privileged else "\n% Bad secrets\n\n") + self._prompt)

    async def _show(self, line: str, pages: tuple[str, ...], manner: Manner) -> None:
        marks = bool(manner.page)
        if marks:
            pages = tuple(page for text in pages for page in _paged(text, manner.page))
        await self.say(line)
        if manner.flood:
            await self._flood(pages[0] or "x\n")
        for number, page in enumerate(pages):
            last = number == len(pages) - 1
            await self.say(page + (manner.mark if marks and (not last or manner.endless) else ""))
            if not last:
                await self._pager_key()
                if marks:
                    await self.say(manner.wipe)
        while manner.endless:
            await self._pager_key()
            await self.say(manner.wipe + pages[-1] + manner.mark)
        await self.say(self._prompt)

    async def _flood(self, text: str) -> None:
        block = text * (65536 // len(text) + 1)
        for _ in range(self._manner.flood // len(block) + 1):
            await self.say(block)

    async def say(self, text: str) -> None:
        data = text.replace("\n", self._manner.line_end).encode()
        size = self._manner.per_write or max(len(data), 1)
        for start in range(0, len(data), size):
            await self._write(data[start : start + size])
            if self._manner.delay:
                await asyncio.sleep(self._manner.delay)

    async def _write(self, data: bytes) -> None:
        cut, silent = self._manner.cut_after, self._manner.silent_after
        if cut is not None and self._written + len(data) >= cut:
            self._out.write(data[: cut - self._written])
            await self._out.drain()
            if not self._manner.cut_gently:
                await asyncio.sleep(0.01)
                self._out.abort()
            raise Gone
        if silent is not None and self._written + len(data) >= silent:
            self._out.write(data[: silent - self._written])
            await asyncio.sleep(3600)
        self._written += len(data)
        self._device.written += len(data)
        self._out.write(data)
        await self._out.drain()

    async def line(self) -> str:
        """A line, ended by CR, LF or both."""
        line = bytearray()
        while True:
            byte = await self._key()
            if byte == b"\r":
                self._after_cr = True
                return line.decode("utf-8", "replace")
            after_cr, self._after_cr = self._after_cr, False
            if byte in (b"\n", b"\0"):
                if after_cr:
                    continue
                return line.decode("utf-8", "replace")
            line += byte

    _after_cr = False

    async def _pager_key(self) -> None:
        """A key of its own: the end of the command's line is none, however late its LF comes."""
        byte = await self._key()
        after_cr, self._after_cr = self._after_cr, False
        if after_cr and byte in (b"\n", b"\0"):
            await self._key()

    async def _key(self) -> bytes:
        byte = await self._get()
        if not byte:
            raise Gone
        return byte


def _paged(text: str, size: int) -> list[str]:
    lines = text.splitlines(keepends=True)
    return ["".join(lines[start : start + size]) for start in range(0, len(lines), size)] or [""]
