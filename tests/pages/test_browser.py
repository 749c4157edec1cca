"""The browser is there, runs scripts and takes pictures: what the page tests build on."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.chrome.webdriver import WebDriver


def test_a_file_is_opened_and_photographed(browser: WebDriver, page: Path) -> None:
    page.write_text("<!doctype html><title>before</title><p>Größe</p><script>document.title = 'after'</script>")
    browser.get(page.as_uri())
    assert browser.title == "after"
    assert browser.find_element("tag name", "p").text == "Größe"
    picture = browser.get_screenshot_as_png()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 1000


def test_a_page_from_nowhere_leaves_no_errors_of_its_own(browser: WebDriver) -> None:
    browser.get("data:text/html,<title>data</title>")
    assert browser.title == "data"
    assert browser.get_log("browser") == []
