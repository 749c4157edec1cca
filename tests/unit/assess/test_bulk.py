"""Many documents at once: they stay what they were, and what they share is there once."""

from __future__ import annotations

import copy
import gc

import pytest
from tests.unit.assess.package_samples import COLUMNS, MOMENT, body, row
from tests.unit.assess.samples import add

from civicops.assess.bulk import Shared, uncollected
from civicops.assess.estate import read_estate
from civicops.assess.facts import Facts
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
    found = {name: host.facts for name, host in estate.hosts.items() if host.facts}
    for name, facts in found.items():
        assert facts.rows("packages") == Facts(told[name], "").rows("packages")
        assert {**facts.body, "packages": None} == {**told[name], "packages": None}
    first, second = (found[name].picked("packages", *COLUMNS)[0] for name in told)
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_rows_that_are_shorter_than_others_are_filled_up() -> None:
    table = {"columns": ["name", "version", "origin"], "rows": [["bash", "5"], ["vim", "9", "Debian"], []]}
    facts = Facts(Shared().body({"packages": table}), "")
    assert facts.picked("packages", "origin", "name", "arch") == [
        (None, "bash", None),
        ("Debian", "vim", None),
        (None, None, None),
    ]
    assert len(facts.body["packages"]["rows"]) == 3 and facts.body["packages"]["rows"][1] == ("vim", "9", "Debian")
    none = Facts(Shared().body({"packages": {"columns": ["name"], "rows": []}}), "")
    assert list(none.column("packages", "name")) == []


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
