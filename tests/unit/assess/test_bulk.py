"""Many documents at once: they stay what they were, and what they share is there once."""

from __future__ import annotations

import copy
import gc

import pytest
from tests.unit.assess.package_samples import MOMENT, body, row
from tests.unit.assess.samples import add

from civicops.assess.bulk import Shared, uncollected
from civicops.assess.estate import read_estate
from civicops.ledger.store import Ledger
from civicops.state import TownState


@pytest.fixture(autouse=True)
def _collector() -> None:
    """On, as at a process's start: modules that run in this one, for other tests, turn it off for good."""
    gc.enable()


def test_an_estates_hosts_share_texts_and_say_what_they_said(state: TownState) -> None:
    told = {name: body(row("libssl3", "3.0.11-1~deb12u2", "openssl"), row(name, "1")) for name in ("web1", "web2")}
    with Ledger("riverton", state=state) as ledger:
        for name, one in told.items():
            add(ledger, copy.deepcopy(one), host=name, kind="host-facts", check=False)
        estate = read_estate(ledger, MOMENT)
    found = {name: host.told.body for name, host in estate.hosts.items() if host.told}
    assert found == told
    first, second = (found[name]["packages"]["rows"][0] for name in told)
    assert all(one is other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("odd", [None, [], {}, {"packages": None}, {"packages": {"rows": [[[]], 3]}}, {"packages": []}])
def test_what_is_no_table_stays_as_it_is(odd: object) -> None:
    assert Shared().body(copy.deepcopy(odd)) == odd


def test_the_collector_is_back_when_the_last_of_several_threads_has_done() -> None:
    first, second = uncollected(), uncollected()
    with first:
        second.__enter__()
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_the_collector_is_back_afterwards() -> None:
    with pytest.raises(KeyError), uncollected():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled(), "as it was"
    finally:
        gc.enable()
