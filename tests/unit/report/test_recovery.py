"""What a report says of recovery: on its page, in its summary, and of each system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backups import CLIENT, DRILL, NOW, RUN, SERVER, append, put, put_drill

from civicops.assess.recovery_known import read_drills
from civicops.ledger.store import Ledger
from civicops.report.collect import TownReport, collect
from civicops.report.recovery import RecoveryLine, RecoveryTold
from civicops.report.write import render, summary
from civicops.state import TownState
from civicops.town.model import System

KEPT = {"newest": None, "late": False, "snapshots": 1, "files": 1, "bytes": 1, "read_all_since": None, "alarms": 0}
SYSTEMS = (
    System(id="payroll", name="Payroll", rto_hours=4),
    System(id="dispatch", name="Dispatch", rto_hours=0.1),
    System(id="files", name="Files"),
    System(id="mail", name="Mail, hosted", rto_hours=4),
)
GROUPS = {
    "system_payroll": ["pc"],
    "system_dispatch": ["pc", "cad"],
    "system_files": ["cad"],
    "backup_server": ["vault"],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger("riverton", state=TownState("riverton", tmp_path)) as opened:
        yield opened


def told(ledger: Ledger, **more: Any) -> tuple[TownReport, RecoveryTold]:
    report = collect(ledger, "Riverton", NOW, **({"systems": SYSTEMS, "groups": GROUPS} | more))
    assert report.recovery is not None
    return report, report.recovery


def line(of: RecoveryTold, name: str) -> RecoveryLine:
    [found] = [one for one in of.lines if one.id == f"recovery-{name}"]
    return found


def facts(ledger: Ledger, *hosts: str, **more: Any) -> None:
    for host in hosts:
        append(ledger, "host-facts", host, {"host_time": None, "seen_as_root": True, "unread": []} | more, timedelta())


def fill(ledger: Ledger) -> None:
    """A server without a second copy, a host that is proven, one that is not, and one without a backup."""
    facts(ledger, "pc", "cad", "bare", "vault")
    whole = RUN | {"bytes": 5}
    put(ledger, "pc", client=CLIENT | {"last": whole, "complete": whole})
    put(ledger, "cad")
    kept = [KEPT | {"name": name} for name in ("pc", "cad")]
    server = SERVER | {"clients": kept, "copy": None, "domain": "corp<b>\x1b[31m"}
    put(ledger, "vault", client=None, server=server)
    put_drill(ledger, "pc")


def test_nothing_is_said_of_no_host(ledger: Ledger) -> None:
    assert collect(ledger, "Riverton", NOW).recovery is None


def test_a_town_without_backups_is_told_so(ledger: Ledger) -> None:
    facts(ledger, "pc1", "pc2")
    report, found = told(ledger, systems=(), groups=None)
    assert line(found, "no-backup").about == ["pc1", "pc2"], "what is the same of several hosts is one line"
    page = render(report)
    assert "No host was ever asked how its backups stand" in page
    assert "pc1, pc2" in page
    assert "  recovery: 2 critical" in summary(report)


def test_the_worst_first_and_what_is_not_known_apart(ledger: Ledger) -> None:
    fill(ledger)
    _, found = told(ledger)
    assert [one.state for one in found.lines] == sorted(
        (one.state for one in found.lines), key=["bad", "soon", "unknown"].index
    )
    assert {one.severity for one in found.lines[:2]} == {"critical"}
    assert line(found, "survives").about == ["cad", "pc"]
    assert line(found, "no-backup").about == ["bare"]
    assert line(found, "second-copy").evidence == "what lies here lies nowhere else"
    assert line(found, "untested").about == ["cad"]
    assert line(found, "escrow").state == "unknown"
    assert found.counts == {"critical": 3, "high": 3}
    assert found.words == f"3 critical, 3 high; {found.unknown} not known"


def test_each_system_with_hosts_is_told_what_it_wants_and_what_was_measured(ledger: Ledger) -> None:
    fill(ledger)
    report, found = told(ledger)
    systems = {one.name: one for one in found.systems}
    assert list(systems) == ["Payroll", "Dispatch", "Files"], "one without hosts is not ours to restore"
    assert (systems["Payroll"].state, systems["Payroll"].wanted) == ("good", "wanted 4 h")
    assert systems["Payroll"].measured == "measured 14 minutes for 412,331 rows"
    assert systems["Payroll"].proofs[0].startswith("the payroll database was restored on 25 November in 5 s; 412,331")
    assert (systems["Dispatch"].state, systems["Files"].state) == ("bad", "plain")
    assert systems["Files"].measured == "never measured (cad: no drill)"
    page = render(report)
    assert "wanted 4 h; measured 14 minutes for 412,331 rows" in page
    assert "412,331 rows, all equal" in page


def test_an_inventory_that_cannot_be_read_leaves_nothing_fine(ledger: Ledger) -> None:
    fill(ledger)
    _, found = told(ledger, groups=None)
    assert found.systems == []
    assert line(found, "time").about == ["Dispatch", "Mail, hosted", "Payroll"]
    assert line(found, "time").state == "unknown"


def test_what_hosts_say_is_text(ledger: Ledger) -> None:
    fill(ledger)
    report, _ = told(ledger)
    page = render(report)
    assert "corp&lt;b&gt;" in page
    assert "corp<b>" not in page
    assert "\x1b" not in page + "".join(summary(report))
    json.dumps(asdict(report), default=str)


def test_a_page_has_an_end(ledger: Ledger) -> None:
    names = [f"pc{number:03}" for number in range(120)]
    for name in names:
        put(ledger, name, client=CLIENT | {"left_out": [f"/srv/{name}"]})
    facts(ledger, *names)
    report, found = told(ledger, systems=(), groups=None)
    assert len(found.lines) > 120
    page = render(report)
    assert f"and {len(found.lines) - 80} more" in page
    assert "and 100 more" in page, "hosts of one line"


def test_a_drill_that_another_host_has_held_is_told_with_it(ledger: Ledger) -> None:
    facts(ledger, "pc", "spare")
    put(ledger, "pc")
    put_drill(ledger, "spare", age=timedelta(days=9))
    append(ledger, "drill", "spare", DRILL | {"of": "pc", "outcome": "failed"}, timedelta(days=8))
    append(ledger, "drill", "spare", DRILL | {"of": "pc"}, timedelta(days=4))
    drills = read_drills(ledger, NOW)
    assert {host: (one.by, one.body["outcome"]) for host, one in drills.items()} == {
        "pc": ("spare", "done"),
        "spare": ("", "done"),
    }
    report, found = told(ledger, systems=(), groups=None)
    [backup] = report.backups.lines if report.backups else []
    assert backup.drill.startswith("on 2026-11-26, on spare: 4 files")
    assert any("restored on 26 November in 5 s, on spare" in one.evidence for one in found.fine)


def test_the_summary_has_one_line_of_it(ledger: Ledger) -> None:
    fill(ledger)
    report, found = told(ledger)
    assert [one for one in summary(report) if "recovery" in one] == [f"  recovery: {found.words}"]


def test_a_host_that_calls_itself_a_backup_server_is_believed_only_if_the_inventory_has_it_so(ledger: Ledger) -> None:
    facts(ledger, "pc", "liar")
    put(ledger, "pc")
    put(ledger, "liar", client=None, server=SERVER | {"clients": [KEPT | {"name": "pc"}], "domain": None})
    _, found = told(ledger, systems=())
    assert line(found, "no-backup").about == ["liar"]
    assert line(found, "survives").evidence == "which server keeps its backups is not known"
