"""The report as a reader opens it: from a file, without a network, in a real browser."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.unit.assess import package_samples
from tests.unit.backups import DEVICE_FACTS, append, put_config, put_network_run
from tests.unit.network.kept import sealed
from tests.unit.towns import MakeTown
from tests.unit.towns import make_town as make_town

from civicops.ledger import spool
from civicops.ledger.ingest import ingest
from civicops.ledger.spool import Origin
from civicops.ledger.store import Ledger
from civicops.network.store import New, Store
from civicops.report.write import Written, write_report
from civicops.state import TownState

EVIL = "<img src=x onerror=alert(1)><script>document.title='owned'</script>{{ 7*7 }}"

SOURCE_COLUMNS = ["kind", "uri", "suite", "components", "enabled", "signed_by", "trusted", "security"]
SOURCE_COLUMNS += ["fetched_at", "released_at", "valid_until", "file"]


def facts(os_version: str, *, security: int | None = 0, name: str = "Debian", **more: Any) -> dict[str, Any]:
    """A host's answer of the main figures."""
    gib = 1 << 30
    return {
        "host_time": "2026-11-23T12:00:00Z",
        "seen_as_root": True,
        "unread": [{"item": "hardware.serial", "reason": f"needs root {EVIL}"}],
        "identity": {
            "hostname": EVIL,
            "os": {"id": "debian", "version": os_version, "pretty": f"{name} {os_version}"},
            "kernel": {"running": "6.1.0-40-amd64"},
            "virtualization": {"kind": "physical", "by": None},
        },
        "hardware": {
            "vendor": "Dell",
            "model": "OptiPlex",
            "memory_bytes": 16 * gib,
            "age": {"since": "2021-03-01", "basis": "firmware date"},
        },
        "filesystems": [{"mount": "/", "bytes": 100 * gib, "free_bytes": 60 * gib, "read_only": False}],
        "reboot": {"wanted": False, "reasons": [], "stale_processes": []},
        "failed_units": [],
        "users": [{"name": f"ann{EVIL}", "uid": 1000, "power_groups": ["sudo"], "password": {"state": "set"}}],
        "package_sources": {
            "family": "dpkg",
            "columns": SOURCE_COLUMNS,
            "rows": [],
            "security_source": True,
            "security_source_why": "bookworm-security is configured and its lists are there",
            "lists_checked_at": "2026-11-23T06:00:00Z",
            "caveats": [],
        },
        "updates": {
            "count": security or 0,
            "security_count": security,
            "caveats": [],
            "columns": ["name", "arch", "from", "to", "security", "archive", "source"],
            "rows": [[f"package{EVIL}", "all", "1", "2", True, None, None]] * (security or 0),
            "lists_checked_at": "2026-11-23T06:00:00Z",
        },
    } | more


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    state = TownState("riverton")
    outcomes = {"web1": "ok", "old1": "ok", "gone1": "unreachable", "switch1": "not_asked"}
    for run, web in (("r1", facts("12")), ("r2", facts("12", security=2, failed_units=["backup.service"]))):
        origin = Origin("riverton", run, "checkup")
        spool.write(origin, kind="host-facts", version=1, host="web1", body=web)
        spool.write(origin, kind="host-facts", version=1, host="old1", body=facts("11"))
        gone = {"outcome": "unreachable", "task": "Ask", "reason": f"timed out {EVIL}"}
        spool.write(origin, kind="contact", version=1, host="gone1", body=gone)
        body = {"playbook": "checkup", "started_at": "x", "ended_at": "y", "hosts": outcomes}
        spool.write(origin, kind="run", version=1, host="", body=body)
        with Ledger("riverton", state=state) as ledger:
            assert ingest(ledger, state).rejected == 0
    return write_report("riverton", "Town of Riverton", state, tmp_path / "out")


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, selector).text)


