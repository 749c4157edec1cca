"""Recorded sessions of real devices, where they are at hand: what each answered, and how others clean it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from civicops.network.platform import Platform, platforms

ROOT = Path(__file__).parents[3]
DEVICES = Path(os.environ.get("CIVICOPS_TEST_DATA", ROOT.parent / "shared/data")) / "devices"
KNOWN: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("recordings.yml").read_text(encoding="utf-8"))

needs_recordings = pytest.mark.skipif(
    not DEVICES.is_dir(), reason="the recorded sessions of devices are not here (CIVICOPS_TEST_DATA names their place)"
)

_ESCAPES = re.compile(r'\\(x[0-9a-fA-F]{2}|[rnte"\\])')
_LETTERS = {"r": "\r", "n": "\n", "t": "\t", "e": "\x1b", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class Recording:
    name: str
    platform: Platform
    answers: Mapping[str, str]
    expected: str
    secrets: tuple[str, ...]
    """What must not stand in a clean text."""
    promised: tuple[str, ...]
    """Parts of lines that must stand there."""
    dropped: tuple[str, ...]
    """Parts of lines that must not."""


@cache
def recording(name: str) -> Recording:
    known = KNOWN[name]
    data = _data(f"{name}_simulation.yaml")
    secret, significant = _data(f"{name}_secret.yaml"), _data(f"{name}_significant_changes.yaml")
    return Recording(
        name=name,
        platform=platforms()[known["platform"]],
        answers=_answers(data),
        expected=(DEVICES / f"{name}_output.txt").read_text(encoding="utf-8"),
        secrets=tuple(secret.get("fail", ())),
        promised=(*secret.get("pass", ()), *significant.get("pass", ())),
        dropped=tuple(significant.get("fail", ())),
    )


def _data(name: str) -> dict[str, Any]:
    path = DEVICES / name
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def _answers(data: Mapping[str, Any]) -> dict[str, str]:
    """What stands between a command's echo and the prompt; a page that a key asked for belongs to the one before."""
    said = data["commands"]
    pairs = [pair for one in (said if isinstance(said, list) else [said]) for pair in one.items()]
    prompt = _plain(data.get("init_prompt") or "").split("\n")[-1].strip("\r ")
    answers: dict[str, str] = {}
    last = ""
    for key, value in pairs:
        command, text = key.strip(), _plain(str(value))
        if not command:  # a key for the pager
            answers[last] = re.sub(r"--More-- ?$", "", answers[last]) + re.sub(
                r"^\r +\r", "", _without(text, "", prompt)
            )
        else:
            answers[command] = _without(text, command, prompt)
            last = command
    return {command: text.replace("\r", "") for command, text in answers.items()}


def _plain(text: str) -> str:
    plain = _ESCAPES.sub(lambda found: _LETTERS.get(found.group(1)) or chr(int(found.group(1)[1:], 16)), text)
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", plain)


def _without(text: str, echo: str, prompt: str) -> str:
    lines = text.split("\n")
    if echo and lines[0].strip("\r ") == echo:
        lines = lines[1:]
    if lines and prompt and lines[-1].strip("\r ") == prompt:
        lines[-1] = ""
    return "\n".join(lines)
