"""Recorded sessions of network devices, as oxidized keeps them (YAML).

`init_prompt` is what is shown at login, up to the prompt; `commands` what each command (with its line end) shows, with
echo and prompt. As a list, the commands named " " are the next pages of the one before. In the texts `\\x20`, `\\e`,
`\\r`, `\\t`, `\\"` and `\\\\` are escapes. Recordings that were made without a terminal (Junos, RouterOS) have neither
echo nor prompt: the prompt is then given, and both are added when it is played.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

_ESCAPE = re.compile(r"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<one>.))")
_DRAWS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\b]")
_ONE = {"r": "\r", "n": "\n", "t": "\t", "e": "\x1b", "b": "\b", "a": "\a"}
_LEAVE = ("exit", "quit", "logout")


@dataclass(frozen=True)
class Recording:
    """What a device shows. Lines are ended by LF; the one who plays it puts the CR before."""

    greeting: str
    """What stands above the first prompt."""
    prompt: str
    answers: Mapping[str, tuple[str, ...]]
    """By command, its pages; without echo and prompt."""
    refusal: str = "% Invalid input detected at '^' marker.\n\n"
    user_prompt: str = ""
    """The prompt before `enable`. "": privileged from the start."""
    leaves: frozenset[str] = field(default_factory=lambda: frozenset(_LEAVE))

    def with_answers(self, answers: Mapping[str, str]) -> Recording:
        """The same device, which knows more: what its driver's preparation asks and the recording lacks."""
        return replace(self, answers={**self.answers, **{command: (text,) for command, text in answers.items()}})


def read(path: Path, prompt: str = "") -> Recording:
    """A recording; `prompt` where it has none of its own."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    begin = _text(data.get("init_prompt") or "")
    greeting, newline, last = begin.rpartition("\n")
    if prompt:
        greeting, newline, last = begin, "\n" if begin else "", prompt
    answers: dict[str, tuple[str, ...]] = {}
    asked = ""
    for key, shown in _commands(data["commands"]):
        if key == " ":
            answers[asked] += (shown,)
        else:
            asked = key
            answers[asked] = (shown,)
    return Recording(
        greeting + newline, last, {command: _bare(command, pages, last) for command, pages in answers.items()}
    )


def _commands(commands: Any) -> list[tuple[str, str]]:
    each = [commands] if isinstance(commands, dict) else commands
    return [(_key(key), _text(shown or "")) for one in each for key, shown in one.items()]


def _key(key: str) -> str:
    return key.strip("\r\n") if key.strip() else " "


def _bare(command: str, pages: tuple[str, ...], prompt: str) -> tuple[str, ...]:
    first, _newline, rest = pages[0].partition("\n")
    if first.rstrip("\r") == command:
        pages = (rest, *pages[1:])
    above, newline, last = pages[-1].rpartition("\n")
    if _plain(last) and _plain(last) != _plain(prompt):
        above, newline = pages[-1], "\n"
    return (*pages[:-1], above + newline)


def _plain(line: str) -> str:
    return _DRAWS.sub("", line).strip()


def _text(shown: str) -> str:
    def meant(found: re.Match[str]) -> str:
        return chr(int(found["hex"], 16)) if found["hex"] else _ONE.get(found["one"], found["one"])

    return _ESCAPE.sub(meant, shown)
