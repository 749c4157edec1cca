"""Who is let in where: host keys, passwords, keys, privileges, jump hosts, telnet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from tests.standins.devices import settings
from tests.standins.playing import PASSWORD, USER, Device, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer
from tests.unit.network.conftest import CONFIG, Asks

from civicops.network.answers import DeviceError, Login
from civicops.network.platform import Platform
from civicops.network.session import ask

WRONG = "hunter2 hunter2"


def _hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def test_an_unknown_host_key_is_refused_before_anything_is_sent(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    replayer.ssh(ios).known_hosts(known_hosts)  # the right key, but of another port
    with pytest.raises(DeviceError, match=rf"\[127.0.0.1\]:{device.port} is unknown: ssh-ed25519 SHA256:") as raised:
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert raised.value.wrong == "host_key"
    assert str(known_hosts) in raised.value.reason
    assert device.logins == []


def test_without_a_known_hosts_file_every_key_is_unknown(
    replayer: Replayer, ios: Recording, platform: Platform, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError) as raised:
        ask(settings(replayer.ssh(ios), platform, tmp_path / "none"), [CONFIG])
    assert raised.value.wrong == "host_key"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_changed_host_key_is_told_loudly(
    kind: str, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    other = asyncssh.generate_private_key(kind).export_public_key("openssh").decode().strip()
    replace(device, key=other).known_hosts(known_hosts)
    with pytest.raises(DeviceError, match=r"THE HOST KEY OF \[127.0.0.1\]:\d+ HAS CHANGED") as raised:
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert raised.value.wrong == "host_key"
    assert device.logins == []


def test_a_revoked_host_key_is_refused(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    device.known_hosts(known_hosts)
    device.known_hosts(known_hosts, f"@revoked [127.0.0.1]:{device.port}")
    with pytest.raises(DeviceError, match="revoked"):
        ask(settings(device, platform, known_hosts), [CONFIG])


@pytest.mark.parametrize("line", ["plain", "hashed", "pattern", "among others"])
def test_the_right_host_key_is_found(
    line: str, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    name = f"[127.0.0.1]:{device.port}"
    names = {
        "plain": name,
        "hashed": _hashed(name),
        "pattern": "[127.0.*]:*,![127.0.0.2]:*",
        "among others": f"sw1.example,{name}",
    }[line]
    known_hosts.write_text("# comment\n\n@cert-authority * ssh-ed25519 AAAA\nbroken line\nx ssh-rsa !!!\n")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
    replace(device, key=other).known_hosts(known_hosts, names)  # before its present one: both count
    device.known_hosts(known_hosts, names)
    assert ask(settings(device, platform, known_hosts), [CONFIG]).texts[CONFIG].endswith("\nend\n\n")


def test_a_host_is_asked_for_the_kind_of_key_that_is_known(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    device = replayer.ssh(ios, host_key=rsa)
    device.known_hosts(known_hosts)
    assert ask(settings(device, platform, known_hosts), [CONFIG]).prompt == "rathaus-sw1#"


def test_host_key_checking_can_be_switched_off(replayer: Replayer, ios: Recording, platform: Platform) -> None:
    device = replayer.ssh(ios)
    given = settings(device, platform, Path("/nonexistent"), host_key_checking=False)
    assert ask(given, [CONFIG]).prompt == "rathaus-sw1#"


def test_secrets_are_in_no_error_and_in_no_log(asked: Asks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cret enable"
    with pytest.raises(DeviceError) as wrong_password:
        asked(Manner(password=WRONG))
    assert wrong_password.value.wrong == "login"
    assert USER in wrong_password.value.reason
    asked()
    told = [wrong_password.value.reason, *(record.getMessage() for record in caplog.records)]
    assert not [line for line in told if PASSWORD in line or secret in line or WRONG in line]


def test_a_refused_password_is_tried_once(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios, Manner(password=WRONG))
    device.known_hosts(known_hosts)
    with pytest.raises(DeviceError):
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert device.logins == [PASSWORD]


class TestKeys:
    @pytest.fixture
    def key(self) -> asyncssh.SSHKey:
        return asyncssh.generate_private_key("ssh-ed25519")

    @pytest.mark.parametrize("passphrase", [None, "open sesame"])
    def test_a_key_lets_in(
        self,
        passphrase: str | None,
        key: asyncssh.SSHKey,
        replayer: Replayer,
        ios: Recording,
        platform: Platform,
        known_hosts: Path,
        tmp_path: Path,
    ) -> None:
        file = tmp_path / "id"
        file.write_bytes(key.export_private_key("openssh", passphrase=passphrase, rounds=16))
        device = replayer.ssh(ios, user_keys=[key])
        device.known_hosts(known_hosts)
        login = Login("127.0.0.1", device.port, USER, key_file=file, key_passphrase=passphrase)
        assert ask(settings(device, platform, known_hosts, login=login), [CONFIG]).prompt == "rathaus-sw1#"
        assert device.logins == []

    @pytest.mark.parametrize(
        ("content", "passphrase", "said"),
        [
            (None, None, "can't be read: No such file"),
            ("encrypted", None, "needs a passphrase"),
            ("encrypted", WRONG, "passphrase is wrong"),
        ],
    )
    def test_a_key_that_can_not_be_used_is_told(
        self,
        content: str | None,
        passphrase: str | None,
        said: str,
        key: asyncssh.SSHKey,
        replayer: Replayer,
        ios: Recording,
        platform: Platform,
        known_hosts: Path,
        tmp_path: Path,
    ) -> None:
        file = tmp_path / "id"
        if content:
            file.write_bytes(key.export_private_key("openssh", passphrase="open sesame", rounds=16))
        device = replayer.ssh(ios, user_keys=[key])
        device.known_hosts(known_hosts)
        login = Login("127.0.0.1", device.port, USER, key_file=file, key_passphrase=passphrase)
        with pytest.raises(DeviceError, match=said) as raised:
            ask(settings(device, platform, known_hosts, login=login), [CONFIG])
        assert WRONG not in raised.value.reason

    def test_without_password_and_key_there_is_no_login(
        self, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
    ) -> None:
        device = replayer.ssh(ios)
        device.known_hosts(known_hosts)
        with pytest.raises(DeviceError) as raised:
            ask(
                settings(device, platform, known_hosts, login=Login("127.0.0.1", device.port, USER)),
                [CONFIG],
            )
        assert raised.value.wrong == "settings"
        assert device.logins == []


class TestEnable:
    SECRET = "s3cret enable"

    @pytest.fixture
    def unprivileged(self, ios: Recording) -> Recording:
        return replace(ios, user_prompt="rathaus-sw1>")

    def test_the_secret_gives_privileges(self, asked: Asks, unprivileged: Recording) -> None:
        answers = asked(Manner(enable_secret=self.SECRET), unprivileged, enable_secret=self.SECRET)
        assert answers.prompt == "rathaus-sw1#"
        assert answers.texts[CONFIG].endswith("\nend\n\n")

    @pytest.mark.parametrize("secret", [None, WRONG])
    def test_a_wrong_secret_is_told(self, secret: str | None, asked: Asks, unprivileged: Recording) -> None:
        with pytest.raises(DeviceError, match="enable secret") as raised:
            asked(Manner(enable_secret=self.SECRET), unprivileged, enable_secret=secret)
        assert raised.value.wrong == "enable"
        assert WRONG not in raised.value.reason

    def test_some_need_none(self, asked: Asks, unprivileged: Recording) -> None:
        assert asked(Manner(), unprivileged).prompt == "rathaus-sw1#"


class TestJump:
    JUMP = "jump password"

    def test_a_device_behind_a_jump_host(
        self, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
    ) -> None:
        jump = replayer.ssh(ios, Manner(user="hop", password=self.JUMP), forwards=True)
        device = replayer.ssh(ios)
        for host in (jump, device):
            host.known_hosts(known_hosts)
        through = Login("127.0.0.1", jump.port, "hop", self.JUMP)
        answers = ask(settings(device, platform, known_hosts, jump=through), [CONFIG], [CONFIG])
        assert answers.texts[CONFIG].endswith("\nend\n\n")
        assert (jump.logins, jump.received, device.logins) == ([self.JUMP], [], [PASSWORD])

    @pytest.mark.parametrize(
        ("password", "forwards", "known", "wrong", "said"),
        [
            (WRONG, True, True, "login", "jump host 127.0.0.1 port .* refused 'hop'"),
            (JUMP, False, True, "unreachable", "does not allow a connection"),
            (JUMP, True, False, "host_key", "jump host .* is unknown"),
        ],
    )
    def test_what_goes_wrong_at_the_jump_host_is_told_as_such(
        self,
        password: str,
        forwards: bool,
        known: bool,
        wrong: str,
        said: str,
        replayer: Replayer,
        ios: Recording,
        platform: Platform,
        known_hosts: Path,
    ) -> None:
        jump = replayer.ssh(ios, Manner(user="hop", password=self.JUMP), forwards=forwards)
        device = replayer.ssh(ios)
        device.known_hosts(known_hosts)
        if known:
            jump.known_hosts(known_hosts)
        through = Login("127.0.0.1", jump.port, "hop", password)
        with pytest.raises(DeviceError, match=said) as raised:
            ask(settings(device, platform, known_hosts, jump=through), [CONFIG])
        assert raised.value.wrong == wrong
        assert device.logins == []

    def test_a_device_that_the_jump_host_does_not_reach(
        self, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
    ) -> None:
        jump = replayer.ssh(ios, Manner(user="hop", password=self.JUMP), forwards=True)
        jump.known_hosts(known_hosts)
        gone = Login("127.0.0.1", 1, USER, PASSWORD)
        through = Login("127.0.0.1", jump.port, "hop", self.JUMP)
        with pytest.raises(DeviceError, match="can't reach it"):
            ask(settings(jump, platform, known_hosts, jump=through, login=gone), [CONFIG])


class TestTelnet:
    def test_a_device_on_telnet(
        self, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
    ) -> None:
        device = replayer.telnet(ios)
        answers = ask(settings(device, platform, known_hosts, telnet=True), [CONFIG], [CONFIG])
        assert answers.texts[CONFIG].endswith("\nend\n\n")
        assert device.logins == [PASSWORD]

    def test_a_refused_password_does_not_lock_the_user_out(
        self, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
    ) -> None:
        device = replayer.telnet(ios, Manner(password=WRONG))
        with pytest.raises(DeviceError) as raised:
            ask(settings(device, platform, known_hosts, telnet=True), [CONFIG])
        assert raised.value.wrong == "login"
        assert len(device.logins) <= 2

    def test_a_platform_without_telnet(self, replayer: Replayer, ios: Recording, known_hosts: Path) -> None:
        other = Platform.model_validate(
            {
                "id": "x",
                "title": "X",
                "vendor": "X",
                "driver": "vyos",
                "running": {"command": CONFIG},
                "restore": "by hand",
            }
        )
        with pytest.raises(DeviceError, match="has no vyos_telnet"):
            ask(settings(replayer.telnet(ios), other, known_hosts, telnet=True), [CONFIG])


def test_nobody_listens(platform: Platform, known_hosts: Path, replayer: Replayer, ios: Recording) -> None:
    device = replace(replayer.ssh(ios), port=1)
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1 port 1 refuses connections") as raised:
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert raised.value.wrong == "unreachable"


def test_a_device_that_knows_old_algorithms_alone(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios, kex_algs=["diffie-hellman-group1-sha1"])
    device.known_hosts(known_hosts)
    with pytest.raises(DeviceError, match="given up as unsafe") as raised:
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert raised.value.wrong == "unreachable"
    assert "netmiko_legacy_algorithms" in raised.value.reason
    allowed = settings(device, platform, known_hosts, legacy_algorithms=True)
    assert ask(allowed, [CONFIG]).texts[CONFIG]


@pytest.mark.parametrize(
    "offered", [{"encryption_algs": ["aes128-cbc"]}, {"encryption_algs": ["3des-cbc"]}, {"mac_algs": ["hmac-md5"]}]
)
def test_ciphers_and_digests_that_are_given_up(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path, offered: dict[str, list[str]]
) -> None:
    device = replayer.ssh(ios, **({"encryption_algs": ["aes128-ctr"]} | offered))
    device.known_hosts(known_hosts)
    with pytest.raises(DeviceError, match="given up as unsafe"):
        ask(settings(device, platform, known_hosts), [CONFIG])
    assert ask(settings(device, platform, known_hosts, legacy_algorithms=True), [CONFIG]).texts[CONFIG]


def test_a_name_without_an_address(platform: Platform, known_hosts: Path, replayer: Replayer, ios: Recording) -> None:
    login = Login("sw1.invalid", 22, USER, PASSWORD)
    with pytest.raises(DeviceError, match=r"no address for sw1\.invalid"):
        ask(settings(replayer.ssh(ios), platform, known_hosts, login=login), [CONFIG])


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x1b[2J" * 20000])
def test_what_is_no_ssh_server(
    said: bytes, replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replace(replayer.ssh(ios), port=replayer.raw(said))
    with pytest.raises(DeviceError) as raised:
        ask(settings(device, platform, known_hosts, connect_timeout=2), [CONFIG])
    assert raised.value.wrong in ("unreachable", "cut")
    assert "\x1b" not in raised.value.reason


def test_an_ssh_packet_of_2_gb_is_not_waited_for(replayer: Replayer, platform: Platform, known_hosts: Path) -> None:
    started = time.monotonic()
    port = replayer.raw(b"SSH-2.0-x\r\n\x7f\xff\xff\xfc" + b"x" * 100, then=10)
    device = Device(port, "")
    with pytest.raises(DeviceError, match="is no SSH server"):
        ask(settings(device, platform, known_hosts, connect_timeout=8), [CONFIG])
    assert time.monotonic() - started < 5
