"""Patch nights on a host of dnf and rpm: what they do, and what they do when something goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.dnf import ADVISORY, FOLDER, REPO_ID, Rpm, RpmRepository, usual
from tests.hosts.host import Host
from tests.hosts.long import long
from tests.hosts.nights import FORGET
from tests.hosts.patching import of, patch, rollback, stage, town_file
from tests.hosts.test_checkup import wait_for
from tests.hosts.town import Spec, Town

LONG = long("half a minute")

REPO = f"/etc/yum.repos.d/{REPO_ID}.repo"
# The tests' packages and everything that nights leave. What rpm has no scripts' shell for is erased without them.
PURGE = f"""
rm -f /var/lib/rpm/.rpm.lock
names=$(rpm -qa 'fv-*' 'gpg-pubkey*'); [ -z "$names" ] || rpm -e --noscripts --nodeps $names
rm -rf /var/cache/civicops /var/lib/dnf/history.sqlite* /etc/fv-* /etc/dnf/plugins/versionlock.list {FOLDER}* {REPO}
rm -rf /var/cache/dnf /var/log/fv-slow.log
"""
STATE = """
rpm -qa --qf '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\\n' | sort
echo --- marks; dnf -q -C repoquery --userinstalled | sort
echo --- etc; cd /; find etc -mindepth 1 \\( -type f -o -type l -o -type d \\) -printf '%p %y %m %U:%G %l\\n' | sort
find etc usr/share/fv-* -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum
"""
HISTORY = "dnf -q -C history list"


def state(host: Host) -> str:
    """Packages with their versions, marks, and every file of /etc and of our packages."""
    return host.run(STATE).stdout


def versions(host: Host) -> dict[str, str]:
    """The versions of our packages, several of one with a comma."""
    found: dict[str, str] = {}
    for line in sorted(host.run("rpm -qa 'fv-*' --qf '%{NAME} %{VERSION}\\n'").stdout.splitlines()):
        name, version = line.split()
        found[name] = f"{found[name]}, {version}" if name in found else version
    return {name: version for name, version in found.items() if name != "fv-rpm-base"}


@dataclass
class Bed:
    """The host in its town, and the repository on it."""

    town: Town
    repo: RpmRepository

    @property
    def host(self) -> Host:
        return self.repo.host

    def __call__(self, *install: str, packages: Sequence[Rpm] = (), **policy: Any) -> Host:
        """Packages installed as NAME-VERSION, and the town's policy for them."""
        self.repo.packages += packages
        self.repo.enable(install)
        self.town.town = town_file(**policy)
        self.town.write()
        return self.host

    def told(self, run: dict[str, Any]) -> dict[str, Any]:
        return of(self.town, "rpm1", run["run"])

    def waits(self) -> dict[str, Any]:
        """What the job patch_stage has told."""
        stage(self.town)
        return of(self.town, "rpm1", kind="updates")


@pytest.fixture(scope="module")
def home(make_module_town: MakeTown) -> Town:
    spec = Spec("bookworm-dnf", groups=("ring_canary",), vars={"patch_manager": "dnf"})
    slow = {"patch_probe_grace": "4s", "patch_lock_wait": "2s"}
    return make_module_town("demo", {"rpm1": spec}, timezone="UTC", vars=slow)


@pytest.fixture
def bed(home: Town) -> Iterator[Bed]:
    host = home.host("rpm1")
    host.run(FORGET + PURGE)
    repo = RpmRepository(host, usual())
    # What every test wants is built once.
    host.run(f"mkdir -p /root/built {FOLDER}; cp -p /root/built/*.rpm {FOLDER}/ 2>/dev/null || true")
    yield Bed(home, repo)
    host.run(f"cp -pn {FOLDER}/fv-rpm-*.rpm {FOLDER}/fv-rpm-base* /root/built/ 2>/dev/null || true", check=False)


def identical(told: dict[str, Any]) -> bool:
    back = told["rollback"]
    return [back[f"{what}_identical"] for what in ("packages", "marks", "files")] == [True] * 3 and (
        back["differences"] == []
    )


