"""A town's waivers: what holds for whom and how long, and every mistake told with its line."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civicops.town import TownFileError
from civicops.town.waivers import LONGEST, Waiver, load_waivers

GOOD = """---
waivers:
  - control: ssh-no-root-login
    hosts: police-*
    reason: "The vendor's tool: until the contract ends."
    approver: J. Ortiz
    granted: "2026-11-23"
    expires: "2027-05-31"
  - finding: os-end-*
    hosts: group:library
    reason: They are replaced in spring.
    approver: J. Ortiz
    granted: 2026-11-01
    expires: 2027-11-01
"""


def read(folder: Path, text: str) -> tuple[Waiver, ...]:
    (folder / "waivers.yml").write_text(text)
    return load_waivers(folder)


def test_a_waiver_is_for_a_subject_some_hosts_and_some_days(tmp_path: Path) -> None:
    ssh, old = read(tmp_path, GOOD)
    assert (ssh.kind, ssh.line, ssh.approver) == ("control", 3, "J. Ortiz")
    assert ssh.covers("control", "ssh-no-root-login", "police-1", {})
    assert not ssh.covers("control", "ssh-no-root-login", "court-1", {})
    assert not ssh.covers("finding", "ssh-no-root-login", "police-1", {})
    assert not ssh.covers("control", "ssh-no-x11", "police-1", {})
    assert old.covers("finding", "os-end-of-life", "pc7", {"library": ["pc7"]})
    assert not old.covers("finding", "os-end-of-life", "pc7", {"library": ["pc8"]})
    for day, holds in (("2026-11-22", False), ("2026-11-23", True), ("2027-05-31", True), ("2027-06-01", False)):
        assert ssh.holds(date.fromisoformat(day)) is holds, day


def test_without_a_file_nothing_is_waived(tmp_path: Path) -> None:
    assert load_waivers(tmp_path) == ()
    assert read(tmp_path, "") == ()
    assert read(tmp_path, "waivers: []") == ()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"2027-05-31"', '"2027-12-01"', 8),
        ('"2027-05-31"', '"2026-11-22"', 8),
        ('"2027-05-31"', "in spring", 8),
        ('"2027-05-31"', '"2027-02-30"', 8),
        ('    approver: J. Ortiz\n    granted: "2026', '    granted: "2026', 3),
        ("    hosts: police-*\n", "", 3),
        ("control: ssh-no-root-login", "control: SSH no root", 3),
        ("control: ssh-no-root-login", "finding: x\n    control: y", 3),
        ("    hosts: police-*", "    host: police-*", 4),
        ("    hosts: police-*", "    hosts: [a, b]", 4),
        ("waivers:", "waiver:", 2),
    ],
)
def test_each_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    with pytest.raises(TownFileError) as raised:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert line in [problem.line for problem in raised.value.problems]
    assert all(problem.remedy for problem in raised.value.problems)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TownFileError) as raised:
        read(tmp_path, GOOD.replace("2027-05-31", "soon").replace("2027-11-01", "later"))
    assert len(raised.value.problems) == 2


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_waivers_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("town")
    (folder / "waivers.yml").write_text(text, encoding="utf-8", errors="ignore")
    try:
        assert all(one.expires - one.granted <= LONGEST for one in load_waivers(folder))
    except TownFileError as error:
        assert error.problems


def test_a_year_is_the_longest(tmp_path: Path) -> None:
    assert timedelta(days=366) == LONGEST
    until = date(2026, 11, 23) + LONGEST
    assert read(tmp_path, GOOD.replace("2027-05-31", str(until)))
