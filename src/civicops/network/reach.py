"""The way to a device: what its login needs, a jump host in between, and what an error on that way means."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import paramiko
from netmiko.exceptions import ReadException
from paramiko.ssh_exception import IncompatiblePeer, NoValidConnectionsError

from civicops.network.answers import DeviceError, Login, Settings
from civicops.network.known_hosts import AnyKey, KnownHosts
from civicops.text import printable

Keys = KnownHosts | AnyKey


def host_keys(settings: Settings, login: Login) -> Keys:
    """What is known of the key of the host that `login` names."""
    if not settings.host_key_checking:
        return AnyKey()
    return KnownHosts(settings.known_hosts, login.address, login.port, accept_new=settings.accept_new)


# What paramiko still knows and OpenSSH no longer offers by itself.
_LEGACY = re.compile(r"-sha1$|^ssh-(rsa|dss)$|cbc|md5|^hmac-sha1-96")
_STILL_FINE = {"hmac-sha1"}
# What OpenSSH takes too; no server may send more than 35,000 bytes. paramiko would take 4 GB.
_LONGEST_PACKET = 256 * 1024


def transport_of(keys: Keys, *, legacy: bool = False) -> Callable[..., paramiko.Transport]:
    """What makes paramiko's transports: a host is asked for the kind of key that is known of it, and for algorithms
    that were given up as unsafe only where that is allowed."""

    def made(*arguments: Any, **named: Any) -> paramiko.Transport:
        transport = paramiko.Transport(*arguments, **named)
        transport.packetizer.read_all = _bounded(transport.packetizer.read_all)
        options = transport.get_security_options()
        if not legacy:
            for kind in ("kex", "key_types", "ciphers", "digests"):
                setattr(options, kind, tuple(one for one in getattr(options, kind) if not _given_up(one)))
        options.key_types = keys.prefer(options.key_types)
        return transport

    return made


def _bounded(read: Callable[..., bytes]) -> Callable[..., bytes]:
    def read_all(size: int, check_rekey: bool = False) -> bytes:
        if size > _LONGEST_PACKET:
            raise paramiko.SSHException("a packet is longer than any may be")
        return read(size, check_rekey)

    return read_all


def _given_up(algorithm: str) -> bool:
    return algorithm not in _STILL_FINE and _LEGACY.search(algorithm) is not None


def key_of(login: Login) -> paramiko.PKey | None:
    """The SSH key that logs in.

    :raises DeviceError: its file can't be used.
    """
    if login.key_file is None:
        return None
    with _KEYS:
        return _key(login.key_file, login.key_passphrase)


# A passphrase costs a second to try: once for all devices.
_KEYS = threading.Lock()


@cache
def _key(file: Path, passphrase: str | None) -> paramiko.PKey:
    try:
        file.read_bytes()
    except OSError as error:
        raise DeviceError("settings", f"the SSH key {file} can't be read: {error.strerror}") from None
    for kind in (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey):
        try:
            key = kind.from_private_key_file(str(file), passphrase)
        except paramiko.PasswordRequiredException:
            raise DeviceError("settings", f"the SSH key {file} needs a passphrase") from None
        except (paramiko.SSHException, ValueError, TypeError):
            continue
        certificate = file.with_name(f"{file.name}-cert.pub")
        if certificate.exists():
            key.load_certificate(str(certificate))
        return key
    wrong = "its passphrase is wrong, or it" if passphrase else "it"
    raise DeviceError("settings", f"the SSH key {file} can't be used: {wrong} is of no kind that is known here")


class Jump:
    """A jump host's connection, which all devices behind it share. Close it at the end."""

    def __init__(self, settings: Settings) -> None:
        if settings.jump is None:
            raise DeviceError("settings", "it has no jump host")
        self._login = settings.jump
        self._settings = settings
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._failed: DeviceError | None = None

    def channel(self, login: Login) -> paramiko.Channel:
        """A way to a device, through the jump host.

        :raises DeviceError: the jump host is not reached, or does not reach the device.
        """
        transport = self._transport()
        to, end = (login.address, login.port), ("127.0.0.1", 0)
        try:
            return transport.open_channel("direct-tcpip", to, end, timeout=self._settings.connect_timeout)
        except paramiko.ChannelException as error:
            why = "does not allow a connection to it" if error.code == 1 else "can't reach it"
            raise DeviceError("unreachable", f"the jump host {_where(self._login)} {why}") from None
        except (paramiko.SSHException, EOFError, OSError):
            raise DeviceError("unreachable", f"the jump host {_where(self._login)} did not answer") from None

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _transport(self) -> paramiko.Transport:
        with self._lock:
            if self._failed is not None:  # for one it is as for all: 200 devices don't wait for it one by one
                raise DeviceError(self._failed.wrong, self._failed.reason)
            transport = None if self._client is None else self._client.get_transport()
            if transport is None or not transport.is_active():
                try:
                    self._client = self._connect()
                except DeviceError as error:
                    self._failed = DeviceError(error.wrong, f"jump host {_where(self._login)}: {error.reason}")
                    raise self._failed from None
                transport = self._client.get_transport()
            return transport

    def _connect(self) -> paramiko.SSHClient:
        login = self._login
        key = key_of(login)
        keys = host_keys(self._settings, login)
        limit = self._settings.connect_timeout
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(keys)
        try:
            client.connect(
                login.address,
                login.port,
                login.user,
                login.password,
                pkey=key,
                look_for_keys=False,
                allow_agent=False,
                timeout=limit,
                banner_timeout=limit,
                auth_timeout=2 * limit,
                channel_timeout=limit,
                transport_factory=transport_of(keys),
            )
            client.get_transport().set_keepalive(30)
        except Exception as error:
            client.close()
            raise told(error, login) from None
        return client


