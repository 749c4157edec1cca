"""For any packages and advisories: one state each, the one of the table, and no host is green without a needed feed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.assess.package_samples import MOMENT, body, row, stale

from civicops.assess.estate import Estate, Host
from civicops.assess.finding import Told
from civicops.assess.package_findings import package_evidence
from civicops.assess.package_rules import rules
from civicops.assess.packages import PACKAGE_STATES, HostPackages, match
from civicops.feeds.store import Advisory, Exploited, Feed, Index, Points, Release, Support
from civicops.text import printable

DEBIAN = rules().distributions["debian"]
NEEDED = [need.feed for need in DEBIAN.needs if need.needed]
OPEN = ("open", "no-dsa", "postponed", "ignored", "undetermined")
NAMES = ("a", "b", "c")
VERSIONS = st.integers(1, 5)


class Feeds(Index):
    """An index without a database: feeds by name, with the age of each in days."""

    def __init__(self, ages: dict[str, int], advisories: list[tuple[str, Advisory]], supports: list[Support]) -> None:
        self._ages, self._told, self._supports = ages, advisories, supports

    @contextmanager
    def steady(self) -> Iterator[None]:
        yield

    def status(self) -> dict[str, Feed]:
        return {
            name: Feed(name, "x", "test", (MOMENT - timedelta(days=age)).date().isoformat(), "data", "", "", 1, "")
            for name, age in self._ages.items()
        }

    def all_advisories(self, distribution: str, release: str) -> dict[str, list[Advisory]]:
        found: dict[str, list[Advisory]] = {}
        for package, one in self._told:
            if one.feed in self._ages:
                found.setdefault(package, []).append(one)
        return found

    def all_kev(self) -> dict[str, Exploited]:
        return {}

    def ssvc(self, cve: str) -> Points | None:
        return None

    def release(self, distribution: str, version: str) -> Release | None:
        if "distro-info-debian" not in self._ages:
            return None
        return Release("12", "bookworm", None, {"eol": "2026-07-11", "eol-lts": "2028-06-30"})

    def life(self, product: str, cycle: str) -> None:
        return None

    def support(self, release: str) -> list[Support]:
        return self._supports if "debian-security-support" in self._ages else []


@st.composite
def advisories(draw: st.DrawFn) -> list[tuple[str, Advisory]]:
    """What two feeds say of some packages; the tracker says one thing of an issue of a package."""
    found: dict[tuple[str, str, str], Advisory] = {}
    for package, cve, feed, fixed, state in draw(
        st.lists(
            st.tuples(
                st.sampled_from(NAMES),
                st.sampled_from(("CVE-2026-1001", "CVE-2026-1002", "CVE-2026-1003")),
                st.sampled_from(("debian-tracker", "osv-debian")),
                VERSIONS,
                st.sampled_from(("fixed", "fixed", *OPEN, "end-of-life", "unimportant", "not-affected")),
            ),
            max_size=8,
        )
    ):
        at = str(fixed) if state == "fixed" else None
        found[package, cve, feed] = Advisory(f"{feed} {cve}", (cve,), None, at, state, feed)
    # Of a package that nobody has, so that each feed knows the release.
    every = [(package, one) for (package, _, _), one in found.items()]
    return [*every, ("z", Advisory("CVE-2020-1000", ("CVE-2020-1000",), None, "1", "fixed", "debian-tracker"))]


PACKAGES = st.dictionaries(st.sampled_from((*NAMES, "d")), VERSIONS, min_size=1)
SUPPORTS = st.lists(st.sampled_from(NAMES).map(lambda name: Support(name, "ended", "0", "2026-01-01", "x")), max_size=1)


def expected(name: str, version: int, told: list[tuple[str, Advisory]], ended: set[str], running: set[str]) -> str:
    """The table of docs/assess-packages.md once more, in other words."""
    by_tracker = {one.cves for package, one in told if package == name and one.feed == "debian-tracker"}
    heard = [
        one for package, one in told if package == name and (one.feed == "debian-tracker" or one.cves not in by_tracker)
    ]
    fixes = [int(one.fixed) for one in heard if one.fixed]
    if any(version < one for one in fixes):
        return "fixable"
    if name in running and fixes:
        return "restart"
    states = {one.state for one in heard}
    if name in ended or "end-of-life" in states:
        return "support_ended"
    return "unfixed" if states & set(OPEN) else "clean"


def judged(index: Index, facts: dict[str, Any], *, old: bool = False) -> HostPackages:
    return match(Estate(MOMENT, {"web1": Host("web1", Told(facts, MOMENT, old))}, index))["web1"]


@given(PACKAGES, advisories(), SUPPORTS, st.sets(st.sampled_from(NAMES)))
def test_each_package_is_in_the_one_state_of_the_table(
    packages: dict[str, int], told: list[tuple[str, Advisory]], supports: list[Support], running: set[str]
) -> None:
    rows = [row(f"lib{name}", str(version), name) for name, version in packages.items()]
    facts = body(*rows, reboot=stale(*(f"lib{name}" for name in running)))
    found = judged(Feeds(dict.fromkeys([*NEEDED, "osv-debian"], 1), told, supports), facts)
    assert sorted(name for one in found.standings for name in one.binaries) == sorted(f"lib{name}" for name in packages)
    ended = {one.package for one in supports}
    for one in found.standings:
        wanted = expected(one.source, packages[one.source], told, ended, running)
        assert one.state == wanted
        assert bool(one.hits) == (
            wanted in ("fixable", "restart", "unfixed") or "end-of-life" in {h.state for h in one.hits}
        )
    assert found.colour == (
        "good"
        if set(found.counts) == {"clean"}
        else "bad"
        if found.counts.keys() & {"fixable", "restart", "support_ended"}
        else "soon"
    )
    assert {"fine"} == {one.state for one in package_evidence([found])} or found.colour != "good"


@pytest.mark.parametrize("feed", NEEDED)
@given(PACKAGES, advisories(), st.sampled_from((None, -3, 1000)))
def test_without_a_needed_feed_no_host_is_green(
    feed: str, packages: dict[str, int], told: list[tuple[str, Advisory]], age: int | None
) -> None:
    ages = dict.fromkeys([*NEEDED, "osv-debian"], 1)
    facts = body(*(row(name, str(version)) for name, version in packages.items()))
    whole = judged(Feeds(dict(ages), told, []), facts)
    if age is None:
        del ages[feed]
    else:
        ages[feed] = age
    found = judged(Feeds(ages, told, []), facts)
    assert found.colour in ("bad", "unknown")
    assert "clean" not in found.counts
    assert "fine" not in {one.state for one in package_evidence([found])}
    if age is not None:
        bad = {one.source: one.state for one in whole.standings if one.state != "clean"}
        assert bad == {one.source: one.state for one in found.standings if one.state != "not_assessed"}, (
            "bad news stays"
        )


@given(PACKAGES, st.booleans())
def test_old_facts_are_no_good_news(packages: dict[str, int], old: bool) -> None:
    told = [("z", Advisory("CVE-2020-1000", ("CVE-2020-1000",), None, "1", "fixed", "debian-tracker"))]
    facts = body(*(row(name, str(version)) for name, version in packages.items()))
    found = judged(Feeds(dict.fromkeys(NEEDED, 1), told, []), facts, old=old)
    assert found.colour == ("unknown" if old else "good")
    assert set(found.counts) == {"not_assessed" if old else "clean"}


WORDS = st.one_of(
    st.sampled_from(
        ["linux", "linux-image-6.1.0-1-amd64", "linux-headers-6.1-x", "kernel-core", "a", "1", "~", "1:2-3", ""]
    ),
    st.sampled_from(["Debian/bookworm", "Debian", "1~bpo12+1", "x.module_el", "<unfixed>", "\x1b[31m\u202e", "/", ":"]),
    st.text(max_size=12),
)
ROWS = st.lists(st.lists(st.one_of(st.none(), WORDS), min_size=7, max_size=9), max_size=6)


@given(
    ROWS,
    st.sampled_from(("debian", "ubuntu", "almalinux", "rocky", "x")),
    st.sampled_from(("dpkg", "rpm")),
    st.tuples(WORDS, WORDS),
    st.booleans(),
)
def test_whatever_a_host_says_each_row_ends_in_one_state_and_is_told(
    rows: list[list[str | None]], os_id: str, family: str, kernel: tuple[str, str], container: bool
) -> None:
    told = [
        (name, Advisory("CVE-2026-1001", ("CVE-2026-1001",), None, "2", "fixed", "debian-tracker"))
        for name in ("linux", "a", "z", "kernel-core")
    ]
    facts = body(*rows)
    facts["packages"]["family"] = family
    facts["identity"] = {
        "os": {"id": os_id, "version": "12", "codename": "bookworm"},
        "kernel": {"running": kernel[0], "build": f"#1 Debian {kernel[1]}"},
        "virtualization": {"kind": "container" if container else "vm"},
    }
    found = judged(Feeds(dict.fromkeys(NEEDED, 1), told, []), facts)
    names = [name for one in found.standings for name in one.binaries]
    assert set(names) == {row[0] or "" for row in rows}
    for one in package_evidence([found]):
        assert printable(one.text, 100_000) == one.text
        assert printable(one.remedy, 100_000) == one.remedy
    if os_id != "debian":
        assert found.colour != "good"


def test_the_table_has_a_colour_for_each_state() -> None:
    assert list(rules().colours) == list(PACKAGE_STATES)
    for one in rules().distributions.values():
        brought = set().union(*(need.brings for need in one.needs if need.needed))
        assert {"fixed", "end"} <= brought, "nothing is clean without both"
        assert not one.first or one.first in {need.feed for need in one.needs}
