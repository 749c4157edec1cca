from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.standins import devices
from tests.standins.playing import Device, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer

from civicops.network.answers import Answers
from civicops.network.platform import Platform, find
from civicops.network.session import ask

CONFIG = "show running-config"
Asks = Callable[..., Answers]


@pytest.fixture(scope="session")
def replayer() -> Iterator[Replayer]:
    with Replayer() as playing:
        yield playing


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    file = tmp_path / "known_hosts"
    file.touch()
    return file


@pytest.fixture(scope="session")
def ios() -> Recording:
    """A small switch."""
    return devices.read(devices.OWN / "ios.yaml")


@pytest.fixture(scope="session")
def platform() -> Platform:
    return find("cisco_ios")[0]


@pytest.fixture
def asked(replayer: Replayer, ios: Recording, platform: Platform, known_hosts: Path) -> Asks:
    """Ask the small switch for its configuration; it behaves in some manner, and is reached in some way."""

    def ask_it(manner: Manner | None = None, recording: Recording = ios, **more: object) -> Answers:
        device: Device = replayer.ssh(recording, manner)
        device.known_hosts(known_hosts)
        return ask(devices.settings(device, platform, known_hosts, **more), [CONFIG], [CONFIG])

    return ask_it
