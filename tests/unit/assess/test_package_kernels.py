"""The kernel that runs and those that are installed, told apart; and what only carries the kernel's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess import package_samples as make
from tests.unit.assess.package_samples import body, debian_feeds, judged, machine, only, opened, resolved, row

from civicops.state import TownState

CVE, OTHER = "CVE-2025-1000", "CVE-2025-2000"


@pytest.fixture(autouse=True)
def _state(state: TownState) -> None:
    pass


KERNEL = {"linux": {CVE: resolved("6.1.140-1"), OTHER: resolved("6.1.158-1")}}


def image(release: str, version: str) -> list[Any]:
    """A signed kernel, whose source counts its own builds."""
    own = version.replace("-1", "+1")
    found: list[Any] = row(f"linux-image-{release}", version, "linux-signed-amd64", source_version=own)
    return found


OLD, NEW = image("6.1.0-18-amd64", "6.1.76-1"), image("6.1.0-37-amd64", "6.1.140-1")
NEWEST = image("6.1.0-41-amd64", "6.1.158-1")
META = row("linux-image-amd64", "6.1.158-1", "linux-signed-amd64", source_version="6.1.158+1")
OLD_BUILD = "#1 SMP Debian 6.1.76-1 (2024-02-01)"


@pytest.mark.parametrize(
    ("rows", "running", "build", "wanted", "cves"),
    [
        ([NEW], "6.1.0-37-amd64", make.BUILD, "fixable", (OTHER,)),
        ([OLD, NEW], "6.1.0-18-amd64", OLD_BUILD, "fixable", (OTHER,)),
        ([OLD, NEW, NEWEST, META], "6.1.0-37-amd64", make.BUILD, "restart", (OTHER,)),
        ([OLD, NEWEST], "6.1.0-18-amd64", OLD_BUILD, "restart", (CVE, OTHER)),
        ([OLD, NEW, NEWEST], "6.1.0-41-amd64", "#1 SMP Debian 6.1.158-1 (2025-11-09)", "clean", ()),
        ([OLD, NEWEST], "6.1.0-41-amd64", "#1 SMP Debian 6.1.140-1 (2025-05-22)", "restart", (OTHER,)),
        ([NEWEST], "6.1.0-41-amd64", "", "clean", ()),
        ([NEWEST], "6.6.87-custom", "#1 SMP", "not_assessed", ()),
        ([], "6.6.87-custom", "#1 SMP", "not_assessed", ()),
        ([META], "6.6.87-custom", "#1 SMP", "not_assessed", ()),
        ([NEWEST], "6.1.0-41-amd64", "#1 SMP Debian x:1", "not_assessed", ()),
    ],
)
def test_running_and_installed_kernel(
    tmp_path: Path, rows: list[Any], running: str, build: str, wanted: str, cves: tuple[str, ...]
) -> None:
    debian_feeds(tmp_path, KERNEL)
    found = judged(machine(*rows, row("bash", "1"), running=running, build=build))
    one = only(found, "linux")
    assert (one.state, one.cves) == (wanted, cves)
    assert one.binaries == tuple(sorted(name for name, *_ in rows)), "all kernels are one"
    assert found.kernel and found.kernel.running == running


def test_a_container_runs_no_kernel_of_its_own(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    found = judged(body(row("bash", "1")))
    assert ([one.source for one in found.standings], found.colour) == (["bash"], "good")
    assert only(judged(body(NEWEST)), "linux").state == "clean", "no restart would change what runs"


def test_headers_of_the_kernel_do_not_flood(tmp_path: Path) -> None:
    debian_feeds(tmp_path, {"linux": {**KERNEL["linux"], "CVE-2025-3000": opened()}})
    libc = row("linux-libc-dev", "6.1.158-1", "linux")
    assert only(judged(body(libc)), "linux").state == "clean", "what is open there does not run from headers"
    one = only(judged(body(row("linux-libc-dev", "6.1.140-1", "linux"))), "linux")
    assert (one.state, one.headers, one.cves) == ("fixable", True, (OTHER,)), "as debsecan has it"
    assert only(judged(body(row("linux-perf", "6.1.158-1", "linux"))), "linux").state == "unfixed"
    states = [(one.kernel, one.state) for one in judged(machine(NEWEST, libc, running="6.1.0-41-amd64")).standings]
    assert sorted(states) == [(False, "clean"), (True, "restart")]


def gone(package: list[Any]) -> list[Any]:
    """The same, which no archive has any more."""
    return [*package[:7], ""]


def test_kernels_that_no_archive_has_any_more_are_still_debians(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    found = judged(machine(gone(OLD), NEWEST, running="6.1.0-18-amd64", build=OLD_BUILD))
    assert (only(found, "linux").state, only(found, "linux").cves) == ("restart", (CVE, OTHER))
    own = row("linux-image-6.6.87-custom", "6.6.87-1", "linux-upstream", "")
    found = judged(machine(own, running="6.6.87-custom", build="#1 SMP"))
    assert [one.why.code for one in found.standings] == ["foreign"], "one that somebody has built is not"


def test_a_derivatives_kernel_whose_archive_is_gone_is_not_debians(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    raspberry = row("linux-image-6.6.31+rpt-rpi-v8", "1:6.6.31-1+rpt1", "linux", "")
    build = "#1 SMP PREEMPT Debian 1:6.6.31-1+rpt1 (2024-05-29)"
    one = only(judged(machine(raspberry, running="6.6.31+rpt-rpi-v8", build=build)), "linux")
    assert (one.state, one.why.code) == ("not_assessed", "foreign"), "it is above all that Debian has ever mended"
    for runs in (build, "#1 SMP Debian 6.12.9-1~bpo12+1 (2025-01-09)", "#1 SMP Debian 6.1.9-1~bpo12+1 (2025-01-09)"):
        one = only(judged(machine(NEWEST, running="6.6.31+rpt-rpi-v8", build=runs)), "linux")
        assert (one.state, one.why.code) == ("not_assessed", "kernel-unknown"), "its package was removed while it runs"


def test_the_running_flavour_counts(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    cloud = image("6.1.0-41-cloud-amd64", "6.1.158-1")
    one = only(judged(machine(NEW, cloud)), "linux")
    assert (one.state, one.version) == ("fixable", "6.1.140-1"), "there is no newer one of the flavour that runs"
    one = only(judged(machine(NEW, cloud, running="6.1.0-41-cloud-amd64", build="#1 Debian 6.1.158-1")), "linux")
    assert one.state == "clean"


def test_headers_of_former_kernels_count_for_nothing(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    former = gone(row("linux-headers-6.1.0-18-amd64", "6.1.76-1", "linux"))
    newest = row("linux-headers-6.1.0-41-amd64", "6.1.158-1", "linux")
    meta = row("linux-headers-amd64", "6.1.158-1", "linux-signed-amd64", source_version="6.1.158+1")
    found = judged(body(former, newest, meta, row("linux-image-6.1.0-18-amd64-dbg", "6.1.76-1", "linux")))
    assert {one.state for one in found.standings} == {"clean"}
    found = judged(body(former, row("linux-headers-6.1.0-37-amd64", "6.1.140-1", "linux")))
    (one,) = found.standings
    assert (one.state, one.cves, one.headers, len(one.binaries)) == ("fixable", (OTHER,), True, 2)


def test_a_foreign_kernel(tmp_path: Path) -> None:
    debian_feeds(tmp_path, KERNEL)
    foreign = row("linux-image-6.12.9+bpo-amd64", "6.12.9-1~bpo12+1", "linux-signed-amd64")
    found = judged(machine(NEW, foreign, running="6.12.9+bpo-amd64", build=""))
    assert only(found, "linux").why.code == "backport"
