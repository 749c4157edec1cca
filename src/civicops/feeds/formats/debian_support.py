"""debian-security-support: packages whose security support ended early, or is limited."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import MB, Source
from civicops.feeds.values import day, shown, text, version

# A name, or all that begin so. It is never taken as a pattern of any other kind.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,199}?(\.\*)?", re.ASCII)
_NAME = re.compile(r"security-support-(ended|limited)(?:\.deb([0-9]{1,3}))?")
_ENDED = b"packages whose security support ends before"
_LIMITED = b"packages where security support is limited"


class DebianSupport(Format):
    feeds = {"debian-security-support": "GPL-2.0-or-later"}
    table = "support"
    limit = 1 * MB

    def is_part(self, name: str) -> bool:
        return True

    def recognise(self, head: bytes, name: str) -> str | None:
        known = _ENDED in head or _LIMITED in head
        return "debian-security-support" if known and _NAME.fullmatch(name.removesuffix(".gz")) else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for source in sources:
            match = _NAME.fullmatch(source.path.name.removesuffix(".gz"))
            if match is None:
                raise FeedError(f"{source.name}: is called neither security-support-ended.debN nor -limited")
            kind, release = match[1], match[2]
            if kind == "ended" and release is None:
                told.leave_out(f"{source.name}: its name tells no release")
                continue
            for at, line in enumerate(source.lines(self.limit), 1):
                line = line.strip()
                if line and not line.startswith("#"):
                    yield release or "", *_row(kind, line, f"{source.name}, line {at}")


def _row(kind: str, line: str, where: str) -> tuple[str, str, str | None, str | None, str]:
    cells = line.split(None, 3 if kind == "ended" else 1)
    if not _PACKAGE.fullmatch(cells[0]):
        raise FeedError(f"{where}: {shown(cells[0])} is no package's name")
    if kind == "limited":
        return cells[0], kind, None, None, text(cells[1] if len(cells) > 1 else "", where, 1000)
    if len(cells) < 3:
        raise FeedError(f"{where}: a package, a version and a date belong here")
    note = text(cells[3] if len(cells) > 3 else "", where, 1000)
    return cells[0], kind, version(cells[1], where), day(cells[2], where), note


FORMAT = DebianSupport()
