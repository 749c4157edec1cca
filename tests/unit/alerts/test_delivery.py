"""The outbox under crashes, several processes, several towns and damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from civicops.alerts import Notice, deliver, raise_notice, waiting
from civicops.state import TownState

from .conftest import TOKEN, HookServer, MailServer, alert, make_town, status, write_private

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
Trusted = Callable[..., None]

PROCESS = """
import sys
from datetime import datetime
from civicops.alerts import Notice, deliver, raise_notice
from civicops.state import TownState
from civicops.town.model import Town
what, town, now = sys.argv[1], Town.model_validate_json(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
state = TownState(town.id)
for number in range(int(sys.argv[4]) if what == "raise" else 0):
    raise_notice(town, state, Notice("failure", f"k{number}", f"Subject {number}", "text"), now)
    print(number, flush=True)
if what == "deliver":
    print(deliver(town, state, now).sent)
"""


def start(what: str, town: object, now: datetime, count: int = 0) -> subprocess.Popen[str]:
    """A process that raises notices or delivers."""
    text = json.dumps(town)
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, what, text, now.isoformat(), str(count)], stdout=subprocess.PIPE, text=True
    )


def plain(*alerts: object) -> dict[str, object]:
    return {"id": "riverton", "name": "Riverton", "timezone": "UTC", "alerts": list(alerts)}


def test_two_processes_at_once_send_each_message_once(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    raw = plain(alert(hooks.url()), alert(hooks.url("/other")))
    town = make_town(**raw)
    trusted("/hook", "/other")
    hooks.answers["/hook"] = lambda handler: (time.sleep(1), status(handler, 200))[1]
    for number in range(5):
        raise_notice(town, state, Notice("failure", f"k{number}", f"Subject {number}", ""), NOW)
    both = [start("deliver", raw, NOW) for _ in range(3)]
    sent = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(sent) == 10
    assert Counter(post.path for post in hooks.posts) == {"/hook": 1, "/other": 1}


def test_a_process_that_sends_does_not_hold_up_one_that_raises(
    state: TownState, hooks: HookServer, trusted: Trusted
) -> None:
    raw = plain(alert(hooks.url()))
    town = make_town(**raw)
    trusted("/hook")
    go_on = threading.Event()
    hooks.answers["/hook"] = lambda handler: (go_on.wait(8), status(handler, 200))[1]
    raise_notice(town, state, Notice("failure", "a", "First", ""), NOW)
    process = start("deliver", raw, NOW)
    while not hooks.posts:
        time.sleep(0.01)
    begin = time.monotonic()
    raise_notice(town, state, Notice("failure", "a", "First", "over", resolved=True), NOW)
    raise_notice(town, state, Notice("failure", "b", "Second", ""), NOW)
    assert time.monotonic() - begin < 4
    done = deliver(town, state, NOW)
    assert (done.sent, done.waiting, done.problems) == (0, 2, ())
    go_on.set()
    assert process.communicate(timeout=60)[0] == "1\n"
    assert deliver(town, state, NOW).sent == 2
    assert {part["subject"] for part in json.loads(hooks.posts[1].body)["notices"]} == {"Resolved: First", "Second"}


def test_a_process_killed_while_it_raises_has_kept_what_it_said(
    state: TownState, hooks: HookServer, trusted: Trusted
) -> None:
    raw = plain(alert(hooks.url()))
    town = make_town(**raw)
    trusted("/hook")
    process = start("raise", raw, NOW, 10_000)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.communicate()[0].splitlines()
    kept = waiting(state)
    assert len(said) <= kept <= len(said) + 1
    assert deliver(town, state, NOW).sent == kept


def test_a_process_killed_while_it_sends_sends_again(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    raw = plain(alert(hooks.url()))
    town = make_town(**raw)
    trusted("/hook")
    hooks.answers["/hook"] = lambda handler: time.sleep(20)
    raise_notice(town, state, Notice("failure", "a", "First", ""), NOW)
    process = start("deliver", raw, NOW)
    while not hooks.posts:
        time.sleep(0.01)
    process.kill()
    process.wait()
    hooks.answers.clear()
    assert waiting(state) == 1
    assert deliver(town, state, NOW).sent == 0
    assert deliver(town, state, NOW + timedelta(minutes=1)).sent == 1
    first, second = (json.loads(post.body) for post in hooks.posts)
    assert first["id"] == second["id"]


def test_what_was_tried_and_is_over_is_told_as_over(state: TownState, by_mail: MailServer) -> None:
    town = make_town(alerts=[alert("it@riverton.example")])
    by_mail.stop()
    for key in ("tried", "untried"):
        raise_notice(town, state, Notice("failure", key, f"The {key} one", "details"), NOW)
        if key == "tried":
            deliver(town, state, NOW)
    by_mail.start()
    for key in ("tried", "untried"):
        raise_notice(town, state, Notice("failure", key, f"The {key} one", "fine", resolved=True), NOW)
    assert waiting(state) == 1
    assert deliver(town, state, NOW + timedelta(minutes=1)).sent == 1
    (got,) = by_mail.mails.received
    assert got["Subject"] == "[riverton] Resolved: The tried one"
    assert "It came and went: The tried one" in got.get_content()
    assert not list((state.root / "outbox").glob("*/*.json"))


def test_towns_never_mix(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    oak = make_town(id="oak", alerts=[alert(hooks.url("/oak"))])
    riverton = make_town(alerts=[alert(hooks.url("/oak"))])
    other = TownState("oak")
    trusted("/oak")
    cert = (state.root / "webhooks.ini").read_text().splitlines()[1]
    write_private(other.directory() / "webhooks.ini", f"[{hooks.url('/oak')}]\n{cert}\ntoken = of-oak\n")
    for town, place in ((oak, other), (riverton, state)):
        raise_notice(town, place, Notice("failure", "same", f"For {town.id}", ""), NOW)
        assert waiting(place) == 1
        assert deliver(town, place, NOW).sent == 1
    told = [(json.loads(post.body)["subject"], post.token) for post in hooks.posts]
    assert told == [("[oak] For oak", "Bearer of-oak"), ("[riverton] For riverton", f"Bearer {TOKEN}")]


def test_a_damaged_file_is_put_away_and_told(state: TownState, hooks: HookServer, trusted: Trusted) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    raise_notice(town, state, Notice("failure", "a", "First", ""), NOW)
    (file,) = (state.root / "outbox").glob("*/*.json")
    (file.parent / "0123.json").write_text('{"kind": "failure"')
    done = deliver(town, state, NOW)
    assert (done.sent, done.waiting, done.failed) == (1, 0, 1)
    assert "a damaged file; kept in " in done.problems[0]
    (dead,) = (state.root / "outbox/dead").iterdir()
    assert dead.read_text() == '{"kind": "failure"'
    later = NOW.timestamp() - 91 * 86400
    os.utime(dead, (later, later))
    deliver(town, state, NOW)
    assert not dead.exists()


def test_a_recipient_that_was_taken_out_gets_nothing_more(
    state: TownState, hooks: HookServer, trusted: Trusted
) -> None:
    town, without = make_town(alerts=[alert(hooks.url())]), make_town()
    trusted("/hook")
    raise_notice(town, state, Notice("failure", "a", "First", ""), NOW)
    assert deliver(without, state, NOW).waiting == 1
    done = deliver(without, state, NOW + timedelta(days=8))
    assert (done.failed, done.waiting) == (1, 0)
    assert "no longer in the town file" in done.problems[0]
    assert not hooks.posts


def test_nobody_to_tell_is_no_error(state: TownState) -> None:
    raise_notice(make_town(), state, Notice("failure", "a", "First", ""), NOW)
    assert waiting(state) == 0
    assert deliver(make_town(), state, NOW).sent == 0


def test_a_full_disk_is_told_and_nothing_is_sent(
    state: TownState, hooks: HookServer, trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town(alerts=[alert(hooks.url())])
    trusted("/hook")
    raise_notice(town, state, Notice("failure", "a", "First", ""), NOW)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("civicops.alerts.outbox.write_durably", full)
        with pytest.raises(OSError, match="No space left"):
            raise_notice(town, state, Notice("failure", "b", "Second", ""), NOW)
        done = deliver(town, state, NOW)
    assert (done.sent, done.waiting) == (0, 1)
    assert "No space left" in done.problems[0]
    assert not hooks.posts
    assert deliver(town, state, NOW).sent == 1
