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
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from tests.standins.playing import Device, Gone, Manner, Session
from tests.standins.recording import Recording, read

T = TypeVar("T")


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

            await self._play(Session(recording, manner, device, get, _Abort(process)))
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
            session = Session(recording, manner, device, lambda: _telnet_byte(reader), _Tcp(writer))
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

    async def _play(self, session: Session, before: Callable[[], Awaitable[None]] | None = None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            if before is not None:
                await before()
            await session.run()
        except (Gone, OSError, asyncssh.Error):
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


async def _telnet_login(session: Session, manner: Manner, device: Device, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x18")  # will echo, will suppress go-ahead, do terminal type
    for _ in range(3):
        await session.say("\nUsername: ")
        user = await session.line()
        if manner.echo:
            await session.say(f"{user}\n")
        await session.say("Password: ")
        password = await session.line()
        device.logins.append(password)
        if (user, password) == (manner.user, manner.password):
            await session.say("\n")
            return
        await session.say("\n% Login invalid\n")
    raise Gone


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
