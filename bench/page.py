"""docs/bench.md: one section per part, each written when its part was run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bench.md"

_HEADER = """# What it costs

Written by `make bench` (`python -m bench`), which measures everything in the same run as what it is compared with.
Running some parts alone, such as `python -m bench ledger`, renews their sections and leaves the others.
"""


def write(sections: Mapping[str, str], order: list[str], path: Path = PAGE) -> None:
    """Put the new sections (by title) in the place of the old ones."""
    kept = _sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    now = kept | dict(sections)
    body = "".join(f"\n## {title}\n\n{now[title].strip()}\n" for title in order if title in now)
    path.write_text(_HEADER + body, encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))
