"""Whether a host can be reached from the Internet."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from tests.unit.assess.assessed import estate, facts

from civicops.assess.exposure import exposures
from civicops.state import TownState

PUBLIC, PRIVATE, SIX = "198.18.0.1/24", "10.1.2.3/24", "2606:4700::1111/64"
ROUTED = "8.8.8.8/24"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (facts(("::", "all"), addresses=[PRIVATE, ROUTED]), True),
        (facts(("8.8.8.8", "address"), addresses=[ROUTED]), True),
        (facts(("10.1.2.3", "address"), addresses=[PRIVATE, ROUTED]), None),
        (facts(("::", "all"), addresses=[PRIVATE, PUBLIC]), None),
        (facts(("::", "all"), addresses=[SIX]), None),
        (facts(("127.0.0.1", "loopback"), ("fe80::1", "link"), addresses=[ROUTED]), False),
        (facts(addresses=[ROUTED], sockets=None), None),
        (facts(addresses=[ROUTED], unread=[{"item": "sockets.tcp6", "reason": "denied"}]), None),
        (facts(addresses=[ROUTED], unread=[{"item": "sockets.process", "reason": "no root"}]), False),
        (facts(("::", "all"), addresses=["nonsense", "\x1b[31m"]), None),
    ],
)
def test_by_its_own_facts(body: dict[str, Any], value: bool | None, state: TownState) -> None:
    assert exposures(estate("web1", body=body, groups={}))["web1"].value is value


@pytest.mark.parametrize(
    ("groups", "value"),
    [(["exposed"], True), (["internal"], False), (["internal", "exposed"], True), ([], None)],
)
def test_who_looks_after_the_town_knows_best(groups: Collection[str], value: bool | None, state: TownState) -> None:
    there = estate("web1", body=facts(("::", "all"), addresses=[PRIVATE]), groups={one: ["web1"] for one in groups})
    assert exposures(there)["web1"].value is value


def test_good_news_needs_an_inventory_and_an_answer_that_is_not_old(state: TownState) -> None:
    assert exposures(estate("web1", groups={}))["web1"].value is False
    assert exposures(estate("web1", groups=None))["web1"].value is None
    assert exposures(estate("web1", groups={}, old=True))["web1"].value is None
    bad = facts(("::", "all"), addresses=[ROUTED])
    assert exposures(estate("web1", groups=None, old=True, body=bad))["web1"].value is True
