"""What a report says of backups: never good where it is bad, old or not known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.backups import CLIENT, NOW, RUN, SERVER, put, put_drill

from civicops.ledger.store import Ledger
from civicops.report.backups import Backups, read_backups
from civicops.report.collect import collect
from civicops.report.write import render, summary
from civicops.state import TownState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger("riverton", state=TownState("riverton", tmp_path)) as opened:
        yield opened


def read(ledger: Ledger, *inventory: str) -> Backups:
    found = read_backups(ledger, inventory, NOW)
    assert found is not None
    return found


def test_nothing_is_said_where_nobody_was_asked(ledger: Ledger) -> None:
    assert read_backups(ledger, ["pc"], NOW) is None


def test_good_bad_old_and_never_asked(ledger: Ledger) -> None:
    put(ledger, "good")
    put_drill(ledger, "good")
    put(ledger, "late", "late", "timer")
    put(ledger, "old", age=timedelta(days=3))
    put(ledger, "old-and-late", "late", age=timedelta(days=3))
    put(ledger, "bare", client=None)
    put(ledger, "unseen", "not_seen", client=None, seen_as_root=False)
    put(ledger, "gone")
    found = read(ledger, "good", "late", "old", "old-and-late", "bare", "unseen", "never")
    assert {line.host: line.state for line in found.lines} == {
        "good": "good",
        "late": "bad",
        "old": "unknown",
        "old-and-late": "bad",
        "unseen": "unknown",
    }
    assert found.none_known == ["bare", "never"]
    assert [line.host for line in found.lines][-1] == "good", "the worst stand first"


def test_the_newest_word_counts(ledger: Ledger) -> None:
    put(ledger, "pc", "late", age=timedelta(hours=3))
    put(ledger, "pc")
    put_drill(ledger, "pc")
    assert [line.state for line in read(ledger, "pc").lines] == ["good"]


def test_what_was_fresh_when_asked_grows_late_by_itself(ledger: Ledger) -> None:
    client = CLIENT | {"late_after_seconds": 32 * 3600}
    put(ledger, "pc", client=client)
    put_drill(ledger, "pc")
    assert [line.state for line in read(ledger, "pc").lines] == ["good"]
    found = read_backups(ledger, ["pc"], NOW + timedelta(hours=30))
    assert found is not None
    [line] = found.lines
    assert (line.state, line.alarms) == ("bad", ["late: the last complete backup ended 2026-11-30T01:05:00Z"])


@pytest.mark.parametrize("ended", ["x", "2026-11-30", "2026-11-30T01:05:00", "9999-12-31T23:59:59Z", None])
def test_a_time_that_is_none_breaks_no_report(ledger: Ledger, ended: str | None) -> None:
    client = CLIENT | {"late_after_seconds": 9e15, "complete": RUN | {"ended_at": ended}}
    put(ledger, "pc", client=client)
    render(collect(ledger, "Riverton", NOW))


def test_a_restore_that_was_never_tried_or_long_ago_is_due_and_a_failed_one_bad(ledger: Ledger) -> None:
    for host in ("never", "long-ago", "failed", "mended", "vault"):
        put(ledger, host, **({"client": None, "server": SERVER} if host == "vault" else {}))
    put_drill(ledger, "long-ago", age=timedelta(days=36))
    put_drill(ledger, "mended", outcome="failed", reason="7 files did not come back", age=timedelta(days=6))
    put_drill(ledger, "mended")
    put_drill(ledger, "failed", outcome="failed", reason="7 files did not come back")
    lines = {line.host: line for line in read(ledger, "never", "long-ago", "failed", "mended", "vault").lines}
    assert {host: line.state for host, line in lines.items()} == {
        "never": "soon",
        "long-ago": "soon",
        "failed": "bad",
        "mended": "good",
        "vault": "good",
    }
    assert lines["mended"].drill == "on 2026-11-25: 4 files, all equal, in 14 minutes; payroll: 412,331 rows"
    assert lines["failed"].drill == "failed on 2026-11-25: 7 files did not come back"
    assert (lines["never"].drill, lines["vault"].drill) == ("never tried", "")


def test_the_page_and_the_summary_tell_it_as_text(ledger: Ledger) -> None:
    put(ledger, "pc", "late", *["canary"] * 20)
    put(ledger, "vault", client=None, server=SERVER)
    report = collect(ledger, "Riverton", NOW)
    page = render(report)
    assert "What is wrong" in page
    assert "<b>late" not in page
    assert "\x1b" not in page
    assert "and 13 more" in page
    report = collect(ledger, "Riverton", NOW + timedelta(days=9))
    assert {line.state for line in report.backups.lines} == {"bad", "unknown"}  # type: ignore[union-attr]
    assert any("backups want a look on 2 hosts: pc, vault" in line for line in summary(report))


@pytest.mark.parametrize(
    ("hours", "words"), [(71, "clock: its clock is 71 h ahead of ours"), (-2, "its clock is 2 h behind ours")]
)
def test_a_clock_that_is_wrong(ledger: Ledger, hours: int, words: str) -> None:
    at = NOW - timedelta(hours=1) + timedelta(hours=hours)
    put(ledger, "pc", host_time=at.isoformat(timespec="seconds"))
    put(ledger, "near", host_time=(NOW - timedelta(minutes=56)).isoformat(timespec="seconds").replace("+00:00", "Z"))
    for number, odd in enumerate(("never", "2026-11-30T09:00:00", None)):
        put(ledger, f"odd{number}", host_time=odd)
    found = {line.host: line for line in read(ledger).lines}
    assert words in found["pc"].alarms[0]
    assert found["pc"].state == "bad"
    assert {name for name, line in found.items() if line.alarms} == {"pc"}
