"""A town's warranties: as spreadsheets export them, every mistake with its line, and nothing read that is doubtful."""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.towns import MakeTown
from typer.testing import CliRunner

from civicops.assess.estate import read_estate
from civicops.cli.main import app
from civicops.ledger.store import Ledger
from civicops.state import TownState
from civicops.town import TownFileError
from civicops.town.warranty import COLUMNS, Warranties, load_warranties, strangers

GOOD = """host,serial,until,bought,vendor,contract
srv01,ABC123,2027-06-30,2022-07-01,Dell,"12, rue X"
,XYZ9,2026-12-31,,,
"""


def read(folder: Path, text: str | bytes) -> Warranties:
    (folder / "warranty.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    found = load_warranties(folder)
    assert found is not None
    return found


def problems(folder: Path, text: str | bytes) -> list[tuple[int, str, str]]:
    with pytest.raises(TownFileError) as raised:
        read(folder, text)
    assert all(one.remedy for one in raised.value.problems)
    return [(one.line, one.key, one.message) for one in raised.value.problems]


def test_a_row_is_for_a_host_or_a_serial_number(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    named, numbered = found.rows
    assert (named.until, named.bought, named.contract, named.line) == (
        date(2027, 6, 30),
        date(2022, 7, 1),
        "12, rue X",
        2,
    )
    assert found.of("srv01", None) is found.of("srv01", "other") is found.of("renamed", "abc123") is named
    assert found.of("pc7", " xyz9 ") is numbered
    assert found.of("pc7", None) is found.of("", "") is None


def test_without_a_file_there_is_no_list_and_an_empty_one_is_a_mistake(tmp_path: Path) -> None:
    assert load_warranties(tmp_path) is None
    assert problems(tmp_path, "") == [(1, "", "is empty")]
    assert read(tmp_path, "host,until\n").rows == ()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace('"12, rue X"', "12").replace(",", ";"),
        GOOD.replace('"12, rue X"', "12").replace(",", "\t"),
        "sep=;\r\n" + GOOD.replace('"12, rue X"', "12").replace(",", ";"),
        GOOD.replace("host,serial,until", "Host, SERIAL ,Until"),
        GOOD + ",,,,,\n\n ,,,,,\n",
        GOOD.replace("contract\n", "contract,,\n"),
        GOOD.replace("\nsrv01", '\n"srv01"'),
    ],
)
def test_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    rows = read(tmp_path, text).rows
    assert [(row.host, row.serial, str(row.until)) for row in rows] == [
        ("srv01", "ABC123", "2027-06-30"),
        ("", "XYZ9", "2026-12-31"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("2027-06-30", "06/30/2027", 2, "until", '"06/30/2027" is no day'),
        ("2027-06-30", "30.06.2027", 2, "until", '"30.06.2027" is no day'),
        ("2027-06-30", "2027-6-30", 2, "until", '"2027-6-30" is no day'),
        ("2027-06-30", "2027-02-30", 2, "until", '"2027-02-30" is no day'),
        ("2027-06-30", "46568", 2, "until", '"46568" is no day'),
        ("2027-06-30", "2027-06-30 00:00:00", 2, "until", '"2027-06-30 00:00:00" is no day'),
        ("2026-12-31", "", 3, "until", "is empty"),
        ("2027-06-30", "2022-06-30", 2, "until", "is before the machine was bought"),
        ("2027-06-30", "=TODAY()+365", 2, "until", '"=TODAY()+365" is a formula'),
        ("Dell", "=HYPERLINK(A1)", 2, "vendor", '"=HYPERLINK(A1)" is a formula'),
        ("Dell", "@SUM(A1)", 2, "vendor", '"@SUM(A1)" is a formula'),
        ("Dell", "+cmd|' /C calc'!A0", 2, "vendor", "\"+cmd|' /C calc'!A0\" is a formula"),
        ("Dell", "De\x1b[2Jll", 2, "vendor", '"De\\x1b[2Jll" holds what can\'t be printed'),
        ("Dell", "x" * 301, 2, "vendor", "is longer than 300 characters"),
        (",XYZ9,", ",,", 3, "host", "neither host nor serial is there"),
        (",XYZ9,", "srv01,XYZ9,", 3, "host", '"srv01" is in line 2 too'),
        (",XYZ9,", ",abc123,", 3, "serial", '"abc123" is in line 2 too'),
        ("until,", "end,", 1, "end", "is no column of warranties"),
        ("vendor,contract", "vendor,vendor", 1, "vendor", "is there twice"),
        ("2026-12-31,,,", "2026-12-31,,,,x", 3, "", "has more cells than there are columns"),
    ],
)
def test_each_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, key: str, message: str
) -> None:
    assert (line, key, message) in problems(tmp_path, GOOD.replace(old, new, 1))


