"""Controls of packages, services, mounts, the audit, the packet filter and AppArmor."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.files import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.listening import listening
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.reloads import RELOADS
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.apparmor import AppArmor
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.audit_rule import AuditRule, normal
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.boot_password import BootPassword
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.firewall import (
    OURS,
    Firewall,
    input_chains,
)
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.mount_option import MountOption
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.package import Package
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.partition import Partition
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.service import Service
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.time_sync import TimeSync
from tests.unit.plugins.module_utils.baseline.bed import Bed, asked

LOCALHOST, ANY = "0100007F", "00000000"


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


# -- packages --------------------------------------------------------------------


class Apt:
    """apt and dpkg over a set of names; C(needs): what goes with what."""

    def __init__(self, bed: Bed, installed: set[str]) -> None:
        self.installed = installed
        self.needs: dict[str, str] = {}
        bed.put("/usr/bin/dpkg-query", "")
        bed.put("/usr/bin/apt-get", "")
        bed.answers["dpkg-query"] = lambda argv: "".join(f"ii  {name}\n" for name in sorted(self.installed))
        bed.answers["apt-get -s"] = self.simulate
        bed.answers["apt-get -y"] = self.install

    def simulate(self, argv: list[str]) -> str | tuple[int, str]:
        if "no-such" in argv:
            return 100, "Reading package lists...\nE: Unable to locate package no-such\n"
        gone = [word[:-1] for word in argv if word.endswith("-")]
        gone += [self.needs[name] for name in gone if name in self.needs]
        return "".join(f"Remv {name} [1.0]\n" for name in gone)

    def install(self, argv: list[str]) -> str:
        for word in argv[argv.index("install" if "install" in argv else "purge") + 1 :]:
            if word.endswith("-") or "purge" in argv:
                self.installed.discard(word.rstrip("-"))
            else:
                self.installed.add(word)
        return ""


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"debian": ["nftables"], "rhel": ["nftables"]}, "installed"),
        ({"debian": ["telnet"], "state": "absent"}, "not installed"),
        ({"debian": ["chrony", "ntpsec"], "any": True}, "installed"),
    ],
)
def test_package(bed: Bed, params: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(bed, {"bash", "telnet"})
    assert bed.mended(Package, params, monkeypatch).was == words
    assert apt.installed == {"bash", "telnet"}
    assert bed.read(Package, {"rhel": ["audit"]}).absent
    assert bed.read(Package, {"debian": ["ksh", "bash"], "any": True}).ok


def test_package_that_takes_others_with_it_stays(bed: Bed) -> None:
    Apt(bed, {"python3", "ansible"}).needs = {"python3": "ansible"}
    control = Package(Params({"debian": ["python3"], "state": "absent"}))
    for dry in (True, False):
        with pytest.raises(HostError, match="ansible would be removed with it"):
            control.apply(bed.host(dry=dry))
    with pytest.raises(HostError, match="Unable to locate package no-such"):
        Package(Params({"debian": ["no-such"]})).apply(bed.host())


def test_packages_of_one_run_come_in_one_transaction(bed: Bed) -> None:
    apt = Apt(bed, {"bash"})
    host = bed.host()
    host.coming = {"nftables", "chrony", "aide"}
    for name in ("nftables", "chrony", "aide"):
        control = Package(Params({"debian": [name]}))
        if control.current(host).mends:
            control.apply(host)
    assert apt.installed == {"bash", "nftables", "chrony", "aide"}
    assert len([line for line in bed.ran if line.startswith("apt-get -y")]) == 1


def test_settings_that_scripts_make_are_known_and_dpkgs_own_are_its(bed: Bed) -> None:
    apt = Apt(bed, {"bash"})
    bed.put("/etc/old", "there before")
    install = apt.install

    def with_scripts(argv: list[str]) -> str:
        bed.put("/var/lib/ucf/registry", "exim4-config /etc/exim4/by-ucf\n")
        for path in ("/etc/mailname", "/etc/exim4/exim4.conf", "/etc/exim4/by-ucf", "/etc/old"):
            bed.put(path, "made")
        return install(argv)

    owned = "exim4-config: /etc/exim4/exim4.conf\n"
    bed.answers = {"dpkg-query -S": lambda argv: (1, owned), **bed.answers, "apt-get -y": with_scripts}
    host = bed.host()
    Package(Params({"debian": ["exim4"]})).apply(host)
    assert host.point is not None
    assert [op["path"] for op in host.point.ops if op["op"] == "made"] == ["/etc/mailname"]


def test_a_package_that_can_not_be_had_does_not_stop_the_others(bed: Bed) -> None:
    apt = Apt(bed, {"bash"})
    host = bed.host()
    host.coming = {"nftables", "no-such"}
    with pytest.raises(HostError, match="no-such"):
        Package(Params({"debian": ["no-such"]})).apply(host)
    Package(Params({"debian": ["nftables"]})).apply(host)
    assert apt.installed == {"bash", "nftables"}


def test_a_service_whose_package_comes_in_this_run(bed: Bed) -> None:
    Apt(bed, {"bash"})
    params = {"unit": "dailyaidecheck.timer", "state": "on", "package": "aide-common"}
    control = Service(Params(params))
    dry, host = bed.host(dry=True), bed.host()
    assert control.current(dry).absent
    dry.coming = host.coming = {"aide-common"}
    assert control.current(dry).mends
    control.apply(dry)
    with pytest.raises(HostError, match="not installed"):
        control.apply(host)


def test_what_an_older_release_does_by_cron(bed: Bed) -> None:
    """Debian 11's aide-common has no timer."""
    apt = Apt(bed, {"bash"})
    params = {
        "unit": "dailyaidecheck.timer",
        "state": "on",
        "package": "aide-common",
        "or_cron": "/etc/cron.daily/aide",
    }
    control = Service(Params(params))
    host = bed.host()
    host.coming = {"aide-common"}
    assert control.current(host).mends
    bed.put("/etc/cron.daily/aide", "#!/bin/sh\n")
    apt.installed = {"bash", "aide-common"}
    control.apply(bed.host())
    assert "cron is to start" in str(control.current(bed.host()).manual)
    apt.installed |= {"cron"}
    assert control.current(bed.host()).ok
    bed.units = {"dailyaidecheck.timer": ["loaded", "inactive", "disabled"]}
    assert control.current(bed.host()).mends, "where there is the unit, it counts"


