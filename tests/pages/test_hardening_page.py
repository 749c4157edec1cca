"""The page of hardening as an engineer opens it: on a screen and on a telephone, and with all of it unfolded."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.unit.assess.samples import HOSTILE
from tests.unit.report.standings import names, sixty

from civicops.assess.hardening import read_hardening
from civicops.ledger.store import Ledger
from civicops.report.hardening import Picture
from civicops.report.hardening_write import render
from civicops.state import TownState


@pytest.fixture
def written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty hosts and one that was never audited."""
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CIVICOPS_LEDGER_URL", raising=False)
    with Ledger("riverton", state=TownState("riverton")) as ledger:
        sixty(ledger)
        told = read_hardening(ledger, hosts=[*names(), "never-pc"])
    page.write_text(render(Picture(told), "Town of Riverton"))
    return page


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, selector).text)


def unfold(browser: webdriver.Chrome) -> None:
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")


def test_it_begins_with_scores_and_what_is_not_known(browser: webdriver.Chrome, written: Path) -> None:
    browser.get(written.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    sections = [one.get_attribute("id") for one in browser.find_elements(By.TAG_NAME, "section")]
    assert sections == ["frameworks", "not-known", "drift", "controls", "hosts", "details", "trust"]
    assert "58 of 61" in text_of(browser, ".cards")
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#frameworks tbody tr")]
    assert [row.partition(" 8")[0] for row in rows][:2] == ["Profile", "CIS Debian 12 benchmark"] and len(rows) == 7
    unknown = text_of(browser, "#not-known")
    assert "run-2 was put back since" in unknown and "unreachable: no route" in unknown and "never-pc" in unknown
    severities = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#controls > details > summary > .mark")]
    assert severities == ["severity not known", "critical", "high", "medium", "low"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#hosts tbody tr")) == 61


def test_links_lead_to_what_is_folded(browser: webdriver.Chrome, written: Path) -> None:
    browser.get(written.as_uri())
    browser.find_element(By.CSS_SELECTOR, "#hosts").find_element(By.LINK_TEXT, "srv-mail").click()
    details = browser.find_element(By.CSS_SELECTOR, browser.execute_script("return location.hash"))
    details.find_element(By.TAG_NAME, "summary").click()
    assert "Since 2026-11-20 08:00 UTC" in details.text and "lost" in details.text
    assert "expired" in details.text and "J. Ortiz, town manager" in details.text
    details.find_element(By.CSS_SELECTOR, ".found a").click()
    row = browser.find_element(By.CSS_SELECTOR, browser.execute_script("return location.hash"))
    assert "srv-mail" in row.get_attribute("textContent")


def test_a_host_and_its_control_that_say_hostile_things_are_shown_as_text(
    browser: webdriver.Chrome, written: Path
) -> None:
    browser.get(written.as_uri())
    unfold(browser)
    assert browser.title == "Town of Riverton: hardening"
    assert browser.find_elements(By.CSS_SELECTOR, "img, script, iframe, link, form") == []
    assert HOSTILE.partition("\x1b")[0] in text_of(browser, "#details")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [500, 800, 1280])
def test_no_width_needs_sideways_scrolling(browser: webdriver.Chrome, written: Path, width: int) -> None:
    browser.set_window_size(width, 900)
    browser.get(written.as_uri())
    found = []
    for _ in range(2):
        found.append(browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth"))
        unfold(browser)
    # What is wider than its section: on a telephone, a host's lists are to be read without scrolling too.
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.found, .controls')].filter("
        "one => one.getBoundingClientRect().right > one.closest('section').getBoundingClientRect().right).length"
    )
    browser.set_window_size(1280, 1600)
    assert max(found) <= 0
    assert wide == 0
