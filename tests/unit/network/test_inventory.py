"""How a device is reached, as its variables say it; and one clear line where they don't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from civicops.network.answers import DeviceError, Settings
from civicops.network.inventory import same_address, settings_of

KNOWN = Path("/state/known_hosts")
GOOD: dict[str, Any] = {
    "netmiko_platform": "cisco_ios",
    "netmiko_user": "ops",
    "netmiko_password": "s3cret-pass",
    "ansible_host": "192.0.2.1",
}


def wrong(**changes: Any) -> str:
    given = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    with pytest.raises(DeviceError) as caught:
        settings_of("sw1", given, KNOWN)
    assert caught.value.wrong == "settings"
    assert "s3cret" not in caught.value.reason
    assert "\n" not in caught.value.reason
    return caught.value.reason


def test_the_least_that_is_needed() -> None:
    settings = settings_of("sw1", GOOD, KNOWN)
    assert (settings.device, settings.login.address, settings.login.port) == ("sw1", "192.0.2.1", 22)
    assert settings.platform.id == "cisco_ios"
    assert settings.host_key_checking
    assert not settings.accept_new
    assert settings.jump is None
    assert "s3cret" not in repr(settings)


def test_ansibles_own_variables_are_taken_where_there_are_none_of_ours(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("x")
    given = {
        "netmiko_platform": "cisco_ios",
        "ansible_user": "admin",
        "ansible_ssh_private_key_file": str(key),
        "ansible_port": "2222",
    }
    login = settings_of("sw1", given, KNOWN).login
    assert (login.address, login.user, login.port, login.key_file) == ("sw1", "admin", 2222, key)


def test_a_jump_host_has_a_login_of_its_own() -> None:
    given = GOOD | {"netmiko_jump_host": "bastion", "netmiko_jump_user": "jump", "netmiko_jump_password": "other"}
    jump = settings_of("sw1", given, KNOWN).jump
    assert jump is not None
    assert (jump.address, jump.user, jump.password, jump.port) == ("bastion", "jump", "other", 22)
    assert "netmiko_jump_password" in wrong(netmiko_jump_host="bastion", netmiko_jump_user="jump"), "not the device's"


def test_telnet_is_a_platform_of_its_own_name() -> None:
    settings = settings_of("sw1", GOOD | {"netmiko_platform": "cisco_ios_telnet"}, KNOWN)
    assert settings.telnet
    assert settings.login.port == 23


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"netmiko_platform": ...}, "netmiko_platform is not set"),
        ({"netmiko_platform": "cisco_oss"}, "there are: "),
        ({"netmiko_user": ...}, "netmiko_user is not set"),
        ({"netmiko_password": ...}, "netmiko_password is not set, nor is netmiko_key_file"),
        ({"netmiko_password": "s3cret\nline"}, "netmiko_password has more than one line"),
        ({"netmiko_password": ["s3cret"]}, "netmiko_password is no text"),
        ({"netmiko_pasword": "s3cret"}, "did you mean netmiko_password?"),
        ({"netmiko_port": 70000}, "netmiko_port is no port"),
        ({"netmiko_port": "ssh"}, "netmiko_port is no number"),
        ({"netmiko_port": True}, "netmiko_port is no number"),
        ({"netmiko_key_file": "id_rsa"}, "must be a whole path"),
        ({"netmiko_key_file": "/no/such/key"}, "there is no file /no/such/key"),
        ({"netmiko_host_key_checking": "maybe"}, "must be true or false"),
        ({"netmiko_session_timeout": 0}, "more than 0"),
        ({"netmiko_command_timeout": 1e9}, "3600 at most"),
        ({"ansible_host": "-oProxyCommand=x"}, "ansible_host is no address"),
        ({"ansible_host": "a b"}, "ansible_host is no address"),
    ],
)
def test_one_line_says_which_variable_and_what_to_do(changes: dict[str, Any], told: str) -> None:
    assert told in wrong(**changes)


def test_two_devices_with_one_address_are_told_both() -> None:
    def at(name: str, **changes: Any) -> Settings:
        return settings_of(name, GOOD | changes, KNOWN)

    jump = {"netmiko_jump_host": "192.0.2.9", "netmiko_jump_user": "j", "netmiko_jump_password": "p"}
    found = same_address(
        [at("a"), at("b"), at("c", netmiko_port=23), at("d", ansible_host="192.0.2.2"), at("e", **jump)]
    )
    assert {name: error.reason for name, error in found.items()} == {
        "a": "it has the address of b: correct one",
        "b": "it has the address of a: correct one",
    }