# -- services --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "state"),
    [
        (["loaded", "active", "enabled"], "off"),
        (["loaded", "inactive", "enabled"], "off"),
        (["loaded", "active", "static"], "off"),
        (["loaded", "inactive", "disabled"], "on"),
        (["loaded", "active", "disabled"], "on"),
        (["masked", "inactive", "masked"], "on"),
    ],
)
def test_service(bed: Bed, unit: list[str], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.units = {"x.service": unit}
    bed.mended(Service, {"unit": "x.service", "state": state}, monkeypatch)


@pytest.mark.parametrize(
    ("unit", "state", "field"),
    [
        (["not-found", "inactive", ""], "off", "ok"),
        (["not-found", "inactive", ""], "on", "absent"),
        (["masked", "inactive", "masked"], "off", "ok"),
        (["loaded", "inactive", "static"], "off", "ok"),
        (["loaded", "active", "static"], "on", "ok"),
        (["loaded", "inactive", "enabled"], "on", "stuck"),
    ],
)
def test_service_is_left_alone(bed: Bed, unit: list[str], state: str, field: str) -> None:
    bed.units = {"x.service": unit}
    bed.refused_units = {"x.service"}
    found = bed.read(Service, {"unit": "x.service", "state": state})
    assert getattr(found, field)
    assert not found.mends


def test_an_administrators_own_unit_is_not_masked(bed: Bed) -> None:
    bed.units = {"x.service": ["loaded", "active", "enabled"], "x.socket": ["loaded", "active", "enabled"]}
    bed.put("/etc/systemd/system/x.service", "[Service]\n")
    Service(Params({"unit": ["x.service", "x.socket"]})).apply(bed.host())
    assert bed.units["x.service"] == ["loaded", "inactive", "disabled"]
    assert bed.units["x.socket"] == ["masked", "inactive", "masked"]
    verbs = [line for line in bed.ran if "show" not in line]
    assert verbs[0].endswith("stop x.socket")


def test_time_sync(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bed.read(TimeSync, {}).manual
    bed.units = {"systemd-timesyncd.service": ["loaded", "inactive", "disabled"]}
    assert bed.mended(TimeSync, {}, monkeypatch).was == "systemd-timesyncd.service"
    bed.is_container()
    assert bed.read(TimeSync, {}).absent


# -- the kernel ------------------------------------------------------------------


class Mounts:
    """What is mounted, as mount changes it."""

    def __init__(self, bed: Bed, found: dict[str, str]) -> None:
        self.bed, self.found = bed, found
        self.write()
        bed.answers["mount -o"] = self.remount

    def write(self) -> None:
        lines = [f"{n} 1 0:{n} / {p} {o} - tmpfs tmpfs rw\n" for n, (p, o) in enumerate(self.found.items())]
        self.bed.put("/proc/self/mountinfo", "".join(lines))

    def remount(self, argv: list[str]) -> str:
        words = argv[2].split(",")[1:]
        opposite = {"dev": "nodev", "exec": "noexec", "suid": "nosuid"}
        self.found[argv[3]] = ",".join(word for word in words if word not in opposite)
        self.write()
        return ""


@pytest.mark.parametrize(
    ("path", "fstab", "more"),
    [
        ("/var/tmp", "UUID=1 / ext4 defaults 0 1\nUUID=2 /var/tmp ext4 defaults,dev 0 2 # ours\n", {}),
        ("/dev/shm", "# nothing\n", {}),
        ("/tmp", "", {"/usr/lib/systemd/system/tmp.mount": "[Mount]\nOptions=mode=1777,strictatime\n"}),
    ],
)
def test_mount_option(bed: Bed, path: str, fstab: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = Mounts(bed, {"/": "rw", path: "rw,nosuid"})
    for name, text in {"/etc/fstab": fstab, **more}.items():
        bed.put(name, text)
    bed.mended(MountOption, {"path": path, "option": "nodev"}, monkeypatch)
    assert mounts.found[path] == "rw,nosuid"


def test_mount_option_where_there_is_nothing_to_do(bed: Bed) -> None:
    Mounts(bed, {"/": "rw", "/srv": "rw", "/proc": "rw,hidepid=invisible"})
    assert bed.read(MountOption, {"path": "/home", "option": "nodev"}).absent
    assert bed.read(MountOption, {"path": "/srv", "option": "nodev"}).manual
    bed.put("/proc/self/status", "CapEff:\t00000000a80425fb\n")
    bed.put("/etc/fstab", "x /srv ext4 nodev 0 0\n")
    found = bed.read(MountOption, {"path": "/srv", "option": "nodev"})
    assert found.stuck
    assert not found.todo
    bed.is_container()
    assert bed.read(MountOption, {"path": "/srv", "option": "nodev"}).stuck
    assert bed.read(MountOption, {"path": "/proc", "option": "hidepid=2"}).ok


def test_partition(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    Mounts(bed, {"/": "rw", "/home": "rw"})
    assert bed.read(Partition, {"path": "/home"}).ok
    assert bed.read(Partition, {"path": "/var/log"}).manual
    bed.put("/proc/meminfo", "MemTotal:       16000000 kB\n")
    assert bed.read(Partition, {"path": "/tmp"}).manual
    bed.put("/usr/share/systemd/tmp.mount", "[Mount]\nWhat=tmpfs\n")
    bed.units["tmp.mount"] = ["loaded", "inactive", "disabled"]
    assert "next start" in bed.mended(Partition, {"path": "/tmp"}, monkeypatch).stuck
    bed.put("/proc/meminfo", "MemTotal:       1000000 kB\n")
    assert bed.read(Partition, {"path": "/tmp"}).manual
    bed.is_container()
    assert bed.read(Partition, {"path": "/tmp"}).absent


def test_boot_password(bed: Bed) -> None:
    assert bed.read(BootPassword, {}).absent
    bed.put("/boot/grub/grub.cfg", "menuentry x {}\n")
    assert bed.read(BootPassword, {}).manual
    bed.put("/boot/grub/grub.cfg", 'set superusers="root"\npassword_pbkdf2 root grub.pbkdf2.x\n')
    assert bed.read(BootPassword, {}).ok


# -- the audit -------------------------------------------------------------------

RULES = ["-w /etc/passwd -p wa -k identity", "-a always,exit -F arch=b64 -S adjtimex,settimeofday -k time"]


@pytest.fixture
def audit(bed: Bed) -> Bed:
    Apt(bed, {"auditd"})
    bed.put("/usr/sbin/auditctl", "")
    bed.put("/usr/sbin/augenrules", "")
    bed.put("/etc/passwd", "")
    bed.put("/etc/audit/rules.d/audit.rules", "-D\n-b 8192\n")
    bed.put("/etc/audit/audit.rules", "-D\n")
    loaded: list[str] = []

    def load(argv: list[str]) -> str:
        if "--load" in argv:
            path = bed.root / "etc/audit/rules.d/60-civicops-x.rules"
            loaded[:] = path.read_text().replace("-k ", "-F key=").splitlines() if path.exists() else []
            bed.put("/etc/audit/audit.rules", "\n".join(loaded))
        return ""

    bed.answers["auditctl -s"] = "enabled 1\nfailure 1\nbacklog_limit 8192\n"
    bed.answers["auditctl -l"] = lambda argv: "\n".join(loaded) or "No rules\n"
    bed.answers["augenrules"] = load
    return bed


def test_audit_rule(audit: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit.mended(AuditRule, {"name": "x", "rules": RULES}, monkeypatch).was == "2 rules"
    assert audit.ran.index("augenrules --check") < audit.ran.index("augenrules --load")


def test_audit_rule_in_a_container_is_written_and_no_more(audit: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    audit.answers["auditctl -s"] = (4, "")
    audit.is_container()
    found = audit.mended(AuditRule, {"name": "x", "rules": RULES}, monkeypatch)
    assert found.stuck == "a container has no audit of its own"


def test_audit_rule_that_can_not_be(audit: Bed) -> None:
    params = {"name": "x", "rules": ["-w /no/such/place -p wa"]}
    assert audit.read(AuditRule, params).absent
    audit.answers["auditctl -s"] = "enabled 2\n"
    assert "locked" in audit.read(AuditRule, {"name": "x", "rules": RULES}).stuck
    audit.answers["dpkg-query"] = "ii  bash\n"
    assert audit.read(AuditRule, {"name": "x", "rules": RULES}).absent
    for rules in (["-D"], ["-w /a\0b"], ["rm -rf"], ["-w '/etc"], ["-a always,exit -F path=/x;y"]):
        with pytest.raises(ParameterError):
            AuditRule(Params({"name": "x", "rules": rules}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-w /etc/passwd -p wa -k x", "-a always,exit -F path=/etc/passwd -F perm=wa -F key=y"),
        ("-w /etc/sudoers.d/ -p aw", "-w /etc/sudoers.d -p wa"),
        (
            "-a exit,always -S a -S b -F auid>=1000 -F auid!=4294967295",
            "-a always,exit -F auid!=-1 -F auid>=1000 -S b,a",
        ),
        (
            "-a always,exit -S execve -C euid!=uid -F auid!=unset",
            "-a always,exit -S execve -C uid!=euid -F auid!=-1 -F key=x",
        ),
        ("-a always,exit -S all -F path=/x -F perm=x", "-a always,exit -F path=/x -F perm=x"),
    ],
)
def test_rules_that_are_the_same(one: str, other: str) -> None:
    assert normal(one) == normal(other) is not None


@pytest.mark.parametrize("line", ["", "# x", "-D", "No rules", "-w '", "-a\udcff b", "-k x"])
def test_lines_that_are_no_rules(line: str) -> None:
    assert normal(line) is None


# -- the packet filter -----------------------------------------------------------


def table(*rows: tuple[str, int]) -> str:
    lines = [f"{n}: {a}:{p:04X} 00000000:0000 %s 0 0 0 0 0 {n}" for n, (a, p) in enumerate(rows)]
    return "header\n" + "\n".join(lines) + "\n"


@pytest.fixture
def filtered(bed: Bed) -> Bed:
    bed.put("/usr/sbin/nft", "")
    bed.put("/usr/sbin/sshd", "")
    bed.put("/proc/net/tcp", table((ANY, 80), (LOCALHOST, 5432)) % ("0A", "0A"))
    bed.put("/proc/net/udp", table((ANY, 51820)) % "07")
    bed.put("/proc/net/raw", table((ANY, 112), (ANY, 255)) % ("07", "07"))
    bed.put("/etc/nftables.conf", "flush ruleset\n", 0o755)
    bed.units = {"nftables.service": ["loaded", "inactive", "disabled"]}
    bed.answers["sshd -T"] = "port 22\nport 2222\n"
    chains: list[dict[str, Any]] = []

    def nft(argv: list[str]) -> str:
        if "-f" in argv and "-c" not in argv:
            chains[:] = [chain("inet", "civicops", "drop")]
        if "delete" in argv[-1]:
            chains.clear()
        return json.dumps({"nftables": [{"metainfo": {}}, *chains]})

    bed.answers["nft"] = nft
    return bed


def chain(family: str, name: str, policy: str) -> dict[str, Any]:
    values = {"family": family, "table": name, "name": "input", "hook": "input", "type": "filter", "policy": policy}
    return {"chain": values}


def rule(family: str, name: str) -> dict[str, Any]:
    return {"rule": {"family": family, "table": name, "chain": "input", "expr": []}}


def test_firewall(filtered: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = filtered.answers["nft"]

    def nft(argv: list[str]) -> Any:
        if "-f" in argv and argv[-1] == OURS:
            written.append(filtered.text(OURS))
        return write(argv)  # type: ignore[operator]

    filtered.answers["nft"] = nft
    filtered.mended(Firewall, {"default": "drop"}, monkeypatch)
    assert re.search(r"tcp dport \{ 22, 80, 2222 \} accept", written[-1])
    assert re.search(r"udp dport \{ 51820 \} accept", written[-1])
    assert "{ 1, 2, 50, 51, 58, 112 } accept" in written[-1]
    assert "systemctl --no-ask-password start nftables.service" not in filtered.ran
    assert f"nft -c -f {OURS}" in filtered.ran


def test_nothing_is_shut_where_what_listens_is_not_to_be_seen(filtered: Bed) -> None:
    (filtered.root / "proc/net/udp").unlink()
    with pytest.raises(OSError):
        Firewall(Params({})).apply(filtered.host())
    assert not (filtered.root / "etc/nftables.d").exists()
    filtered.put("/proc/net/udp", b"\xff\xfe\n garbage : : :\n")
    assert listening(filtered.host(), [22]).tcp == {22, 80}


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([chain("inet", "filter", "drop")], "ok"),
        ([chain("ip", "filter", "drop"), chain("ip6", "filter", "drop")], "ok"),
        ([chain("ip", "filter", "drop")], "manual"),
        ([chain("inet", "filter", "accept"), rule("inet", "filter")], "manual"),
        ([chain("inet", "filter", "accept")], "mends"),
    ],
)
def test_rules_of_others(filtered: Bed, items: list[dict[str, Any]], field: str) -> None:
    filtered.answers["nft"] = json.dumps({"nftables": items})
    assert getattr(filtered.read(Firewall, {}), field)


def test_other_firewalls(filtered: Bed) -> None:
    filtered.answers["nft"] = (1, "")
    assert filtered.read(Firewall, {}).stuck
    filtered.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    filtered.put("/etc/default/ufw", 'DEFAULT_INPUT_POLICY="DROP"\n')
    assert filtered.read(Firewall, {}).ok
    filtered.units["firewalld.service"] = ["loaded", "active", "enabled"]
    assert filtered.read(Firewall, {}).ok
    filtered.put("/etc/firewalld/firewalld.conf", "DefaultZone=trusted\n")
    filtered.put("/usr/lib/firewalld/zones/trusted.xml", '<zone target="ACCEPT">')
    assert filtered.read(Firewall, {}).manual


def test_ufw(filtered: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    filtered.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    filtered.put("/etc/default/ufw", 'DEFAULT_INPUT_POLICY="ACCEPT"\n')

    def ufw(argv: list[str]) -> str:
        if "deny" in argv:
            filtered.put("/etc/default/ufw", 'DEFAULT_INPUT_POLICY="DROP"\n')
        return ""

    filtered.answers["ufw"] = ufw
    filtered.mended(Firewall, {}, monkeypatch)
    assert filtered.ran.index("ufw allow 22/tcp") < filtered.ran.index("ufw default deny incoming")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 5}', "[" * 5000])
def test_a_ruleset_that_is_none(text: str) -> None:
    with pytest.raises(HostError):
        input_chains(text)


# -- AppArmor --------------------------------------------------------------------


def test_apparmor(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bed.read(AppArmor, {}).manual
    bed.put("/sys/module/apparmor/parameters/enabled", "Y\n")
    bed.put("/sys/kernel/security/apparmor/profiles", "/usr/bin/man (enforce)\nchronyd (complain)\n")
    bed.put("/etc/apparmor.d/chronyd", "profile chronyd /usr/sbin/chronyd flags=(complain,attach_disconnected) {\n}\n")
    bed.units = {"apparmor.service": ["loaded", "active", "enabled"]}
    assert bed.read(AppArmor, {}).ok
    host = bed.host()
    AppArmor(Params({"mode": "enforce"})).apply(host)
    assert bed.text("/etc/apparmor.d/chronyd").splitlines()[0].endswith("flags=(attach_disconnected) {")
    assert asked(host) == ["apparmor"]
    bed.units["apparmor.service"] = ["loaded", "inactive", "disabled"]
    bed.point.joinpath("journal").unlink()
    bed.mended(AppArmor, {}, monkeypatch)
    bed.is_container()
    assert bed.read(AppArmor, {}).absent


# -- reloads ---------------------------------------------------------------------


def test_a_service_that_does_not_stand_after_its_reload_is_told(bed: Bed) -> None:
    bed.units = {"cron.service": ["loaded", "active", "enabled"]}

    def fall(words: list[str]) -> tuple[int, bytes]:
        bed.units["cron.service"][1] = "failed"
        return 0, b""

    run = bed._systemctl
    bed._systemctl = lambda words: fall(words) if "restart" in words else run(words)  # type: ignore[method-assign]
    with pytest.raises(HostError, match=r"cron.service is failed"):
        RELOADS["cron"].apply(bed.host())


@pytest.mark.parametrize("name", sorted(RELOADS))
def test_every_reload_does_nothing_on_a_host_without_the_service(bed: Bed, name: str) -> None:
    bed.answers["ufw"] = ""
    RELOADS[name].check(bed.host())
    RELOADS[name].apply(bed.host())
    assert not [
        line for line in bed.ran if line.startswith("systemctl") and "show" not in line and "daemon" not in line
    ]
