"""docs/network-platforms.md says what the data say."""

from __future__ import annotations

from tests.unit.network.page import PAGE, written

from civicops.network.platform import platforms


def test_the_page_is_as_the_data() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text), "python -m tests.unit.network.page writes it anew"


def test_what_is_untested_is_marked() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").split("\n") if line.startswith("| ")]
    for platform in platforms().values():
        [row] = [row for row in rows if f"`{platform.id}`" in row]
        assert ("**untested**" in row) != platform.tested