def test_a_cell_of_several_lines_does_not_shift_the_lines(tmp_path: Path) -> None:
    text = 'host,vendor,until\na,"two\nlines",2027-01-01\nb,x,soon\n'
    assert [(line, key) for line, key, _ in problems(tmp_path, text)] == [(2, "vendor"), (4, "until")]


def test_all_mistakes_are_told_at_once_and_there_is_an_end_to_them(tmp_path: Path) -> None:
    assert len(problems(tmp_path, GOOD.replace("2027-06-30", "x").replace("2026-12-31", "y"))) == 2
    endless = "host,until\n" + "".join(f"pc{number},soon\n" for number in range(5000))
    assert 200 < len(problems(tmp_path, endless)) < 205
    many = "host,until\n" + "".join(f"pc{number},2027-01-01\n" for number in range(20_001))
    assert [line for line, _, _ in problems(tmp_path, many)] == [20_002]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (GOOD.encode("utf-16"), "not UTF-8"),
        (b"host,vendor,until\na,M\xfcller,2027-01-01\n", "not UTF-8"),
        (b"host,until\na," + b"x" * (5 << 20), "longer than 4194304 bytes"),
        (b'host,until\na,"2027-01-01\n', "can't be read as CSV: unexpected end of data"),
        (b",".join(b"c%d" % number for number in range(300_000)) + b"\n", "has more than 100 cells"),
        (b"serial\nABC\n", "this column is missing"),
        (b"vendor,until\nDell,2027-01-01\n", "neither this column nor serial is there"),
        (b"<html><body>Sign in</body></html>\n", "is no column of warranties"),
    ],
)
def test_what_is_no_such_list(tmp_path: Path, raw: bytes, message: str) -> None:
    assert message in {text for _, _, text in problems(tmp_path, raw)}


def test_what_is_no_file_of_the_town_is_not_read(tmp_path: Path) -> None:
    town = tmp_path / "town"
    town.mkdir()
    (tmp_path / "others.csv").write_text(GOOD)
    (town / "warranty.csv").symlink_to("../others.csv")
    with pytest.raises(TownFileError, match="leads out of the town's directory"):
        load_warranties(town)
    (tmp_path / "others.csv").unlink()
    with pytest.raises(TownFileError, match="leads nowhere"):
        load_warranties(town)
    (town / "warranty.csv").unlink()
    os.mkfifo(town / "warranty.csv")
    with pytest.raises(TownFileError, match="not a file"):
        load_warranties(town)


def test_rows_for_hosts_that_are_not_there_are_told(tmp_path: Path) -> None:
    assert strangers(tmp_path, ["web1"]) == []
    read(tmp_path, GOOD)
    assert strangers(tmp_path, ["srv01"]) == []
    [problem] = strangers(tmp_path, ["srv1"])
    assert (problem.line, problem.message) == (2, '"srv01" is no host of the inventory')


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.text(max_size=12), max_size=7), max_size=5), st.sampled_from(",;\t"), st.booleans())
def test_any_cells_are_warranties_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], separator: str, headed: bool
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator)
    writer.writerows([list(COLUMNS), *cells] if headed else cells)
    folder = tmp_path_factory.mktemp("town")
    (folder / "warranty.csv").write_text(stream.getvalue(), encoding="utf-8", errors="replace")
    try:
        for row in (load_warranties(folder) or Warranties(())).rows:
            assert (row.host or row.serial) and (row.until or row.bought)
            assert all(text.isprintable() for text in (row.host, row.serial, row.vendor, row.contract))
    except TownFileError as error:
        assert error.problems and all(one.line >= 1 for one in error.problems)


def test_the_towns_check_reads_it_and_the_estate_says_that_it_cannot_be_used(
    make_town: MakeTown, state: TownState
) -> None:
    town = make_town("riverton")
    path = town.directory / "warranty.csv"
    path.write_text(GOOD)
    directory = str(town.directory.parent)
    assert CliRunner().invoke(app, ["town", "check", "riverton", "--inventories", directory]).exit_code == 0
    now = datetime(2026, 11, 30, tzinfo=UTC)
    with Ledger("riverton", state=state) as ledger:
        known = read_estate(ledger, now, town=town).warranties
        assert known is not None and len(known.rows) == 2
        path.write_text(GOOD.replace("2026-12-31", "soon"))
        broken = read_estate(ledger, now, town=town)
    assert (broken.warranties, broken.warranty_fault) == (None, "warranty.csv has a mistake: civicops town check tells")
    checked = CliRunner().invoke(app, ["town", "check", "riverton", "--inventories", directory])
    assert checked.exit_code == 2
    assert f'{path}:3: until: "soon" is no day; write YEAR-MONTH-DAY' in checked.output