def test_the_report_in_a_browser(browser: webdriver.Chrome, written: Written) -> None:
    browser.get(written.path.as_uri())
    assert browser.title.startswith("Town of Riverton"), "no script of a host's has run"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "2 of 3" in text_of(browser, ".cards")
    attention = text_of(browser, "#attention")
    assert re.search(r"No answer on 1 host: gone1", attention)
    assert re.search(r"Operating system without security updates on 1 host: old1", attention)
    assert re.search(r"Security updates waiting on 1 host: web1", attention)
    assert "timed out <img src=x onerror=alert(1)>" in text_of(browser, "#missed"), "shown as text"
    assert browser.find_elements(By.CSS_SELECTOR, "img, script, iframe, link") == []
    browser.find_element(By.LINK_TEXT, "web1").click()
    details = next(one for one in browser.find_elements(By.CSS_SELECTOR, "details") if "web1" in one.text)
    details.find_element(By.TAG_NAME, "summary").click()
    assert "new failed services: backup.service" in details.text, "the history against the last checkup"
    assert "needs root" in details.text, "what could not be read stands there with its reason"
    assert "switch1" in text_of(browser, "#hosts"), "a device that nobody asked is not passed over"


def test_it_needs_no_network_and_no_width(browser: webdriver.Chrome, written: Written) -> None:
    page = written.path.read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page), "nothing is loaded from anywhere"
    browser.set_window_size(500, 900)
    browser.get(written.path.as_uri())
    width = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    browser.set_window_size(1280, 1600)
    assert width <= 0, "no sideways scrolling on a telephone"


def test_network_devices_in_a_browser(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    state = TownState("riverton")
    with Ledger("riverton", state=state) as ledger:
        put_network_run(ledger, sw1="ok", sw2="unreachable")
        put_config(ledger, "sw1", unsaved=True)
        append(ledger, "device-facts", "sw1", DEVICE_FACTS | {"model": f"C9200L {EVIL}"}, timedelta(hours=1))
    for text in ("hostname a\n", f"hostname b\ndescription {EVIL}\n"):
        Store(state, sealed).keep([New("sw1", "cisco_ios", text.encode(), text, f"words {EVIL}")], run="r")
    browser.get(write_report("riverton", "Town of Riverton", state, tmp_path / "out").path.as_uri())
    assert browser.title.startswith("Town of Riverton"), "no script of a device's has run"
    section = browser.find_element(By.ID, "network")
    assert browser.find_elements(By.CSS_SELECTOR, "img, script, iframe, link") == []
    assert f"C9200L {EVIL}" in section.text, "shown as text"
    assert "sw2" in section.text
    assert "not saved: what runs differs from what it starts with" in section.text
    assert "the feed endoflife is not here" in section.text, "what is not known is told"
    change = section.find_element(By.TAG_NAME, "details")
    change.find_element(By.TAG_NAME, "summary").click()
    assert f"+description {EVIL}" in change.text
    browser.set_window_size(500, 900)
    width = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    browser.set_window_size(1280, 1600)
    assert width <= 0, "no sideways scrolling on a telephone"


def test_findings_in_a_browser(
    browser: webdriver.Chrome, make_town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVICOPS_STATE", str(tmp_path / "state"))
    town = make_town()
    state = TownState(town.id)
    with Ledger(town.id, state=state) as ledger:
        facts = package_samples.body(package_samples.row(f"tool-{'x' * 60}{EVIL}", "1.0", origin=EVIL))
        append(ledger, "host-facts", "web1", facts, timedelta())
    browser.get(write_report(town.id, town.name, state, tmp_path / "out", wanted=town).path.as_uri())
    assert browser.title.startswith("Riverton"), "no script of a host's has run"
    assert browser.find_elements(By.CSS_SELECTOR, "img, script, iframe, link") == []
    section = browser.find_element(By.ID, "findings")
    assert "No backup is known" in section.text
    assert "No feed is here, so nothing is known of vulnerabilities" in section.text
    unknown = next(one for one in section.find_elements(By.TAG_NAME, "details") if "Not known" in one.text)
    assert "Packages that were not assessed" not in unknown.text, "it is folded"
    unknown.find_element(By.TAG_NAME, "summary").click()
    assert "Packages that were not assessed" in unknown.text
    assert "tool-xxx" in unknown.text
    browser.set_window_size(500, 900)
    width = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    browser.set_window_size(1280, 1600)
    assert width <= 0, "no sideways scrolling on a telephone"
