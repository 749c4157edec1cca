"""Which of the files that were given are feeds, and which file is which feed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, formats
from civicops.feeds.source import Source
from civicops.text import printable

_FILES = 1_000_000


@dataclass
class Recognised:
    """One feed, and the files that hold it."""

    name: str
    format: Format
    sources: list[Source]

    @property
    def origin(self) -> str:
        if len(self.sources) == 1:
            return self.sources[0].name
        parents = {source.path.parent.name for source in self.sources}
        where = f" in {printable(parents.pop(), 80)}" if len(parents) == 1 else ""
        return f"{len(self.sources)} files{where}"


@dataclass
class Found:
    """What is in the paths that were given: feeds, what was left out and why, what can't be read."""

    feeds: list[Recognised] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def look(paths: Iterable[Path]) -> Found:
    """Recognise files by what is in them; directories are walked, links in them not followed.

    A file that was named and is no feed is an error; in a directory it is left out, and told.
    """
    known = formats()
    found = Found()
    feeds: dict[str, Recognised] = {}
    for path, named in _files(paths):
        source = Source(path)
        try:
            recognised = _recognise(source, known)
        except FeedError as error:
            found.errors.append(str(error))
            continue
        if recognised is not None:
            name, format = recognised
            feeds.setdefault(name, Recognised(name, format, [])).sources.append(source)
        elif named:
            found.errors.append(f"{source.name}: is no feed that is known here: docs/feeds.md lists them")
        else:
            found.left_out.append((source.name, "no feed that is known here"))
    for feed in feeds.values():
        _choose(feed, found)
        found.feeds.append(feed)
    found.feeds.sort(key=lambda one: one.name)
    return found


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    seen: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            inside: Iterable[Path] = [path]
        else:
            inside = _walk(path)
        for file in inside:
            place = file.absolute()
            if place not in seen:
                seen.add(place)
                yield file, file is path
            if len(seen) > _FILES:
                raise FeedError(f"{printable(path, 200)}: more than {_FILES} files")


def _walk(directory: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(directory):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            file = Path(place, name)
            if not name.startswith(".") and file.is_file() and not file.is_symlink():
                yield file


def _recognise(source: Source, known: list[Format]) -> tuple[str, Format] | None:
    head = source.head()
    for format in known:
        name = format.recognise(head, source.path.name)
        if name is not None:
            return name, format
    return None


def _choose(feed: Recognised, found: Found) -> None:
    """Of several whole files of one feed the newest, and of these the largest; else all of its parts together."""
    whole = [source for source in feed.sources if not feed.format.is_part(source.path.name)]
    if not whole:
        return
    best = max(whole, key=lambda one: (one.date()[0], one.size()))
    for source in feed.sources:
        if source is not best:
            found.left_out.append((source.name, f"{best.name} is newer, or holds more of {feed.name}"))
    feed.sources = [best]
