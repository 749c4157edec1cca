"""endoflife.date: life cycles of products, as its API gives them (v1, `products/full`), or its repository's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from civicops.feeds.error import FeedError
from civicops.feeds.format import Format, Row, Told
from civicops.feeds.source import Source
from civicops.feeds.values import day, listed, mapped, shown, text


class EndOfLife(Format):
    feeds = {"endoflife": "MIT"}
    table = "life"

    def recognise(self, head: bytes, name: str) -> str | None:
        of_repository = b'"releaseCycle"' in head and b'"releases"' in head
        of_api = b'"result"' in head and b'"isEol"' in head and b'"releases"' in head
        return "endoflife" if of_repository or of_api else None

    def read(self, feed: str, sources: Sequence[Source], told: Told) -> Iterator[Row]:
        for source in sources:
            whole = mapped(source.document(self.limit), "the document")
            if "result" in whole:
                if "generated_at" in whole:
                    told.newest(day(whole["generated_at"], "generated_at"))
                products = [mapped(one, "an entry of result") for one in listed(whole["result"], "result")]
                named = [(text(one.get("name"), "name of a product"), one) for one in products]
                yield from _rows(named, "name", "eolFrom", "isEol", "eoasFrom", "eoesFrom")
            else:
                named = [(text(key, "a product"), mapped(one, key[:60])) for key, one in whole.items()]
                yield from _rows(named, "releaseCycle", "eol", "eol", "eoas", "eoes")


def _rows(
    products: list[tuple[str, dict[str, object]]], cycle: str, eol: str, ended: str, support: str, extended: str
) -> Iterator[Row]:
    for product, one in products:
        for entry in listed(one.get("releases"), f"{product}: releases"):
            release = mapped(entry, f"{product}: a release")
            name = text(release.get(cycle), f"{product}: {cycle}")
            where = f"{product} {name}"
            until = release.get(eol)
            yield (
                product,
                name,
                _day(release.get("releaseDate"), f"{where}: releaseDate"),
                _end(until if until is not None else release.get(ended), f"{where}: {eol}"),
                _end(release.get(support), f"{where}: {support}"),
                _end(release.get(extended), f"{where}: {extended}"),
                _latest(release.get("latest"), f"{where}: latest"),
            )


def _day(value: object, what: str) -> str | None:
    return day(value, what) if isinstance(value, str) else None


def _end(value: object, what: str) -> str | None:
    """A day; or `yes` and `no`, where it is known whether it ended, but not when."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        raise FeedError(f"{what}: {shown(value)} where a date, true or false belongs")
    return day(value, what)


def _latest(value: object, what: str) -> str | None:
    if isinstance(value, dict):
        value = value.get("name")
    return None if value is None else text(value, what)


FORMAT = EndOfLife()
