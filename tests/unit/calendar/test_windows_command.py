"""`civicops windows` and `civicops town check` from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar as IcsCalendar

from civicops.calendar import load_calendar
from civicops.calendar.coming import Coming, coming
from civicops.calendar.export import as_ics
from civicops.calendar.page import as_html

from .conftest import MakeTown, write_town

NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)
EVENT = (
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:{}\r\nDURATION:PT2H\r\n"
    "SUMMARY:<script>x</script>\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
SUNDAYS = {"id": "sundays", "rrule": "FREQ=WEEKLY;BYDAY=SU", "start": "01:00", "duration": "4h"}
COUNCIL = {"id": "council", "kind": "council", "ics": "calendars/c.ics", "hosts": "web"}


@pytest.fixture
def found(make_town: MakeTown) -> Coming:
    town = make_town([SUNDAYS], [COUNCIL], files={"calendars/c.ics": EVENT.format("20270314T013000")})
    return coming(load_calendar(town), NOW, 10)


def command(*arguments: str, towns: Path) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("civicops"))
    env = os.environ | {"CIVICOPS_INVENTORIES": str(towns), "COLUMNS": "160"}
    return subprocess.run([program, *arguments], capture_output=True, text=True, env=env, check=False, timeout=60)


def test_data(found: Coming) -> None:
    data = found.as_data()
    assert data["windows"] == [
        {
            "window": "sundays",
            "jobs": ["patch"],
            "hosts": "all",
            "start": "2027-03-14T01:00:00-05:00",
            "end": "2027-03-14T06:00:00-04:00",
            "real_minutes": 240,
            "frozen": [
                {
                    "freeze": "council",
                    "hosts": "web",
                    "start": "2027-03-14T01:30:00-05:00",
                    "end": "2027-03-14T04:30:00-04:00",
                }
            ],
        }
    ]
    assert data["freezes"][0]["title"] == "<script>x</script>"
    assert found.real_length(found.windows[0].span) == "4h"


def test_page(found: Coming) -> None:
    page = as_html(found)
    assert "<script" not in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "01:00 to 06:00 (4h in real time)" in page
    assert "March 2027" in page
    assert "http" not in page.replace("http-equiv", "")


def test_export_is_read_by_another_program_and_by_us(found: Coming, make_town: MakeTown) -> None:
    content = as_ics(found)
    events = IcsCalendar.from_ical(content).walk("VEVENT")
    assert [(str(one["UID"]), one["DTSTART"].dt, one["DTEND"].dt) for one in events] == [
        ("window-sundays-20270314@oak.civicops", *_utc("2027-03-14 06:00", 4)),
        ("freeze-council-20270314T063000Z-20270314T083000Z@oak.civicops", *_utc("2027-03-14 06:30", 2)),
    ]
    later = as_ics(coming(found.calendar, NOW + timedelta(hours=1), 10))
    assert [str(one["UID"]) for one in IcsCalendar.from_ical(later).walk("VEVENT")] == [
        str(one["UID"]) for one in events
    ]
    town = make_town([], [COUNCIL], files={"calendars/c.ics": content})
    spans = load_calendar(town).freezes_between(NOW, NOW + timedelta(days=10))
    assert [(one.span.start, one.span.end) for one in spans] == [
        _utc("2027-03-14 06:00", 4),
        _utc("2027-03-14 06:30", 2),
    ]


def _utc(start: str, hours: int) -> tuple[datetime, datetime]:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return begin, begin + timedelta(hours=hours)


def test_command(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    write_town(tmp_path, [SUNDAYS], [COUNCIL], files={"calendars/c.ics": EVENT.format(f"{soon:%Y%m%dT%H%M%SZ}")})
    page, ics = tmp_path / "w.html", tmp_path / "w.ics"
    done = command("windows", "oak", "--days", "15", "--html", str(page), "--ics", str(ics), towns=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("sundays") in (2, 3)  # three where today is a Sunday
    assert "council" in done.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert ics.read_bytes().startswith(b"BEGIN:VCALENDAR")
    as_json = command("windows", "oak", "--json", "--job", "drill", towns=tmp_path)
    assert json.loads(as_json.stdout)["windows"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("elm",), 'there is no town "elm"'),
        (("oak", "--days", "0"), "--days is a number from 1 to 400, not 0"),
        (("oak", "--job", "pach"), "there is no job 'pach'; allowed: checkup"),
        (("oak", "--html", "/nonexistent/w.html"), "/nonexistent/w.html: can't be written"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    write_town(tmp_path, [SUNDAYS])
    done = command("windows", *arguments, towns=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_town_check_reads_the_calendars(tmp_path: Path) -> None:
    root = write_town(tmp_path, [SUNDAYS], [COUNCIL], files={"calendars/c.ics": EVENT.format("soon")})
    done = command("town", "check", "oak", towns=tmp_path)
    assert done.returncode == 2
    assert f'{root}/calendars/c.ics:4: event "1": DTSTART is not a day or time' in done.stderr
    told = json.loads(command("town", "check", "--json", towns=tmp_path).stdout)["towns"][0]["problems"]
    assert [(problem["line"], problem["key"]) for problem in told] == [(4, 'event "1"')]
