"""The morning report as its readers open it: on a screen, on a telephone, and on paper."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.unit.report.nights import HOSTILE, Evening, inventory_of_sixty, sixty, town_parts
from tests.unit.towns import MakeTown
from tests.unit.towns import make_town as make_town

from civicops.ledger.store import Ledger
from civicops.report.night_write import write_night
from civicops.state import TownState

# Inches.
PAPERS = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TownState:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CIVICOPS_LEDGER_URL", raising=False)
    return TownState("riverton")


@pytest.fixture
def pages(state: TownState, make_town: MakeTown, tmp_path: Path) -> dict[str, Path]:
    """Both editions of a night of 60 computers of which 5 have trouble."""
    return written(sixty(), state, make_town, tmp_path)


def written(evening: Evening, state: TownState, make_town: MakeTown, folder: Path) -> dict[str, Path]:
    town = make_town(zone="America/New_York", **town_parts())
    inventory_of_sixty(town)
    with Ledger("riverton", state=state) as ledger:
        evening.write(ledger)
    paths = write_night(town, state, "last", directory=folder / "out").paths
    return {path.stem.rpartition("-")[2]: path for path in paths}


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, selector).text)


def severe(browser: webdriver.Chrome) -> list[dict[str, object]]:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("paper", PAPERS)
def test_the_managers_edition_is_two_pages(browser: webdriver.Chrome, pages: dict[str, Path], paper: str) -> None:
    browser.get(pages["manager"].as_uri())
    width, height = PAPERS[paper]
    settings = {"paperWidth": width, "paperHeight": height, "printBackground": False}
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", settings)["data"])
    sheets = len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))
    assert 1 <= sheets <= 2


def test_the_managers_edition_begins_with_what_is_not_well(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.get(pages["manager"].as_uri())
    assert severe(browser) == []
    sections = [one.get_attribute("id") for one in browser.find_elements(By.TAG_NAME, "section")]
    assert sections[:2] == ["alarms", "left"]
    assert "clerk-pc-02, pd-pc-07" in text_of(browser, "#alarms")
    assert "55 of 60" in text_of(browser, ".cards") and "at most 6 minutes" in text_of(browser, ".cards").lower()
    rows = browser.find_elements(By.CSS_SELECTOR, "#left tbody tr")
    assert [row.text.split("\n")[0].split(" ")[0] for row in rows] == ["not", "no", "taken", "not", "put"]
    assert "IT to repair it before people use it" in rows[0].text
    assert "lib-pc-03" in text_of(browser, "#left ul"), "done, and still to be restarted"
    assert browser.find_elements(By.CSS_SELECTOR, "img, script, iframe, link, a") == []


def test_the_engineers_edition_has_each_host_behind_its_name(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.get(pages["engineer"].as_uri())
    assert severe(browser) == []
    rows = browser.find_elements(By.CSS_SELECTOR, "#summary tbody tr")
    assert len(rows) == 60 and rows[0].text.startswith("clerk-pc-02")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#details details")) == 60
    details = browser.find_element(By.CSS_SELECTOR, "#details details")
    details.find_element(By.TAG_NAME, "summary").click()
    assert "cups-daemon 2.4.2-3" in details.text and "cups.service is failed" in details.text
    assert "canary" in text_of(browser, "#rings") and "frozen by payroll" in text_of(browser, "#gate")


@pytest.mark.parametrize("edition", ["manager", "engineer"])
def test_a_telephone_needs_no_sideways_scrolling(
    browser: webdriver.Chrome, pages: dict[str, Path], edition: str
) -> None:
    page = pages[edition].read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page), "nothing is loaded from anywhere"
    browser.set_window_size(500, 900)
    browser.get(pages[edition].as_uri())
    wider = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    browser.set_window_size(1280, 1600)
    assert wider <= 0


@pytest.mark.parametrize("edition", ["manager", "engineer"])
def test_what_a_host_says_is_shown_as_text(
    browser: webdriver.Chrome, state: TownState, make_town: MakeTown, tmp_path: Path, edition: str
) -> None:
    evening = Evening()
    evening.begun("srv-web")
    evening.approved(HOSTILE[:200], ["srv-web"])
    evening.patched("srv-web", "failed", reason=HOSTILE, told=[HOSTILE], ring=HOSTILE[:40])
    evening.ended({"srv-web": "failed"})
    browser.get(written(evening, state, make_town, tmp_path)[edition].as_uri())
    assert severe(browser) == []
    assert browser.find_elements(By.CSS_SELECTOR, "img, script") == []
    assert "<script>alert(1)</script>" in text_of(browser, "body")
    assert browser.title.startswith("Riverton: patch night")
