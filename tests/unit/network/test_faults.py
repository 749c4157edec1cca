"""Devices that stop, flood, lie and lure: what is kept is whole or nothing, and none of it steers us."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from netmiko._telnetlib.telnetlib import Telnet
from tests.network_cuts import campaign
from tests.standins.devices import settings
from tests.standins.playing import PASSWORD, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer
from tests.unit.network.conftest import CONFIG, Asks

from civicops.network.answers import DeviceError
from civicops.network.platform import Platform
from civicops.network.session import ask
from civicops.network.wire import Limits, Wire


@pytest.fixture(scope="session")
def length(replayer: Replayer, ios: Recording, platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many bytes a session with the small switch has, up to its answer's last prompt."""
    device = replayer.ssh(ios)
    known_hosts = device.known_hosts(tmp_path_factory.mktemp("length") / "known_hosts")
    ask(settings(device, platform, known_hosts), [CONFIG], [CONFIG])
    return device.written - len(f"\r\n{ios.prompt}")


@pytest.mark.parametrize("gently", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1])
def test_a_cut_session_gives_nothing(share: float, gently: bool, asked: Asks, length: int) -> None:
    with pytest.raises(DeviceError) as raised:
        asked(Manner(cut_after=int(length * share), cut_gently=gently))
    assert raised.value.wrong == "cut"


def test_a_few_cuts_of_every_recorded_device() -> None:
    assert campaign(seed=7, size=12)[1] == []


def test_a_device_that_falls_silent_in_its_configuration(asked: Asks) -> None:
    with pytest.raises(DeviceError, match=r"said nothing for 0.5 s") as raised:
        asked(Manner(silent_after=700), command_timeout=0.5)
    assert raised.value.wrong == "timeout"


def test_a_device_that_is_slower_than_a_session_may_be(asked: Asks) -> None:
    with pytest.raises(DeviceError, match="session_timeout") as raised:
        asked(Manner(per_write=10, delay=0.05), session_timeout=1.5)
    assert raised.value.wrong == "timeout"


def test_a_device_that_never_opens_a_shell(asked: Asks) -> None:
    with pytest.raises(DeviceError) as raised:
        asked(Manner(closed_shell=True), command_timeout=0.5, connect_timeout=1)
    assert raised.value.wrong == "timeout"


def test_100_mb_of_configuration_are_too_much(asked: Asks) -> None:
    with pytest.raises(DeviceError, match="2,000,000 bytes") as raised:
        asked(Manner(flood=100_000_000), most_bytes=2_000_000)
    assert raised.value.wrong == "flood"


