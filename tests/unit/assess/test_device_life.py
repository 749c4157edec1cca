"""Whether network devices' software is supported: what nobody tells is never told as fine."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backups import CONFIG, NOW
from tests.unit.feeds.samples import DATA, needs_data

from civicops.assess.device_life import Lives, Support
from civicops.assess.devices import device
from civicops.assess.estate import Estate
from civicops.assess.finding import Told, judged
from civicops.assess.findings.device_end_of_life import FINDING
from civicops.feeds.importing import look
from civicops.feeds.store import Index
from civicops.network.platform import platforms

TODAY = NOW.date()
CYCLES: dict[str, list[dict[str, Any]]] = {
    "cisco-ios-xe": [{"releaseCycle": "17.9", "eol": "2026-07-29"}, {"releaseCycle": "17.12", "eol": "2027-07-28"}],
    "fortios": [{"releaseCycle": "7.4", "eol": "2027-05-01"}, {"releaseCycle": "7.40", "eol": "2020-01-01"}],
    "pan-os": [{"releaseCycle": "11.1", "eol": None}],
    "routeros": [{"releaseCycle": "7.24", "eol": False}, {"releaseCycle": "6.48", "eol": True}],
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    feed = tmp_path / "endoflife-2026-11-01.json"
    feed.write_text(json.dumps({name: {"releases": releases} for name, releases in CYCLES.items()}))
    return filled(Index(tmp_path / "state"), feed)


def filled(index: Index, feed: Path) -> Index:
    [found] = look([feed]).feeds
    index.replace(found.format, found.name, found.sources, origin="test")
    return index


def told(index: Index, platform: str, version: str | None, today: date = TODAY, *, old: bool = False) -> Support:
    facts = Told({"version": version}, NOW, old)
    return Lives(index, today).of(device("sw1", Told(CONFIG | {"platform": platform}, NOW), facts, NOW))


@pytest.mark.parametrize(
    ("platform", "version", "state", "words"),
    [
        ("cisco_ios", "17.09.04a", "found", "not supported since 2026-07-29"),
        ("cisco_xe", "17.12.1", "fine", "supported until 2027-07-28"),
        ("cisco_ios", "15.2(7)E4", "unknown", "does not tell of"),
        ("cisco_ios", "17.99.1", "unknown", "does not tell of"),
        ("fortinet", "v7.4.7", "found", "supported until 2027-05-01"),
        ("fortinet_telnet", "v7.40.1", "found", "not supported since 2020-01-01"),
        ("paloalto_panos", "11.1.2-h3", "unknown", "not known"),
        ("mikrotik_routeros", "7.24.1", "fine", "no end of it"),
        ("mikrotik_routeros", "6.48.6", "found", "not supported any more"),
        ("hp_comware", "7.1.070", "unknown", "does not tell how long"),
        ("what_is_this", "1.0", "unknown", "none that is known here"),
        ("cisco_ios", None, "unknown", "which software"),
        ("cisco_ios", "\x1b[2J17.09.04a", "unknown", "does not tell of"),
    ],
)
def test_by_what_the_feed_and_the_device_say(
    index: Index, platform: str, version: str | None, state: str, words: str
) -> None:
    found = told(index, platform, version)
    assert (found.state, words in found.text, "\x1b" in found.text) == (state, True, False), found.text


def test_an_end_that_is_near_weighs_less_than_one_that_has_come(index: Index) -> None:
    assert told(index, "fortinet", "v7.4.7").severity == "medium"
    assert told(index, "fortinet", "v7.4.7", date(2027, 5, 1)).severity == "medium", "its last day"
    assert told(index, "fortinet", "v7.4.7", date(2027, 5, 2)).severity == "high"
    assert told(index, "cisco_ios", "17.9.4").severity == "high"


def test_without_a_feed_or_with_an_old_one_nothing_is_fine(index: Index, tmp_path: Path) -> None:
    assert told(Index(tmp_path / "empty"), "cisco_ios", "17.12.1").state == "unknown"
    late = date(2026, 11, 1) + timedelta(days=91)
    assert told(index, "mikrotik_routeros", "7.24", late).state == "unknown"
    assert told(index, "mikrotik_routeros", "6.48", late).state == "found", "bad news stays"


def test_facts_that_are_too_old_are_no_good_news(index: Index) -> None:
    assert told(index, "cisco_ios", "17.12.1", old=True).state == "unknown"
    assert told(index, "cisco_ios", "17.09.1", old=True).state == "found"


@needs_data
def test_each_product_that_a_platform_names_is_in_the_real_feed(tmp_path: Path) -> None:
    real = filled(Index(tmp_path / "state"), DATA / "endoflife-2026-08-22.json")
    versions = {
        "cisco_ios": "17.09.04a",
        "fortinet": "v7.4.7",
        "paloalto_panos": "11.1.2-h3",
        "mikrotik_routeros": "7.18.2",
    }
    assert versions.keys() == {one.id for one in platforms().values() if one.life}
    for platform, version in versions.items():
        assert told(real, platform, version, date(2026, 8, 30)).state != "unknown", platform


def test_the_finding_tells_of_each_device(index: Index) -> None:
    found = {
        name: device(name, Told(CONFIG | {"platform": platform}, NOW), Told({"version": version}, NOW), NOW)
        for name, platform, version in (("old", "cisco_ios", "17.09.1"), ("new", "fortinet", "v7.4.7"))
    }
    estate = Estate(NOW, {}, index, found)
    told = {name: one for one in judged(FINDING, FINDING.look(estate)) for name in one.about}
    assert {name: (one.state, one.severity, one.kind) for name, one in told.items()} == {
        "old": ("found", "high", "device"),
        "new": ("found", "medium", "device"),
    }
