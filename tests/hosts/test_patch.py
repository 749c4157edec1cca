"""Patch nights on real hosts: what they do, and what they do when something goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN
from tests.hosts.host import Host
from tests.hosts.long import long
from tests.hosts.nights import ask_ledger
from tests.hosts.patching import clean, closing_in, of, patch, rollback, stage, state, town_file, versions, whole
from tests.hosts.repository import (
    Package,
    Repository,
    configured,
    displaces,
    failing,
    grows,
    library,
    library_daemon,
    slow,
    wants_reboot,
    web,
    writes_etc,
)
from tests.hosts.test_checkup import wait_for
from tests.hosts.test_nights import runs
from tests.hosts.town import Spec, Town

LONG = long("half a minute")

WEB = {"id": "site", "name": "The town's pages", "probes": [{"kind": "http", "url": "http://127.0.0.1:8080/"}]}
SPECS = {
    "first": Spec("bookworm", groups=("ring_canary", "system_site")),
    "second": Spec("trixie", groups=("ring_early", "system_site")),
}


@pytest.fixture(scope="module")
def pair(make_module_town: MakeTown) -> dict[str, Host]:
    """Two hosts for this module; each test finds and leaves them without its packages."""
    return make_module_town("base", dict(SPECS)).hosts


@pytest.fixture
def mirror() -> Iterator[Repository]:
    with Repository() as repository:
        yield repository


class Night:
    """A town of one or both of the hosts, with packages installed at 1.0 and 1.1 waiting."""

    def __init__(self, make_town: MakeTown, hosts: dict[str, Host], mirror: Repository) -> None:
        self._make, self._hosts, self.mirror = make_town, hosts, mirror

    def __call__(
        self, *packages: Callable[[str], Any], hosts: tuple[str, ...] = ("first",), file: dict[str, Any] | None = None
    ) -> Town:
        for make in packages:
            self.mirror.add(make("1.0"), make("1.1"))
        names = sorted({make("1.0").name for make in packages})
        town = self._make(
            "demo",
            {name: SPECS[name] for name in hosts},
            use={name: self._hosts[name] for name in hosts},
            timezone="UTC",
            town=file or town_file(systems=[{"id": "site", "name": "The town's pages"}]),
            vars={"patch_probe_grace": "6s", "patch_lock_wait": "3s"},
        )
        for host in town.hosts.values():
            self.mirror.enable(host, [f"{name}=1.0" for name in names])
        return town


@pytest.fixture
def night(make_town: MakeTown, pair: dict[str, Host], mirror: Repository) -> Iterator[Night]:
    with clean(list(pair.values())):
        yield Night(make_town, pair, mirror)


def site(**patch: Any) -> dict[str, Any]:
    """A town whose pages are probed."""
    return town_file(systems=[WEB], **patch)


def test_a_night_through_two_rings_and_a_second_that_changes_nothing(night: Night) -> None:
    app, newer, extra = grows()
    night.mirror.add(app, newer, extra)
    town = night(web, configured, hosts=("first", "second"), file=site())
    for host in town.hosts.values():
        host.run("apt-get -qq -y install fv-app=1.0 && apt-mark auto fv-conf")
    first = town.host("first")
    first.append("/etc/fv-conf.conf", "edited = here\n")

    before = {name: state(host) for name, host in town.hosts.items()}
    planned = patch(town, "--check")
    assert planned["hosts"]["first"] == "ok"
    assert of(town, "first")["outcome"] == "planned"
    assert {row[0] for row in of(town, "first")["changes"]["rows"]} == {"fv-web", "fv-conf", "fv-app", "fv-extra"}
    assert {name: state(host) for name, host in town.hosts.items()} == before, "check mode changes nothing"

    assert stage(town)["exit_status"] == 0
    waits = of(town, "first", kind="updates")
    assert (waits["staged"]["complete"], waits["rollback"]) == (True, {"possible": True, "missing": []})
    assert {name: state(host) for name, host in town.hosts.items()} == before, "staging disturbs nothing"

    done = patch(town)
    assert (done["exit_status"], set(done["hosts"].values())) == (0, {"changed"})
    for name, host in town.hosts.items():
        assert versions(host) == {"fv-web": "1.1", "fv-conf": "1.1", "fv-app": "1.1", "fv-extra": "1.0"}
        told = of(town, name, done["run"])
        assert sorted(row[0] for row in told["changes"]["rows"]) == ["fv-app", "fv-conf", "fv-extra", "fv-web"]
        assert [(one["before"], one["after"]) for one in told["probes"]] == [("green", "green")]
        assert told["away_at_most"] < 120
        assert {"install", "snapshot", "probes_after"} <= told["phases"].keys()
        assert "fv-conf" in host.run("apt-mark showauto").stdout.split(), "marks stay"
        assert "fv-app" not in host.run("apt-mark showauto").stdout.split()
        assert "fv-extra" in host.run("apt-mark showauto").stdout.split()
    assert "edited = here" in first.run("cat /etc/fv-conf.conf").stdout
    assert of(town, "first", done["run"])["conffiles"] == ["/etc/fv-conf.conf.dpkg-dist"]
    assert of(town, "second", done["run"])["conffiles"] == []

    after = {name: state(host) for name, host in town.hosts.items()}
    again = patch(town)
    assert (again["exit_status"], set(again["hosts"].values())) == (0, {"ok"})
    assert of(town, "first", again["run"])["reason"] == "nothing was to be done"
    assert {name: state(host) for name, host in town.hosts.items()} == after
    assert not first.run("systemctl list-units --no-legend --all 'civicops-patch-" + again["run"] + "*'").stdout


def test_a_package_that_breaks_a_probed_service_is_taken_back_and_the_next_ring_never_starts(night: Night) -> None:
    town = night(web, writes_etc, hosts=("first", "second"), file=site())
    night.mirror.add(web("1.2", broken=True))
    night.mirror.publish()
    for host in town.hosts.values():
        night.mirror.refresh(host)
    before = {name: state(host) for name, host in town.hosts.items()}
    stage(town)
    night.mirror.stop()
    done = patch(town)
    assert (done["exit_status"], done["halted"]) == (1, True)
    assert done["hosts"] == {"first": "failed", "second": "deferred"}
    told = of(town, "first", done["run"])
    assert told["outcome"] == "rolled_back"
    assert "127.0.0.1:8080" in told["reason"]
    back = told["rollback"]
    identical = (back["packages_identical"], back["marks_identical"], back["files_identical"])
    assert (identical, back["differences"]) == ((True, True, True), [])
    assert {name: state(host) for name, host in town.hosts.items()} == before
    assert (
        town.host("first")
        .run("python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/').read())\"")
        .stdout.count("fv-web 1.0")
        == 1
    )
    halted = [one for one in ask_ledger(town, "gate") if one["run"] == done["run"] and one["host"] == "second"]
    assert {one["code"] for one in halted} == {"halt"}
    assert not town.host("second").run(f"ls /var/lib/civicops/runs/{done['run']} 2>/dev/null || true").stdout


def test_a_package_whose_postinst_fails_leaves_nothing_half_configured(night: Night) -> None:
    town = night(lambda version: failing(version, fails=version != "1.0"), web, file=site())
    before = state(town.host("first"))
    stage(town)
    done = patch(town)
    told = of(town, "first", done["run"])
    assert (told["outcome"], done["exit_status"]) == ("rolled_back", 1)
    assert "fv-failing" in told["reason"]
    assert whole(town.host("first"))
    assert state(town.host("first")) == before


def test_rollback_by_hand_without_a_mirror(night: Night) -> None:
    town = night(web, configured, writes_etc, file=site())
    host = town.host("first")
    before = state(host)
    stage(town)
    done = patch(town)
    assert done["exit_status"] == 0
    host.write("/etc/somebody-else", "was here\n")
    night.mirror.stop()
    asked = len(night.mirror.asked)
    rehearsed = rollback(town, "--check")
    assert of(town, "first", rehearsed["run"])["outcome"] == "planned"
    assert versions(host)["fv-web"] == "1.1"
    back = rollback(town, "--of", done["run"])
    assert back["exit_status"] == 0, back
    told = of(town, "first", back["run"])
    assert (told["outcome"], told["of_run"]) == ("done", done["run"])
    assert told["rollback"]["differences"] == ["/etc/somebody-else (changed by somebody since, left)"]
    host.run("rm /etc/somebody-else")
    assert state(host) == before
    assert len(night.mirror.asked) == asked
    again = rollback(town)
    assert of(town, "first", again["run"])["reason"].startswith("no run has installed anything here")
    assert again["hosts"] == {"first": "ok"}


def test_what_is_held_denied_or_would_remove_something_is_left_and_told(night: Night) -> None:
    taker, bad, given = displaces()
    night.mirror.add(taker, bad, given)
    file = town_file(deny=["fv-conf"], systems=[{"id": "site", "name": "x"}])
    town = night(web, configured, writes_etc, file=file)
    host = town.host("first")
    host.run("apt-get -qq -y install fv-taker=1.0 fv-given && apt-mark hold fv-web")
    stage(town)
    waits = of(town, "first", kind="updates")
    why = {row[0]: row[9] for row in waits["updates"]["rows"]}
    assert why["fv-web"] == "held by an administrator"
    assert why["fv-conf"] == "on the deny list"
    assert why["fv-taker"].startswith("kept back: ")
    assert why["fv-store"] is None
    done = patch(town)
    assert done["exit_status"] == 0
    expected = {"fv-web": "1.0", "fv-conf": "1.0", "fv-taker": "1.0", "fv-given": "1.0", "fv-store": "1.1"}
    assert versions(host) == expected
    assert of(town, "first", done["run"])["held"] == ["fv-web"]


def test_a_lock_is_waited_for_and_its_holder_named(night: Night) -> None:
    town = night(web, file=site())
    host = town.host("first")
    stage(town)
    script = (
        "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)"
    )
    host.run(f'systemd-run --quiet --unit=fv-holder python3 -c "{script}"')
    done = patch(town)
    told = of(town, "first", done["run"])
    assert told["outcome"] == "blocked"
    assert re.fullmatch(
        r"lock: python3 of root \(process \d+\) holds the lock of apt-get, for longer than 3 s", told["reason"]
    )
    assert versions(host) == {"fv-web": "1.0"}
    host.run("systemctl stop fv-holder")
    assert patch(town)["exit_status"] == 0
    assert versions(host) == {"fv-web": "1.1"}


def test_a_full_disk_blocks_before_anything_is_touched(night: Night) -> None:
    town = night(lambda version: Package("fv-big", version, files={"/usr/share/fv-big": version * 1_000_000}), web)
    host = town.host("first")
    host.run("mkdir -p /var/cache/civicops/packages")
    # From outside, as a container may not mount.
    host._nsenter("-m", "mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", "/var/cache/civicops/packages")
    try:
        stage(town)
        told = of(town, "first", kind="updates")
        assert ([one["code"] for one in told["blockers"]], told["staged"]["complete"]) == (["disk"], False)
        done = patch(town)
        assert of(town, "first", done["run"])["outcome"] == "blocked"
        assert "MiB are free on the file system of /var/cache/civicops" in done["reasons"]["first"]
        assert versions(host) == {"fv-web": "1.0", "fv-big": "1.0"}
    finally:
        host._nsenter("-m", "umount", "/var/cache/civicops/packages")


def test_a_disk_that_fills_up_in_the_middle_is_taken_back(night: Night) -> None:
    fills = "cat /dev/zero >/var/lib/fv-disk/full 2>/dev/null || true"
    town = night(
        lambda version: Package("fv-1st", version, scripts={"preinst": fills if version == "1.1" else ":"}),
        lambda version: Package("fv-2nd", version, files={"/var/lib/fv-disk/data": version * 400_000}),
    )
    host = town.host("first")
    host.run("mkdir -p /var/lib/fv-disk")
    host._nsenter("-m", "mount", "-t", "tmpfs", "-o", "size=6m,mode=755", "none", "/var/lib/fv-disk")
    try:
        host.run("apt-get -qq -y --reinstall install fv-2nd=1.0")
        before = state(host)
        stage(town)
        told = of(town, "first", patch(town)["run"])
        assert (told["outcome"], whole(host)) == ("rolled_back", True), told
        assert "No space left on device" in told["reason"]
        assert state(host) == before
    finally:
        host._nsenter("-m", "umount", "/var/lib/fv-disk")


@long("a minute")
def test_the_mirror_is_gone_before_and_after_staging(night: Night) -> None:
    town = night(web, file=site())
    night.mirror.stop()
    stage(town)
    codes = {one["code"] for one in of(town, "first", kind="updates")["blockers"]}
    assert "lists" in codes and "error" in codes
    assert of(town, "first", patch(town)["run"])["outcome"] == "blocked"
    assert versions(town.host("first")) == {"fv-web": "1.0"}
    night.mirror.start()
    stage(town)
    night.mirror.stop()
    assert patch(town)["exit_status"] == 0
    assert versions(town.host("first")) == {"fv-web": "1.1"}


def test_a_way_back_that_can_not_be_had_is_named_before_and_the_town_decides(night: Night) -> None:
    town = night(web, file=site())
    night.mirror.withdraw("fv-web", "1.0")
    night.mirror.publish()
    town.host("first").run("rm -f /var/cache/apt/archives/fv-*")
    stage(town)
    waits = of(town, "first", kind="updates")
    assert waits["rollback"] == {"possible": False, "missing": ["fv-web 1.0"]}
    assert waits["blockers"][0]["code"] == "rollback"
    assert of(town, "first", patch(town)["run"])["outcome"] == "blocked"
    town.town = site(without_rollback="patch")
    town.write()
    done = patch(town)
    assert done["exit_status"] == 0
    assert of(town, "first", done["run"])["rollback"]["possible"] is False
    assert versions(town.host("first")) == {"fv-web": "1.1"}


def test_a_reboot_is_proven_and_services_are_restarted_where_none_is_wanted(night: Night) -> None:
    town = night(wants_reboot, web, hosts=("first",), file=site())
    host = town.host("first")
    night.mirror.add(library("1.0"), library("1.1"), library_daemon())
    night.mirror.publish()
    night.mirror.refresh(host)
    host.run("apt-get -qq -y install fv-lib=1.0 fv-libd && apt-mark hold fv-reboot && systemctl is-active fv-libd")
    started = host.started_at()
    stage(town)
    assert "fv-libd.service" in of(town, "first", kind="updates")["restarts"]
    done = patch(town)
    assert "fv-libd.service" in of(town, "first", done["run"])["restarts"]["done"]
    assert host.started_at() == started
    host.run("apt-mark unhold fv-reboot")
    stage(town)
    done = patch(town)
    told = of(town, "first", done["run"])
    assert (done["exit_status"], told["outcome"]) == (0, "done"), told
    assert (told["reboot"]["wanted"], told["reboot"]["done"], told["reboot"]["why_not"]) == (True, True, "")
    assert told["phases"]["reboot"] > 0
    host.wait_ready()
    assert host.started_at() != started
    assert versions(host)["fv-reboot"] == "1.1"


def test_a_host_that_is_not_well_before_is_left_alone(night: Night) -> None:
    town = night(web, file=site())
    host = town.host("first")
    stage(town)
    host.run("systemctl stop fv-web")
    done = patch(town)
    told = of(town, "first", done["run"])
    assert (told["outcome"], told["blockers"][0]["code"]) == ("blocked", "probe")
    assert versions(host) == {"fv-web": "1.0"}


@pytest.mark.parametrize("ends", [0, 1])
def test_a_host_backs_itself_up_right_before_or_is_left_alone(night: Night, ends: int) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'mkdir -p %s; touch %s/last-success; exit %d'\n"
    kept = "/var/lib/civicops/backup"
    town = night(web, file=site(backup_first=True))
    host = town.host("first")
    host.run("cat > /run/systemd/system/civicops-backup.service", stdin=unit % (kept, kept, ends))
    host.run("systemctl daemon-reload")
    try:
        stage(town)
        done = patch(town)
    finally:
        host.run(f"rm -rf {kept} /run/systemd/system/civicops-backup.service; systemctl daemon-reload")
    told = of(town, "first")
    assert (done["exit_status"], told["outcome"]) == ((0, "done") if not ends else (1, "blocked")), told["reason"]
    assert versions(host) == {"fv-web": "1.1" if not ends else "1.0"}
    assert told["phases"]["backup"] > 0


def test_packages_by_halves_are_repaired_where_that_is_asked_for(night: Night) -> None:
    town = night(web, file=site())
    host = town.host("first")
    night.mirror.add(slow("1.0", 0))
    night.mirror.publish()
    night.mirror.refresh(host)
    host.run("cd /tmp && apt-get -qq download fv-slow && dpkg --unpack fv-slow_1.0_all.deb")
    stage(town)
    told = of(town, "first", patch(town)["run"])
    assert (told["outcome"], told["blockers"][0]["code"]) == ("blocked", "broken")
    assert "fv-slow 1.0 is unpacked, not configured" in told["reason"]
    town.town = site(repair=True)
    town.write()
    done = patch(town)
    assert done["exit_status"] == 0
    assert versions(host) == {"fv-web": "1.1", "fv-slow": "1.0"}


def in_the_middle(town: Town, fault: Callable[[Host], None], name: str = "first") -> threading.Thread:
    """Do something to the host as soon as the slow package's script has begun."""
    host = town.host(name)

    def strike() -> None:
        wait_for(lambda: "begin 1.1" in host.run("cat /var/log/fv-slow.log || true", check=False).stdout, within=120)
        fault(host)

    thread = threading.Thread(target=strike)
    thread.start()
    return thread


