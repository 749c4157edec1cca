"""How a device is reached, as the inventory's variables say it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from civicops.network.answers import DeviceError, Login, Settings
from civicops.network.platform import PlatformError, find
from civicops.text import printable

# The longest that a session may be let wait, in seconds.
_LONGEST = 3600
_PORTS = {False: 22, True: 23}
_PLATFORM = "netmiko_platform"
_LOGIN = ("user", "password", "port", "key_file", "key_passphrase")
_TIMES = ("connect_timeout", "command_timeout", "session_timeout")
VARIABLES = frozenset(
    [
        _PLATFORM,
        "netmiko_secret",
        "netmiko_host_key_checking",
        "netmiko_legacy_algorithms",
        "netmiko_jump_host",
        *(f"netmiko_{name}" for name in (*_LOGIN, *_TIMES)),
        *(f"netmiko_jump_{name}" for name in _LOGIN),
    ]
)
"""All variables of ours. Where one of a login is not set, Ansible's own is taken (`ansible_host`, `ansible_port`,
`ansible_user`, `ansible_password`, `ansible_ssh_private_key_file`), but never for a jump host."""
_ANSIBLE = {
    "netmiko_port": "ansible_port",
    "netmiko_user": "ansible_user",
    "netmiko_password": "ansible_password",
    "netmiko_key_file": "ansible_ssh_private_key_file",
}


def settings_of(device: str, variables: Mapping[str, Any], known_hosts: Path, *, accept_new: bool = False) -> Settings:
    """Read one device's settings.

    :raises DeviceError: a variable is missing, unknown or not what it should be; the message names it and the remedy,
        and never its value where that may be a secret.
    """
    return _Reader(device, variables).settings(known_hosts, accept_new=accept_new)


def same_address(settings: Sequence[Settings]) -> dict[str, DeviceError]:
    """The devices that are to be reached at another one's address: what it says would be kept as theirs too."""
    places: dict[tuple[str, int, str | None], list[str]] = {}
    for one in settings:
        place = (one.login.address.lower(), one.login.port, one.jump.address if one.jump else None)
        places.setdefault(place, []).append(one.device)
    return {
        name: DeviceError(
            "settings", f"it has the address of {' and '.join(one for one in names if one != name)[:200]}: correct one"
        )
        for names in places.values()
        if len(names) > 1
        for name in names
    }


class _Reader:
    def __init__(self, device: str, variables: Mapping[str, Any]) -> None:
        self._device = device
        self._variables = variables

    def settings(self, known_hosts: Path, *, accept_new: bool) -> Settings:
        self._refuse_unknown()
        name = self._text(_PLATFORM)
        if name is None:
            raise self._wrong(_PLATFORM, "is not set: say what kind of device it is, as in netmiko_platform: cisco_ios")
        try:
            platform, telnet = find(name)
        except PlatformError as error:
            raise DeviceError("settings", str(error)) from None
        address = self._text("ansible_host") or self._device
        times: dict[str, Any] = {name: self._seconds(f"netmiko_{name}") for name in _TIMES}
        settings = Settings(
            device=self._device,
            platform=platform,
            login=self._login("netmiko_", address, _PORTS[telnet], nameless=telnet),
            known_hosts=known_hosts,
            telnet=telnet,
            enable_secret=self._text("netmiko_secret"),
            host_key_checking=self._flag("netmiko_host_key_checking", default=True),
            accept_new=accept_new,
            legacy_algorithms=self._flag("netmiko_legacy_algorithms", default=False),
            jump=self._jump(),
        )
        return replace(settings, **{name: seconds for name, seconds in times.items() if seconds is not None})

    def _refuse_unknown(self) -> None:
        for name in sorted(map(str, self._variables)):
            if name.startswith("netmiko_") and name not in VARIABLES:
                near = difflib.get_close_matches(name, VARIABLES, 1)
                meant = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(VARIABLES))}"
                raise self._wrong(printable(name, 60), f"is no variable of ours{meant}")

    def _jump(self) -> Login | None:
        address = self._text("netmiko_jump_host")
        return None if address is None else self._login("netmiko_jump_", address, _PORTS[False])

    def _login(self, prefix: str, address: str, port: int, *, nameless: bool = False) -> Login:
        """`nameless`: a device that may ask for a password alone, as over telnet."""
        user = self._text(f"{prefix}user") or ("" if nameless else None)
        password, key_file = self._text(f"{prefix}password"), self._path(f"{prefix}key_file")
        if user is None:
            raise self._wrong(f"{prefix}user", "is not set: say who logs in")
        if password is None and key_file is None:
            raise self._wrong(f"{prefix}password", f"is not set, nor is {prefix}key_file: one of them is needed")
        if address.startswith("-") or any(character.isspace() for character in address):
            raise self._wrong("ansible_host" if prefix == "netmiko_" else f"{prefix}host", "is no address")
        return Login(
            address=address,
            port=self._port(f"{prefix}port") or port,
            user=user,
            password=password,
            key_file=key_file,
            key_passphrase=self._text(f"{prefix}key_passphrase"),
        )

    def _value(self, name: str) -> Any:
        value = self._variables.get(name)
        if value is None and name in _ANSIBLE:
            value = self._variables.get(_ANSIBLE[name])
        return value

    def _text(self, name: str) -> str | None:
        value = self._value(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._wrong(name, "is no text: put it in quotes")
        text = str(value)
        if any(character in text for character in "\r\n\0"):
            raise self._wrong(name, "has more than one line")
        return text

    def _path(self, name: str) -> Path | None:
        text = self._text(name)
        if text is None:
            return None
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise self._wrong(name, "must be a whole path, such as ~/.ssh/town_ed25519")
        if not path.is_file():
            raise self._wrong(name, f"there is no file {printable(path, 200)}")
        return path

    def _port(self, name: str) -> int | None:
        number = self._number(name)
        if number is not None and not (1 <= number <= 65535 and number == int(number)):
            raise self._wrong(name, "is no port: a number from 1 to 65535")
        return None if number is None else int(number)

    def _seconds(self, name: str) -> float | None:
        number = self._number(name)
        if number is not None and not 0 < number <= _LONGEST:
            raise self._wrong(name, f"must be seconds: more than 0, {_LONGEST} at most")
        return number

    def _number(self, name: str) -> float | None:
        value = self._value(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        except (TypeError, ValueError):
            raise self._wrong(name, "is no number") from None

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self._variables.get(name)
        if value is None:
            return default
        if str(value).lower() in ("true", "yes", "on", "1"):
            return True
        if str(value).lower() in ("false", "no", "off", "0"):
            return False
        raise self._wrong(name, "must be true or false")

    def _wrong(self, name: str, what: str) -> DeviceError:
        return DeviceError("settings", f"{name} {what}")
