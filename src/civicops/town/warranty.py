"""A town's warranties: until when the makers mend which machine, from a spreadsheet.

`inventories/TOWN/warranty.csv` holds them: comma, semicolon or tab between the cells, as the spreadsheet writes it.
Every mistake is told with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from .problems import Problem, TownFileError, cant_read, echo, whole

NAME = "warranty.csv"
COLUMNS = {
    "host": "the host's name in the inventory",
    "serial": "the machine's serial number",
    "until": "the last day of the warranty, YEAR-MONTH-DAY",
    "bought": "the day on which the machine was bought, YEAR-MONTH-DAY",
    "vendor": "who mends it",
    "contract": "the contract's number",
}
MAX_PROBLEMS = 200
"""Problems that are told at once."""
_LIMIT = 4 << 20
_ROWS = 20_000
_COLUMNS = 100
_CELL = 300
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FORMULA = re.compile(r"[=@]|[+-][^0-9. ]")
_BY_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Warranty:
    """One row. Without `until` only the day of purchase is known."""

    host: str
    serial: str
    until: date | None
    bought: date | None
    vendor: str
    contract: str
    line: int


@dataclass(frozen=True)
class Warranties:
    """The rows of a town."""

    rows: tuple[Warranty, ...]

    @cached_property
    def _by_host(self) -> Mapping[str, Warranty]:
        return {row.host: row for row in self.rows if row.host}

    @cached_property
    def _by_serial(self) -> Mapping[str, Warranty]:
        return {row.serial.casefold(): row for row in self.rows if row.serial}

    def of(self, host: str, serial: str | None) -> Warranty | None:
        """A host's row: by its name, else by the serial number that the machine tells."""
        return self._by_host.get(host) or (self._by_serial.get(serial.strip().casefold()) if serial else None)


def load_warranties(directory: Path) -> Warranties | None:
    """The warranties beside a town's hosts.yml; None where the file is not there.

    :raises TownFileError: with every problem of the file.
    """
    path = directory / NAME
    try:
        if not path.resolve(strict=True).is_relative_to(directory.resolve(strict=True)):
            raise whole(path, "a link that leads out of the town's directory", "keep the file itself there")
        if not path.is_file():
            raise whole(path, "not a file", "warranties are a table of text (CSV)")
        with path.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise whole(path, "a link that leads nowhere", "keep the file itself there") from None
        return None
    except (OSError, RuntimeError) as error:
        raise whole(path, cant_read(error), "make it a file that you may read") from None
    if len(raw) > _LIMIT:
        raise whole(path, f"longer than {_LIMIT} bytes", "keep the columns that are read, and one row a machine")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        remedy = 'save it as "CSV UTF-8" in the spreadsheet'
        raise TownFileError([Problem(str(path), line, 0, "", "not UTF-8", remedy)]) from None
    return Warranties(_Reader(str(path)).read(text))


def strangers(directory: Path, hosts: Collection[str]) -> list[Problem]:
    """The rows for hosts that the inventory does not have: a slip of the pen, or a machine that is gone.

    :raises TownFileError: the list can't be used.
    """
    found = load_warranties(directory)
    return [
        Problem(
            str(directory / NAME),
            row.line,
            0,
            "host",
            f"{echo(row.host)} is no host of the inventory",
            "mend the name, or take the row out",
        )
        for row in (found.rows if found else ())
        if row.host and row.host not in hosts
    ]


