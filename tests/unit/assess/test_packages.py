"""Each package in exactly one state, and nothing green that was not seen to be."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess import package_samples as make
from tests.unit.assess.package_samples import body, debian_feeds, judged, machine, only, opened, resolved, row
from tests.unit.feeds.samples import osv, osv_lines

from civicops.assess.packages import VERSIONS, match
from civicops.feeds.store import Index
from civicops.state import TownState

CVE, OTHER = "CVE-2025-1000", "CVE-2025-2000"


@pytest.fixture(autouse=True)
def _state(state: TownState) -> None:
    pass


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (resolved("3.0.16-1~deb12u1"), "fixable"),
        (resolved("3.0.11-1~deb12u2"), "clean"),
        (resolved("0"), "clean"),
        (opened(), "unfixed"),
        (opened(nodsa="Minor issue", nodsa_reason=""), "unfixed"),
        (opened(nodsa="Minor issue", nodsa_reason="ignored"), "unfixed"),
        (opened(nodsa="Minor issue", nodsa_reason="postponed"), "unfixed"),
        (opened(urgency="unimportant"), "clean"),
        (opened(urgency="end-of-life"), "support_ended"),
        ({"status": "undetermined", "urgency": "not yet assigned"}, "unfixed"),
    ],
)
def test_the_words_of_debians_tracker(tmp_path: Path, entry: dict[str, Any], wanted: str) -> None:
    debian_feeds(tmp_path, {"openssl": {CVE: entry}})
    found = judged(body(row("libssl3", "3.0.11-1~deb12u2", "openssl"), row("openssl", "3.0.11-1~deb12u2")))
    one = only(found, "openssl")
    assert (one.state, one.binaries) == (wanted, ("libssl3", "openssl"))
    assert found.colour == {"fixable": "bad", "support_ended": "bad", "unfixed": "soon", "clean": "good"}[wanted]
    assert one.cves == (() if wanted == "clean" else (CVE,))


def test_the_source_and_its_version_count_not_those_of_the_binary(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"lvm2": {CVE: resolved("2.03.16-3")}, "curl": {CVE: resolved("7.88.1-10+b1")}})
    rows = [
        row("dmsetup", "2:1.02.185-2", "lvm2", source_version="2.03.16-2"),
        row("curl", "7.88.1-10+b1", source_version="7.88.1-10"),
    ]
    found = judged(body(*rows))
    assert (only(found, "lvm2").state, only(found, "lvm2").to) == ("fixable", "2.03.16-3")
    assert only(found, "curl").state == "fixable", "a binary rebuild has no new source"


def test_what_is_fixable_and_what_is_open_are_told_both(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2"), OTHER: opened(), "CVE-2025-3000": resolved("1.5")}})
    one = only(judged(body(row("vim", "1"))), "vim")
    assert (one.state, one.to, one.cves) == ("fixable", "2", (CVE, "CVE-2025-3000"))
    assert [hit.cves for hit in one.unfixed] == [(OTHER,)]


def test_debians_tracker_has_the_last_word_of_an_issue(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"bind9": {CVE: resolved("0")}, "curl": {CVE: opened()}})
    make.dsa(tmp_path, ("DSA-1", "bind9", "9", (CVE, OTHER)), ("DSA-2", "curl", "9", (CVE,)))
    found = judged(body(row("bind9", "1"), row("curl", "1")))
    assert [hit.cves for hit in only(found, "bind9").hits] == [(OTHER,)], "of it the tracker says nothing"
    assert only(found, "curl").state == "unfixed"


def test_advisories_of_fixed_issues_alone_leave_nothing_clean(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {})
    make.dsa(tmp_path, ("DSA-1", "bind9", "9", (CVE,)))
    forget("debian-tracker")
    found = judged(body(row("bind9", "1"), row("bash", "1")))
    assert (only(found, "bind9").state, only(found, "bash").state) == ("fixable", "not_assessed")
    assert "debian-tracker was never imported" in only(found, "bash").why.text
    assert judged(body(row("bash", "1"))).colour == "unknown"


def forget(feed: str) -> None:
    """Take a feed out of the index, with what it brought."""
    with sqlite3.connect(Index().path) as index:
        index.execute("DELETE FROM feed WHERE name = ?", (feed,))
        index.execute("DELETE FROM fix WHERE scope IN (SELECT id FROM scope WHERE feed = ?)", (feed,))
        table = {"debian-security-support": "support", "distro-info-debian": "release", "endoflife": "life"}.get(feed)
        if table:
            index.execute(f"DELETE FROM {table}")  # noqa: S608


@pytest.mark.parametrize("feed", ["debian-tracker", "distro-info-debian", "debian-security-support"])
def test_without_a_feed_that_is_needed_no_host_is_green(tmp_path: Path, feed: str) -> None:
    debian_feeds(tmp_path, {})
    assert judged(body(row("bash", "1"))).colour == "good"
    forget(feed)
    found = judged(body(row("bash", "1")))
    assert (found.colour, only(found, "bash").state) == ("unknown", "not_assessed")
    assert feed in only(found, "bash").why.text


@pytest.mark.parametrize(("day", "colour"), [("2026-11-22", "good"), ("2026-11-21", "unknown")])
def test_an_old_feed_is_no_good_news(tmp_path: Path, day: str, colour: str) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}}, day=day)
    assert judged(body(row("bash", "1"))).colour == colour
    assert only(judged(body(row("vim", "1"))), "vim").state == "fixable", "bad news stays"


def test_a_release_past_its_end_and_one_that_the_feeds_do_not_know(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {})
    for version, why in (("11", "past its end, which was 2026-08-31"), ("13", "knows nothing of Debian 13"), ("", "")):
        facts = body(row("bash", "1", origin="Debian"))
        facts["identity"]["os"] = {"id": "debian", "version": version or None}
        found = judged(facts)
        assert found.colour == "unknown"
        assert only(found, "bash").state == "not_assessed"
        assert any(why in one.text for one in found.why)
    make.write(tmp_path / "tracker-2026-11-30.json", make.tracker({"vim": {CVE: resolved("2")}}, "bullseye"))
    facts = body(row("vim", "1", origin="Debian"))
    facts["identity"]["os"] = {"id": "debian", "version": "11"}
    assert only(judged(facts), "vim").state == "fixable"


@pytest.mark.parametrize("os_id", ["fedora", "linuxmint", "", "<script>\x1b[31m", None])
def test_other_systems_have_no_feed(tmp_path: Path, os_id: str | None) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}})
    facts = body(row("vim", "1"))
    facts["identity"]["os"] = {"id": os_id, "version": "41"}
    found = judged(facts)
    assert (found.colour, only(found, "vim").why.code) == ("unknown", "no-feed")
    assert "\x1b" not in only(found, "vim").why.text


def test_a_distributions_name_with_another_familys_packages(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}})
    facts = body(row("vim", "1"))
    facts["packages"] = facts["packages"] | {"family": "rpm"}
    assert only(judged(facts), "vim").why.code == "no-feed"


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("Debian/bookworm-security", ""),
        ("Debian", ""),
        ("Debian/trixie", "foreign"),
        ("Docker/bookworm", "foreign"),
        ("Debian Backports/bookworm-backports", "foreign"),
        ("", "foreign"),
        (None, "unclear-origin"),
    ],
)
def test_packages_of_others_are_not_judged_by_debians_data(tmp_path: Path, origin: str | None, code: str) -> None:
    debian_feeds(tmp_path, {"nginx": {CVE: resolved("2")}})
    found = judged(body(row("nginx", "1", origin=origin), row("bash", "1")))
    one = only(found, "nginx")
    assert (one.state, one.why.code) == (("fixable", "") if not code else ("not_assessed", code))
    assert found.colour == ("unknown" if code else "bad")


def test_unknown_origin_counts_if_all_sources_are_debians_or_an_update_waits(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"nginx": {CVE: resolved("2")}})
    old_table = {"family": "dpkg", "columns": make.COLUMNS[:7], "rows": [row("nginx", "1")[:7], row("bash", "1")[:7]]}
    facts = body(packages=old_table)
    assert {one.why.code for one in judged(facts).standings} == {"unclear-origin"}, "an older document is readable"

    def source(origin: str | None, *, enabled: bool = True) -> list[Any]:
        return ["deb", "http://x", "y", ["main"], enabled, None, False, None, None, None, None, "sources.list", origin]

    sources: dict[str, Any] = {"family": "dpkg", "columns": make.SOURCES, "security_source": True, "caveats": []}
    sources |= {"lists_checked_at": None}
    debians = [source("Debian/bookworm"), source("Debian/bookworm-security"), source("Docker", enabled=False)]
    found = judged(body(packages=old_table, package_sources=sources | {"rows": debians}))
    assert (only(found, "nginx").state, only(found, "bash").state) == ("fixable", "clean")
    unread = [{"item": "package_sources.private.list", "reason": "needs root"}]
    found = judged(body(packages=old_table, package_sources=sources | {"rows": debians}, unread=unread))
    assert only(found, "nginx").why.code == "unclear-origin", "one of its sources could not be read"
    for other in ("Docker/bookworm", None):
        found = judged(body(packages=old_table, package_sources=sources | {"rows": [*debians, source(other)]}))
        assert only(found, "nginx").why.code == "unclear-origin"
    updates: dict[str, Any] = {
        "columns": make.UPDATES,
        "rows": [["nginx", "amd64", "1", "2", True, "Debian/oldstable-security", None]],
        "count": 1,
        "security_count": 1,
        "lists_checked_at": None,
        "caveats": [],
    }
    for archive in ("Debian/oldstable-security", "Debian-Security/oldstable-security"):
        updates["rows"][0][5] = archive
        found = judged(body(packages=old_table, updates=updates))
        assert (only(found, "nginx").state, only(found, "bash").why.code) == ("fixable", "unclear-origin")


def test_backports_and_versions_that_are_none(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"git": {CVE: resolved("9")}, "odd": {CVE: resolved("9")}})
    found = judged(body(row("git", "1:2.50-1~bpo12+1"), row("odd", "a b"), row("empty", "")))
    assert only(found, "git").why.code == "backport"
    assert only(found, "odd").why.code == only(found, "empty").why.code == "no-version"


def test_support_that_has_ended_or_is_limited(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"later": {CVE: opened()}})
    found = judged(body(row("lxd", "5.0.2-5+deb12u9"), row("later", "1"), row("binutils", "2")))
    assert (only(found, "lxd").state, only(found, "lxd").why.text.startswith("Debian has ended")) == (
        "support_ended",
        True,
    )
    assert only(found, "later").state == "unfixed", "its support ends next year"
    assert (only(found, "binutils").state, "trusted" in only(found, "binutils").note) == ("clean", True)


def test_an_advisory_that_can_not_be_compared_is_no_good_news(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"odd": {CVE: resolved("a:1")}, "mixed": {CVE: resolved("a:1"), OTHER: resolved("2")}})
    found = judged(body(row("odd", "1"), row("mixed", "1")))
    assert (only(found, "odd").state, only(found, "odd").why.code) == ("not_assessed", "odd-advisory")
    assert only(found, "mixed").state == "fixable"


def test_a_fixed_package_whose_former_files_are_in_use(tmp_path: Path) -> None:
    feeds = {"openssl": {CVE: resolved("2"), OTHER: resolved("3")}, "vim": {CVE: resolved("2")}}
    debian_feeds(tmp_path, feeds)
    rows = [row("libssl3", "3", "openssl"), row("vim", "1"), row("bash", "1")]
    found = judged(body(*rows, reboot=make.stale("libssl3", "bash")))
    one = only(found, "openssl")
    assert (one.state, one.restart, one.cves, found.colour) == ("restart", ("nginx.service",), (OTHER,), "bad")
    assert only(found, "bash").state == "clean", "nothing was ever fixed in it"
    assert only(judged(body(*rows, reboot=make.stale("vim"))), "vim").state == "fixable", "first things first"


@pytest.mark.parametrize(
    "more",
    [
        {"reboot": make.stale(without=1)},
        {"reboot": {"wanted": None, "stale_processes": [{"pid": 1, "process": "x", "unit": None, "files": ["/x"]}]}},
        {"reboot": {"wanted": None}},
        {"unread": [{"item": "reboot.stale_processes", "reason": "3 processes: needs root"}]},
        {"unread": [{"item": "processes", "reason": "/proc hides other users' processes (hidepid)"}]},
        {"unread": [{"item": "packages", "reason": "truncated: only 10000 of 10001 items kept"}]},
        {"unread": [{"item": "unread", "reason": "truncated: 1501 more"}]},
    ],
)
def test_what_was_not_seen_keeps_a_host_from_green(tmp_path: Path, more: dict[str, Any]) -> None:
    debian_feeds(tmp_path, {})
    found = judged(body(row("bash", "1"), **more))
    assert found.colour == "unknown"
    assert found.why


def test_no_host_makes_its_versions_dear(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"openssl": {CVE: resolved("3.0.11"), OTHER: opened()}})
    found = judged(body(*(row(f"lib{number}", f"3.0.{number}", "openssl") for number in range(200)), row("bash", "1")))
    states = [(one.state, len(one.binaries)) for one in found.standings if one.source == "openssl"]
    assert states == [("fixable", 1)] * 11 + [("unfixed", 1)] * (VERSIONS - 11) + [("not_assessed", 200 - VERSIONS)]
    assert only(found, "bash").state == "clean" and found.colour == "bad"


def test_hosts_of_which_nothing_is_known(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {})
    bodies = {"silent": None, "empty": body(), "unread": body(packages=None)}
    found = match(make.estate(bodies))
    assert {name: one.colour for name, one in found.items()} == dict.fromkeys(bodies, "unknown")
    assert all(one.why for one in found.values())
    old = judged(body(row("bash", "1")), at=make.MOMENT - timedelta(days=40), old=True)
    assert (old.colour, only(old, "bash").why.code) == ("unknown", "facts-old")


def test_ubuntu_knows_open_issues_and_its_own_kernels(tmp_path: Path) -> None:
    records = [
        osv("USN-1", ("Ubuntu:24.04:LTS", "vim", "2"), upstream=(CVE,), published=make.DAY),
        osv("UBUNTU-CVE-2025-2000", ("Ubuntu:24.04:LTS", "curl", None), published=make.DAY),
        osv("USN-3", ("Ubuntu:24.04:LTS", "linux-hwe-6.8", "6.8.0-40.40~22.04"), upstream=(OTHER,), published=make.DAY),
        osv("USN-2", ("Ubuntu:24.04:LTS", "linux", "6.8.0-40.40"), upstream=(OTHER,), published=make.DAY),
    ]
    make.write(tmp_path / "ubuntu.jsonl", osv_lines(*records))
    make.write(tmp_path / f"ubuntu-{make.DAY}.csv", make.DISTRO_INFO["ubuntu"])
    rows = [
        row("vim", "1"),
        row("curl", "1"),
        row("bash", "1"),
        row("pro", "1+esm1"),
        row("linux-image-6.8.0-31-generic", "6.8.0-31.31", "linux-signed"),
        row("linux-image-6.8.0-40-generic", "6.8.0-40.40", "linux-signed"),
        row("linux-image-generic", "6.8.0-40.40", "linux-meta"),
        row("linux-modules-6.8.0-31-generic", "6.8.0-31.31", "linux"),
        row("linux-modules-extra-6.8.0-40-generic", "6.8.0-40.40", "linux"),
    ]
    rows += [row(f"linux-hwe-6.8-headers-6.8.0-{n}", f"6.8.0-{n}.{n}~22.04", "linux-hwe-6.8") for n in (31, 40)]
    for one in rows:
        one[7] = "" if one[0] == "linux-hwe-6.8-headers-6.8.0-31" else "Ubuntu/noble"
    facts = machine(*rows, running="6.8.0-31-generic", build="#31-Ubuntu SMP")
    facts["identity"]["os"] = {"id": "ubuntu", "version": "24.04", "codename": "noble"}
    found = judged(facts)
    states = {one.source: one.state for one in found.standings}
    headers = only(found, "linux-hwe-6.8")
    assert (headers.headers, len(headers.binaries)) == (True, 2), "those of a former kernel count for nothing"
    assert states.pop("linux-hwe-6.8") == "clean"
    assert states == {"vim": "fixable", "curl": "unfixed", "bash": "clean", "pro": "not_assessed", "linux": "restart"}


def test_ranges_that_begin_somewhere(tmp_path: Path) -> None:
    record = osv("USN-1", ("Ubuntu:24.04:LTS", "vim", None), published=make.DAY, upstream=[CVE])
    events = [{"introduced": "2"}, {"fixed": "3"}, {"introduced": "5"}, {"fixed": "6"}]
    record["affected"][0]["ranges"][0]["events"] = events
    make.write(tmp_path / "ubuntu.jsonl", osv_lines(record))
    make.write(tmp_path / f"ubuntu-{make.DAY}.csv", make.DISTRO_INFO["ubuntu"])
    states = {}
    for version in ("1", "2", "3", "4", "5", "6"):
        facts = body(row("vim", version, origin="Ubuntu/noble"))
        facts["identity"]["os"] = {"id": "ubuntu", "version": "24.04", "codename": "noble"}
        states[version] = only(judged(facts), "vim").state
    assert states == {"1": "clean", "2": "fixable", "3": "clean", "4": "clean", "5": "fixable", "6": "clean"}


def test_alike_hosts_share_what_is_said_of_them(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}})
    found = match(make.estate({name: body(row("vim", "1")) for name in ("a", "b")}))
    assert found["a"].standings[0] is found["b"].standings[0]
