"""Figures: never better than what is known."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from civicops.assess.facts import Facts
from civicops.assess.lifecycle import release_of
from civicops.feeds.store import Index
from civicops.report.figures import Figure, figures_of, size
from civicops.report.history import changes

TODAY = date(2026, 11, 23)
NO_FEEDS = Index(Path("/nonexistent"))


def figure(key: str, body: dict[str, Any], today: date = TODAY) -> Figure:
    facts = Facts(body, "2026-11-23T12:00:00Z")
    return next(one for one in figures_of(facts, today, NO_FEEDS) if one.key == key)


def system(os_id: str, version: str, pretty: str = "X") -> dict[str, Any]:
    return {"identity": {"os": {"id": os_id, "version": version, "pretty": pretty}}}


@pytest.mark.parametrize(
    ("os_id", "version", "pretty", "state"),
    [
        ("debian", "11", "Debian GNU/Linux 11 (bullseye)", "bad"),
        ("debian", "12", "Debian GNU/Linux 12 (bookworm)", "good"),
        ("almalinux", "9.4", "AlmaLinux 9.4", "good"),
        ("fedora", "43", "Fedora Linux 43", "soon"),
        ("centos", "8", "CentOS Stream 8", "bad"),
        ("centos", "9", "CentOS Stream 9", "good"),
        ("haiku", "r1", "Haiku", "unknown"),
        ("ubuntu", "20.04", "Ubuntu 20.04 LTS", "bad"),
    ],
)
def test_the_end_of_an_operating_system(os_id: str, version: str, pretty: str, state: str) -> None:
    told = figure("os", system(os_id, version, pretty))
    assert told.state == state
    assert pretty in told.value
    assert state == "unknown" or "checked 20" in told.how, "each date with its source"


def test_the_last_day_of_support_is_still_supported() -> None:
    release = release_of("debian", "12")
    assert release is not None
    assert figure("os", system("debian", "12"), release.until).state == "soon"


def test_what_was_not_read_is_never_fine() -> None:
    body = {
        "unread": [{"item": "updates", "reason": "no apt here"}, {"item": "reboot.kernel", "reason": "a container"}]
    }
    for one in figures_of(Facts(body, "2026-11-23T12:00:00Z"), TODAY, NO_FEEDS):
        assert one.state in ("unknown", "plain"), one
    assert figure("security", body).details == ("no apt here",)
    assert figure("reboot", body).details == ("a container",)


def updates(count: int | None, *caveats: str) -> dict[str, Any]:
    rows = [[f"pkg{number}", True] for number in range(count or 0)]
    table = {"count": count or 0, "security_count": count, "caveats": list(caveats), "columns": ["name", "security"]}
    return {"updates": table | {"rows": rows, "lists_checked_at": "2026-11-20T00:00:00Z"}}


@pytest.mark.parametrize(
    ("body", "state", "value"),
    [
        (updates(0), "good", "none waiting"),
        (updates(3), "bad", "3 waiting"),
        (updates(3, "lists not renewed for 40 days"), "bad", "3 waiting"),
        (updates(0, "lists not renewed for 40 days"), "unknown", "none seen"),
        (updates(None, "no security source"), "unknown", "not known"),
        ({"updates": None}, "unknown", "not known"),
    ],
)
def test_no_updates_is_fine_only_where_they_would_have_been_seen(body: dict[str, Any], state: str, value: str) -> None:
    told = figure("security", body)
    assert told.state == state
    assert told.value.startswith(value)


@pytest.mark.parametrize(("free", "state"), [(50, "good"), (20, "good"), (19, "soon"), (10, "soon"), (9, "bad")])
def test_disk_room(free: int, state: str) -> None:
    system = {"mount": "/", "bytes": 100 << 30, "free_bytes": free << 30, "read_only": False}
    told = figure("disk", {"filesystems": [system | {"mount": "/boot", "free_bytes": 100 << 30}, system]})
    assert (told.state, told.value) == (state, f"/ has {free} GiB of 100 GiB free")


def test_only_media_and_images_that_are_full_by_design() -> None:
    full = {"mount": "/snap/core", "bytes": 100, "free_bytes": 0, "read_only": True}
    assert figure("disk", {"filesystems": [full]}).state == "unknown"


def test_an_account_without_a_password_is_told() -> None:
    users = [
        {"name": "root", "uid": 0, "power_groups": []},
        {"name": "guest", "uid": 7, "password": {"state": "empty"}},
    ]
    told = figure("accounts", {"users": users})
    assert told.state == "bad"
    assert "without any password: guest" in told.details[0]


def test_history_tells_what_changed_and_nothing_where_it_is_not_known() -> None:
    def facts(version: str, *users: str, ports: list[list[Any]] | None = None) -> Facts:
        body: dict[str, Any] = {
            "packages": {"columns": ["name", "arch", "version"], "rows": [["bash", "amd64", version]]},
            "users": [{"name": user} for user in users],
            "sockets": None if ports is None else {"columns": ["proto", "port", "scope"], "rows": ports},
        }
        return Facts(body, "2026-11-23T12:00:00Z")

    before = facts("5.1", "ann", ports=None)
    after = facts("5.2", "ann", "eve", ports=[["tcp", 23, "all"]])
    assert changes(before, after) == ["1 packages updated: bash:amd64", "1 new accounts that can log in: eve"]
    assert changes(after, after) == []


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (1 << 50, "1024.0 TiB"), (1.5 * 2**40, "1.5 TiB")],
)
def test_sizes(amount: float, text: str) -> None:
    assert size(amount) == text
