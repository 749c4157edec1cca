"""Stand-ins for network devices: SSH and telnet servers that play recorded sessions, and that misbehave when told to.

In a test, many of them on one thread of their own:

    with Replayer() as replayer:
        device = replayer.ssh(recording)
        ... device.port, device.known_hosts(path), device.received ...

As a process of its own, for benches: `python -m tests.standins.replayer --count 200 FILE` prints a line of JSON with
the ports and the line for known_hosts, and serves until its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncssh

from tests.standins.recording import Recording, read

T = TypeVar("T")
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


class _Gone(Exception):
    """The session is over."""


class _Stream(Protocol):
    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def abort(self) -> None: ...


class _Session:
    """One session with a device, over whatever carries it."""

    def __init__(
        self, recording: Recording, manner: Manner, device: Device, get: Callable[[], Awaitable[bytes]], out: _Stream
    ) -> None:
        self._recording = recording
        self._manner = manner
        self._device = device
        self._get = get
        self._out = out
        self._written = 0
        self._privileged = not recording.user_prompt

    async def run(self) -> None:
        await self._say(self._manner.banner)
        if self._manner.accept:
            await self._say(self._manner.accept)
            if await self._key() != self._manner.accept.split("'")[1].encode():
                raise _Gone
        await self._say(self._recording.greeting + self._prompt)
        while True:
            command = await self._line()
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
            await self._say(line)
            raise _Gone
        if not command:
            await self._say(line + self._prompt)
        elif command == "enable" and not self._privileged:
            await self._enable(line)
        elif command in self._recording.answers and self._privileged:
            preparing = command.startswith(("terminal ", "screen-length ", "set ", "no "))
            await self._show(line, self._recording.answers[command], Manner() if preparing else self._manner)
        elif command.startswith("terminal ") and not self._privileged:
            await self._say(line + self._prompt)
        else:
            await self._say(line + self._recording.refusal + self._prompt)

    async def _enable(self, line: str) -> None:
        if self._manner.enable_secret is None:
            self._privileged = True
            await self._say(line + self._prompt)
            return
        await self._say(line + "Password: ")
        for left in (2, 1, 0):
            given = await self._line()
            if given == self._manner.enable_secret:
                self._privileged = True
                break
            if left:
                await self._say("\nPassword: ")
        await self._say(("\n" if self._privileged else "\n% Bad secrets\n\n") + self._prompt)

    async def _show(self, line: str, pages: tuple[str, ...], manner: Manner) -> None:
        marks = bool(manner.page)
        if marks:
            pages = tuple(page for text in pages for page in _paged(text, manner.page))
        await self._say(line)
        if manner.flood:
            await self._flood(pages[0] or "x\n")
        for number, page in enumerate(pages):
            last = number == len(pages) - 1
            await self._say(page + (manner.mark if marks and (not last or manner.endless) else ""))
            if not last:
                await self._key()
                if marks:
                    await self._say(manner.wipe)
        while manner.endless:
            await self._key()
            await self._say(manner.wipe + pages[-1] + manner.mark)
        await self._say(self._prompt)

    async def _flood(self, text: str) -> None:
        block = text * (65536 // len(text) + 1)
        for _ in range(self._manner.flood // len(block) + 1):
            await self._say(block)

    async def _say(self, text: str) -> None:
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
            raise _Gone
        if silent is not None and self._written + len(data) >= silent:
            self._out.write(data[: silent - self._written])
            await asyncio.sleep(3600)
        self._written += len(data)
        self._device.written += len(data)
        self._out.write(data)
        await self._out.drain()

    async def _line(self) -> str:
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

    async def _key(self) -> bytes:
        byte = await self._get()
        if not byte:
            raise _Gone
        return byte


def _paged(text: str, size: int) -> list[str]:
    lines = text.splitlines(keepends=True)
    return ["".join(lines[start : start + size]) for start in range(0, len(lines), size)] or [""]


class _Abort:
    """asyncssh's process as a stream that can be broken off."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        self._process.stdout.write(data)

    async def drain(self) -> None:
        await self._process.stdout.drain()

    def abort(self) -> None:
        self._process.channel.get_connection().abort()


class _Tcp:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data.replace(b"\xff", b"\xff\xff"))

    async def drain(self) -> None:
        await self._writer.drain()

    def abort(self) -> None:
        self._writer.transport.abort()


class _Server(asyncssh.SSHServer):
    def __init__(self, manner: Manner, device: Device, keys: list[asyncssh.SSHKey], forwards: bool) -> None:
        self._manner = manner
        self._device = device
        self._keys = [key.public_data for key in keys]
        self._forwards = forwards

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self._keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._manner.user and key.public_data in self._keys

    def validate_password(self, username: str, password: str) -> bool:
        self._device.logins.append(password)
        return (username, password) == (self._manner.user, self._manner.password)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if not self._forwards:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not here")
        return True


