"""How a run is shown while it lasts: a live line on a terminal, plain lines otherwise. Observers of the run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from civicops.runs.observers import RunEvent, RunObserver

if TYPE_CHECKING:
    from rich.status import Status

_SHOWN = ("failed", "unreachable")


class _Tally:
    """The last word about each host."""

    def __init__(self) -> None:
        self.task = ""
        self._hosts: dict[str, str] = {}

    def take(self, event: RunEvent) -> bool:
        """Note an event; returns whether it is news about a host worth a line."""
        if event.what == "task":
            self.task = event.task
            return False
        before = self._hosts.get(event.host)
        if before in _SHOWN or event.what == "skipped":
            return False
        self._hosts[event.host] = event.what
        return before != event.what

    def __str__(self) -> str:
        counts = Counter(self._hosts.values())
        return ", ".join(
            f"{counts[what]} {what}" for what in ("ok", "changed", "failed", "unreachable") if counts[what]
        )


class PlainLines:
    """One line per host and outcome, for logs and schedulers."""

    def __init__(self) -> None:
        self._tally = _Tally()

    def event(self, event: RunEvent) -> None:
        if self._tally.take(event):
            message = f": {event.message}" if event.message else ""
            print(f"{event.at[11:19]}Z {event.host}: {event.what}{message}", file=sys.stderr, flush=True)


class LiveLine:
    """A line that counts hosts as they answer; those that fail get a line of their own."""

    def __init__(self, title: str, status: Status) -> None:
        self._title, self._status, self._tally = title, status, _Tally()

    def event(self, event: RunEvent) -> None:
        from rich.text import Text

        if self._tally.take(event) and event.what in _SHOWN:
            self._status.console.print(Text(f"  {event.host}: {event.what}: {event.message}", style="red"))
        counts = str(self._tally)
        self._status.update(Text(" · ".join(part for part in (self._title, counts, self._tally.task) if part)))


@contextmanager
def shown(title: str, *, quiet: bool) -> Iterator[list[RunObserver]]:
    """The observers that show a run to whoever looks."""
    if quiet:
        yield []
    elif not sys.stderr.isatty():
        yield [PlainLines()]
    else:
        from rich.console import Console

        with Console(stderr=True).status(title) as status:
            yield [LiveLine(title, status)]