def test_a_night_of_advisories_and_a_second_that_changes_nothing(bed: Bed) -> None:
    host = bed("fv-rpm-1.0", "fv-rpm-conf-1.0")
    host.run("dnf -q -y mark remove fv-rpm")
    before, history = state(host), host.run(HISTORY).stdout
    waits = bed.waits()
    rows = {row[0]: dict(zip(waits["updates"]["columns"], row, strict=True)) for row in waits["updates"]["rows"]}
    wanted, other = rows["fv-rpm"], rows["fv-rpm-conf"]
    assert (wanted["from"], wanted["to"], wanted["security"]) == ("1.0-1", "1.1-1", True)
    assert (wanted["advisories"], wanted["origin"], wanted["kept"]) == ([ADVISORY], REPO_ID, True)
    assert wanted["bytes"] > 1000
    assert waits["download_bytes"] == wanted["bytes"]
    assert (wanted["selected"], wanted["why"]) == (True, None)
    assert (other["selected"], other["why"], other["security"]) == (False, "no security update", False)
    assert (waits["blockers"], waits["rollback"]) == ([], {"possible": True, "missing": []})
    assert waits["lists_at"] is not None

    planned = bed.told(patch(bed.town, "--check"))
    assert (planned["outcome"], planned["changes"]["rows"]) == ("planned", [["fv-rpm", "noarch", "1.0-1", "1.1-1"]])
    assert (state(host), host.run(HISTORY).stdout) == (before, history)

    done = patch(bed.town)
    assert (done["exit_status"], bed.told(done)["outcome"]) == (0, "done")
    assert versions(host) == {"fv-rpm": "1.1", "fv-rpm-conf": "1.0"}
    assert "\nfv-rpm-0:1.1" not in state(host).partition("--- marks")[2], "it stays marked as brought by others"
    after, history = state(host), host.run(HISTORY).stdout
    again = patch(bed.town)
    assert (again["hosts"], bed.told(again)["reason"]) == ({"rpm1": "ok"}, "nothing was to be done")
    assert (state(host), host.run(HISTORY).stdout) == (after, history)


def kernel(version: str) -> Rpm:
    files = {f"/usr/share/fv-kernel-{version}": version}
    return Rpm("fv-rpm-kernel", version, files, provides="installonlypkg(kernel)")


def test_a_night_of_everything_and_back_without_the_repository(bed: Bed) -> None:
    """A configuration file that was edited, kernels beside each other, an epoch, and what would replace another one."""
    epoch = [
        Rpm("fv-rpm-epoch", "1.1", {"/usr/share/fv-epoch": "none"}),
        Rpm("fv-rpm-epoch", "1.0", {"/usr/share/fv-epoch": "two"}, fields={"Epoch": "2"}),
    ]
    same = [Rpm("fv-rpm-same", "1.0"), Rpm("fv-rpm-same", "1.0", fields={"Epoch": "1"})]
    new = Rpm("fv-rpm-new", "1.0", fields={"Obsoletes": "fv-rpm-old"})
    added = [Rpm("fv-rpm-app", "1.0"), Rpm("fv-rpm-app", "1.1", fields={"Requires": "fv-rpm-extra"})]
    more = [
        *epoch,
        *same,
        Rpm("fv-rpm-old", "1.0"),
        *added,
        Rpm("fv-rpm-extra", "1.0"),
        *map(kernel, ("1.0", "1.1", "1.2", "1.3")),
    ]
    installed = ["fv-rpm-conf-1.0", "fv-rpm-epoch-0:1.1", "fv-rpm-same-0:1.0", "fv-rpm-old"]
    installed += ["fv-rpm-app-1.0", "fv-rpm-kernel-1.0"]
    host = bed(*installed, packages=more, scope="all")
    host.run("dnf -q -y install fv-rpm-kernel-1.1; dnf -q -y install fv-rpm-kernel-1.2")
    bed.repo.packages.append(new)
    bed.repo.publish()
    host.append("/etc/fv-rpm.conf", "edited = here\n")
    before = state(host)

    waits = bed.waits()
    why = {row[0]: row[9] for row in waits["updates"]["rows"]}
    assert why["fv-rpm-new"] == "kept back: it would take the place of fv-rpm-old"
    assert why["fv-rpm-same"] == "kept back: its epoch alone is another one, so there would be no way back"
    assert (waits["rollback"]["possible"], waits["blockers"]) == (True, [])
    done = patch(bed.town)
    told = bed.told(done)
    assert (done["exit_status"], told["outcome"]) == (0, "done"), told
    expected = {"fv-rpm-conf": "1.1", "fv-rpm-epoch": "1.0", "fv-rpm-same": "1.0", "fv-rpm-old": "1.0"}
    expected |= {"fv-rpm-app": "1.1"}
    assert versions(host) == expected | {"fv-rpm-extra": "1.0", "fv-rpm-kernel": "1.0, 1.1, 1.2, 1.3"}
    assert host.read("/usr/share/fv-epoch") == b"two"
    assert host.read("/etc/fv-rpm.conf") == b"# fv-rpm-conf 1.0\nedited = here\n"
    assert told["conffiles"] == ["/etc/fv-rpm.conf.rpmnew"]
    rows = {row[0]: row[2:] for row in told["changes"]["rows"]}
    assert rows["fv-rpm-epoch"] == ["1.1-1", "2:1.0-1"]
    assert "fv-rpm-same" not in rows
    assert rows["fv-rpm-extra"] == [None, "1.0-1"]
    assert rows["fv-rpm-kernel"] == ["1.0-1, 1.1-1, 1.2-1", "1.0-1, 1.1-1, 1.2-1, 1.3-1"]
    assert "fv-rpm-extra" not in state(host).partition("--- marks")[2].partition("--- etc")[0]

    bed.repo.stop()
    back = rollback(bed.town, "--of", done["run"])
    told = bed.told(back)
    assert (back["exit_status"], told["outcome"], identical(told)) == (0, "done", True), (told["reason"], told["told"])
    assert state(host) == before
    assert host.read("/usr/share/fv-epoch") == b"none"


