"""Many devices at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.standins.devices import OWN, ROOT, settings
from tests.standins.playing import Device, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer
from tests.unit.network.conftest import CONFIG

from civicops.network.answers import Answers, DeviceError, Login, Settings
from civicops.network.platform import Platform
from civicops.network.pool import Asked, Outcome, ask_all

CUT, LOUD, GONE, ODD = "cut", "loud", "gone", "odd"


@pytest.fixture
def work(replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path) -> list[Settings]:
    """Twelve devices: one is cut, one floods, one isn't there, and with one it is our own code that fails."""
    manners = {CUT: Manner(cut_after=600), LOUD: Manner(flood=3_000_000)}
    devices = {name: replayer.ssh(ios, manners.get(name)) for name in [CUT, LOUD, GONE, ODD, *map(str, range(8))]}
    for device in devices.values():
        device.known_hosts(known_hosts)
    devices[GONE].port = 1
    return [
        settings(device, platform, known_hosts, device=name, most_bytes=1_000_000) for name, device in devices.items()
    ]


def _commands(asked: Settings) -> Asked:
    if asked.device == ODD:
        raise KeyError("rathaus secret")
    return [CONFIG], [CONFIG]


def test_the_fault_of_one_is_never_anothers(work: list[Settings]) -> None:
    outcomes: dict[str, Outcome] = {}
    threads = set()

    def done(asked: Settings, outcome: Outcome) -> None:
        threads.add(threading.current_thread())
        assert asked.device not in outcomes
        outcomes[asked.device] = outcome

    ask_all(work, _commands, done, threads=5)
    wrong = {name: got.wrong for name, got in outcomes.items() if isinstance(got, DeviceError)}
    assert wrong == {CUT: "cut", LOUD: "flood", GONE: "unreachable", ODD: "fault"}
    whole = [got.texts[CONFIG] for got in outcomes.values() if isinstance(got, Answers)]
    assert len(whole) == 8
    assert all(text.endswith("\nend\n\n") for text in whole)
    assert threads == {threading.current_thread()}
    odd = outcomes[ODD]
    assert isinstance(odd, DeviceError)
    assert "rathaus" not in odd.reason


def test_who_is_not_asked_by_the_deadline_is_told_so(work: list[Settings]) -> None:
    outcomes: list[Outcome] = []
    ask_all(work, _commands, lambda _asked, outcome: outcomes.append(outcome), deadline=time.monotonic())
    assert [got.wrong for got in outcomes if isinstance(got, DeviceError)] == ["timeout"] * len(work)


def test_what_the_caller_raises_ends_it(work: list[Settings]) -> None:
    seen: list[str] = []

    def done(asked: Settings, _outcome: Outcome) -> None:
        seen.append(asked.device)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        ask_all(work, _commands, done, threads=2)
    assert len(seen) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("device-")]


def test_sessions_are_broken_off_where_nobody_waits_for_them(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    quick, stuck = replayer.ssh(ios), replayer.ssh(ios, Manner(silent_after=700))
    for device in (quick, stuck):
        device.known_hosts(known_hosts)
    work = [settings(stuck, platform, known_hosts, device="stuck"), settings(quick, platform, known_hosts)]

    def done(asked: Settings, _outcome: Outcome) -> None:
        assert asked.device == "sw1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_all(work, _commands, done)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("device-")]


def test_devices_of_another_process(platform: Platform, known_hosts: Path) -> None:
    command = [sys.executable, "-m", "tests.standins.replayer", "--count", "3", "--page", "9", str(OWN / "ios.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as playing:
        assert playing.stdout is not None
        told = json.loads(playing.stdout.readline())
        known_hosts.write_text("\n".join(told["known_hosts"]) + "\n")
        work = [settings(Device(port, ""), platform, known_hosts, device=str(port)) for port in told["ports"]]
        outcomes: list[Outcome] = []
        ask_all(work, _commands, lambda _asked, outcome: outcomes.append(outcome))
        playing.communicate("")
    assert playing.returncode == 0
    assert [outcome.prompt for outcome in outcomes if isinstance(outcome, Answers)] == ["rathaus-sw1#"] * 3


def test_nobody_to_ask() -> None:
    ask_all([], _commands, lambda asked, outcome: pytest.fail(f"{asked} {outcome}"))


def test_all_share_one_connection_to_the_jump_host(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    jump = replayer.ssh(ios, Manner(user="hop", password="hop hop"), forwards=True)
    jump.known_hosts(known_hosts)
    through = Login("127.0.0.1", jump.port, "hop", "hop hop")
    work = []
    for number in range(6):
        device = replayer.ssh(ios)
        device.known_hosts(known_hosts)
        work.append(settings(device, platform, known_hosts, device=str(number), jump=through))
    outcomes: list[Outcome] = []
    ask_all(work, _commands, lambda _asked, outcome: outcomes.append(outcome))
    assert [type(outcome) for outcome in outcomes] == [Answers] * 6
    assert jump.logins == ["hop hop"]


def test_a_jump_host_that_refuses_is_asked_once(
    replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path
) -> None:
    jump = replayer.ssh(ios, Manner(user="hop", password="hop hop"), forwards=True)
    jump.known_hosts(known_hosts)
    through = Login("127.0.0.1", jump.port, "hop", "wrong")
    behind = settings(replayer.ssh(ios), platform, known_hosts, jump=through)
    outcomes: list[Outcome] = []
    work = [replace(behind, device=str(number)) for number in range(6)]
    ask_all(work, _commands, lambda _asked, outcome: outcomes.append(outcome))
    assert [got.wrong for got in outcomes if isinstance(got, DeviceError)] == ["login"] * 6
    assert jump.logins == ["wrong"]
