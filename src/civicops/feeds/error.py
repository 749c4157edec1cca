"""The one exception of this package."""

from __future__ import annotations


class FeedError(Exception):
    """A feed can't be read, or the index can't be used; one line that says which and why."""
