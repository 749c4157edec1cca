"""How hosts stand, from the ledger: the newest document, what was put back since, what failed, what has run out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.unit.assess.samples import HOSTILE, add, body, contact, row, undo

from civicops.assess.catalogue import Catalogue
from civicops.assess.hardening import Hardening, Standing, read_hardening
from civicops.assess.standing import OWN
from civicops.ledger.store import Ledger
from civicops.state import TownState

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def ledger(state: TownState) -> Iterator[Ledger]:
    with Ledger("riverton", state=state) as opened:
        yield opened


def read(ledger: Ledger, **more: object) -> Hardening:
    return read_hardening(ledger, known=Catalogue({}), now=NOW, **more)  # type: ignore[arg-type]


def web1(ledger: Ledger) -> Standing:
    [host] = read(ledger).hosts
    return host


def test_the_newest_document_counts_and_drift_is_against_the_one_before(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant"), row("b", "failed")))
    add(ledger, body(row("a", "failed"), row("b", "compliant")), run="run-2")
    host = web1(ledger)
    assert host.run == "run-2"
    assert host.drift is not None
    assert (host.drift.of_run, host.drift.lost, host.drift.gained) == ("run-1", ("a",), ("b",))


def test_enforcement_has_met_what_an_audit_only_predicts(ledger: Ledger) -> None:
    add(ledger, body(row("a", "changed")))
    host = web1(ledger)
    assert [one.control.id for one in host.would_change] == ["a"]
    add(ledger, body(row("a", "changed"), outcome="done"), run="run-2", job="baseline", check=False)
    host = web1(ledger)
    assert host.would_change == []
    assert host.scores is not None
    assert host.scores[OWN].percent == 100


def test_after_a_run_was_put_back_nothing_is_known_until_the_next_audit(ledger: Ledger) -> None:
    add(ledger, body(row("a", "changed"), outcome="done"), job="baseline", check=False)
    add(ledger, undo("run-1", "/etc/issue"), run="run-2", job="baseline_undo", check=True)
    assert web1(ledger).score(OWN) is not None, "a rehearsal puts nothing back"
    add(ledger, undo("run-1", "/etc/issue"), run="run-3", job="baseline_undo", check=False)
    told = read(ledger)
    assert told.hosts[0].score(OWN) is None
    assert "put back" in told.hosts[0].doubts[0]
    assert told.not_known == list(told.hosts)
    assert told.score(OWN).percent is None
    add(ledger, body(row("a", "changed")), run="run-4")
    assert web1(ledger).score(OWN) is not None
    assert web1(ledger).doubts == ()


def test_a_run_of_which_nobody_knows_the_end_gives_no_score(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant"), outcome="unknown", reason="no login"), job="baseline", check=False)
    assert web1(ledger).score(OWN) is None


def test_a_failed_audit_is_told_beside_the_last_answer_and_without_one(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant")))
    add(ledger, contact("civicops.town.baseline", reason="no Python"), run="run-2", kind="contact")
    add(ledger, contact("civicops.town.baseline", reason="bad profile"), host="web2", run="run-2", kind="contact")
    add(ledger, contact("civicops.town.host_info"), host="web3", run="run-2", kind="contact")
    first, second = read(ledger).hosts
    assert "no Python" in first.doubts[0]
    assert (second.at, second.host) == (None, "web2")
    assert "bad profile" in second.doubts[0]


def test_a_failed_audit_is_told_by_the_last_task_of_its_playbook_too(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant")))
    for action in ("civicops.town.baseline", "ansible.builtin.fail"):
        add(ledger, contact(action, reason="no Python"), run="run-2", kind="contact", job="baseline")
    assert "no Python" in web1(ledger).doubts[0]
    add(ledger, body(row("a", "failed"), outcome="failed", reason="not well"), run="run-3", job="baseline", check=False)
    add(ledger, contact("ansible.builtin.fail"), run="run-3", kind="contact", job="baseline")
    host = web1(ledger)
    assert (host.outcome, host.reason, host.doubts) == ("failed", "not well", ()), "its own word tells more"


def test_hosts_of_the_inventory_that_were_never_audited_are_not_known(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant")))
    told = read(ledger, hosts=["web1", "web9"])
    assert [one.host for one in told.not_known] == ["web9"]
    assert told.score(OWN).total == 1


def test_an_answer_that_was_refused_is_told(ledger: Ledger) -> None:
    add(ledger, {"excerpt": "x"}, status="rejected", reason="too large")
    assert "too large" in web1(ledger).doubts[0]


def test_a_waiver_that_has_run_out_since_is_told(ledger: Ledger) -> None:
    held = [
        {"control": "a", "until": "2026-11-26", "approver": "J. Ortiz", "reason": "until then"},
        {"control": "b", "until": "2026-11-27", "approver": "J. Ortiz", "reason": ""},
        {"control": "c", "until": "soon", "approver": "J. Ortiz", "reason": ""},
    ]
    add(ledger, body(row("a", "waived"), row("b", "waived"), row("c", "waived"), waivers=held))
    assert [one.control for one in web1(ledger).expired] == ["a", "c"]


def test_without_root_it_says_so(ledger: Ledger) -> None:
    add(ledger, body(row("a", "error"), seen_as_root=False))
    assert "without root" in web1(ledger).doubts[0]
    assert web1(ledger).score(OWN).percent is None  # type: ignore[union-attr]


def test_one_run_alone(ledger: Ledger) -> None:
    add(ledger, body(row("a", "compliant")))
    add(ledger, body(row("a", "failed")), run="run-2")
    [host] = read(ledger, run="run-1").hosts
    assert host.with_state("compliant")
    assert host.drift is None


def test_a_run_tells_also_who_gave_it_no_answer(ledger: Ledger) -> None:
    asked = {"web1": "ok", "web2": "no_answer", "web3": "unreachable", "switch1": "not_asked"}
    told = {"playbook": "baseline", "started_at": "x", "ended_at": None, "hosts": asked}
    add(ledger, body(row("a", "compliant")))
    add(ledger, contact("civicops.town.baseline", "unreachable", "no route"), host="web3", kind="contact")
    add(ledger, told, kind="run", host="", job="baseline")
    first, second, third = read(ledger, run="run-1").hosts
    assert (first.known, second.known, third.known) == (True, False, False)
    assert "no answer" in second.doubts[0] and "no route" in third.doubts[0]


def test_only_an_audit_tells_what_would_change(ledger: Ledger) -> None:
    add(ledger, body(row("a", "failed", changed=True)))
    assert len(web1(ledger).would_change) == 1, "in part"
    add(ledger, body(row("a", "failed", changed=True), outcome="failed"), run="run-2", job="baseline", check=False)
    assert web1(ledger).would_change == []


def test_only_a_waiver_that_holds_excuses(ledger: Ledger) -> None:
    held = [
        {"control": "a", "until": "2026-11-26", "approver": "J. Ortiz", "reason": ""},
        {"control": "b", "until": "2026-11-27", "approver": "J. Ortiz", "reason": ""},
    ]
    rows = [row("a", "waived"), row("b", "waived"), row("c", "waived"), row("d", "error"), row("e", "not_applicable")]
    add(ledger, body(*rows, row("f", "compliant"), waivers=held))
    assert [one.control.id for one in web1(ledger).open] == ["a", "c", "d"]


def test_hostile_text_is_kept_as_text(ledger: Ledger) -> None:
    add(ledger, body(row(HOSTILE[:90], "failed", was=HOSTILE, why=HOSTILE)))
    [told] = web1(ledger).failed
    assert told.reason == HOSTILE
    assert told.control.title == HOSTILE[:90]
