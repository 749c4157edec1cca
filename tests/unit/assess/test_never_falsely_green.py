"""A host of which all is known and fine is green; without anything that this rests on it is not, and it says why."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess import estates, test_recovery
from tests.unit.assess import package_samples as samples
from tests.unit.backups import NOW, append
from tests.unit.feeds.samples import put

from civicops.assess.assessment import Assessment, assess
from civicops.assess.package_rules import rules
from civicops.feeds.error import FeedError
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.state import TownState

GROUPS = {"all": ["pc", "vault"], "backup_server": ["vault"], "internal": ["pc", "vault"]}
NEEDED = [need.feed for need in rules().distributions["debian"].needs if need.needed]
FEEDS = {
    "debian-tracker": ("tracker.json", samples.tracker({"bash": {"CVE-2026-1001": samples.resolved("5.0")}})),
    "distro-info-debian": ("debian.csv", samples.DISTRO_INFO["debian"]),
    "debian-security-support": ("security-support-ended.deb12", samples.ENDED),
}
Change = Callable[[dict[str, Any]], None]


def facts(name: str) -> dict[str, Any]:
    """A good host of Debian 12, with an administrator and a key of its own."""
    body = estates.facts(
        {
            "identity.virtualization": {"kind": "container", "by": "podman"},
            "identity.os.codename": "bookworm",
            "ssh.authorized_keys": test_recovery.facts(name)["ssh"]["authorized_keys"],
        }
    )
    body["users"][1]["name"] = f"adm-{name}"
    body["package_sources"]["columns"].append("origin")
    body["package_sources"]["rows"] = [[*row, "Debian"] for row in body["package_sources"]["rows"]]
    return body


def feed(folder: Path, name: str, *, age: timedelta = timedelta(days=1), part: float = 1.0) -> None:
    """Import a feed of that age, or what is left of it."""
    file, text = FEEDS[name]
    path = folder / file
    path.write_text(text[: int(len(text) * part)])
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))
    with suppress(FeedError, AssertionError):
        put(path)


def assessed(change: Change | None = None, *, age: timedelta = timedelta(minutes=1)) -> Assessment:
    """A town of two hosts, one of which keeps the other's backups; `change` changes the facts of that other."""
    pc, an_hour = facts("pc"), timedelta(hours=1)
    if change is not None:
        change(pc)
    with Ledger("riverton", state=TownState("riverton")) as ledger:
        append(ledger, "host-facts", "pc", pc, age)
        append(ledger, "host-facts", "vault", facts("vault"), timedelta(minutes=1))
        append(ledger, "backup-status", "pc", test_recovery.status(test_recovery.CLIENT, None), an_hour)
        append(ledger, "backup-status", "vault", test_recovery.status(None, test_recovery.SERVER), an_hour)
        append(ledger, "drill", "pc", test_recovery.DRILL, an_hour)
        return assess(ledger, NOW, None, GROUPS, Index())


def why(told: Assessment) -> str:
    """What is not fine of the host."""
    return " | ".join(one.judged.evidence for one in told.open if "pc" in one.judged.about)


@pytest.fixture(autouse=True)
def state(state: TownState) -> TownState:
    return state


@pytest.fixture
def feeds(tmp_path: Path) -> None:
    for name in NEEDED:
        feed(tmp_path, name)


def test_a_host_of_which_all_is_known_and_fine_is_green(feeds: None) -> None:
    told = assessed()
    assert why(told) == ""
    assert {name: (one.colour, one.unknown) for name, one in told.hosts.items()} == {
        "pc": ("good", 0),
        "vault": ("good", 0),
    }
    assert told.hosts["pc"].fine >= 25, "that much was looked at"


def test_each_feed_that_is_needed_is_here() -> None:
    assert FEEDS.keys() == set(NEEDED)


@pytest.mark.parametrize("missing", NEEDED)
@pytest.mark.parametrize("how", ["removed", "stale", "truncated"])
def test_without_a_needed_feed_it_is_not(tmp_path: Path, missing: str, how: str) -> None:
    for name in NEEDED:
        if name != missing:
            feed(tmp_path, name)
    if how == "stale":
        feed(tmp_path, missing, age=timedelta(days=200))
    elif how == "truncated":
        feed(tmp_path, missing, part=0.4)
    told = assessed()
    assert told.hosts["pc"].colour == "unknown"
    assert missing in why(told) or "debian 12" in why(told).lower(), why(told)


def drop(item: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        *above, last = item.split(".")
        part = body
        for key in above:
            part = part[key]
        part[last] = None
        body["unread"].append({"item": item, "reason": "needs root"})

    return change


def without_root(body: dict[str, Any]) -> None:
    body["seen_as_root"] = False
    body["unread"] += [{"item": item, "reason": "needs root"} for item in ("sockets.process", "users.password")]


@pytest.mark.parametrize(
    "item",
    ["packages", "package_sources", "sockets", "users", "sudo", "filesystems", "services", "ssh.settings"],
)
def test_what_was_not_read_keeps_it_from_green_and_is_named(feeds: None, item: str) -> None:
    told = assessed(drop(item))
    assert told.hosts["pc"].colour != "good"
    assert "needs root" in why(told), why(told)


def test_neither_is_it_green_without_root_or_long_after_its_answer(feeds: None) -> None:
    assert assessed(without_root).hosts["pc"].colour == "unknown"
    told = assessed(age=timedelta(days=36))
    assert told.hosts["pc"].colour != "good"
    assert "answered last on 2026-10-25" in why(told)
