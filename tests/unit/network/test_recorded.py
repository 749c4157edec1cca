"""Each recorded device, through real netmiko: what is kept of an answer is what the device showed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.standins.devices import RECORDED, Recorded, settings
from tests.standins.playing import Manner
from tests.standins.replayer import Replayer

from civicops.network.session import ask

# Beside what is asked, only what switches the pager off, and what a driver finds its way by.
_ALLOWED = re.compile(
    r"terminal (length 0|width 511)|no page|no paging|no cli pager session|screen-length disable"
    r"|set cli (screen-width 511|screen-length 0|complete-on-space off)"
)
_TELLS = re.compile(r"show |display |get |diagnose |/system \S+ (update )?print|/system history|/export")


@pytest.fixture(params=sorted(RECORDED))
def recorded(request: pytest.FixtureRequest) -> Recorded:
    found = RECORDED[request.param]
    if not found.path.exists():
        pytest.skip(f"the recording {found.file} is not here")
    return found


@pytest.mark.parametrize("manner", [{}, {"per_write": 61, "line_end": "\n"}], ids=["at once", "in pieces"])
def test_every_answer_is_the_recorded_one(
    recorded: Recorded, manner: dict[str, object], replayer: Replayer, known_hosts: Path
) -> None:
    device = replayer.ssh(recorded.read(), Manner(user=recorded.user, **manner))  # type: ignore[arg-type]
    device.known_hosts(known_hosts)
    shown = _shown(recorded)
    assert recorded.config in shown
    answers = ask(settings(device, recorded.platform(), known_hosts), list(shown), [recorded.config])
    assert answers.refused == {}
    assert dict(answers.texts) == shown
    assert [command for command in device.received if command not in shown and not _ALLOWED.fullmatch(command)] == []


def _shown(recorded: Recorded) -> dict[str, str]:
    """What stands in the recording, read in another way than the stand-in does."""
    data = yaml.safe_load(recorded.path.read_text())
    commands = data["commands"]
    pairs = list(commands.items()) if isinstance(commands, dict) else [pair for one in commands for pair in one.items()]
    texts: dict[str, str] = {}
    command = ""
    for key, text in pairs:
        if key == " ":
            # FortiOS wipes its mark by nine blanks.
            texts[command] = re.sub(r"--More--\\x20$", "", texts[command]) + text.removeprefix("\\r         \\r")
        else:
            command = key.strip()
            texts[command] = text or ""
    return {command: _clean(text, command, recorded) for command, text in texts.items() if _TELLS.match(command)}


def _clean(text: str, command: str, recorded: Recorded) -> str:
    for escaped, meant in (("\\r", ""), ("\\x20", " "), ("\\t", "\t"), ('\\"', '"'), ("\\\\", "\\")):
        text = text.replace(escaped, meant)
    text = re.sub(r"\\e(\[[0-9;?]*[A-Za-z])", "", text)
    if recorded.prompt:  # made without a terminal: no echo, no prompt
        return text if text.endswith("\n") or not text else f"{text}\n"
    lines = text.split("\n")
    assert lines[0] == command
    return "".join(f"{line}\n" for line in lines[1:-1])
