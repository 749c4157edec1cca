"""Findings about hosts: logins, accounts, services, clocks, disks, software; each at the edges of what it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.assess.estates import NOW, SOCKETS, estate, facts, host, of, rows, told

from civicops.assess.facts import Facts
from civicops.assess.findings.disk_full import NOT_OURS
from civicops.assess.findings.exposed import services_known
from civicops.assess.findings.host_not_seen import ABSENT
from civicops.assess.findings.security_lists import STALE
from civicops.assess.measures import DISK_BAD, DISK_SOON
from civicops.assess.ssh_logins import NO_SERVER
from civicops.feeds.store import Index
from civicops.report.figures import disk_room, reboot, security_source

NEEDS_ROOT = "needs root"


def sshd(**settings: str) -> dict[str, Any]:
    good = facts()["ssh"]["settings"]
    return {"ssh.settings": {key: value for key, value in (good | settings).items() if value}}


@pytest.mark.parametrize(
    ("settings", "root", "everybody"),
    [
        ({}, "fine", "fine"),
        ({"permitrootlogin": "yes"}, "fine", "fine"),  # with a key
        ({"permitrootlogin": "yes", "passwordauthentication": "yes"}, "found", "found"),
        ({"permitrootlogin": "yes", "kbdinteractiveauthentication": "yes"}, "found", "found"),
        ({"permitrootlogin": "prohibit-password", "passwordauthentication": "yes"}, "fine", "found"),
        ({"permitrootlogin": "forced-commands-only", "passwordauthentication": "yes"}, "fine", "found"),
        ({"permitrootlogin": "", "passwordauthentication": "yes"}, "unknown", "found"),
        ({"passwordauthentication": ""}, "unknown", "unknown"),
        ({"kbdinteractiveauthentication": ""}, "unknown", "unknown"),
        (
            {"permitrootlogin": "yes", "passwordauthentication": "yes", "authenticationmethods": "publickey,password"},
            "fine",
            "fine",
        ),
        (
            {"permitrootlogin": "yes", "passwordauthentication": "yes", "authenticationmethods": "publickey password"},
            "found",
            "found",
        ),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "authenticationmethods": "any"}, "found", "found"),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "denyusers": "bob root"}, "fine", "found"),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "allowusers": "ann bob"}, "fine", "found"),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "allowusers": "ann r*"}, "found", "found"),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "allowusers": "root@10.0.0.1"}, "found", "found"),
        ({"permitrootlogin": "yes", "passwordauthentication": "yes", "allowgroups": "staff"}, "unknown", "found"),
    ],
)
def test_logins_over_ssh_with_a_password(settings: dict[str, str], root: str, everybody: str) -> None:
    assert of(sshd(**settings), "ssh-root-password").state == root
    assert of(sshd(**settings), "ssh-password").state == everybody


def test_root_without_a_usable_password_is_less_and_without_sshd_there_are_no_logins() -> None:
    open_to_root = sshd(permitrootlogin="yes", passwordauthentication="yes")
    assert of(open_to_root, "ssh-root-password").severity == "medium"
    users = facts()["users"]
    users[0]["password"]["state"] = "set"
    assert of(open_to_root | {"users": users}, "ssh-root-password").severity == "high"
    for finding in ("ssh-root-password", "ssh-password"):
        assert of({"ssh.settings": None}, finding, ("ssh.settings", NEEDS_ROOT)).state == "unknown"


def test_a_host_without_an_ssh_server() -> None:
    for finding in ("ssh-root-password", "ssh-password"):
        one = of({"ssh.settings": None}, finding, ("ssh.settings", "sshd is not installed"))
        assert (one.state, one.evidence) == ("fine", "it has no SSH server")


def socket(proto: str, port: int, process: str | None, scope: str = "all", address: str = "::") -> list[Any]:
    return [proto, address, port, scope, process, None, "root", None]


@pytest.mark.parametrize(
    ("row", "service", "state"),
    [
        (socket("tcp", 23, "in.telnetd"), "-telnet", "found"),
        (socket("tcp", 23, None), "-telnet", "found"),
        (socket("tcp", 23, "dropbear"), "-telnet", "unknown"),
        (socket("tcp", 2377, "dockerd"), "", "fine"),
        (socket("tcp", 5901, "qemu-system-x86"), "-vnc", "found"),
        (socket("tcp", 2323, "telnetd"), "-telnet", "found"),
        (socket("udp", 23, "telnetd"), "", "fine"),
        (socket("tcp", 23, "in.telnetd", "loopback", "127.0.0.1"), "", "fine"),
        (socket("tcp", 23, "in.telnetd", "link", "fe80::1"), "", "fine"),
        (socket("tcp", 5432, "postgres"), "-database-postgresql", "found"),
        (socket("tcp", 6543, "postgres"), "-database-postgresql", "found"),
        (socket("tcp", 5432, "docker-proxy"), "-database-postgresql", "found"),
        (socket("tcp", 5432, "systemd"), "-database-postgresql", "found"),
        (socket("tcp", 5432, "mystery"), "-database-postgresql", "unknown"),
        (socket("tcp", 9200, "java"), "-database-elasticsearch", "found"),
        (socket("tcp", 8080, "java"), "", "fine"),
        (socket("udp", 69, None), "-tftp", "found"),
        (socket("tcp", 69, None), "", "fine"),
        (socket("tcp", 111, "rpcbind"), "-rpcbind", "found"),
        (socket("udp", 11211, "memcached"), "-memcached", "found"),
        (socket("tcp", 2375, "dockerd", "address", "192.0.2.7"), "-docker", "found"),
        (socket("tcp", 2049, None), "-nfs", "found"),  # the kernel's own, without a process
    ],
)
def test_what_listens_on_the_network(row: list[Any], service: str, state: str) -> None:
    one = of({"sockets": rows(SOCKETS, row)}, "exposed")
    assert (one.id, one.state) == (f"exposed{service}", state)
    assert state != "found" or str(row[2]) in one.evidence
    assert row[4] is not None or state != "found" or "known by its port alone" in one.evidence


def test_each_service_is_one_finding_with_all_its_sockets() -> None:
    table = rows(SOCKETS, socket("tcp", 3306, "mysqld"), socket("tcp", 33060, "mysqld"), socket("tcp", 21, "vsftpd"))
    found = told(estate(host(facts({"sockets": table}))), "exposed")
    assert {one.id for one in found} == {"exposed-database-mysql", "exposed-ftp"}
    assert all(one.severity == "medium" and one.remedy and one.title != "" for one in found)
    assert "3306" in found[0].evidence and "33060" in found[0].evidence


def test_an_unknown_program_is_no_good_news_without_root() -> None:
    table = {"sockets": rows(SOCKETS, socket("tcp", 40000, None))}
    hidden = ("sockets.process", "1 of 1: needs root")
    assert of(table | {"seen_as_root": False}, "exposed", hidden).state == "unknown"
    assert of(table, "exposed", ("sockets.process", "1 of 1: held by the kernel")).state == "fine"
    both = {"sockets": rows(SOCKETS, socket("tcp", 40000, None), socket("tcp", 23, None)), "seen_as_root": False}
    found = told(estate(host(facts(both, hidden))), "exposed")
    assert {(one.id, one.state) for one in found} == {("exposed-telnet", "found"), ("exposed", "unknown")}
    assert "port 23" not in found[-1].evidence
    assert of({}, "exposed", ("sockets./proc/net/tcp6", "OSError")).state == "unknown"


def test_no_two_services_say_they_are_the_same() -> None:
    services, carriers = services_known()
    assert len({one.id for one in services}) == len(services)
    for one in services:
        assert not one.processes & carriers and all(len(name) <= 15 for name in one.processes), one.id
    names = [name for one in services for name in one.processes]
    assert len(names) == len(set(names))


def user(name: str, uid: int = 1001, state: str | None = "set", **more: Any) -> dict[str, Any]:
    password = {"state": state, "changed": "2025-01-01"} if state else None
    made = {"name": name, "uid": uid, "power_groups": [], "last_login": "2026-11-20T08:00:00Z", "password": password}
    return made | more


@pytest.mark.parametrize(
    ("finding", "users", "state"),
    [
        ("account-no-password", [user("a"), user("b", state="locked")], "fine"),
        ("account-no-password", [user("a", state="empty")], "found"),
        ("account-no-password", [user("a", state=None)], "unknown"),
        ("account-no-password", [user("a", state=None), user("b", state="empty")], "found"),
        ("account-uid-zero", [user("root", 0)], "fine"),
        ("account-uid-zero", [user("root", 0), user("toor", 0)], "found"),
        ("account-never-used", [user("a", last_login=None)], "found"),
        ("account-never-used", [user("a", 999, last_login=None), user("b", 65534, last_login=None)], "fine"),
        ("account-never-used", [user("a", state="locked", last_login=None)], "fine"),
        (
            "account-never-used",
            [user("a", last_login=None, password={"state": "set", "changed": "2026-11-10"})],
            "fine",
        ),
        ("account-never-used", [user("a", last_login=None, password={"state": "set", "changed": None})], "unknown"),
        (
            "account-never-used",
            [
                user(
                    "a",
                    last_login=None,
                    password={"state": "set", "changed": "2025-01-01", "account_expires": "2026-01-01"},
                )
            ],
            "fine",
        ),
        ("account-unused", [user("a", last_login="2026-09-01T12:00:00Z")], "fine"),  # 90 days, almost to the second
        ("account-unused", [user("a", last_login="2026-09-01T11:00:00Z")], "found"),
        ("account-unused", [user("root", 0, last_login="2020-01-01T00:00:00Z")], "fine"),
        ("account-shared", [user("Admin", power_groups=["sudo"])], "found"),
        ("account-shared", [user("admin", power_groups=["adm"])], "fine"),  # sees much, may do nothing
        ("account-shared", [user("admin", state="locked", power_groups=["sudo"])], "fine"),
        ("account-shared", [user("ann", power_groups=["sudo"])], "fine"),
    ],
)
def test_accounts(finding: str, users: list[dict[str, Any]], state: str) -> None:
    assert of({"users": users}, finding).state == state


def test_a_key_opens_a_locked_account_too() -> None:
    key = {"type": "ssh-ed25519", "sha256": "A" * 43, "user": "a"}
    change = {"users": [user("a", state="locked", last_login=None)], "ssh.authorized_keys": [key]}
    assert of(change, "account-never-used").state == "found"


def test_a_record_that_is_begun_anew_each_month_does_not_tell_that_nobody_ever_logged_in() -> None:
    change = {"users": [user("a", last_login=None)], "last_login_basis": "wtmp"}
    one = of(change, "account-never-used")
    assert (one.state, "its record of logins is wtmp" in one.evidence) == ("unknown", True)
    change["last_login_basis"] = None
    assert of(change, "account-unused", ("users.last_login", "no record of logins")).state == "unknown"


def test_a_rule_of_sudo_for_somebody_else_may_mean_a_shared_account() -> None:
    rule = {"who": "OPERATORS", "grant": "ALL", "nopasswd": False}
    change = {"users": [user("support")], "sudo": {"rules": [rule], "user_aliases": {}}}
    assert of(change, "account-shared").state == "unknown"
    assert of({"users": [user("support")], "sudo": None}, "account-shared", ("sudo", NEEDS_ROOT)).state == "unknown"
    assert (
        of({"users": [user("support")], "sudo": None}, "account-shared", ("sudo", "sudo is not installed")).state
        == "fine"
    )


@pytest.mark.parametrize(
    ("who", "grant", "nopasswd", "state", "severity"),
    [
        ("ALL", "(ALL) NOPASSWD: ALL", True, "found", "critical"),
        ("ALL", "(root) NOPASSWD: /usr/bin/mount", True, "found", "medium"),
        ("ALL", "(root) NOPASSWD: /usr/bin/mount, PASSWD: ALL", True, "found", "medium"),
        ("ALL", "(root) NOPASSWD: ALL, NOPASSWD: /usr/bin/mount", True, "found", "critical"),
        ("%users", "NOPASSWD:ALL", True, "found", "critical"),
        ("ann, PEOPLE", "NOPASSWD:ALL", True, "found", "critical"),
        ("ALL", "(ALL) ALL", False, "fine", "critical"),
        ("ansible", "(ALL) NOPASSWD: ALL", True, "fine", "critical"),
        ("SMALL", "NOPASSWD:ALL", True, "fine", "critical"),
        ("CIRCLE", "NOPASSWD:ALL", True, "fine", "critical"),
        ("FAR", "NOPASSWD:ALL", True, "found", "critical"),
    ],
)
def test_sudo_for_everybody(who: str, grant: str, nopasswd: bool, state: str, severity: str) -> None:
    rules = [{"who": who, "grant": grant, "nopasswd": nopasswd, "file": "/etc/sudoers.d/x"}]
    aliases = {"PEOPLE": "bob, ALL", "SMALL": "bob", "CIRCLE": "CIRCLE, SMALL", "FAR": "SMALL, PEOPLE"}
    one = of({"sudo": {"rules": rules, "user_aliases": aliases}}, "sudo-no-password")
    assert (one.state, one.severity) == (state, severity)


def test_without_sudo_nobody_has_it() -> None:
    assert of({"sudo": None}, "sudo-no-password", ("sudo", "sudo is not installed")).state == "fine"
    assert of({"sudo": None}, "sudo-no-password", ("sudo", "PermissionError")).state == "unknown"


@pytest.mark.parametrize(
    ("ruleset", "more", "state"),
    [
        ({"rules": 9, "input_policies": ["inet filter drop"], "asked": "nft"}, {}, "fine"),
        ({"rules": 0, "input_policies": ["ip INPUT drop"], "asked": "iptables-save"}, {}, "fine"),
        ({"rules": 0, "input_policies": [], "asked": "nft"}, {}, "found"),
        ({"rules": 3, "input_policies": ["ip6 filter drop", "ip filter accept"], "asked": "nft"}, {}, "unknown"),
        ({"rules": 0, "input_policies": ["ip6 filter drop", "ip filter accept"], "asked": "nft"}, {}, "found"),
        ({"rules": 3, "input_policies": ["ip filter drop", "ip6 filter accept"], "asked": "nft"}, {}, "unknown"),
        ({"rules": 3, "input_policies": ["ip filter drop", "ip6 filter drop"], "asked": "nft"}, {}, "fine"),
        ({"rules": 3, "input_policies": ["bridge x drop"], "asked": "nft"}, {}, "unknown"),
        ({"rules": 0, "input_policies": ["ip INPUT accept"], "asked": "iptables-save"}, {}, "found"),
        ({"rules": 7, "input_policies": [], "asked": "nft"}, {}, "found"),  # a container engine's own
        (
            {"rules": 7, "input_policies": ["inet firewalld accept"], "asked": "nft"},
            {"firewalld_running": True},
            "fine",
        ),
        ({"rules": 7, "input_policies": ["ip INPUT accept"], "asked": "iptables-save"}, {}, "unknown"),
        ({"rules": 0, "input_policies": [], "asked": "nft"}, {"legacy_tables": ["nat", "filter"]}, "unknown"),
        (None, {}, "unknown"),
    ],
)
def test_the_packet_filter(ruleset: dict[str, Any] | None, more: dict[str, Any], state: str) -> None:
    assert of({"firewall": {"ruleset": ruleset, **more}}, "firewall-none").state == state
    container = facts({"firewall": {"ruleset": ruleset, **more}, "identity.virtualization": {"kind": "container"}})
    assert told(estate(host(container)), "firewall-none") == []


@pytest.mark.parametrize(
    ("told_", "state"),
    [
        ({"running": ["chrony"], "synchronized": True}, "fine"),
        ({"running": ["chrony"], "synchronized": False}, "found"),
        ({"running": ["ntp"], "synchronized": None}, "unknown"),
        ({"running": [], "synchronized": None}, "found"),
        ({"running": ["systemd-timesyncd"], "synchronized": True, "last_success": "2026-11-30T11:30:00Z"}, "fine"),
        ({"running": ["systemd-timesyncd"], "synchronized": True, "last_success": "2026-11-27T11:30:00Z"}, "found"),
        ({}, "unknown"),
    ],
)
def test_what_keeps_the_clock(told_: dict[str, Any], state: str) -> None:
    assert of({"time_sync": told_}, "time-sync").state == state


def test_hidden_processes_may_keep_the_clock() -> None:
    change = {"time_sync": {"running": [], "synchronized": None}}
    assert of(change, "time-sync", ("processes", "/proc hides other users' processes (hidepid)")).state == "unknown"


@pytest.mark.parametrize(
    ("stamp", "state", "severity"),
    [
        ("2026-11-30T11:59:58Z", "fine", "medium"),
        ("2026-11-30T11:54:57Z", "found", "medium"),
        ("2026-11-30T12:05:00Z", "found", "medium"),
        ("2024-01-01T00:00:00Z", "found", "high"),
        ("9999-12-31T23:59:59Z", "found", "high"),
        (None, "unknown", "medium"),
    ],
)
def test_a_clock_that_is_wrong(stamp: str | None, state: str, severity: str) -> None:
    one = of({"host_time": stamp}, "host-clock")
    assert (one.state, one.severity) == (state, severity)


def disk(used: int, **more: Any) -> dict[str, Any]:
    whole = {"mount": "/", "bytes": 100 << 30, "free_bytes": (100 - used) << 30, "read_only": False}
    return {"filesystems": [whole | more]}


@given(used=st.integers(0, 100))
def test_a_disk_is_full_where_the_report_says_so(used: int) -> None:
    one = of(disk(used), "disk-full")
    figure = disk_room(Facts(facts(disk(used)), ""), NOW.date(), Index())
    assert figure.state == {"fine": "good", "found": "bad" if one.severity == "high" else "soon"}[one.state]
    assert one.state == ("found" if used > DISK_SOON * 100 else "fine")
    assert one.state == "fine" or one.severity == ("high" if used > DISK_BAD * 100 else "low")


def test_disks_of_others_and_media_that_are_full_by_nature() -> None:
    away = ("filesystems./mnt/nas", "nfs4: not asked, as a dead server would hang the checkup")
    assert of({}, "disk-full", away).state == "fine"
    assert of({}, "disk-full", ("filesystems./srv", "OSError: Input/output error")).state == "unknown"
    assert of(disk(100, read_only=True), "disk-full").state == "unknown"
    assert of(disk(10, inodes=100, free_inodes=5), "disk-inodes").state == "found"
    assert of(disk(10, inodes=100, free_inodes=10), "disk-inodes").state == "fine"
    assert of(disk(10, inodes=None, free_inodes=None), "disk-inodes").state == "fine"


@pytest.mark.parametrize(
    ("disks", "state"),
    [
        ([{"name": "sda", "smart": {"healthy": True}}], "fine"),
        ([{"name": "sda", "smart": {"healthy": True}}, {"name": "sdb", "smart": {"healthy": False}}], "found"),
        ([{"name": "sda", "smart": {"healthy": True}}, {"name": "sdb", "smart": None}], "unknown"),
        ([{"name": "sda", "smart": {"healthy": True}}, {"name": "sdb", "smart": None, "removable": True}], "fine"),
        ([], "unknown"),
        (None, "unknown"),
    ],
)
def test_disks_that_fail(disks: list[dict[str, Any]] | None, state: str) -> None:
    assert of({"hardware.disks": disks}, "disk-failing").state == state


@pytest.mark.parametrize(
    ("mount", "kind", "options", "state"),
    [
        ("/", "ext4", "rw,relatime,errors=remount-ro", "fine"),
        ("/", "ext4", "ro,relatime,errors=remount-ro", "found"),
        ("/", "btrfs", "ro,relatime", "found"),
        ("/", "overlay", "ro", "fine"),
        ("/boot", "ext4", "ro,relatime", "fine"),
        ("/data", "ext4", "ro,errors=remount-ro", "found"),
        ("/mnt/cd", "iso9660", "ro", "fine"),
        ("/", "ext4", "rw,pro", "fine"),
    ],
)
def test_file_systems_that_have_become_read_only(mount: str, kind: str, options: str, state: str) -> None:
    table = {"columns": ["mount", "device", "type", "options"], "rows": [[mount, "/dev/sda1", kind, options]]}
    assert of({"mounts": table}, "disk-read-only").state == state


def wanted(*installed: list[Any], booted: str | None, reason: str = "kernel 1 runs, 2 is installed") -> dict[str, Any]:
    columns = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used"]
    table = rows(columns, *([name, "1", "amd64", None, None, day, None] for name, day in installed), family="dpkg")
    return {"reboot": {"wanted": True, "reasons": [reason]}, "identity.booted_at": booted, "packages": table}


KERNEL = "linux-image-6.1.0-27-amd64"


@pytest.mark.parametrize(
    ("change", "state", "severity"),
    [
        (wanted([KERNEL, "2026-11-16T11:00:00Z"], booted="2026-09-01T00:00:00Z"), "found", "medium"),
        (wanted([KERNEL, "2026-11-16T13:00:00Z"], booted="2026-09-01T00:00:00Z"), "fine", "medium"),
        (wanted([KERNEL, "2026-10-01T00:00:00Z"], booted="2026-09-01T00:00:00Z"), "found", "high"),
        # The first of several counts, and none from before the start.
        (
            wanted(
                ["linux-image-6.1.0-28-amd64", "2026-11-29T00:00:00Z"],
                [KERNEL, "2026-10-01T00:00:00Z"],
                booted="2026-09-01T00:00:00Z",
            ),
            "found",
            "high",
        ),
        (wanted([KERNEL, "2026-08-01T00:00:00Z"], booted="2026-09-01T00:00:00Z"), "unknown", "medium"),
        (wanted([KERNEL, "2026-08-01T00:00:00Z"], booted="2026-11-20T00:00:00Z"), "fine", "medium"),
        (wanted(["libc6", "2026-10-01T00:00:00Z"], booted="2026-09-01T00:00:00Z"), "unknown", "medium"),
        (
            wanted(
                ["libc6", "2026-10-01T00:00:00Z"],
                booted="2026-09-01T00:00:00Z",
                reason="the system asks for it: dbus, libc6",
            ),
            "found",
            "high",
        ),
        (
            wanted(
                ["libc6", "2026-10-01T00:00:00Z"],
                booted="2026-09-01T00:00:00Z",
                reason="process 1 uses files that were replaced",
            ),
            "found",
            "high",
        ),
        (wanted([KERNEL, "2026-10-01T00:00:00Z"], booted=None), "unknown", "medium"),
        (wanted([KERNEL, "2026-10-01T00:00:00Z"], booted="2027-09-01T00:00:00Z"), "unknown", "medium"),
        ({"reboot": {"wanted": None}}, "unknown", "medium"),
        ({"reboot": {"wanted": False}}, "fine", "medium"),
    ],
)
def test_a_reboot_that_is_overdue(change: dict[str, Any], state: str, severity: str) -> None:
    one = of(change, "reboot-overdue")
    assert (one.state, one.severity) == (state, severity), one.evidence
    figure = reboot(Facts(facts(change), ""), NOW.date(), Index())
    assert (figure.state, state) not in {("good", "found"), ("unknown", "fine")}


def sources(**more: Any) -> dict[str, Any]:
    return {"package_sources": facts()["package_sources"] | more}


def repositories(*names: str, enabled: bool = True) -> dict[str, Any]:
    columns = facts()["package_sources"]["columns"]
    made = [
        ["rpm", "u", name, [], enabled, None, False, None, "2026-11-30T03:00:00Z", None, None, "f"] for name in names
    ]
    more = {"family": "rpm", "security_source": None, "security_source_why": "the rpm family has no separate one"}
    return sources(**rows(columns, *made), **more)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (sources(), "fine"),
        (
            sources(security_source=False, security_source_why="none of the enabled sources is a security archive"),
            "found",
        ),
        (repositories("baseos", "appstream"), "fine"),
        (repositories("rhel-9-for-x86_64-baseos-rpms"), "fine"),
        (repositories("epel", "vendor-tools"), "unknown"),
        (repositories("baseos", enabled=False), "found"),
        (repositories("baseos-old"), "unknown"),
        ({"package_sources": None}, "unknown"),
    ],
)
def test_a_source_of_security_updates(change: dict[str, Any], state: str) -> None:
    one = of(change, "security-source")
    assert one.state == state
    figure = security_source(Facts(facts(change), ""), NOW.date(), Index())
    assert (figure.state, one.state) not in {("bad", "fine"), ("good", "found"), ("unknown", "fine")}


@pytest.mark.parametrize(
    ("os_id", "suite", "enabled", "state"),
    [
        ("debian", "bookworm-security", True, "fine"),
        ("debian", "bookworm/updates", True, "fine"),
        ("debian", "bullseye-security", True, "found"),
        ("debian", "stable-security", True, "unknown"),
        ("debian", "bookworm-security", False, "found"),
        ("linuxmint", "noble-security", True, "fine"),  # named otherwise than what it is made of
    ],
)
def test_a_source_of_security_updates_for_another_release(os_id: str, suite: str, enabled: bool, state: str) -> None:
    row = [*facts()["package_sources"]["rows"][0]]
    row[2], row[4] = suite, enabled
    other = ["deb", "http://security.debian.org", "buster/updates", ["main"], True, None, False, True, row[8], *row[9:]]
    system = {"identity.os": {"id": os_id, "version": "12", "pretty": "X", "codename": "bookworm"}}
    assert of(system | sources(rows=[row, other]), "security-source").state == state


@pytest.mark.parametrize(
    ("checked", "state", "severity"),
    [
        ("2026-11-30T03:00:00Z", "fine", "medium"),
        ("2026-11-23T12:00:00Z", "fine", "medium"),
        ("2026-11-23T11:00:00Z", "found", "medium"),
        ("2026-10-01T00:00:00Z", "found", "high"),
        (None, "found", "high"),
        ("2027-10-01T00:00:00Z", "unknown", "medium"),
    ],
)
def test_lists_that_are_old_by_the_hosts_own_clock(checked: str | None, state: str, severity: str) -> None:
    for shift in (timedelta(0), timedelta(days=400)):  # a clock that is wrong changes nothing
        there = host(facts(sources(lists_checked_at=checked)), age=shift)
        [one] = told(estate(there), "security-lists")
        assert one.severity == severity
        assert one.state == (state if shift == timedelta(0) or state != "fine" else "unknown")


def test_lists_that_have_run_out_or_are_not_there() -> None:
    table = facts()["package_sources"]
    row = table["rows"][0]
    for until, fetched, state in (
        ("2026-11-30T11:00:00Z", row[8], "found"),
        (None, None, "found"),
        (None, row[8], "fine"),
    ):
        changed = [*row[:8], fetched, row[9], until, row[11]]
        assert of(sources(rows=[changed]), "security-lists").state == state
        off = [*changed[:4], False, *changed[5:]]
        assert of(sources(rows=[off]), "security-lists").state == "fine"


def packages(*found: list[Any]) -> dict[str, Any]:
    columns = ["name", "version", "arch", "source", "source_version", "installed_at", "last_used", "origin"]
    found += (["dpkg", None, "Debian/bookworm"],)
    made = [[name, "1", "amd64", None, None, None, used, origin] for name, used, origin in found]
    return {"packages": rows(columns, *made, family="dpkg")}


@pytest.mark.parametrize(
    ("finding", "found", "state"),
    [
        ("software-unknown", [["bash", None, "Debian/bookworm"], ["x", None, "Debian Backports/bookworm"]], "fine"),
        ("software-unknown", [["bash", None, "Debian/bookworm"], ["anydesk", None, "philandro"]], "found"),
        ("software-unknown", [["bash", None, "Debianish"]], "found"),
        ("software-unknown", [["bash", None, None]], "unknown"),
        ("software-unknown", [["bash", None, ""]], "found"),
        ("software-unused", [["bash", "2026-01-01T00:00:00Z", None], ["vi", None, None]], "fine"),
        ("software-unused", [["bash", "2025-01-01T00:00:00Z", None]], "found"),
        ("software-unused", [["bash", None, None]], "unknown"),
        ("remote-control", [["bash", None, None]], "fine"),
    ],
)
def test_software(finding: str, found: list[list[Any]], state: str) -> None:
    assert of(packages(*found), finding).state == state


def test_where_not_even_one_package_is_the_distributions_the_name_that_we_know_is_wrong() -> None:
    change = packages(["bash", None, "Some Vendor"], ["vi", None, "Some Vendor"])
    change["packages"]["rows"] = [row for row in change["packages"]["rows"] if row[0] != "dpkg"]
    assert of(change, "software-unknown").state == "unknown"


def test_last_use_is_not_known_where_disks_do_not_keep_it_or_the_system_does_not() -> None:
    mounts = {"columns": ["mount", "device", "type", "options"], "rows": [["/", "/dev/sda1", "ext4", "rw,noatime"]]}
    change = packages(["bash", "2025-01-01T00:00:00Z", None]) | {"mounts": mounts}
    assert of(change, "software-unused").state == "unknown"
    none = ("packages.last_used", "the system keeps no record (popularity-contest is not installed)")
    assert told(estate(host(facts(packages(["bash", None, None]), none))), "software-unused") == []


def test_programs_for_remote_control_each_for_itself() -> None:
    units = [["teamviewerd.service", True, "active", "running"], ["anydesk.service", False, "inactive", "dead"]]
    units += [["connectwisecontrol-1f2e.service", True, "active", "running"]]
    table = {"columns": ["unit", "enabled", "active", "sub"], "rows": units}
    change = packages(["anydesk", None, None]) | {"services": table}
    found = {one.id.removeprefix("remote-control-"): one for one in told(estate(host(facts(change))), "remote-control")}
    assert {name: one.severity for name, one in found.items()} == {
        "teamviewer": "high",
        "screenconnect": "high",
        "anydesk": "medium",
    }
    assert of({"services": None}, "remote-control", ("services", "no systemd")).state == "unknown"
    listens = {"sockets": rows(SOCKETS, socket("tcp", 7070, "anydesk")), "services": None}
    said = told(estate(host(facts(listens, ("services", "no systemd")))), "remote-control")
    assert [(one.id, one.state) for one in said] == [("remote-control-anydesk", "found"), ("remote-control", "unknown")]


@pytest.mark.parametrize(
    ("days", "missed", "state", "severity"),
    [
        (0.0, "", "fine", "medium"),
        (3.0, "unreachable: off", "fine", "medium"),
        (ABSENT.days + 0.1, "unreachable: off", "found", "low"),
        (20.0, "", "fine", "medium"),  # nobody has asked since
        (36.0, "unreachable: off", "found", "medium"),
        (36.0, "", "found", "medium"),
    ],
)
def test_a_host_that_was_not_seen(days: float, missed: str, state: str, severity: str) -> None:
    there = host(facts(), age=timedelta(days=days), missed=missed)
    [one] = told(estate(there), "host-not-seen")
    assert (one.state, one.severity) == (state, severity)
    assert not missed or "unreachable: off" in one.evidence


def test_what_is_read_from_words_is_what_the_module_says() -> None:
    folder = Path(__file__).parents[3] / "plugins/module_utils/_host_info"
    said = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for words in (NO_SERVER, "sudo is not installed", "the system keeps no record", NOT_OURS):
        assert words in said, words
    assert f"STALE_DAYS = {STALE.days}" in said
