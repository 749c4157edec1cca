"""A handful of the campaign's kills, in CI."""

from __future__ import annotations

from tests.hosts.kills import kills
from tests.hosts.town import Town


def test_a_controller_that_is_killed_anywhere_loses_nothing(town: Town) -> None:
    outcome = kills(town, seed=20261123, count=4)
    assert outcome.broken == []
    assert outcome.documents > 0
