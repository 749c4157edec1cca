from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from civicops.text import printable


@given(st.text(), st.integers(1, 200))
def test_nothing_steers_and_nothing_is_too_long(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200f\ufeff")


def test_plain_text_stays_as_it_is() -> None:
    assert printable("Größe: 5 €, 日本") == "Größe: 5 €, 日本"
    assert printable("a\r\nb\x1b[31m") == "a b [31m"
