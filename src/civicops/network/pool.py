"""Many devices at once, each on a thread: one's fault is never another's."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from civicops.network.answers import Answers, DeviceError, Login, Settings
from civicops.network.reach import Jump
from civicops.network.session import ask

Outcome = Answers | DeviceError
Asked = tuple[Sequence[str], Collection[str]]
"""The commands for a device, and those of them that have to be answered."""


def ask_all(
    work: Sequence[Settings],
    commands_of: Callable[[Settings], Asked],
    done: Callable[[Settings, Outcome], None],
    *,
    threads: int = 32,
    deadline: float | None = None,
) -> None:
    """Ask each device, at most `threads` at the same time.

    `done` gets each outcome as it comes, in the caller's thread; while it works, the others wait with theirs, so that
    no more than `threads` answers are in memory. A device whose turn has not come by `deadline` (monotonic) isn't
    asked. What `done` raises ends the whole, and so does Ctrl-C: sessions are broken off, the rest isn't begun.
    """
    todo = queue.SimpleQueue[Settings]()
    for settings in work:
        todo.put(settings)
    outcomes = queue.Queue[tuple[Settings, Outcome]](maxsize=1)
    stop = threading.Event()
    jumps = _Jumps()

    def run() -> None:
        while not stop.is_set():
            try:
                settings = todo.get_nowait()
            except queue.Empty:
                return
            outcomes.put((settings, _outcome(settings, commands_of, jumps, deadline, stop)))

    workers = [threading.Thread(target=run, name=f"device-{number}") for number in range(min(threads, len(work)))]
    for worker in workers:
        worker.start()
    left = len(work)
    try:
        while left:
            settings, outcome = outcomes.get()
            left -= 1
            done(settings, outcome)
            del outcome
    finally:
        stop.set()
        for worker in workers:
            while worker.is_alive():
                _drop(outcomes)
                worker.join(0.05)
        jumps.close()


class _Jumps:
    """A connection to each jump host that is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jumps: dict[tuple[Login, Path, bool], Jump] = {}

    def of(self, settings: Settings) -> Jump | None:
        if settings.jump is None:
            return None
        with self._lock:
            name = (settings.jump, settings.known_hosts, settings.host_key_checking)
            return self._jumps.setdefault(name, Jump(settings))

    def close(self) -> None:
        for jump in self._jumps.values():
            jump.close()


def _outcome(
    settings: Settings,
    commands_of: Callable[[Settings], Asked],
    jumps: _Jumps,
    deadline: float | None,
    stop: threading.Event,
) -> Outcome:
    try:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                return DeviceError("timeout", "it was not asked: the time for all devices was over")
            settings = replace(settings, session_timeout=min(settings.session_timeout, left))
        commands, must = commands_of(settings)
        return ask(settings, commands, must, through=jumps.of(settings), stop=stop)
    except DeviceError as error:
        return DeviceError(error.wrong, error.reason)  # without its traceback, which would keep the session's texts
    except Exception as error:
        return DeviceError("fault", f"{type(error).__name__} before or in its session: please report it")


def _drop(outcomes: queue.Queue[tuple[Settings, Outcome]]) -> None:
    try:
        outcomes.get_nowait()
    except queue.Empty:
        return