@pytest.mark.parametrize("name", ["fv-rpm-pre", "fv-rpm-post"])
def test_a_script_that_fails_is_taken_back(bed: Bed, name: str) -> None:
    host = bed("fv-rpm-1.0", f"{name}-1.0", scope="all")
    before = state(host)
    done = patch(bed.town)
    told = bed.told(done)
    assert (told["outcome"], done["exit_status"], identical(told)) == ("rolled_back", 1, True), told
    assert name in told["reason"]
    assert state(host) == before


def test_what_is_locked_or_denied_is_left_and_told(bed: Bed) -> None:
    more = [Rpm("fv-rpm-needs", "1.0"), Rpm("fv-rpm-needs", "1.1", fields={"Requires": "fv-rpm-conf >= 1.1"})]
    host = bed("fv-rpm-1.0", "fv-rpm-conf-1.0", "fv-rpm-post-1.0", "fv-rpm-needs-1.0", packages=more, scope="all")
    bed.town.town = town_file(scope="all", deny=["*-post"])
    bed.town.write()
    host.run("mkdir -p /etc/dnf/plugins; echo 'fv-rpm-conf-0:1.0-1.*' > /etc/dnf/plugins/versionlock.list")
    done = patch(bed.town)
    assert bed.told(done)["outcome"] == "done"
    assert bed.told(done)["held"] == ["fv-rpm-conf"]
    expected = {"fv-rpm": "1.1", "fv-rpm-conf": "1.0", "fv-rpm-post": "1.0", "fv-rpm-needs": "1.0"}
    assert versions(host) == expected
    why = {row[0]: row[9] for row in bed.waits()["updates"]["rows"]}
    assert why["fv-rpm-conf"] == "held by an administrator"
    assert why["fv-rpm-post"] == "on the deny list"
    assert why["fv-rpm-needs"] == "kept back: wants fv-rpm-conf, which is held"


def test_a_lock_is_waited_for_and_its_holder_named(bed: Bed) -> None:
    host = bed("fv-rpm-1.0")
    hold = "import fcntl,time; f=open('/var/lib/rpm/.rpm.lock','w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)"
    host.run(f'systemd-run --quiet --unit=fv-holder python3 -c "{hold}"')
    try:
        told = bed.told(patch(bed.town))
    finally:
        host.run("systemctl stop fv-holder")
    assert told["outcome"] == "blocked"
    assert told["reason"].startswith("lock: python3 of root (process ")
    assert told["reason"].endswith(" holds the lock of dnf, for longer than 2 s")
    assert versions(host) == {"fv-rpm": "1.0"}