def begins(host: Host) -> int:
    return host.run("cat /var/log/fv-slow.log").stdout.count("end 1.1")


@LONG
def test_a_reboot_typed_in_the_middle_waits_for_the_transaction(night: Night) -> None:
    town = night(lambda version: slow(version, 8), web, file=site())
    host = town.host("first")
    stage(town)
    thread = in_the_middle(town, lambda one: one.run("systemctl reboot", check=False))
    done = patch(town)
    thread.join()
    host.wait_ready()
    told = of(town, "first", done["run"])
    assert (done["exit_status"], told["outcome"]) == (0, "done"), told
    assert versions(host) == {"fv-web": "1.1", "fv-slow": "1.1"}
    assert begins(host) == 1


@LONG
def test_a_power_cut_in_the_middle_is_repaired_and_the_night_goes_on(night: Night) -> None:
    town = night(lambda version: slow(version, 8), web, file=site())
    host = town.host("first")
    stage(town)

    def cut(one: Host) -> None:
        one.stop()
        time.sleep(2)
        one.start_again()

    thread = in_the_middle(town, cut)
    done = patch(town)
    thread.join()
    told = of(town, "first", done["run"])
    assert (done["exit_status"], told["outcome"], told["recovered"]) == (0, "done", True), told
    assert versions(host) == {"fv-web": "1.1", "fv-slow": "1.1"}
    assert whole(host)
    assert begins(host) == 1


