"""Stores for tests: with a seal that one can read, a clock that one sets, and git's own view of what is there."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from civicops.network.sealed import SealError
from civicops.network.store import New, Result, Store
from civicops.state import TownState

START = datetime(2027, 3, 14, 2, 0, tzinfo=UTC)
SECRET = "hunter2"
CONFIG = "hostname core\n" + "".join(f"interface Gi1/0/{port}\n description desk {port}\n" for port in range(1, 25))


def sealed(content: bytes) -> bytes:
    """Stands for encryption, at no cost: tells from a look whether a file is whole."""
    return b"sealed:%d:" % len(content) + content[::-1]


def unsealed(data: bytes) -> bytes:
    head, _, rest = data.partition(b":")[2].partition(b":")
    if not data.startswith(b"sealed:") or int(head) != len(rest):
        raise SealError("it does not decrypt")
    return rest[::-1]


def store(state: TownState, *, minutes: float = 0, wait: float = 60) -> Store:
    """A store at a moment after `START`."""
    return Store(state, sealed, now=lambda: START + timedelta(minutes=minutes), wait=wait)


def new(device: str, text: str = CONFIG, *, secret: str = SECRET, words: str = "interfaces") -> New:
    """A device whose raw configuration is its text and a secret; that the text does not have."""
    raw = f"{text}username admin secret {secret}\nend\n".encode("utf-8", "surrogateescape")
    return New(device, "cisco_ios", raw, text, words)


def keep(where: Store, *batch: New, **more: object) -> dict[str, Result]:
    return where.keep(batch, run="network-1", **more)  # type: ignore[arg-type]


def git(state: TownState, *arguments: str, **more: str) -> str:
    """git as a person has it on his own terminal."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(state.root), "GIT_CONFIG_NOSYSTEM": "1"} | more
    person = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(
        ["git", *person, "-C", str(configs(state)), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def configs(state: TownState) -> Path:
    return state.root / "network" / "configs"


def subjects(state: TownState) -> list[str]:
    """Those of all commits, the oldest first."""
    return git(state, "log", "--reverse", "--format=%s", "main").splitlines()


def raw_of_head(state: TownState, device: str) -> bytes:
    """What is in the raw file that the device's newest commit names."""
    form = "--format=%(trailers:key=Raw,valueonly)"
    named = git(state, "log", "-1", form, "main", "--", f"{device}.cfg").split()
    return unsealed((state.root / "network" / "raw" / device / named[0]).read_bytes())
