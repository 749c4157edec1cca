"""The matcher against real Debian 12 hosts: debsecan's verdict, what apt offers, and whose files are in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from civicops.assess.estate import read_estate
from civicops.assess.packages import HostPackages, match
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.state import TownState
from tests.hosts.conftest import MakeTown
from tests.hosts.host import SIMULATE_UPGRADE, Host
from tests.hosts.repository import Repository, library, library_daemon
from tests.hosts.town import Spec, Town
from tests.unit.assess import package_samples as samples


def judged(town: Town, host: str, monkeypatch: pytest.MonkeyPatch) -> HostPackages:
    """Ask the host with a checkup, and judge what it answered."""
    done = town.controller.civicops("checkup", town.name)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("CIVICOPS_STATE", str(town.state))
    with Ledger(town.name, state=TownState(town.name)) as ledger:
        return match(read_estate(ledger, datetime.now(UTC), index=Index()))[host]


def sources_of(host: Host) -> dict[str, str]:
    """The source of each installed package, by dpkg itself."""
    told = host.run("dpkg-query -W -f '${Package} ${source:Package}\\n'").stdout
    return dict(line.split() for line in told.splitlines())


def debsecan(host: Host) -> set[tuple[str, str]]:
    """What the host's own debsecan says of it with the same data: source package and CVE."""
    host.write("/root/feed/bookworm", samples.DEBSECAN.read_bytes())
    command = "debsecan --source file:///root/feed --suite bookworm --format simple"
    told = host.run(command, timeout=120).stdout
    sources = sources_of(host)
    return {(sources[package], cve) for cve, package in (line.split()[:2] for line in told.splitlines() if line)}


@samples.needs_union
def test_the_same_as_debsecan_and_all_of_it_offered_by_apt(
    make_town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town("demo", {"web1": Spec("bookworm", updates=True)})
    host = town.host("web1")
    host.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debsecan", timeout=300)
    monkeypatch.setenv("CIVICOPS_STATE", str(town.state))
    samples.import_union(tmp_path, samples.union(), f"{datetime.now(UTC):%Y-%m-%d}")
    found = judged(town, "web1", monkeypatch)
    fixable = [one for one in found.standings if one.state == "fixable"]
    ours = {(one.source, cve) for one in fixable for cve in one.cves}
    theirs = debsecan(host)
    assert theirs, "the host has updates that wait"
    # Signed kernels are of a source that debsecan's data does not know (docs/assess-packages.md).
    assert {pair for pair in ours if pair[0] != "linux"} == {pair for pair in theirs if pair[0] != "linux"}
    offered = {line.split()[1] for line in host.run(SIMULATE_UPGRADE).stdout.splitlines() if line.startswith("Inst ")}
    assert [one.source for one in fixable if not offered.intersection(one.binaries)] == []
    assert {one.why.code for one in found.standings if one.state == "not_assessed"} <= {"release-end", "feed-old"}
    body = found.told.body if found.told else {}
    at = body["packages"]["columns"].index("origin")
    assert {str(row[at]).partition("-")[0] for row in body["packages"]["rows"]} == {"Debian/bookworm"}
    the_command_says_the_same(town, {one.source for one in fixable}, fixable[0].cves[0])


def the_command_says_the_same(town: Town, fixable: set[str], cve: str) -> None:
    """By hand and as a playbook, as AWX would; the checkup has recorded what it found."""
    told = json.loads(town.controller.civicops("findings", town.name, "--json").stdout)
    assert fixable == {one["package"] for one in told["findings"] if one["title"].endswith("an update that mends them")}
    assert told["hosts"]["web1"]["colour"] in ("bad", "unknown")
    since = json.loads(town.controller.civicops("runs", town.name, "--json").stdout)[0]["order"]["run"]
    assert json.loads(town.controller.civicops("findings", town.name, "--since", since, "--json").stdout)["since"][
        "exact"
    ]
    hit = json.loads(town.controller.civicops("findings", "--advisory", cve, "--json").stdout)
    assert [(one["town"], one["hosts_hit"]) for one in hit["towns"]] == [(town.name, ["web1"])]
    assert town.controller.civicops("findings", town.name, "--fail-on", "low").returncode == 5
    done = town.controller.playbook("civicops.town.findings", "-e", f"findings_advisory={cve}", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert "web1" in done.stdout
    done = town.controller.playbook("civicops.town.findings", "-e", "findings_fail_on=critical,low")
    assert done.returncode == 2
    assert "--fail-on: " in done.stdout


def test_packages_of_others_and_files_that_are_still_in_use(
    make_town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town("demo", {"web1": Spec("bookworm", updates=True)})
    host = town.host("web1")
    monkeypatch.setenv("CIVICOPS_STATE", str(town.state))
    samples.debian_feeds(tmp_path, {}, day=f"{datetime.now(UTC):%Y-%m-%d}")
    with Repository() as mirror:
        mirror.add(library("1.0"), library("1.1"), library_daemon())
        mirror.enable(host, ["fv-lib=1.0", "fv-libd"])
        host.run("apt-get -qq -y install fv-lib=1.1", timeout=120)
        found = judged(town, "web1", monkeypatch)
    one = samples.only(found, "fv-lib")
    assert (one.state, one.why.code) == ("not_assessed", "foreign")
    assert "Civicops tests" in one.why.text
    told = found.told.body["reboot"]["stale_processes"] if found.told else []
    (daemon,) = [one for one in told if one["unit"] == "fv-libd.service"]
    assert (daemon["packages"], daemon["without_package"]) == (["fv-lib"], 0)
