"""What is said of packages: once for each source, with names that hosts chose kept apart and harmless."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.assess import package_samples as make
from tests.unit.assess.package_samples import body, debian_feeds, judged, machine, opened, resolved, row
from tests.unit.assess.samples import HOSTILE
from tests.unit.feeds.samples import kev

from civicops.assess.finding import Evidence
from civicops.assess.package_findings import package_evidence, safe
from civicops.state import TownState

CVE, OTHER, THIRD = "CVE-2025-1000", "CVE-2025-2000", "CVE-2025-3000"
ID = re.compile("[a-z0-9][a-z0-9.-]{0,99}")
POINTS = "cve\tcvss\tvector\texploitation\tautomatable\ttechnical_impact\n"


@pytest.fixture(autouse=True)
def _state(state: TownState) -> None:
    pass


def said(facts: dict[str, Any], **more: Any) -> dict[str, Evidence]:
    """The evidence of one host by its id, each of which is there once."""
    every = list(package_evidence([judged(facts, **more)]))
    found = {one.id: one for one in every}
    assert len(found) == len(every)
    assert all(ID.fullmatch(one.id) and one.about == "web1" for one in every)
    return found


def test_one_for_each_source_that_is_not_clean(tmp_path: Path) -> None:
    feeds = {
        "openssl": {CVE: resolved("2"), OTHER: resolved("3")},
        "vim": {CVE: opened()},
        "glibc": {CVE: resolved("2")},
    }
    debian_feeds(tmp_path, feeds)
    rows = [row("libssl3", "1", "openssl"), row("openssl", "1"), row("vim", "1"), row("libc6", "2", "glibc")]
    rows += [row("lxd", "1"), row("bash", "1"), row("docker-ce", "5", origin="Docker"), row("kmod", "1")]
    found = said(body(*rows, reboot=make.stale("libc6")))
    assert {name: one.state for name, one in found.items()} == {
        "vulnerable-openssl": "found",
        "vulnerable-vim": "found",
        "vulnerable-glibc": "found",
        "unsupported-lxd": "found",
        "packages-not-assessed-foreign": "unknown",
    }
    openssl = found["vulnerable-openssl"]
    assert (openssl.package, openssl.cves) == ("openssl", (CVE, OTHER))
    assert "openssl 1 (libssl3, openssl): 2 issues mended in 3: " in openssl.text
    assert "Restart nginx.service" in found["vulnerable-glibc"].remedy
    assert "one source package was not assessed (docker-ce): not from Debian 12, but from Docker" in (
        found["packages-not-assessed-foreign"].text
    )


def test_a_host_whose_packages_are_all_clean(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {})
    (one,) = said(body(row("bash", "1"))).values()
    assert (one.id, one.state) == ("packages", "fine")
    assert f"debian-tracker of {make.DAY}" in one.text
    assert "packages" not in said(body(row("bash", "1")), old=True)


@pytest.mark.parametrize(
    ("cves", "severity", "text"),
    [
        ((CVE,), "critical", "exploited, by ransomware too"),
        ((OTHER,), "critical", "CVE-2025-2000: CVSS 9.1"),
        ((THIRD,), "low", "CVE-2025-3000: CVSS 3.1"),
        ((THIRD, "CVE-2025-4000"), "medium", "how bad 1 of 2 issues may be is not known"),
        (("CVE-2025-4000",), "medium", "how bad the issue may be is not known"),
        (("CVE-2025-5000",), "critical", "exploited (CISA SSVC)"),
        (("TEMP-0000000-ABCDEF",), "medium", "is not known"),
    ],
)
def test_severity_is_the_worst_that_is_known_and_never_nothing(
    tmp_path: Path, cves: tuple[str, ...], severity: str, text: str
) -> None:
    debian_feeds(tmp_path, {"vim": dict.fromkeys(cves, resolved("2"))})
    make.write(tmp_path / "kev.json", kev(CVE))
    lines = [f"{OTHER}\t9.1\t\t\t\t", f"{THIRD}\t3.1\t\tnone\tno\tpartial", "CVE-2025-5000\t\t\tactive\t\t"]
    make.write(tmp_path / "points-2026-11-01.tsv", POINTS + "\n".join(lines) + "\n")
    one = said(body(row("vim", "1")))["vulnerable-vim"]
    assert one.severity == severity
    assert text in one.text


def test_without_kev_it_is_told_that_nobody_looked(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}})
    assert "feeds that are missing: kev, vulnrichment" in said(body(row("vim", "1")))["vulnerable-vim"].text


def test_what_the_host_itself_is_offered(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"vim": {CVE: resolved("2")}})
    updates = {
        "columns": make.UPDATES,
        "rows": [],
        "count": 0,
        "security_count": 0,
        "lists_checked_at": "2026-11-30T06:00:00Z",
        "caveats": [],
    }
    one = said(body(row("vim", "1"), updates=updates))["vulnerable-vim"]
    assert "of 2026-11-30, offer no update of it" in one.text
    assert "renew them" in one.remedy
    cut = [{"item": "updates", "reason": "truncated: only 10000 of 10001 items kept"}]
    one = said(body(row("vim", "1"), updates=updates, unread=cut))["vulnerable-vim"]
    assert "was not read whole" in one.text and "lists offer no" not in one.text + one.remedy
    offered = updates | {"rows": [["vim", "amd64", "1", "2", True, "Debian/x", None]]}
    one = said(body(row("vim", "1"), updates=offered))["vulnerable-vim"]
    assert "offer vim 2" in one.text
    assert "job patch" in one.remedy


def test_kernel_and_headers_are_one_finding(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"linux": {CVE: resolved("6.1.158-1")}})
    rows = [
        row("linux-image-6.1.0-41-amd64", "6.1.158-1", "linux-signed-amd64"),
        row("linux-libc-dev", "6.1.140-1", "linux"),
    ]
    found = said(machine(*rows))
    assert list(found) == ["vulnerable-linux"]
    assert "none of the kernel's code runs from them" in found["vulnerable-linux"].text
    found = said(body(rows[1]))
    assert found["vulnerable-linux"].severity == "low"
    found = said(machine(rows[0]))
    assert "Reboot" in found["vulnerable-linux"].remedy


def test_reasons_of_the_whole_host(tmp_path: Path) -> None:
    assert list(said(body(packages=None))) == ["packages-not-assessed-packages-unread"]
    found = said(body(row("bash", "1")))
    assert set(found) == {"packages-not-assessed-feed-missing", "packages-not-assessed-release-unknown"}
    (silent,) = package_evidence(make.match(make.estate({"web1": None})).values())
    assert (silent.id, silent.state) == ("packages-not-assessed-no-answer", "unknown")


def test_hostile_names_are_data(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"lxd": {CVE: opened()}})
    rows = [row(f"{HOSTILE}{one}", HOSTILE, "lxd", origin="Debian", source_version=str(one)) for one in range(3000)]
    rows += [row(HOSTILE, "1", HOSTILE * 10, origin=HOSTILE), row("x", HOSTILE, "x")]
    for one in said(body(*rows)).values():
        assert len(one.text) < 3000
        assert "\x1b" not in one.text
        assert "\u202e" not in one.text


@given(st.one_of(st.text(max_size=300), st.from_regex(r"\A[a-z0-9][a-z0-9+.-]+\Z")), st.text(max_size=20))
def test_a_name_in_an_id_fits_and_is_its_own(source: str, other: str) -> None:
    assert ID.fullmatch(f"vulnerable-{safe(source)}")
    assert ID.fullmatch(f"unsupported-{safe(source)}")
    assert (safe(source) == safe(other)) == (source == other)
    assert safe("libsigc++-2.0").startswith("libsigcpp-2.0-")
