"""Who watches a run: the protocol, and what they are told. Display, journal and metrics are observers alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

What = Literal["begun", "resumed", "task", "ok", "changed", "skipped", "failed", "unreachable"]


@dataclass(frozen=True)
class RunEvent:
    """One thing that happened. `host` is empty for `task`, which tells that a task began, and for the run's own
    beginnings, `begun` and `resumed`, whose `message` is the user."""

    at: str
    what: What
    task: str
    host: str = ""
    message: str = ""


class RunObserver(Protocol):
    """Told of each event, in order, by the thread that runs the run."""

    def event(self, event: RunEvent) -> None: ...
