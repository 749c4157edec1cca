"""Brings feeds up to date from their sources: each is downloaded, recognised, and put in the place of the former."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from civicops.feeds.addresses import ADDRESSES, Address
from civicops.feeds.download import Download
from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, formats
from civicops.feeds.source import Source
from civicops.feeds.store import Imported, Index
from civicops.state import locked, private_directory
from civicops.text import printable


@dataclass(frozen=True)
class Updated:
    """What came of one feed: `done` is None where there is nothing newer, or where `error` says what went wrong."""

    name: str
    done: Imported | None = None
    error: str | None = None


def update(index: Index, names: Iterable[str] = (), *, accept_smaller: bool = False) -> Iterator[Updated]:
    """Update the feeds that are named, or all; one that fails does not keep the others.

    :raises FeedError: a name is that of no feed that can be downloaded, or another update is going on.
    """
    wanted = list(dict.fromkeys(names)) or list(ADDRESSES)
    for name in wanted:
        if name not in ADDRESSES:
            raise FeedError(f"{printable(name, 60)!r} can't be downloaded; there are {', '.join(ADDRESSES)}")
    known = {name: one for one in formats() for name in one.feeds}
    directory = private_directory(private_directory(index.path.parent) / "downloads")
    with locked(directory / "lock") as got:
        if not got:
            raise FeedError("another update of feeds is going on; try again when it is done")
        for name in wanted:
            address = ADDRESSES[name]
            download = Download(directory, name, address)
            try:
                yield Updated(name, done=_one(index, known[name], name, address, download, accept_smaller))
            except FeedError as error:
                text = str(error)
                yield Updated(name, error=text if text.startswith(f"{name}: ") else f"{name}: {text}")


def _one(
    index: Index, format: Format, name: str, address: Address, download: Download, accept_smaller: bool
) -> Imported | None:
    path = download.fetch()
    if path is None and name in index.status():
        return None
    if path is None:  # the index was removed, the notes on its downloads were not
        download.forget()
        path = download.fetch()
    if path is None:
        raise FeedError(f"{address.url}: says that nothing is newer than what is not there")
    source = Source(path)
    try:
        if format.recognise(source.head(), path.name) != name:
            raise FeedError(f"{address.url}: answers with something that is no {name}")
        done = index.replace(format, name, [source], origin=address.url, accept_smaller=accept_smaller)
    except FeedError:
        download.refused()
        raise
    download.taken()
    return done
