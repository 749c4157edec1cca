"""The calendar page and the status page as a reader opens them: files, no network, a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from civicops.runs.last import Last, write_last
from civicops.runs.scheduler import Launch, Scheduler
from civicops.runs.status import write_status
from civicops.state import TownState

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


@pytest.fixture
def inventories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The worked example, with a hostile event in its calendar file and a town beside it that has a mistake."""
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    folder = tmp_path / "inventories"
    shutil.copytree(ROOT / "inventories" / "fairview", folder / "fairview")
    calendar = folder / "fairview" / "calendars" / "council.ics"
    lines = ["BEGIN:VEVENT", "UID:evil", "DTSTAMP:20261101T000000Z", f"DTSTART:{datetime.now(UTC):%Y%m%d}T230000Z"]
    lines += ["DURATION:PT2H", f"SUMMARY:{EVIL}", "END:VEVENT", "END:VCALENDAR"]
    calendar.write_text(calendar.read_text().replace("END:VCALENDAR", "\n".join(lines)))
    bad = folder / "beeville" / "group_vars" / "all" / "town.yml"
    bad.parent.mkdir(parents=True)
    bad.write_text(f'town: {{id: beeville, name: "{EVIL}", timezone: Nowhere}}\n'.replace("'", ""))
    return folder


def looked_at(browser: webdriver.Chrome, page: Path, *, width: int) -> str:
    """Open a page at a width; no error in the console, nothing wider than the window, no script of a stranger's."""
    browser.set_window_size(width, 1600)
    browser.get(page.as_uri())
    assert "owned" not in browser.title
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.name} is {wide} pixels wider than a window of {width}"
    return str(browser.find_element(By.TAG_NAME, "body").text)


@pytest.mark.parametrize("width", [1280, 500])
def test_the_calendar_page(browser: webdriver.Chrome, inventories: Path, tmp_path: Path, width: int) -> None:
    page = tmp_path / "windows.html"
    command = [sys.executable, "-m", "civicops.cli.main", "windows", "fairview", "--html", str(page)]
    environment = os.environ | {"CIVICOPS_INVENTORIES": str(inventories)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    text = looked_at(browser, page, width=width)
    assert "city-hall-night" in text and "council" in text
    assert f"{datetime.now(UTC):%Y}" in text


@pytest.mark.parametrize("width", [1280, 500])
def test_the_status_page(browser: webdriver.Chrome, inventories: Path, tmp_path: Path, width: int) -> None:
    launched: list[Launch] = []
    state = TownState("fairview")
    hosts = {"changed": 58, "failed": 2, "deferred": 3}
    last = Last(
        "20261123T220000Z-wait-0a1b2c", "failed", 1, "2026-11-23T22:10:00.000000Z", f"2 of 63 {EVIL}", True, hosts
    )
    write_last(state, "wait", last)
    write_status(Scheduler(inventories, launched.append).tick(), tmp_path)
    text = looked_at(browser, tmp_path / "status.html", width=width)
    assert "58 changed, 3 deferred, 2 failed" in text
    assert "beeville" in text and "town.yml:1" in text
    assert "<script>" in text, "shown as text"
