"""What each job of a town came to last, in one small file that a status page can read for a thousand towns."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from civicops.state import TownState, write_durably


@dataclass(frozen=True)
class Last:
    """The last run of one job that came to an end. `hosts` counts what became of them."""

    run: str
    state: str
    exit_status: int
    ended_at: str
    message: str | None
    halted: bool
    hosts: dict[str, int]


def read_last(state: TownState) -> dict[str, Last]:
    """The last run of each job, by its name; empty where nothing can be read."""
    try:
        kept = json.loads((state.root / "last.json").read_bytes())
        return {job: Last(**one) for job, one in kept.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write_last(state: TownState, job: str, last: Last) -> None:
    """Keep the last run of one job."""
    kept = {name: asdict(one) for name, one in (read_last(state) | {job: last}).items()}
    write_durably(state.directory() / "last.json", json.dumps(kept, separators=(",", ":")).encode())


def counted(hosts: dict[str, str]) -> dict[str, int]:
    """How many hosts came to what."""
    return dict(Counter(outcome for outcome in hosts.values() if outcome != "not_asked"))