@long("six minutes")
def test_a_host_that_is_off_is_told_and_one_that_comes_back_too_late_is_mended_the_next_night(night: Night) -> None:
    """It takes as long as the gate's patience with a host, some five minutes."""
    town = night(lambda version: slow(version, 5), hosts=("first", "second"))
    first, second = town.host("first"), town.host("second")
    stage(town)
    thread = in_the_middle(town, Host.stop)
    second.stop()
    done = patch(town, timeout=1500)
    thread.join()
    assert (done["exit_status"], done["halted"]) == (1, True)
    assert done["hosts"] == {"first": "failed", "second": "deferred"}
    assert done["work"] == {"first": "unknown"}
    assert done["message"].startswith("halted")
    first.start_again()
    resumed = town.controller.civicops("runs", "demo", "resume", done["run"], "--json", timeout=900)
    assert resumed.returncode == 1, "the second one is still off"
    told = of(town, "first", done["run"])
    assert (told["outcome"], told["recovered"]) == ("done", True)
    assert (versions(first), begins(first)) == ({"fv-slow": "1.1"}, 1)
    assert json.loads(resumed.stdout)["hosts"]["second"] == "unreachable"
    second.start_again()
    assert patch(town)["hosts"]["second"] == "changed"


@LONG
def test_what_an_interrupted_night_has_left_by_halves_is_mended_by_the_next(night: Night) -> None:
    town = night(lambda version: slow(version, 5), web, file=site())
    host = town.host("first")
    stage(town)

    process = town.controller.start(BIN / "civicops", "run", "patch", "demo")

    def cut(one: Host) -> None:
        one.stop()
        os.killpg(process.pid, signal.SIGKILL)
        town.controller.run("pkill", "-KILL", "-f", str(town.folder))
        one.start_again()

    in_the_middle(town, cut).join()
    process.wait()
    assert not whole(host)
    lost = next(one["order"]["run"] for one in runs(town) if one["state"] == "lost")
    town.controller.civicops("runs", "demo", "cancel", lost)
    host.run("true")
    for claim in (town.state / "demo").glob("ledger.sqlite*"):
        claim.unlink()  # another controller, which knows nothing of the night before
    done = patch(town)
    assert done["exit_status"] == 0
    assert versions(host) == {"fv-web": "1.1", "fv-slow": "1.1"}
    assert "repair" in of(town, "first", done["run"])["phases"]


def test_a_window_that_closes_soon_begins_nothing(night: Night) -> None:
    town = night(web, file=site())
    stage(town)
    town.town = town_file(closing_in(45), systems=[WEB])
    town.write()
    done = patch(town)
    assert (done["exit_status"], done["hosts"]) == (3, {"first": "deferred"})
    assert done["reasons"]["first"].startswith("late: ")
    assert versions(town.host("first")) == {"fv-web": "1.0"}


@long("five minutes")
def test_a_window_that_closes_in_the_middle_ends_nothing_and_is_told(night: Night) -> None:
    town = night(lambda version: slow(version, 270 if version == "1.1" else 0), web, file=site())
    stage(town)
    town.town = town_file(closing_in(200), systems=[WEB])
    town.write()
    done = patch(town)
    assert (done["exit_status"], done["hosts"]) == (1, {"first": "overrun"})
    assert versions(town.host("first")) == {"fv-web": "1.1", "fv-slow": "1.1"}
    assert begins(town.host("first")) == 1