@pytest.mark.parametrize("line", ["x" * 1000 + "\n", "]" * 100_000, "opyrigh", "\x1b[31m", "(a+)+$"])
def test_a_banner_of_100_mb_is_too_much(line: str, asked: Asks) -> None:
    with pytest.raises(DeviceError) as raised:
        asked(Manner(banner=line * (100_000_000 // len(line) // 50)), command_timeout=2)
    assert raised.value.wrong == "flood"


def test_a_pager_without_end_is_left(asked: Asks) -> None:
    with pytest.raises(DeviceError) as raised:
        asked(Manner(page=5, endless=True), session_timeout=3)
    assert raised.value.wrong == "timeout"


def test_a_pager_without_end_fills_no_memory(asked: Asks) -> None:
    with pytest.raises(DeviceError) as raised:
        asked(Manner(page=30, endless=True), most_bytes=20_000)
    assert raised.value.wrong == "flood"


@pytest.mark.parametrize(
    ("mark", "wipe"),
    [
        (" --More-- ", "\r         \r"),
        (" --More-- ", "\b" * 10 + " " * 10 + "\b" * 10),
        (" --More-- ", "\b \b" * 10),
        ("--More--", "\x1b[8D        \x1b[8D"),
        ("\x1b[7m--More--\x1b[27m", "\r\x1b[K"),
        ("--More--", "\r\x1b[2K\x1b[0m"),
    ],
)
def test_however_a_pager_wipes_its_mark_away(mark: str, wipe: str, asked: Asks, ios: Recording) -> None:
    assert asked(Manner(page=3, mark=mark, wipe=wipe)).texts[CONFIG] == "".join(ios.answers[CONFIG])


@pytest.mark.parametrize("pieces", [0, 1, 13])
def test_a_banner_that_is_the_prompt_ends_no_configuration(pieces: int, asked: Asks, ios: Recording) -> None:
    lines = "".join(ios.answers[CONFIG])
    lure = lines.replace("No entry.\n", "No entry.\nrathaus-sw1#\nrathaus-sw1# \nrathaus-sw1#no\n --More-- or not\n")
    assert lure != lines
    assert asked(Manner(per_write=pieces), ios.with_answers({CONFIG: lure})).texts[CONFIG] == lure


def test_a_device_that_stops_at_a_banner_that_is_the_prompt(asked: Asks, ios: Recording, length: int) -> None:
    lines = "".join(ios.answers[CONFIG])
    lure = lines.replace("No entry.\n", "No entry.\nrathaus-sw1#\n")
    # The answer ends where `length` does; in the lure, 12 bytes of the banner's prompt stand where the cut is.
    rest = lure[lure.index("rathaus-sw1#\n") :].replace("\n", "\r\n").encode()
    whole = length + len(b"rathaus-sw1#\r\n") - len(ios.prompt)
    manner = Manner(silent_after=whole - len(rest) + len(b"rathaus-sw1#"))
    with pytest.raises(DeviceError, match="said nothing") as raised:
        asked(manner, ios.with_answers({CONFIG: lure}), command_timeout=0.5)
    assert raised.value.wrong == "timeout"


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/cron.d/x",
        "$(reboot)",
        "a.*b(c[d",
        "\x1b]0;owned\x07sw",
        "\x1b[2J\x1b[1;1Hsw",
        "swïtch",
        "{{ 7*7 }}",
        "%s%n",
        "x" * 150,
    ],
)
def test_hostile_names(name: str, asked: Asks, ios: Recording) -> None:
    answers = asked(Manner(), replace(ios, prompt=f"{name}#"))
    assert answers.texts[CONFIG] == "".join(ios.answers[CONFIG])
    assert answers.prompt.endswith("#")
    assert answers.prompt.isprintable()


def test_a_refusal_is_told_without_secrets_and_without_what_steers_a_terminal(asked: Asks, ios: Recording) -> None:
    said = f"% \x1b[31mNo, {PASSWORD}, not you\x1b]0;x\x07 at '^' marker\n"
    without = {command: text for command, text in ios.answers.items() if command != CONFIG}
    with pytest.raises(DeviceError, match="'show running-config' is refused: % No, ") as raised:
        asked(Manner(), replace(ios, answers=without, refusal=said))
    assert raised.value.wrong == "refused"
    assert PASSWORD not in raised.value.reason
    assert raised.value.reason.isprintable()


def test_an_unknown_question_is_no_answer(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    device.known_hosts(known_hosts)
    answers = ask(settings(device, platform, known_hosts), ["show power inline", CONFIG], [CONFIG])
    assert answers.refused == {"show power inline": "% Invalid input detected at '^' marker."}
    assert list(answers.texts) == [CONFIG]


def test_a_configuration_by_another_name(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    device = replayer.ssh(ios)
    device.known_hosts(known_hosts)
    asked_for = "show running-config all secrets"
    running = platform.running.model_copy(update={"command": asked_for, "otherwise": ("show conf", CONFIG, "never")})
    other = platform.model_copy(update={"running": running})
    answers = ask(settings(device, other, known_hosts), [asked_for], [asked_for])
    assert answers.texts == {CONFIG: "".join(ios.answers[CONFIG])}
    assert list(answers.refused) == [asked_for, "show conf"]
    assert "never" not in device.received


@pytest.fixture
def generic() -> Platform:
    """A platform that netmiko knows nothing of."""
    running = {"command": CONFIG}
    return Platform.model_validate(
        {"id": "x", "title": "X", "vendor": "X", "driver": "generic", "running": running, "restore": "by hand"}
    )


def test_a_device_without_echo(ios: Recording, replayer: Replayer, known_hosts: Path, generic: Platform) -> None:
    device = replayer.ssh(ios, Manner(echo=False))
    device.known_hosts(known_hosts)
    assert ask(settings(device, generic, known_hosts), [CONFIG], [CONFIG]).texts[CONFIG] == "".join(ios.answers[CONFIG])


@pytest.mark.parametrize("accept", ["(Press 'a' to accept): ", ""])
def test_a_greeting_that_wants_a_key(
    accept: str, ios: Recording, replayer: Replayer, known_hosts: Path, generic: Platform
) -> None:
    device = replayer.ssh(ios, Manner(banner="For officials of the town only.\n", accept=accept))
    device.known_hosts(known_hosts)
    assert ask(settings(device, generic, known_hosts), [CONFIG], [CONFIG]).texts[CONFIG].endswith("\nend\n\n")
    assert device.received == [CONFIG]


def test_characters_that_packets_share_are_kept(asked: Asks, ios: Recording) -> None:
    assert "Bürgerbüro, Fenster" in asked(Manner(per_write=1)).texts[CONFIG]


@contextlib.contextmanager
def _saying_without_end(said: bytes) -> Iterator[Telnet]:
    ours, theirs = socket.socketpair()

    def say() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(said * 100)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while theirs.recv(4096):
                pass

    threads = [threading.Thread(target=say), threading.Thread(target=listen)]
    for thread in threads:
        thread.start()
    telnet = Telnet()  # type: ignore[no-untyped-call]
    telnet.sock = ours
    try:
        yield telnet
    finally:
        ours.close()
        for thread in threads:
            thread.join()
        theirs.close()


@pytest.mark.parametrize("said", [b"\xff\xf1", b"\xff\xfb\x55", b"\xff\xfa" + b"x" * 100])
def test_telnet_options_without_end_end_with_the_session(said: bytes) -> None:
    started = time.monotonic()
    with _saying_without_end(said) as telnet, pytest.raises(DeviceError) as raised:
        Wire(telnet, True, Limits(started + 1, 1024)).receive(3)
    assert raised.value.wrong in ("timeout", "flood")
    assert time.monotonic() - started < 5