def slow(version: str) -> Rpm:
    script = f"echo begin {version} >> /var/log/fv-slow.log; sleep {0 if version == '1.0' else 6}"
    files = {"/usr/share/fv-slow": version}
    return Rpm("fv-slow", version, files, scripts={"post": f"{script}; echo end {version} >> /var/log/fv-slow.log"})


@LONG
def test_a_power_cut_in_the_middle_is_repaired_and_the_night_goes_on(bed: Bed) -> None:
    host = bed("fv-slow-1.0", "fv-rpm-1.0", "fv-rpm-conf-1.0", packages=[slow("1.0"), slow("1.1")], scope="all")

    def cut() -> None:
        wait_for(lambda: "begin 1.1" in host.run("cat /var/log/fv-slow.log", check=False).stdout, within=60)
        host.stop()
        host.start_again()

    thread = threading.Thread(target=cut)
    thread.start()
    done = patch(bed.town)
    thread.join()
    told = bed.told(done)
    assert (done["exit_status"], told["outcome"], told["recovered"]) == (0, "done", True), told
    assert versions(host) == {"fv-slow": "1.1", "fv-rpm": "1.1", "fv-rpm-conf": "1.1"}
    assert host.read("/var/log/fv-slow.log").splitlines()[-1] == b"end 1.1", "its script was run to its end"
    assert host.run("rpm -V fv-slow fv-rpm fv-rpm-conf").stdout == ""


def test_a_repository_that_is_gone_is_a_blocker_and_nothing_is_done(bed: Bed) -> None:
    host = bed("fv-rpm-1.0")
    bed.repo.stop()
    waits = bed.waits()
    assert {one["code"] for one in waits["blockers"]} >= {"lists", "error"}
    assert waits["staged"]["complete"] is False
    done = patch(bed.town)
    assert (bed.told(done)["outcome"], done["hosts"]) == ("blocked", {"rpm1": "failed"})
    host.run("rm -rf /var/cache/dnf")
    told = bed.told(patch(bed.town))
    assert (told["outcome"], told["blockers"][0]["code"]) == ("blocked", "lists"), told
    assert versions(host) == {"fv-rpm": "1.0"}


def test_what_is_not_signed_is_never_installed_where_signatures_are_demanded(bed: Bed) -> None:
    host = bed("fv-rpm-1.0")
    # By http, as a repository is elsewhere: a download, not a file that lies there.
    host.run(f"systemd-run --quiet --unit=fv-http python3 -m http.server -b 127.0.0.1 -d {FOLDER} 8099")
    try:
        host.run(f"sed -i 's|^baseurl=.*|baseurl=http://127.0.0.1:8099/|; s/^gpgcheck=0/gpgcheck=1/' {REPO}")
        waits = bed.waits()
        assert waits["staged"]["complete"] is False
        problems = [one["text"] for one in waits["blockers"] if one["code"] == "error"]
        assert any("fv-rpm-1.1-1.noarch.rpm is not signed" in one for one in problems), problems
        assert "fv-rpm" not in host.run("ls -R /var/cache/civicops/packages").stdout
        assert bed.told(patch(bed.town))["outcome"] == "blocked"
        assert versions(host) == {"fv-rpm": "1.0"}
        host.run(f"sed -i 's/^gpgcheck=1/gpgcheck=0/' {REPO}")
        assert bed.told(patch(bed.town))["outcome"] == "done"
        assert versions(host) == {"fv-rpm": "1.1"}
    finally:
        host.run("systemctl stop fv-http")


def test_a_dnf_that_can_not_be_used_is_told_in_a_line(bed: Bed) -> None:
    host = bed("fv-rpm-1.0")
    place = host.run("python3 -c 'import dnf; print(dnf.__path__[0])'").stdout.strip()
    host.run(f"mv {place} {place}.away")
    try:
        done = stage(bed.town)
    finally:
        host.run(f"mv {place}.away {place}")
    assert done["exit_status"] != 0
    assert "/usr/bin/python3 can't use dnf (No module named 'dnf'): install python3-dnf" in done["reasons"]["rpm1"]
