"""The matcher on real data: against debsecan on Debian 12, and AlmaLinux's advisories on a real list of packages."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from tests.unit.assess import package_samples as make
from tests.unit.assess.package_samples import body, debian_feeds, judged, resolved, row, rpm_body
from tests.unit.feeds.samples import DATA, osv, osv_lines, put

from civicops.assess.packages import HostPackages, match
from civicops.assess.versions import debian_key, rpm_key
from civicops.state import TownState

HERE = Path(__file__).parent
ALMALINUX = DATA / "almalinux-osv-2026-08-21.jsonl.gz"
needs_almalinux = pytest.mark.skipif(not ALMALINUX.is_file(), reason=f"needs {ALMALINUX.name} (CIVICOPS_TEST_DATA)")

Pairs = set[tuple[str, str]]
needs_union = make.needs_union


@pytest.fixture(autouse=True)
def _state(state: TownState) -> None:
    pass


def installed(pairs: dict[str, dict[str, str]]) -> dict[str, str]:
    """A version of each source: in turn just below a fix, at one, above all, below all; real ones and their
    neighbours."""
    found = {}
    for (source, issues), turn in zip(sorted(pairs.items()), cycle(range(4))):
        fixes = sorted(set(issues.values()), key=debian_key)
        middle = fixes[len(fixes) // 2]
        found[source] = (f"{middle}~", middle, f"{fixes[-1]}+really1", f"{fixes[0]}~~")[turn]
    return found


def lowest_fix(issues: dict[str, str]) -> str:
    return min(issues.values(), key=debian_key)


def host(sources: dict[str, str]) -> dict[str, Any]:
    """A host with one package of each source, of another name."""
    return body(*(row(f"lib-of-{source}", version, source) for source, version in sources.items()))


def fixable(found: HostPackages) -> Pairs:
    return {(one.source, cve) for one in found.standings if one.state == "fixable" for cve in one.cves}


def debsecan_says(sources: dict[str, str]) -> Pairs:
    """What debsecan(1) reports of source packages by its own file: a name's issue concerns a source below the fixed
    version, unless its version is among the others that are mended. Written from the layout of the file."""
    text = zlib.decompress(make.DEBSECAN.read_bytes()).decode()
    head, packages, *_ = text.split("\n\n")
    version, *named = head.split("\n")
    assert version == "VERSION 1"
    names = [line.split(",", 2)[0] for line in named]
    found: Pairs = set()
    for line in packages.strip().split("\n"):
        source, number, flags, fixed, others = line.split(",", 4)
        assert flags[0] == "S"
        at = sources.get(source)
        if at is not None and at not in others.split() and (not fixed or debian_key(at) < debian_key(fixed)):
            found.add((source, names[int(number)]))
    return found


@needs_union
def test_the_same_pairs_as_debsecan(tmp_path: Path) -> None:
    pairs = make.union()
    make.import_union(tmp_path, pairs)
    mixed, lowest = installed(pairs), {source: f"{lowest_fix(one)}~~" for source, one in pairs.items()}
    found = match(make.estate({"mixed": host(mixed), "lowest": host(lowest)}))
    every = {(source, cve) for source, one in pairs.items() for cve in one}
    assert 3000 < len(debsecan_says(mixed)) < len(every)
    assert fixable(found["mixed"]) == debsecan_says(mixed)
    assert fixable(found["lowest"]) == debsecan_says(lowest) == every


@needs_union
@pytest.mark.skipif(shutil.which("debsecan") is None, reason="the command debsecan is not on this machine")
def test_the_same_pairs_as_the_command_debsecan(tmp_path: Path) -> None:
    pairs = make.union()
    make.import_union(tmp_path, pairs)
    versions = installed(pairs)
    status = tmp_path / "status"
    stanzas = (
        f"Package: lib-of-{source}\nStatus: install ok installed\nArchitecture: amd64\nSource: {source}\n"
        f"Version: {version}\n"
        for source, version in versions.items()
    )
    status.write_text("\n".join(stanzas))
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(make.DEBSECAN, folder / "bookworm")
    command = ["debsecan", "--source", folder.as_uri(), "--suite", "bookworm", "--status", str(status)]
    told = subprocess.run(
        [*command, "--format", "simple", "--no-obsolete"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    theirs = {(name.removeprefix("lib-of-"), cve) for cve, name in (line.split() for line in told.splitlines())}
    assert fixable(judged(host(versions))) == theirs


@needs_union
def test_the_kernel_is_where_debsecan_looks_away(tmp_path: Path) -> None:
    """Its data knows `linux` alone, and a signed kernel is of another source: the one difference, which is meant."""
    pairs = {"linux": make.union()["linux"]}
    debian_feeds(tmp_path, {"linux": {cve: resolved(fixed) for cve, fixed in pairs["linux"].items()}})
    signed = row("linux-image-6.1.0-18-amd64", "6.1.76-1", "linux-signed-amd64", source_version="6.1.76+1")
    facts = make.machine(signed, running="6.1.0-18-amd64", build="#1 SMP Debian 6.1.76-1 (2024-02-01)")
    assert fixable(judged(facts)) == debsecan_says({"linux": "6.1.76-1"})
    assert debsecan_says({"linux-signed-amd64": "6.1.76+1"}) == set()
    headers = judged(body(row("linux-libc-dev", "6.1.76-1", "linux")))
    assert fixable(headers) == debsecan_says({"linux": "6.1.76-1"})


# --- AlmaLinux ----------------------------------------------------------------------------------------------------


def almalinux_host() -> Iterator[list[str]]:
    """name, version and source of each package of the fixture."""
    text = (HERE / "almalinux-9.4-packages.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def almalinux_says(packages: dict[str, str]) -> dict[str, set[str]]:
    """What the advisories say of packages by name, read from the file itself: an advisory's lowest build counts."""
    found: dict[str, set[str]] = defaultdict(set)
    with gzip.open(ALMALINUX, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            fixes: dict[str, list[str]] = defaultdict(list)
            for entry in record["affected"]:
                if entry["package"]["ecosystem"] == "AlmaLinux:9" and entry["package"]["name"] in packages:
                    for events in (one["events"] for one in entry["ranges"]):
                        fixes[entry["package"]["name"]] += [one["fixed"] for one in events if "fixed" in one]
            for name, versions in fixes.items():
                built = [one for one in versions if ".module" not in one]
                if built and rpm_key(packages[name]) < min(map(rpm_key, built)):
                    found[name].add(record["id"])
    return found


@needs_almalinux
def test_a_list_of_almalinux_against_its_advisories(tmp_path: Path) -> None:
    day = make.DAY
    shutil.copy(ALMALINUX, tmp_path / f"almalinux-{day}.jsonl.gz")
    put(tmp_path / f"almalinux-{day}.jsonl.gz")
    make.write(tmp_path / f"eol-{day}.json", json.dumps(make.ENDOFLIFE))
    rows = [row(name, version, source, origin=vendor) for name, version, source, vendor in almalinux_host()]
    found = judged(rpm_body(*rows))
    own = {name: version for name, version, _, vendor in almalinux_host() if vendor == "AlmaLinux"}
    theirs = almalinux_says({name: version for name, version in own.items() if ".module" not in version})
    ours: dict[str, set[str]] = defaultdict(set)
    for one in found.standings:
        if one.state == "fixable":
            for name in one.binaries:
                ours[name] = {hit.id for hit in one.hits}
    assert set(theirs) <= set(ours)
    by_source = defaultdict(set)
    for name, _, source, vendor in almalinux_host():
        if vendor == "AlmaLinux" and name in theirs:
            by_source[source] |= theirs[name]
    assert {one.source: {hit.id for hit in one.hits} for one in found.standings if one.state == "fixable"} == by_source
    states = {one.source: (one.state, one.why.code) for one in found.standings}
    assert states["nodejs"] == ("not_assessed", "module-stream")
    assert states["epel-release"] == ("not_assessed", "foreign")
    assert states["openssl"][0] == states["kernel"][0] == "fixable"
    assert "clean" not in {one.state for one in found.standings}, "what is open there nobody knows"


def test_rpms_kernels_are_kept_several_at_once(tmp_path: Path) -> None:
    fixed = "5.14.0-427.20.1.el9_4"
    names = ("kernel", "kernel-core", "kernel-tools", "kernel-devel")
    records = [
        osv("ALSA-1", *(("AlmaLinux:9", name, fixed) for name in names), upstream=["CVE-2025-1000"], published=make.DAY)
    ]
    make.write(tmp_path / "alma.jsonl", osv_lines(*records))
    make.write(tmp_path / f"eol-{make.DAY}.json", json.dumps(make.ENDOFLIFE))
    old, new = "5.14.0-427.13.1.el9_4", fixed
    devel = [row("kernel-devel", one, "kernel", origin="AlmaLinux") for one in (old, new)]
    assert {one.state for one in judged(rpm_body(*devel)).standings} == {"not_assessed"}, (
        "the former counts for nothing"
    )

    def states(*versions: str, running: str) -> dict[bool, str]:
        rows = [row(name, one, "kernel", origin="AlmaLinux") for one in versions for name in ("kernel", "kernel-core")]
        rows.append(row("kernel-tools", versions[-1], "kernel", origin="AlmaLinux"))
        rows += [row("kernel-devel", one, "kernel", origin="AlmaLinux") for one in versions]
        facts = rpm_body(*rows)
        facts["identity"] |= {"kernel": {"running": running}, "virtualization": {"kind": "vm"}}
        found = judged(facts)
        assert {one.why.code for one in found.standings if one.state == "not_assessed"} <= {"fixed-alone"}
        return {one.kernel: one.state for one in found.standings if not one.headers}

    assert states(old, new, running=f"{new}.x86_64") == {True: "not_assessed", False: "not_assessed"}
    assert states(old, new, running=f"{old}.x86_64") == {True: "restart", False: "not_assessed"}
    assert states(old, running=f"{old}.x86_64+debug") == {True: "fixable", False: "fixable"}
