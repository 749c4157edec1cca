"""The outbox: what each recipient knows and is still to be told, in the town's state; a crash loses none of it.

outbox/RECIPIENT/MATTER.json    one file per matter, replaced whole (fsync, rename)
outbox/RECIPIENT/.changing      locked for the moment of a change
outbox/RECIPIENT/.sending       locked while somebody sends to this recipient
outbox/dead/                    what could not be delivered in seven days; removed after 90
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from civicops.alerts.matter import Matter
from civicops.state import TownState, locked, write_durably

DEAD = "dead"
DEAD_KEPT = timedelta(days=90)
_MATTER = TypeAdapter(Matter)


class Box:
    """One recipient's part of the outbox.

    :raises StateError: the directory can't be used; OSError: it can't be read or written.
    """

    def __init__(self, state: TownState, name: str) -> None:
        top = state.directory("outbox")
        fresh = not (top / name).exists()
        self.name = name
        self.path = state.directory("outbox", name)
        if fresh:
            _sync_directory(top)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only one who changes the files; nothing slow is done meanwhile."""
        descriptor = os.open(self.path / ".changing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def sending(self) -> AbstractContextManager[bool]:
        """Try to be the only one who sends to this recipient; gives whether that is so."""
        return locked(self.path / ".sending")

    def read(self, identity: str) -> Matter | None:
        """One matter; None where there is none, or where the file is damaged."""
        try:
            return _MATTER.validate_json((self.path / f"{identity}.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def all(self) -> dict[str, Matter | None]:
        """Every matter by its identity, the oldest first; None for a file that is damaged."""
        found = {path.stem: self.read(path.stem) for path in self.path.glob("*.json") if not path.name.startswith(".")}
        return dict(sorted(found.items(), key=lambda item: (item[1].opened_at.timestamp() if item[1] else 0, item[0])))

    def write(self, identity: str, matter: Matter | None) -> None:
        """Keep a matter, or with None drop it."""
        path = self.path / f"{identity}.json"
        if matter is None:
            path.unlink(missing_ok=True)
        else:
            write_durably(path, _MATTER.dump_json(matter))

    def bury(self, identity: str, state: TownState, now: datetime) -> Path:
        """Move a matter's file to the dead ones."""
        path = state.directory("outbox", DEAD) / f"{self.name}-{identity}-{now:%Y%m%dT%H%M%S%f}.json"
        (self.path / f"{identity}.json").rename(path)
        _sync_directory(path.parent)
        return path


def boxes(state: TownState) -> list[Box]:
    """Those that there are, also of recipients that the town file no longer names."""
    top = state.directory("outbox")
    return [Box(state, path.name) for path in sorted(top.iterdir()) if path.is_dir() and path.name != DEAD]


def sweep(state: TownState, now: datetime) -> None:
    """Remove the dead that have been kept long enough."""
    for path in state.directory("outbox", DEAD).iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if now.timestamp() - path.stat().st_mtime > DEAD_KEPT.total_seconds():
                path.unlink()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