class _Reader:
    """Reads the cells, and keeps every problem that it meets."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._lines: dict[tuple[str, str], int] = {}

    def read(self, text: str) -> tuple[Warranty, ...]:
        found: list[Warranty] = []
        columns: list[str] = []
        for line, cells in self._records(text):
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = self._header(line, cells)
                if not columns:
                    break
            elif len(found) == _ROWS or len(self._problems) > MAX_PROBLEMS:
                self._wrong(line, "", f"holds more than {_ROWS} rows, or mistakes without end", "mend these first")
                break
            elif (row := self._row(line, columns, cells)) is not None:
                found.append(row)
        if not columns and not self._problems:
            self._wrong(1, "", "is empty", f"begin with a line of columns: host or serial, until; known: {_known()}")
        if self._problems:
            raise TownFileError(self._problems)
        return tuple(found)

    def _records(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Each row with its first line. Some spreadsheets name the separator in a line of its own."""
        told = _BY_SEPARATOR.match(text)
        skipped = 1 if told else 0
        body = text[told.end() :] if told else text
        first = body.lstrip("\r\n").partition("\n")[0]
        separator = told.group(1) if told else max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
        line = 1 + skipped
        try:
            for cells in reader:
                yield line, cells
                line = reader.line_num + 1 + skipped
        except csv.Error as error:
            self._wrong(line, "", f"can't be read as CSV: {error}", "look at the quotation marks of this line")

    def _header(self, line: int, cells: list[str]) -> list[str]:
        if len(cells) > _COLUMNS:
            self._wrong(line, "", f"has more than {_COLUMNS} cells", f"keep the columns that are read: {_known()}")
            return []
        columns = [cell.strip().lower() for cell in cells]
        before = len(self._problems)
        for name in dict.fromkeys(columns):
            if name not in COLUMNS and name:
                self._wrong(line, echo(name)[1:-1], "is no column of warranties", f"known: {_known()}")
            elif columns.count(name) > 1 and name:
                self._wrong(line, name, "is there twice", "keep one of the two columns")
        if not {"host", "serial"} & set(columns):
            self._wrong(line, "host", "neither this column nor serial is there", "name the machine by one of the two")
        if not {"until", "bought"} & set(columns):
            self._wrong(line, "until", "this column is missing", COLUMNS["until"])
        return columns if len(self._problems) == before else []

    def _row(self, line: int, columns: list[str], cells: list[str]) -> Warranty | None:
        before = len(self._problems)
        if any(cell.strip() for cell in cells[len(columns) :]):
            self._wrong(line, "", "has more cells than there are columns", "look for a separator too many, or quote it")
        values = dict.fromkeys(COLUMNS, "") | {
            name: cell.strip() for name, cell in zip(columns, cells, strict=False) if name
        }
        for name, value in values.items():
            if len(value) > _CELL:
                self._wrong(line, name, f"is longer than {_CELL} characters", COLUMNS[name])
            elif _FORMULA.match(value):
                self._wrong(line, name, f"{echo(value)} is a formula", "export the values, not the formulas")
            elif not value.isprintable():
                self._wrong(line, name, f"{echo(value)} holds what can't be printed", "give one line of text")
        days = {name: self._day(line, name, values[name]) for name in ("until", "bought")}
        if not values["host"] and not values["serial"]:
            self._wrong(line, "host", "neither host nor serial is there", "name the machine by one of the two")
        if not values["until"] and not values["bought"]:
            self._wrong(line, "until", "is empty", COLUMNS["until"])
        if days["until"] and days["bought"] and days["until"] < days["bought"]:
            self._wrong(line, "until", "is before the machine was bought", "look at both days")
        self._once(line, values)
        if len(self._problems) > before:
            return None
        return Warranty(
            values["host"], values["serial"], days["until"], days["bought"], values["vendor"], values["contract"], line
        )

    def _once(self, line: int, values: Mapping[str, str]) -> None:
        for name in ("host", "serial"):
            value = values[name] if name == "host" else values[name].casefold()
            if value and (other := self._lines.setdefault((name, value), line)) != line:
                remedy = "keep one row a machine, with the day that is later"
                self._wrong(line, name, f"{echo(values[name])} is in line {other} too", remedy)

    def _day(self, line: int, name: str, value: str) -> date | None:
        if not value:
            return None
        try:
            if _DAY.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        remedy = "write YEAR-MONTH-DAY, such as 2027-06-30: format the column so before you export it"
        self._wrong(line, name, f"{echo(value)} is no day", remedy)
        return None

    def _wrong(self, line: int, key: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(self._file, line, 0, key, message, remedy))


def _known() -> str:
    return ", ".join(COLUMNS)
