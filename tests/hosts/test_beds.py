"""The packages, the repositories and the VM of the patch night do what the tests of it take for granted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.updates import parse_simulation

from tests.hosts import repository
from tests.hosts.conftest import MakeTown
from tests.hosts.controller import ROOT
from tests.hosts.dnf import RpmRepository
from tests.hosts.host import Host
from tests.hosts.repository import Repository
from tests.hosts.tools import cache_dir
from tests.hosts.town import Spec
from tests.hosts.vm import Vm, sweep, wanted

UPGRADE = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install"
OLD = ("fv-web", "fv-failing", "fv-slow", "fv-conf", "fv-reboot", "fv-app", "fv-taker", "fv-store", "fv-lib")


@pytest.fixture(scope="module")
def mirror(hosts_available: None) -> Iterator[Repository]:
    """A repository with two versions of everything."""
    with Repository() as repo:
        repo.add(repository.web("1.0"), repository.web("1.1"), repository.web("1.2", broken=True))
        repo.add(repository.failing("1.0", fails=False), repository.failing("1.1"))
        repo.add(repository.slow("1.0", 0), repository.slow("1.1", 2))
        for make in (repository.configured, repository.wants_reboot, repository.writes_etc, repository.library):
            repo.add(make("1.0"), make("1.1"))
        repo.add(repository.library_daemon())
        repo.add(*repository.grows(), *repository.displaces())
        yield repo


@pytest.fixture(scope="module")
def patched(mirror: Repository, make_module_town: MakeTown) -> Host:
    """A bookworm host with all of them at 1.0."""
    host = make_module_town(hosts={"pc1": "bookworm"}).host("pc1")
    mirror.enable(host, [*(f"{name}=1.0" for name in OLD), "fv-libd", "fv-given"])
    return host


def version(host: Host, name: str) -> str:
    """The installed version and the state of a package, as dpkg tells them."""
    return host.run(f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {name}", check=False).stdout


def page(host: Host) -> str:
    """What the web service answers; nothing if it does not."""
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/', timeout=5).read().decode(), end='')"
    return host.run(f'python3 -c "{ask}"', check=False).stdout


def test_the_index_says_that_it_is_a_security_archive(patched: Host) -> None:
    simulated = patched.run("apt-get -s dist-upgrade").stdout
    rows = {row[0]: row for row in parse_simulation(simulated)}
    assert rows["fv-conf"][1:5] == ["all", "1.0", "1.1", True]
    assert rows["fv-lib"][1:5] == ["amd64", "1.0", "1.1", True]
    told = patched.run("python3 -c \"import apt; c=apt.Cache()['fv-web'].candidate.origins[0]; print(c.label)\"").stdout
    assert told == "Civicops-Security\n"


def test_a_bad_version_breaks_the_service_and_dpkg_is_content(patched: Host) -> None:
    assert page(patched) == "fv-web 1.0\n"
    patched.run(f"{UPGRADE} fv-web=1.1")
    assert page(patched) == "fv-web 1.1\n"
    patched.run(f"{UPGRADE} fv-web=1.2")
    assert (version(patched, "fv-web"), page(patched)) == ("1.2 installed", "")
    assert patched.run("systemctl is-failed fv-web").stdout == "failed\n"
    patched.run(f"{UPGRADE} --allow-downgrades fv-web=1.0")
    assert page(patched) == "fv-web 1.0\n"


def test_a_failing_postinst_leaves_its_package_half_configured(patched: Host) -> None:
    done = patched.run(f"{UPGRADE} fv-failing=1.1", check=False)
    assert done.returncode == 100
    assert "the database is not there" in done.stdout + done.stderr
    assert version(patched, "fv-failing") == "1.1 half-configured"
    patched.run(f"{UPGRADE} --allow-downgrades fv-failing=1.0")
    assert version(patched, "fv-failing") == "1.0 installed"


def test_a_slow_postinst_counts_its_runs(patched: Host) -> None:
    patched.run("rm /var/log/fv-slow.log")
    before = time.monotonic()
    patched.run(f"{UPGRADE} fv-slow=1.1")
    assert time.monotonic() - before >= 2
    assert patched.read("/var/log/fv-slow.log") == b"begin 1.1\nend 1.1\n"


def test_a_conffile_that_was_edited_is_asked_about(patched: Host) -> None:
    patched.append("/etc/fv-conf.conf", "local = yes\n")
    patched.run(f"{UPGRADE} -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold fv-conf=1.1")
    assert patched.read("/etc/fv-conf.conf") == b"# fv-conf 1.0\nsetting = 1.0\nlocal = yes\n"
    assert patched.read("/etc/fv-conf.conf.dpkg-dist") == b"# fv-conf 1.1\nsetting = 1.1\n"


def test_a_reboot_is_asked_for_by_the_upgrade_alone(patched: Host) -> None:
    assert patched.run("test ! -e /run/reboot-required").returncode == 0
    patched.run(f"{UPGRADE} fv-reboot=1.1")
    assert patched.read("/run/reboot-required.pkgs") == b"fv-reboot\n"


def test_one_needs_a_new_package_and_one_would_remove_another(patched: Host) -> None:
    assert "Inst fv-app" not in patched.run("apt-get -s upgrade").stdout
    patched.run(f"{UPGRADE} fv-app")
    assert (version(patched, "fv-app"), version(patched, "fv-extra")) == ("1.1 installed", "1.0 installed")
    assert "Remv fv-given [1.0]" in patched.run("apt-get -s install fv-taker").stdout
    assert "Remv" not in patched.run("apt-get -s upgrade").stdout


def test_what_a_script_wrote_to_etc_does_not_come_back_with_the_package(patched: Host) -> None:
    patched.run(f"{UPGRADE} fv-store=1.1")
    patched.run(f"{UPGRADE} --allow-downgrades fv-store=1.0")
    assert version(patched, "fv-store") == "1.0 installed"
    assert patched.read("/etc/fv-store/state") == b"1.0\n1.1\n1.0\n"
    assert patched.run("dpkg -S /etc/fv-store/state", check=False).returncode == 1


def test_a_daemon_keeps_the_deleted_library_until_it_is_restarted(patched: Host) -> None:
    def mapped() -> str:
        return patched.run("grep libfv /proc/$(systemctl show -P MainPID fv-libd)/maps").stdout

    assert "(deleted)" not in mapped()
    patched.run(f"{UPGRADE} fv-lib=1.1")
    assert "x" in mapped().split()[1]
    assert mapped().endswith("/usr/lib/fv/libfv.so (deleted)\n")
    patched.run("systemctl restart fv-libd; sleep 1")
    assert "(deleted)" not in mapped()


def test_the_mirror_fails_in_every_way(mirror: Repository, patched: Host) -> None:
    fetch = "rm -f fv-web_*; apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=2 download fv-web=1.1"

    def told() -> str:
        done = patched.run(f"cd /tmp; {fetch}", check=False)
        return done.stderr if done.returncode else ""

    assert told() == ""
    with mirror.broken("pool/fv-web_1.1_*", "missing"):
        assert "404" in told()
    with mirror.broken("pool/*", "hang"):
        before = time.monotonic()
        assert "Connection failed" in told()
        assert time.monotonic() - before >= 2
    with mirror.broken("pool/*", "corrupt"):
        assert "Hash Sum mismatch" in told()
    with mirror.broken("pool/*", "cut"):
        assert "Failed to fetch" in told()
    mirror.stop()
    asked = len(mirror.asked)
    assert "Connection refused" in told()
    assert len(mirror.asked) == asked
    mirror.start()
    assert told() == ""
    mirror.withdraw("fv-web", "1.1")
    mirror.publish()
    mirror.refresh(patched)
    assert "Version '1.1' for 'fv-web' was not found" in told()


def test_a_dnf_host(make_town: MakeTown) -> None:
    host = make_town(hosts={"rpm1": "bookworm-dnf"}).host("rpm1")
    repo = RpmRepository(host)
    repo.enable([f"{name}-1.0" for name in ("fv-rpm", "fv-rpm-post", "fv-rpm-pre", "fv-rpm-conf")])

    def installed() -> dict[str, str]:
        lines = host.run("env -u HOME rpm -qa --qf '%{NAME} %{VERSION}\\n'").stdout.splitlines()
        return dict(line.split() for line in lines)

    assert set(installed().values()) == {"1.0"}
    pending = host.run("dnf -q check-update", check=False)
    assert pending.returncode == 100
    assert len(pending.stdout.split()) == 4 * 3
    security = host.run("dnf -q updateinfo list --security").stdout
    assert security.split() == ["FV-2026:0001", "Important/Sec.", "fv-rpm-1.1-1.noarch"]

    host.run("dnf -q -y upgrade --security")
    assert {name for name, version in installed().items() if version == "1.1"} == {"fv-rpm"}
    done = host.run("dnf -y upgrade fv-rpm-post")
    assert "%post(fv-rpm-post-1.1-1.noarch) scriptlet failed" in done.stdout + done.stderr
    assert host.run("dnf -y upgrade fv-rpm-pre", check=False).returncode == 1
    assert (installed()["fv-rpm-post"], installed()["fv-rpm-pre"]) == ("1.1", "1.0")
    host.append("/etc/fv-rpm.conf", "local = yes\n")
    host.run("dnf -q -y upgrade fv-rpm-conf")
    assert host.read("/etc/fv-rpm.conf") == b"# fv-rpm-conf 1.0\nlocal = yes\n"
    assert host.read("/etc/fv-rpm.conf.rpmnew") == b"# fv-rpm-conf 1.1\n"

    host.run("dnf -q -y downgrade fv-rpm")
    assert installed()["fv-rpm"] == "1.0"
    repo.stop()
    assert host.run("dnf -q -y upgrade fv-rpm", check=False).returncode == 1
    repo.start()
    repo.withdraw("fv-rpm", "1.1")
    assert "fv-rpm-1.1" not in host.run("dnf -q repoquery fv-rpm").stdout


@pytest.fixture(scope="module")
def vm(hosts_available: None) -> Iterator[Vm]:
    """One VM for the tests below, in their order: each leaves it as the next one takes it up."""
    vm = Vm.launch("vm1")
    yield vm
    vm.remove()


@wanted
def test_the_vm_is_a_host_with_a_kernel_of_its_own(vm: Vm, make_town: MakeTown) -> None:
    assert vm.boot_seconds < 120  # measured: 28 s beside other tests
    assert vm.kernel().endswith("-cloud-amd64")
    assert vm.run("systemctl is-system-running; hostname").stdout.split() == ["running", "vm1"]
    assert list(vm.entries()) == [vm.kernel()]
    vm.run("sysctl -q -w kernel.dmesg_restrict=1")
    with vm.paused(), pytest.raises(subprocess.TimeoutExpired):
        vm.run("true", timeout=2)
    with vm.unreachable(), pytest.raises(subprocess.TimeoutExpired):
        vm.run("true", timeout=2)
    town = make_town(hosts={"vm1": Spec(vars=vm.vars)}, use={"vm1": vm})
    assert '"ping": "pong"' in town.controller.ansible("all", "-m", "ping").stdout


@wanted
def test_a_newer_kernel_a_power_cut_in_a_postinst_and_the_former_kernel(vm: Vm, mirror: Repository) -> None:
    old = vm.kernel()
    vm.with_security_updates()
    if "Inst linux-image" not in vm.run("apt-get -s install linux-image-cloud-amd64").stdout:
        pytest.skip("the security archive has no newer kernel than the release's own")
    vm.run(f"{UPGRADE} --no-install-recommends linux-image-cloud-amd64; sync", timeout=300)
    new, also = vm.entries()
    assert (vm.kernel(), also) == (old, old)

    mirror.enable(vm, ["fv-slow=1.0"])
    mirror.add(repository.slow("2.0", 600))
    mirror.publish()
    mirror.refresh(vm)
    boot, started = vm.boot_id(), vm.started_at()
    vm.run("systemd-run --quiet apt-get -q -y install fv-slow")
    vm.run("until grep -q 'begin 2.0' /var/log/fv-slow.log; do sleep 0.5; done")
    vm.power_cut()
    assert vm.boot_id() != boot
    assert vm.started_at() > started
    assert vm.kernel() == new != old
    assert version(vm, "fv-slow") == "2.0 half-configured"
    assert vm.read("/var/log/fv-slow.log").splitlines() == [b"begin 1.0", b"end 1.0", b"begin 2.0"]

    vm.run(f"grub-reboot '{vm.entries()[old]}'")
    vm.reboot()
    assert vm.kernel() == old
    assert vm.run("grub-editenv list").stdout == "next_entry=\n"  # GRUB has taken it: the next boot is the new one's


@wanted
def test_a_vm_of_a_killed_run_is_swept_up(hosts_available: None) -> None:
    program = "from tests.hosts.vm import Vm; Vm.launch('left')"
    other = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        place = cache_dir() / "vms" / f"left-{other.pid}-1"
        deadline = time.monotonic() + 60
        while not content(place / "pid") and time.monotonic() < deadline:
            time.sleep(0.1)
        pid = int(content(place / "pid"))
        assert str(place).encode() in content(Path(f"/proc/{pid}/cmdline"))
        assert place.name not in sweep()
        other.kill()
        other.wait()
        assert place.name in sweep()
        assert not place.exists()
        while content(Path(f"/proc/{pid}/cmdline")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not content(Path(f"/proc/{pid}/cmdline"))
    finally:
        other.kill()
        other.wait()
        sweep()


def content(path: Path) -> bytes:
    """A file that may not be there yet, or any more."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
