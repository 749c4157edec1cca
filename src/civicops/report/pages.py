"""What all reports share: how a page is rendered, and how a file is written."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from civicops.state import StateError, write_durably
from civicops.text import one_of_many, printable

_SHOWN = 2000


def environment() -> Environment:
    """For pages in which everything is escaped. `shown` is for what a host may have written, `line_shown` for a line
    of a text of it, whose indentation stays; `utc` for a stamp."""
    made = Environment(
        loader=PackageLoader("civicops.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = lambda value: printable(value, _SHOWN)
    made.filters["line_shown"] = lambda value: one_of_many(value, _SHOWN)
    made.filters["utc"] = lambda stamp: f"{str(stamp)[:16].replace('T', ' ')} UTC"
    return made


def write_whole(path: Path, content: str) -> None:
    """Write a report's file whole or not at all, its directory with it.

    :raises StateError: it can't be written, or something else than a file is there.
    """
    if path.exists() and not path.is_file():
        raise StateError(f"{path}: there is something else than a file; choose another --output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content.encode("utf-8", "replace"))
    except OSError as error:
        raise StateError(f"{path}: can't be written: {error.strerror}; choose another --output") from error
