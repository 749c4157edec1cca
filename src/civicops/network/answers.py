"""What a session with a device is made of: how it is reached, what it answered, how it went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from civicops.network.platform import Platform

Wrong = Literal[
    "unreachable",  # no connection: refused, timed out, no such name
    "host_key",  # its key is unknown, or another one than before
    "login",  # user, password or key refused
    "enable",  # no privileged mode
    "timeout",  # it stopped answering, or took longer than it may
    "cut",  # the connection ended in the middle
    "flood",  # it said more than a device of its kind has to say
    "refused",  # it does not know the command for its configuration, or does not allow it
    "partial",  # what it gave is not a whole configuration
    "settings",  # the inventory does not say how to reach it
    "fault",  # a fault of ours
]


class DeviceError(Exception):
    """One device was not asked to the end. The message is one line, fit for a terminal, and holds no secret."""

    def __init__(self, wrong: Wrong, reason: str) -> None:
        super().__init__(reason)
        self.wrong = wrong
        self.reason = reason


@dataclass(frozen=True)
class Login:
    """Who logs in where, and by what."""

    address: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    key_passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Settings:
    """How one device is reached, as the inventory says it. Times in seconds, sizes in bytes."""

    device: str
    """Its name in the inventory: the only name that anything on the controller is called after."""
    platform: Platform
    login: Login
    known_hosts: Path
    telnet: bool = False
    enable_secret: str | None = field(default=None, repr=False)
    host_key_checking: bool = True
    accept_new: bool = False
    """Whether the key of an address that is not in `known_hosts` is taken into it. A changed one never is."""
    legacy_algorithms: bool = False
    """Whether SSH may use what old devices know alone: SHA-1, CBC, MD5. Who listens in may come to read it."""
    jump: Login | None = None
    connect_timeout: float = 15
    command_timeout: float = 60
    """How long it may be silent before a command's answer is whole."""
    session_timeout: float = 300
    """How long the whole session may take."""
    most_bytes: int = 16 * 1024 * 1024
    """How much it may say in a session."""

    @property
    def secrets(self) -> list[str]:
        """What it is logged in to with, the longest first: it may come back from the device."""
        logins = [self.login] if self.jump is None else [self.login, self.jump]
        given = [self.enable_secret, *(one for login in logins for one in (login.password, login.key_passphrase))]
        return sorted({secret for secret in given if secret}, key=len, reverse=True)


@dataclass(frozen=True)
class Answers:
    """What a device said, by command: without the echo, the prompt and what the pager put between, lines ended by LF
    alone. What is refused is not among the texts."""

    texts: Mapping[str, str]
    refused: Mapping[str, str]
    """Commands that the device does not know or allow, and the line in which it said so."""
    prompt: str
    seconds: float
