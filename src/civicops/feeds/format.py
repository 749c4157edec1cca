"""What every format of a feed has in common, and the finding of all formats by their folder."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

from civicops.feeds.source import MB, Source


class Fix(NamedTuple):
    """One package of one release in an advisory. `fixed`: from this version on it is mended."""

    distribution: str
    release: str
    package: str
    introduced: str | None
    fixed: str | None
    state: str


class Advice(NamedTuple):
    """One advisory, as formats give it to the index: what it is called, its CVEs as numbers, whom it concerns."""

    id: str
    cves: tuple[int, ...]
    fixes: tuple[Fix, ...]


Row = tuple[str | int | float | None, ...]


@dataclass
class Told:
    """What reading a feed brings to light beside its rows."""

    date: str | None = None  # where the data tells its own
    left_out: dict[str, int] = field(default_factory=dict)
    today: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def newest(self, day: str) -> None:
        self.date = max(self.date or day, day)

    def newest_record(self, day: str) -> None:
        """The same for one of many records; a slip of the pen in one, a day to come, does not count."""
        if day <= self.today:
            self.newest(day)

    def leave_out(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1


class Format(ABC):
    """One kind of feed: how it is recognised, read, and where the index keeps it.

    `feeds`: each feed of this format, with its licence. `table`: where rows go; None if they are advisories.
    """

    feeds: ClassVar[dict[str, str]]
    table: ClassVar[str | None] = None
    limit: ClassVar[int] = 256 * MB

    def is_part(self, name: str) -> bool:
        """Whether a file of that name is one of the many that make up the feed together."""
        return False

    @abstractmethod
    def recognise(self, head: bytes, name: str) -> str | None:
        """Which of its feeds a file holds, by its first bytes; None if none."""

    @abstractmethod
    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row | Advice]:
        """The feed's rows, one for each thing that is counted.

        :raises FeedError: anything in it is not as it must be.
        """


def formats() -> list[Format]:
    """One of each format that lies in the folder `formats`."""
    from civicops.feeds import formats as folder

    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    return [importlib.import_module(f"{folder.__name__}.{name}").FORMAT for name in names]