class Replayer:
    """Plays devices on a thread of its own until it is left."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="replayer")
        self._servers: list[Any] = []
        self._sessions: set[asyncio.Task[None]] = set()
        self._key = asyncssh.generate_private_key("ssh-ed25519")

    def __enter__(self) -> Replayer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ssh(
        self,
        recording: Recording,
        manner: Manner | None = None,
        *,
        host_key: asyncssh.SSHKey | None = None,
        user_keys: list[asyncssh.SSHKey] | None = None,
        forwards: bool = False,
        **options: Any,
    ) -> Device:
        """A device on SSH. `forwards`: it is a jump host. `options` go to asyncssh."""
        key = host_key or self._key
        device = Device(0, key.export_public_key("openssh").decode().strip())
        manner = manner or Manner()

        async def played(process: asyncssh.SSHServerProcess[bytes]) -> None:
            async def get() -> bytes:
                return await process.stdin.read(1)

            await self._play(_Session(recording, manner, device, get, _Abort(process)))
            process.exit(0)

        async def listen() -> int:
            server = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=lambda: _Server(manner, device, user_keys or [], forwards),
                server_host_keys=[key],
                process_factory=_never if manner.closed_shell else played,
                encoding=None,
                line_editor=False,
                **options,
            )
            self._servers.append(server)
            return server.get_port()

        device.port = self._wait(listen())
        return device

    def telnet(self, recording: Recording, manner: Manner | None = None) -> Device:
        """A device on telnet, which asks for user and password."""
        device = Device(0, "")
        manner = manner or Manner()

        async def played(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            session = _Session(recording, manner, device, lambda: _telnet_byte(reader), _Tcp(writer))
            await self._play(session, lambda: _telnet_login(session, manner, device, writer))
            writer.close()

        device.port = self._listen(played)
        return device

    def raw(self, data: bytes, then: float = 0) -> int:
        """A port that says something which is no SSH, and closes after so many seconds; returns its number."""

        async def played(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(then)
            writer.close()

        return self._listen(played)

    def cutting(self, port: int, after: int) -> int:
        """A port that passes a device's bytes on, SSH's own ones too, and breaks off after so many of them."""

        async def played(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            behind, to_device = await asyncio.open_connection("127.0.0.1", port)
            there = asyncio.create_task(_pass(reader, to_device, sys.maxsize))
            await _pass(behind, writer, after)
            writer.transport.abort()
            to_device.transport.abort()
            await there

        return self._listen(played)

    def _listen(self, played: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> int:
        async def listen() -> int:
            server = await asyncio.start_server(played, "127.0.0.1", 0)
            self._servers.append(server)
            port: int = server.sockets[0].getsockname()[1]
            return port

        return self._wait(listen())

    async def _play(self, session: _Session, before: Callable[[], Awaitable[None]] | None = None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            if before is not None:
                await before()
            await session.run()
        except (_Gone, OSError, asyncssh.Error):
            pass
        finally:
            self._sessions.discard(task)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._sessions):
            task.cancel()
        await asyncio.sleep(0)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
    with contextlib.suppress(OSError):
        while most > 0 and (data := await reader.read(min(most, 65536))):
            most -= len(data)
            writer.write(data)
            await writer.drain()


async def _never(_process: asyncssh.SSHServerProcess[bytes]) -> None:
    await asyncio.sleep(3600)


async def _telnet_login(session: _Session, manner: Manner, device: Device, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x18")  # will echo, will suppress go-ahead, do terminal type
    for _ in range(3):
        await session._say("\nUsername: ")
        user = await session._line()
        if manner.echo:
            await session._say(f"{user}\n")
        await session._say("Password: ")
        password = await session._line()
        device.logins.append(password)
        if (user, password) == (manner.user, manner.password):
            await session._say("\n")
            return
        await session._say("\n% Login invalid\n")
    raise _Gone


async def _telnet_byte(reader: asyncio.StreamReader) -> bytes:
    """The next byte that is no option negotiation."""
    while True:
        byte = await reader.read(1)
        if byte != b"\xff":
            return byte
        verb = await reader.read(1)
        if verb == b"\xff":
            return verb
        if verb == b"\xfa":
            await reader.readuntil(b"\xff\xf0")
        elif verb in b"\xfb\xfc\xfd\xfe":
            await reader.read(1)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.replayer", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--prompt", default="", help="where the recording has none")
    parser.add_argument("--page", type=int, default=0, help="lines of a page")
    parser.add_argument("--delay", type=float, default=0, help="seconds after each write")
    parser.add_argument("--per-write", type=int, default=0, help="bytes of a write")
    asked = parser.parse_args(given)
    recording = read(asked.file, asked.prompt).with_answers({"terminal width 511": ""})
    manner = replace(Manner(), page=asked.page, delay=asked.delay, per_write=asked.per_write)
    with Replayer() as replayer:
        devices = [replayer.ssh(recording, manner) for _ in range(asked.count)]
        known = [f"[127.0.0.1]:{device.port} {device.key}" for device in devices]
        print(json.dumps({"ports": [device.port for device in devices], "known_hosts": known}), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
