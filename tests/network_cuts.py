"""Sessions with network devices that end in the middle: what is kept of them is whole or nothing.

Each session is one of the recorded devices, with real netmiko, ended at a byte that chance chose: with SSH's goodbye,
without one, below SSH (in its key exchange too), or by silence. Some write in small pieces, some have a pager, some
have a banner in their configuration that looks like their prompt.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from civicops.network.answers import Answers, DeviceError, Settings
from civicops.network.platform import Platform
from civicops.network.pool import ask_all
from tests.standins.devices import RECORDED, settings
from tests.standins.playing import Device, Manner
from tests.standins.recording import Recording
from tests.standins.replayer import Replayer

_WAYS = ("goodbye", "broken off", "below SSH", "silence")
_MARK = " --More-- "
# A handshake is about this long on the wire.
_HANDSHAKE = 3000


@dataclass(frozen=True)
class _Kind:
    name: str
    recording: Recording
    manner: Manner
    platform: Platform
    config: str
    whole: str = ""
    written: int = 0


def campaign(seed: int, size: int) -> tuple[list[str], list[str]]:
    """Cut so many sessions; lines of Markdown, and where something was kept that is not whole."""
    chance = random.Random(seed)  # noqa: S311
    broken: list[str] = []
    ends: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        known_hosts = Path(scratch) / "known_hosts"
        with Replayer() as replayer:
            kinds = _kinds(replayer, known_hosts)
        for start in range(0, size, 100):
            with Replayer() as replayer:  # anew, so that not all ports stay open
                known_hosts.unlink()
                cuts = [_cut(replayer, chance, kinds, known_hosts) for _ in range(min(100, size - start))]
                for cut, outcome in _asked(cuts):
                    ways[cut.way] += 1
                    end, wrong = _judged(cut, outcome)
                    ends[end] += 1
                    broken += [f"{cut.kind.name}, {cut.way} after {cut.after} bytes: {wrong}"] if wrong else []
    whole = ends.pop("whole", 0)
    names = ", ".join(kind.name for kind in kinds if " " not in kind.name)
    lines = [
        f"Devices: {names}; each as it was recorded, with a pager, and with its own prompt in a banner of its "
        "configuration. Ended at a byte that chance chose: "
        f"{', '.join(f'{ways[way]} by {way}' for way in _WAYS)}.",
        "",
        f"Nothing was kept of {sum(ends.values())} "
        f"({', '.join(f'{end} {count}' for end, count in ends.most_common())}). "
        f"The other {whole} ended only after the proof, and their configurations are the whole ones.",
    ]
    return lines, broken


@dataclass(frozen=True)
class _Cut:
    kind: _Kind
    way: str
    after: int
    settings: Settings


def _kinds(replayer: Replayer, known_hosts: Path) -> list[_Kind]:
    """The devices that there are recordings of, each asked once to its end: what is whole, and how long it takes."""
    played: dict[str, tuple[_Kind, Device]] = {}
    for name, recorded in RECORDED.items():
        if not recorded.path.exists():
            continue
        plain, platform = recorded.read(), recorded.platform()
        manner = Manner(user=recorded.user)
        paged = replace(manner, page=24, mark=_MARK)
        for title, recording, how in (
            (name, plain, manner),
            (f"{name} with a pager", plain, paged),
            (f"{name} with its prompt in a banner", _with_banner(plain, recorded.config), manner),
        ):
            if "pager" in title:
                platform = platform.model_copy(update={"pager": "^ ?--More-- ?$"})
            kind = _Kind(title, recording, how, platform, recorded.config)
            device = replayer.ssh(recording, how)
            device.known_hosts(known_hosts)
            played[title] = kind, device
    work = [settings(device, kind.platform, known_hosts, device=title) for title, (kind, device) in played.items()]
    kinds: dict[str, _Kind] = {}

    def done(asked: Settings, outcome: Answers | DeviceError) -> None:
        kind, device = played[asked.device]
        if isinstance(outcome, DeviceError):
            raise outcome
        kinds[asked.device] = replace(kind, whole=outcome.texts[kind.config], written=device.written)

    ask_all(work, lambda asked: ([played[asked.device][0].config],) * 2, done)
    return [kinds[title] for title in played]


def _with_banner(recording: Recording, config: str) -> Recording:
    """The same device, with a banner in the midst of its configuration that is its very prompt."""
    lines = "".join(recording.answers[config]).splitlines(keepends=True)
    middle = len(lines) // 2
    banner = f"banner motd ^C\n{recording.prompt.strip()}\n^C\n"
    return recording.with_answers({config: "".join([*lines[:middle], banner, *lines[middle:]])})


def _cut(replayer: Replayer, chance: random.Random, kinds: list[_Kind], known_hosts: Path) -> _Cut:
    kind, way = chance.choice(kinds), chance.choices(_WAYS, (4, 4, 4, 1))[0]
    after = chance.randint(1, kind.written)
    manner = replace(kind.manner, per_write=chance.choice((0, 0, 7, 64, 1000)))
    if way == "below SSH":
        after = chance.randint(1, kind.written + _HANDSHAKE)
        device = replayer.ssh(kind.recording, manner)
        device.port = replayer.cutting(device.port, after)
    elif way == "silence":
        device = replayer.ssh(kind.recording, replace(manner, silent_after=after))
    else:
        device = replayer.ssh(kind.recording, replace(manner, cut_after=after, cut_gently=way == "goodbye"))
    device.known_hosts(known_hosts)
    named = f"{device.port}"
    asked = settings(
        device, kind.platform, known_hosts, device=named, command_timeout=1, connect_timeout=5, session_timeout=20
    )
    return _Cut(kind, way, after, asked)


def _asked(cuts: list[_Cut]) -> list[tuple[_Cut, Answers | DeviceError]]:
    by_name = {cut.settings.device: cut for cut in cuts}
    outcomes: list[tuple[_Cut, Answers | DeviceError]] = []
    ask_all(
        [cut.settings for cut in cuts],
        lambda asked: ([by_name[asked.device].kind.config],) * 2,
        lambda asked, outcome: outcomes.append((by_name[asked.device], outcome)),
    )
    return outcomes


def _judged(cut: _Cut, outcome: Answers | DeviceError) -> tuple[str, str]:
    """How it ended, and what is wrong with that."""
    if isinstance(outcome, DeviceError):
        return outcome.wrong, outcome.reason if outcome.wrong == "fault" else ""
    if outcome.texts[cut.kind.config] == cut.kind.whole:
        return "whole", ""
    return "kept", "a configuration that is not whole was kept"
