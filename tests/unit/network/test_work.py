"""Devices are asked and what they say is kept: the whole way but for Ansible, with a small switch that is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.standins import devices
from tests.standins.playing import PASSWORD, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer
from tests.unit.network.kept import sealed, unsealed

from civicops.ledger.documents import check_body
from civicops.network.answers import Settings
from civicops.network.platform import Platform
from civicops.network.store import Store
from civicops.network.work import Outcome, back_up, look
from civicops.state import TownState

CONFIG = "show running-config"
Device = Callable[..., Settings]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(TownState("riverton", tmp_path / "state"), sealed)


@pytest.fixture
def device(replayer: Replayer, platform: Platform, known_hosts: Path) -> Device:
    """A device that is played, and how it is reached."""

    def made(name: str, recording: Recording, manner: Manner | None = None) -> Settings:
        playing = replayer.ssh(recording, manner)
        playing.known_hosts(known_hosts)
        return replace(devices.settings(playing, platform, known_hosts), device=name)

    return made


def kept(
    store: Store, *work: Settings, facts: bool = True, accept: tuple[str, ...] = (), check: bool = False
) -> dict[str, Outcome]:
    outcomes: list[Outcome] = []
    back_up(work, store, outcomes.append, run="network-1", facts=facts, accept_shrunk=accept, check=check, threads=4)
    for outcome in outcomes:
        for kind, body in (("device-facts", outcome.facts), ("device-config", outcome.config)):
            if body is not None:
                check_body(kind, 1, body)
    assert len({outcome.device for outcome in outcomes}) == len(outcomes) == len(work)
    return {outcome.device: outcome for outcome in outcomes}


def config_of(recording: Recording) -> str:
    return "".join(recording.answers[CONFIG])


def saying(recording: Recording, text: str) -> Recording:
    return recording.with_answers({CONFIG: text})


def test_a_first_backup_an_unchanged_one_and_a_change(device: Device, ios: Recording, store: Store) -> None:
    first = kept(store, device("sw1", ios), device("sw2", ios))
    assert {name: (one.changed, one.error) for name, one in first.items()} == {"sw1": (True, None), "sw2": (True, None)}
    body = first["sw1"].config
    assert body is not None
    assert (body["outcome"], body["words"], body["changed"]) == ("whole", "first backup", True)
    assert body["whole_at"] is not None

    again = kept(store, device("sw1", ios), device("sw2", ios))
    assert not any(one.changed for one in again.values())
    assert again["sw1"].config is not None
    assert again["sw1"].config["sha256"] == body["sha256"]

    changed = saying(ios, config_of(ios).replace("\nend", "\nntp server 192.0.2.77\nend"))
    third = kept(store, device("sw1", changed), device("sw2", ios))
    assert (third["sw1"].changed, third["sw2"].changed) == (True, False)
    assert "+ntp server 192.0.2.77" in third["sw1"].diff
    assert "1 line more" in third["sw1"].words
    assert "ntp server 192.0.2.77" in (store.text("sw1") or "")


def test_one_that_is_not_whole_leaves_the_last_good_one_and_is_told(
    device: Device, ios: Recording, store: Store
) -> None:
    kept(store, device("sw1", ios))
    good, head = store.text("sw1"), store.history("sw1")
    cut = saying(ios, config_of(ios).rpartition("\nend")[0] + "\n")
    outcome = kept(store, device("sw1", cut))["sw1"]
    assert outcome.error is not None
    assert outcome.error.wrong == "partial"
    assert "its end marker is missing" in outcome.error.reason
    assert outcome.config is not None
    assert outcome.config["outcome"] == "refused"
    assert outcome.config["whole_at"] is not None, "of the one that is kept"
    assert (store.text("sw1"), store.history("sw1")) == (good, head)


def test_half_of_the_last_one_is_refused_until_it_is_accepted(device: Device, ios: Recording, store: Store) -> None:
    kept(store, device("sw1", ios))
    small = saying(ios, "Building configuration...\n!\nversion 15.2\nhostname core\nend\n")
    refused = kept(store, device("sw1", small))["sw1"]
    assert refused.error is not None
    assert "accept_shrunk: [sw1]" in refused.error.reason
    accepted = kept(store, device("sw1", small), accept=("sw1",))["sw1"]
    assert accepted.error is None
    assert accepted.changed


def test_a_connection_that_breaks_is_one_devices_matter(device: Device, ios: Recording, store: Store) -> None:
    outcomes = kept(store, device("sw1", ios), device("sw2", ios, Manner(cut_after=400)), device("sw3", ios))
    assert outcomes["sw2"].error is not None
    assert outcomes["sw2"].config is None
    assert store.text("sw2") is None
    assert all(outcomes[name].changed for name in ("sw1", "sw3"))


def test_check_mode_tells_and_keeps_nothing(device: Device, ios: Recording, store: Store) -> None:
    outcome = kept(store, device("sw1", ios), check=True)["sw1"]
    assert outcome.changed
    assert outcome.config is not None
    assert outcome.config["whole_at"] is None
    assert list(store.directory.rglob("*")) == [], "not even a key"
    kept(store, device("sw1", ios))
    before = {path: path.read_bytes() for path in store.directory.rglob("*") if path.is_file()}
    assert not kept(store, device("sw1", ios), check=True)["sw1"].changed
    assert {path: path.read_bytes() for path in store.directory.rglob("*") if path.is_file()} == before


def test_a_name_that_is_no_files_name_is_refused(device: Device, ios: Recording, store: Store) -> None:
    outcomes = kept(store, device("../../etc/cron.d/x", ios), device("sw1", ios))
    error = outcomes["../../etc/cron.d/x"].error
    assert error is not None
    assert "no file can be called" in error.reason
    assert outcomes["sw1"].changed


def test_secrets_are_in_the_raw_form_alone(device: Device, ios: Recording, store: Store) -> None:
    secret = "hunter2-and-more"
    text = config_of(ios).replace("\nend", f"\nusername bob password 0 {secret}\nend")
    outcome = kept(store, device("sw1", saying(ios, text)))["sw1"]
    assert secret not in (store.text("sw1") or "")
    assert secret not in str(outcome)
    raw = unsealed(store.raw_file("sw1").read_bytes()).decode()
    assert f"username bob password 0 {secret}" in raw
    assert raw.rstrip("\n") in text, "as the device said it, from its first line to its last"


def test_looking_alone_keeps_nothing(device: Device, ios: Recording, store: Store) -> None:
    outcomes: list[Outcome] = []
    look([device("sw1", ios)], outcomes.append, threads=1)
    [outcome] = outcomes
    assert outcome.config is None
    assert outcome.facts is not None
    check_body("device-facts", 1, outcome.facts)
    assert list(store.directory.iterdir()) == []


def test_what_it_was_logged_in_to_with_is_in_nothing_that_is_read(device: Device, ios: Recording, store: Store) -> None:
    text = config_of(ios).replace("\nend", f"\nalias exec x say-{PASSWORD}-loud\nend")
    version = f"Cisco IOS Software, Version {PASSWORD}, RELEASE\n{PASSWORD} uptime is 2 weeks\n"
    recording = saying(ios, text).with_answers({"show version": version})
    outcome = kept(store, device("sw1", recording))["sw1"]
    assert outcome.changed
    assert PASSWORD not in (store.text("sw1") or "")
    assert "alias exec x say-<secret " in (store.text("sw1") or "")
    assert PASSWORD not in str(outcome.facts)


def test_a_fault_of_ours_over_one_device_is_that_devices(
    device: Device, ios: Recording, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(platform: Platform, text: str) -> object:
        raise ZeroDivisionError if "fatal" in text else KeyError

    monkeypatch.setattr("civicops.network.work.signs", broken)
    outcomes = kept(store, device("sw1", ios))
    assert outcomes["sw1"].error is not None
    assert (outcomes["sw1"].error.wrong, outcomes["sw1"].config) == ("fault", None)
    assert "please report it" in outcomes["sw1"].error.reason


def test_one_that_is_longer_than_any_is_not_kept(device: Device, ios: Recording, store: Store) -> None:
    long = config_of(ios).replace("\nend", "\n" + "! x\n" * 1_100_000 + "end")
    outcome = kept(store, device("sw1", saying(ios, long)))["sw1"]
    assert outcome.error is not None
    assert "the longest that is kept has" in outcome.error.reason


def test_what_turns_the_reading_around_stands_in_git_as_an_escape(device: Device, ios: Recording, store: Store) -> None:
    text = config_of(ios).replace("\nend", "\nalias exec x \u202eyned\nend")
    kept(store, device("sw1", saying(ios, text)))
    assert "alias exec x \\u202eyned" in (store.text("sw1") or "")
    assert "\u202e" in unsealed(store.raw_file("sw1").read_bytes()).decode()
