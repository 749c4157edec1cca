"""A real browser: Debian's Chromium, headless, with nothing of this user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from tests.hosts.tools import HostsUnavailable, ensure_packages

PROGRAMS = {"/usr/bin/chromium": "chromium", "/usr/bin/chromedriver": "chromium-driver"}
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One Chromium for the session; its console is read with `browser.get_log("browser")`."""
    try:
        ensure_packages(PROGRAMS, "the browser test")
    except HostsUnavailable as error:
        demanded = os.environ.get("CI") == "true" or os.environ.get("CIVICOPS_REQUIRE_HOSTS") == "1"
        (pytest.fail if demanded else pytest.skip)(str(error))
    folder = tmp_path_factory.mktemp("browser")
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Where a test may write a page that the browser then opens with `page.as_uri()`."""
    return tmp_path / "page.html"
