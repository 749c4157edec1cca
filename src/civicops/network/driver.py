"""netmiko's classes, each with its own login and preparation, but bounded and without its waiting.

Nothing is asked through them: netmiko searches all that came so far again for each packet, and mends answers in ways
that lose lines. See `session` for how answers are read.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import netmiko
import paramiko
from netmiko.base_connection import BaseConnection
from netmiko.channel import Channel
from netmiko.exceptions import ReadTimeout
from netmiko.ssh_dispatcher import CLASS_MAPPER

from civicops.network.answers import DeviceError
from civicops.network.reach import Keys, transport_of
from civicops.network.wire import Limits, Wire

# Both write what is sent and received, passwords too, at their debug level; what matters is in our own errors.
for _name in ("netmiko", "paramiko"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

# How long a device has said nothing where netmiko would wait for seconds to see that it is done.
_QUIET = 0.3
_REST = 0.03
# How many characters of a greeting are searched, all searches together.
_MOST_SEARCHED = 4 * 1024 * 1024
_MOST_PASSWORDS = 2
_NO_ENABLE = "it is not in privileged mode: the enable secret is missing, wrong or not allowed"


class Bounded(BaseConnection):
    """Stands before a driver's class; `bounded` puts the two together."""

    wire: Wire
    limits: Limits
    keys: Keys
    _silence: float
    _legacy = False
    _searched = 0
    _passwords = 0

    def begin(self, limits: Limits, keys: Keys, silence: float, *, legacy: bool = False) -> None:
        """Connect, log in and prepare the session; no step of it waits longer than `silence`.

        :param legacy: SSH may use algorithms that were given up as unsafe.
        """
        self._legacy = legacy
        self.limits = limits
        self._silence = silence
        self.keys = keys
        self._open()

    @property
    def channel(self) -> Channel:
        return self.wire

    @channel.setter
    def channel(self, given: Any) -> None:
        self.wire = Wire(given.remote_conn, self.protocol == "telnet", self.limits)

    def _build_ssh_client(self) -> paramiko.SSHClient:
        client = self._get_ssh_client_instance()
        client.set_missing_host_key_policy(self.keys)
        return client

    def _connect_params_dict(self) -> dict[str, Any]:
        limit = max(0.1, min(self.conn_timeout, self.limits.left()))
        return super()._connect_params_dict() | {
            "look_for_keys": False,
            "allow_agent": False,
            "timeout": limit,
            "banner_timeout": limit,
            "auth_timeout": 2 * limit,  # some ask a RADIUS server first
            "channel_timeout": limit,
            "transport_factory": transport_of(self.keys, legacy=self._legacy),
        }

    def _try_session_preparation(self, force_data: bool = True) -> None:
        # A return could be the wrong key where a greeting waits for another one: `session` sees to that.
        super()._try_session_preparation(force_data and not self.device_type.startswith("generic"))

    def telnet_login(self, *arguments: Any, **named: Any) -> str:
        login: Callable[..., str] = super().telnet_login
        if self.device_type.startswith("generic"):  # netmiko's generic class leaves the login out
            login = super().std_login  # type: ignore[misc]
        try:
            return login(*arguments, **named)
        except DeviceError as error:
            if error.wrong == "cut" and self._passwords:
                raise DeviceError("login", "it ended the connection after the password: refused, or locked") from None
            raise

    def write_channel(self, out_data: str) -> None:
        if self.password and out_data.strip("\r\n") == self.password:
            # netmiko tries up to 20 times (telnet, cisco_asa), which locks users out.
            if self._passwords == _MOST_PASSWORDS:
                raise DeviceError("login", "user or password refused")
            self._passwords += 1
        super().write_channel(out_data)

    def enable(self, *arguments: Any, **named: Any) -> str:
        before, self._passwords = self._passwords, 0  # the secret may be the same
        try:
            return super().enable(*arguments, **named)
        except (ValueError, ReadTimeout):
            raise DeviceError("enable", _NO_ENABLE) from None
        finally:
            self._passwords = before

    def enable_secret_handler(self, pattern: str, output: str, re_flags: int = re.IGNORECASE) -> str:
        if not re.search(pattern, output, flags=re_flags):
            return ""
        self.write_channel(self.normalize_cmd(self.secret))
        answer = self.read_until_prompt_or_pattern(pattern=pattern, re_flags=re_flags, read_entire_line=True)
        if re.search(pattern, answer, flags=re_flags):  # it asks again
            raise DeviceError("enable", _NO_ENABLE)
        return answer

    def read_until_pattern(
        self, pattern: str = "", read_timeout: float = 10.0, re_flags: int = 0, max_loops: int | None = None
    ) -> str:
        """The same as netmiko's, but it wakes up when something comes, and a greeting can't be searched forever."""
        wanted = re.compile(pattern.removeprefix(".*"), re_flags)
        until = time.monotonic() + min(read_timeout or self._silence, self._silence)
        output = ""
        while True:
            output += self.read_channel()
            self._searched += len(output)
            if self._searched > _MOST_SEARCHED:
                raise DeviceError("flood", "it says more at login than a banner and a prompt")
            found = wanted.search(output)
            if found is not None and found.end() == len(output) and self.wire.wait(_REST):
                continue  # the rest of a prompt, by which netmiko judges in which mode it is
            if found is not None:
                self._read_buffer += output[found.end() :]
                return output[: found.end()]
            left = until - time.monotonic()
            if left <= 0 or not self.wire.wait(left):
                raise ReadTimeout("it did not say what was waited for")

    def read_channel_timing(
        self,
        last_read: float = _QUIET,
        read_timeout: float = 120.0,
        delay_factor: float | None = None,
        max_loops: int | None = None,
    ) -> str:
        until = time.monotonic() + min(read_timeout or self._silence, self._silence)
        output = self.read_channel()
        while (left := until - time.monotonic()) > 0:
            if self.wire.wait(min(_QUIET, left)):
                output += self.read_channel()
            elif output:
                return output
        raise ReadTimeout("it went on talking, or said nothing")

    def clear_buffer(self, backoff: bool = True, backoff_max: float = 3.0, delay_factor: float | None = None) -> str:
        output = self.read_channel()
        while self.wire.wait(0.02):
            output += self.read_channel()
        return self.strip_ansi_escape_codes(output)

    def cleanup(self, command: str = "") -> None:
        """Closing the connection is enough; some drivers would ask and wait for seconds."""


@cache
def bounded(driver: str, telnet: bool) -> type[Bounded]:
    """The class that logs in to such a device.

    :raises DeviceError: netmiko has none.
    """
    name = f"{driver}_telnet" if telnet else driver
    found = CLASS_MAPPER.get(name)
    if found is None:
        raise DeviceError("settings", f"netmiko {netmiko.__version__} has no {name}: it can't be reached in that way")
    return type("Bounded", (Bounded, found), {})