def told(error: Exception, login: Login) -> DeviceError:
    """What an error of netmiko, paramiko or a socket means. Their own texts hold what the device said: none is kept."""
    where = _where(login)
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, DeviceError):
            return cause
    for cause in reversed(chain):  # netmiko's own ones stand around what really was
        found = _known(cause, where, login)
        if found is not None:
            return found
    if isinstance(error, (paramiko.SSHException, EOFError)):
        return DeviceError("unreachable", f"{where} is no SSH server, or ended the connection before the login")
    if isinstance(error, (ReadException, ValueError)):
        return DeviceError("timeout", "its prompt was not found after the login: is netmiko_platform the right one?")
    if isinstance(error, OSError):
        return DeviceError("unreachable", f"{where}: {error.strerror or type(error).__name__}")
    return DeviceError("fault", f"{type(error).__name__} in a session: please report it")


def _known(cause: BaseException, where: str, login: Login) -> DeviceError | None:
    if isinstance(cause, paramiko.AuthenticationException):  # netmiko's is one of these
        if "transport shut down" in str(cause):
            return DeviceError("cut", f"{where} ended the connection at login")
        if "Authentication timeout" in str(cause):
            return DeviceError("timeout", f"{where} did not answer to the login in time")
        return DeviceError("login", f"{where} refused {printable(login.user, 60)!r} and the password or key")
    if isinstance(cause, IncompatiblePeer):
        return DeviceError(
            "unreachable",
            f"{where} knows only SSH algorithms that are given up as unsafe: it needs newer software or another key; "
            "until then, netmiko_legacy_algorithms: true allows them for it",
        )
    if isinstance(cause, socket.gaierror):
        return DeviceError("unreachable", f"there is no address for {printable(login.address, 100)}")
    if isinstance(cause, (ConnectionRefusedError, NoValidConnectionsError)):
        return DeviceError("unreachable", f"{where} refuses connections or has no way there: is SSH or telnet on?")
    if isinstance(cause, TimeoutError):
        return DeviceError("unreachable", f"{where} did not answer in time")
    if isinstance(cause, (ConnectionError, EOFError)):
        return DeviceError("cut", f"{where} ended the connection at login")
    if isinstance(cause, paramiko.SSHException) and "No authentication methods" in str(cause):
        return DeviceError("settings", "there is neither a password nor an SSH key for it")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _where(login: Login) -> str:
    return f"{printable(login.address, 100)} port {login.port}"
