"""Types that set something in configuration: found, predicted, mended, left alone the second time, taken back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.host import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.access_list import AccessList
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.apt_setting import AptSetting
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.boot_parameter import BootParameter
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.crypto_policy import CryptoPolicy
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.kernel_module import KernelModule
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.limits import Limits
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.setting import Setting
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.sudo_default import SudoDefault
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.sudo_rule import SudoRule
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.sysctl import Sysctl
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.systemd_setting import SystemdSetting
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.umask_default import UmaskDefault

from .conftest import Box

PWQUALITY = {
    "path": "/etc/security/pwquality.conf",
    "reads": ["/etc/security/pwquality.conf.d/*.conf", "/etc/security/pwquality.conf"],
    "key": "minlen",
    "op": "min",
    "value": "14",
}
# type, parameters, the host's files, and pieces that must be in files afterwards
CASES: list[Any] = [
    (
        Setting,
        {"path": "/etc/login.defs", "key": "PASS_MAX_DAYS", "style": "space", "op": "range", "value": ["1", "365"]},
        {"/etc/login.defs": "# x\nPASS_MAX_DAYS\t99999\nUMASK 022\n"},
        {"/etc/login.defs": "# x\nPASS_MAX_DAYS 365\nUMASK 022\n"},
    ),
    (
        Setting,
        PWQUALITY,
        {"/etc/security/pwquality.conf": "# minlen = 8\n"},
        {"/etc/security/pwquality.conf": "minlen = 14\n"},
    ),
    (
        # the main file is read last, and wins over a drop-in of ours
        Setting,
        {**PWQUALITY, "drop_in": "/etc/security/pwquality.conf.d/60-civicops.conf"},
        {"/etc/security/pwquality.conf": "minlen = 8\nx\n"},
        {
            "/etc/security/pwquality.conf": "#minlen = 8\nx\n",
            "/etc/security/pwquality.conf.d/60-civicops.conf": "minlen = 14\n",
        },
    ),
    (
        Setting,
        {"path": "/etc/security/faillock.conf", "key": "even_deny_root", "flag": True},
        {"/etc/security/faillock.conf": "# even_deny_root\nsilent\n"},
        {"/etc/security/faillock.conf": "# even_deny_root\nsilent\neven_deny_root\n"},
    ),
    (
        Setting,
        {**PWQUALITY, "key": "dictcheck", "op": "absent", "value": "0"},
        {"/etc/security/pwquality.conf": "", "/etc/security/pwquality.conf.d/1.conf": "dictcheck=0\n"},
        {"/etc/security/pwquality.conf.d/1.conf": "#dictcheck=0\n"},
    ),
    (
        Setting,
        {"path": "/etc/x.conf", "key": "a", "value": "1", "first_wins": True, "reads": "/etc/x.d/*"},
        {"/etc/x.conf": "a = 2\na = 3\n", "/etc/x.d/1": "a = 9\n"},
        {"/etc/x.conf": "#a = 2\na = 1\n", "/etc/x.d/1": "a = 9\n"},
    ),
    (
        SystemdSetting,
        {"component": "journald", "key": "Storage", "value": "persistent"},
        {"/usr/lib/systemd/systemd-journald": "", "/etc/systemd/journald.conf": "[Journal]\n#Storage=auto\n"},
        {"/etc/systemd/journald.conf.d/zz-civicops.conf": "[Journal]\nStorage=persistent\n"},
    ),
    (
        SystemdSetting,
        {"component": "coredump", "key": "Storage", "value": "none", "always": True},
        {
            "/usr/lib/systemd/coredump.conf.d/10-a.conf": "[Coredump]\nStorage=none\n",
            "/etc/systemd/coredump.conf.d/zzz-b.conf": "[Coredump]\nStorage=external\nProcessSizeMax=1\n",
        },
        {
            "/etc/systemd/coredump.conf.d/zzz-b.conf": "[Coredump]\n#Storage=external\nProcessSizeMax=1\n",
            "/etc/systemd/coredump.conf.d/zz-civicops.conf": "Storage=none\n",
        },
    ),
    (
        Limits,
        {"domain": "*", "kind": "hard", "item": "core", "value": "0"},
        {
            "/etc/security/limits.conf": "*  hard core 0\n",
            "/etc/security/limits.d/50-a.conf": "* - core 5 # why\n",
            "/etc/security/limits.d/90-b.conf": "* hard core 7\n* soft core 7\n",
        },
        {
            "/etc/security/limits.d/60-civicops.conf": "* hard core 0\n",
            "/etc/security/limits.d/50-a.conf": "* - core 5 # why\n",
            "/etc/security/limits.d/90-b.conf": "#* hard core 7\n* soft core 7\n",
        },
    ),
    (
        UmaskDefault,
        {"value": "027"},
        {
            "/etc/login.defs": "UMASK\t022\n",
            "/etc/profile": "if true; then\n  umask 022 # x\nfi\n",
            "/etc/bash.bashrc": "# umask\nPS1=x\n",
            "/etc/profile.d/a.sh": "umask 077\n",
        },
        {
            "/etc/login.defs": "UMASK 027\n",
            "/etc/profile": "if true; then\n  umask 027 # x\nfi\n",
            "/etc/bash.bashrc": "# umask\nPS1=x\numask 027\n",
            "/etc/profile.d/a.sh": "umask 077\n",
            "/etc/profile.d/60-civicops-umask.sh": "umask 027\n",
        },
    ),
    (UmaskDefault, {"scope": "root"}, {"/root/.bashrc": "umask 022; x\n"}, {"/root/.bashrc": "umask 027; x\n"}),
    (
        SudoDefault,
        {"option": "use_pty"},
        {"/etc/sudoers": "Defaults env_reset, \\\n  !use_pty\n@includedir /etc/sudoers.d\n", "/usr/sbin/visudo": ""},
        {"/etc/sudoers.d/60-civicops": "Defaults use_pty\n"},
    ),
    (
        SudoDefault,
        {"option": "timestamp_timeout=15", "op": "max"},
        {
            "/etc/sudoers": "Defaults timestamp_timeout=-1\n#includedir /etc/sudoers.d\n",
            "/etc/sudoers.d/60-civicops": "# x\nDefaults use_pty\nDefaults timestamp_timeout=60\n",
            "/usr/sbin/visudo": "",
        },
        {"/etc/sudoers.d/60-civicops": "# x\nDefaults use_pty\nDefaults timestamp_timeout=15\n"},
    ),
    (
        SudoDefault,
        {"option": 'logfile="/var/log/sudo.log"'},
        {"/etc/sudoers": "@includedir /etc/sudoers.d\n", "/usr/sbin/visudo": ""},
        {"/etc/sudoers.d/60-civicops": 'Defaults logfile="/var/log/sudo.log"\n'},
    ),
    (
        Sysctl,
        {"key": "net.ipv4.conf.all.rp_filter", "value": ["1", "2"], "op": "one_of"},
        {
            "/proc/sys/net/ipv4/conf/all/rp_filter": "0",
            "/etc/sysctl.conf": "net.ipv4.conf.all.rp_filter=0\nnet.ipv4.tcp_syncookies=1\n",
            "/etc/sysctl.d/10-a.conf": "-net/ipv4/conf/all/rp_filter = 0\n; x\n",
            "/usr/lib/sysctl.d/50-b.conf": "net.ipv4.conf.all.rp_filter=0\n",
        },
        {
            "/proc/sys/net/ipv4/conf/all/rp_filter": "1",
            "/etc/sysctl.conf": "#net.ipv4.conf.all.rp_filter=0\nnet.ipv4.tcp_syncookies=1\n",
            "/etc/sysctl.d/10-a.conf": "#-net/ipv4/conf/all/rp_filter = 0\n; x\n",
            "/usr/lib/sysctl.d/50-b.conf": "net.ipv4.conf.all.rp_filter=0\n",
            "/etc/sysctl.d/zz-civicops.conf": "net.ipv4.conf.all.rp_filter = 1\n",
        },
    ),
    (
        # run time is right already, and an explicit key counts before a pattern
        Sysctl,
        {"key": "net.ipv4.conf.all.log_martians", "value": "1"},
        {
            "/proc/sys/net/ipv4/conf/all/log_martians": "1\n",
            "/etc/sysctl.d/99-zzz.conf": "net.ipv4.conf.*.log_martians=0\n",
        },
        {"/etc/sysctl.d/zz-civicops.conf": "net.ipv4.conf.all.log_martians = 1\n"},
    ),
    (
        KernelModule,
        {"module": "usb-storage"},
        {
            "/lib/modules/6.1/modules.dep": "kernel/drivers/usb/storage/usb-storage.ko.xz: kernel/x.ko\n",
            "/etc/modprobe.d/a.conf": "install usb_storage /sbin/modprobe -i usb-storage\nblacklist cramfs\n",
        },
        {
            "/etc/modprobe.d/a.conf": "#install usb_storage /sbin/modprobe -i usb-storage\nblacklist cramfs\n",
            "/etc/modprobe.d/60-civicops.conf": "install usb-storage /bin/false\nblacklist usb-storage\n",
        },
    ),
]


@pytest.mark.parametrize(
    ("kind", "params", "files", "wanted"), CASES, ids=[f"{one[0].name}-{n}" for n, one in enumerate(CASES)]
)
def test_life(box: Box, kind: Any, params: dict[str, Any], files: dict[str, str], wanted: dict[str, str]) -> None:
    for path, text in files.items():
        box.put(path, text, 0o755 if "bin/" in path else 0o644)
    between = box.cycle(kind, params)
    for path, text in wanted.items():
        content = between[path][3].decode()
        assert content.endswith(text) if "civicops" in path else text in content, content


def test_new_files_keep_their_modes(box: Box) -> None:
    box.put("/usr/sbin/visudo", "", 0o755)
    box.put("/etc/sudoers", "@includedir /etc/sudoers.d\n", 0o440)
    between = box.cycle(SudoDefault, {"option": "use_pty"})
    assert between["/etc/sudoers.d/60-civicops"][0] & 0o7777 == 0o440
    box.put("/etc/login.defs", "UMASK 022\n", 0o600)
    assert box.cycle(UmaskDefault, {})["/etc/login.defs"][0] & 0o7777 == 0o600


# -- setting -------------------------------------------------------------------------


def test_setting_that_does_not_apply(box: Box) -> None:
    assert "there is no" in box.look(Setting, PWQUALITY).absent
    box.program("dpkg-query")
    box.answers["dpkg-query"] = (0, "ii  bash\n")
    assert "not installed" in box.look(Setting, {**PWQUALITY, "needs_package": "libpam-pwquality"}).absent
    assert box.look(Setting, {**PWQUALITY, "needs_package": "bash"}).mends
    assert box.look(Setting, {**PWQUALITY, "create": True}).mends


def test_setting_that_a_package_overrides_is_for_people(box: Box) -> None:
    box.put("/etc/a.conf", "a = 1\n")
    box.put("/usr/lib/a.d/x", "a = 2\n")
    reading = box.look(Setting, {"path": "/etc/a.conf", "key": "a", "value": "1", "reads": ["/usr/lib/a.d/*"]})
    assert "/usr/lib/a.d/x overrides" in reading.manual
    assert reading.was == "2 (/usr/lib/a.d/x)"


def test_setting_is_not_written_through_a_link(box: Box) -> None:
    box.put("/srv/x", "a = 2\n")
    box.link("/etc/a.conf", "/srv/x")
    params = {"path": "/etc/a.conf", "key": "a", "value": "1"}
    host = box.host(box.point())
    before = box.tree()
    with pytest.raises(HostError):
        Setting(Params(params)).apply(host)
    assert box.tree() == before


POOL = {
    "path": "/etc/chrony/chrony.conf",
    "key": "pool",
    "op": "present",
    "set": "2.debian.pool.ntp.org iburst",
    "style": "space",
    "or_keys": ["server"],
}


def test_setting_that_only_must_be_there(box: Box) -> None:
    box.put("/etc/chrony/chrony.conf", "driftfile /x\n")
    between = box.cycle(Setting, POOL)
    assert between["/etc/chrony/chrony.conf"][3] == b"driftfile /x\npool 2.debian.pool.ntp.org iburst\n"
    for line in ("pool time.town.example\n", "server time.town.example\n"):
        box.put("/etc/chrony/chrony.conf", line)
        assert "time.town.example" in box.look(Setting, POOL).was
        assert box.look(Setting, POOL).ok


COMING = [
    (Setting, PWQUALITY, "libpam-pwquality", {"/etc/security/pwquality.conf": "# minlen = 8\n"}),
    (SystemdSetting, {"component": "timesyncd", "key": "NTP", "value": "x"}, "systemd-timesyncd",
     {"/usr/lib/systemd/systemd-timesyncd": ""}),
    (SudoDefault, {"option": "use_pty"}, "sudo",
     {"/etc/sudoers": "@includedir /etc/sudoers.d\n", "/usr/sbin/visudo": ""}),
    (AccessList, {"service": "cron"}, "cron", {"/usr/bin/crontab": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "package", "files"), COMING, ids=[one[2] for one in COMING])
def test_what_comes_with_this_run_is_predicted(
    box: Box, kind: Any, params: dict[str, Any], package: str, files: dict[str, str]
) -> None:
    assert box.look(kind, params).absent
    box.program("dpkg-query")
    box.answers["dpkg-query"] = (0, "ii  bash\n")
    dry, host = box.host(), box.host(box.point())
    dry.coming.add(package)
    host.coming.add(package)
    control = kind(Params(params))
    assert control.current(dry).mends
    control.apply(dry)
    assert control.current(dry).ok
    assert control.current(host).mends
    for path, text in files.items():
        box.put(path, text, 0o755)
    box.answers["dpkg-query"] = (0, f"ii  {package}\n")
    host.forget()
    control.apply(host)
    assert control.current(host).ok


def test_what_did_not_come_is_not_made(box: Box) -> None:
    with pytest.raises(HostError, match="did not come"):
        Setting(Params(PWQUALITY)).apply(box.host(box.point()))


def test_setting_asks_for_its_reload(box: Box) -> None:
    box.put("/etc/a.conf")
    host = box.host()
    Setting(Params({"path": "/etc/a.conf", "key": "a", "value": "1", "reload": "rsyslog"})).apply(host)
    assert host.asked == {"rsyslog"}


@pytest.mark.parametrize("garbage", [b"\0\xff\xfe" * 100, b"a=" * 5000, b"[[[\n]=\n==\n", b"\r\r\r"])
def test_garbage_is_kept_and_crashes_nothing(box: Box, garbage: bytes) -> None:
    paths = [
        "/etc/login.defs",
        "/etc/sysctl.conf",
        "/etc/security/limits.conf",
        "/etc/modprobe.d/a.conf",
        "/etc/sudoers",
    ]
    for path in (*paths, "/etc/profile", "/etc/systemd/journald.conf", "/etc/sudoers.d/x", "/etc/sysctl.d/a.conf"):
        box.put(path, garbage)
    box.put("/proc/sys/kernel/x", "0 1\t2\n")
    box.put("/usr/bin/visudo", "", 0o755)
    cases = [
        (Setting, {"path": "/etc/login.defs", "key": "UMASK", "style": "space", "value": "1"}),
        (Sysctl, {"key": "kernel.x", "value": "1"}),
        (Limits, {"domain": "*", "kind": "-", "item": "core", "value": "0"}),
        (KernelModule, {"module": "cramfs"}),
        (SudoDefault, {"option": "use_pty"}),
        (SudoRule, {"forbid": "NOPASSWD"}),
        (SystemdSetting, {"component": "journald", "key": "Storage", "value": "none", "always": True}),
        (UmaskDefault, {}),
    ]
    for kind, params in cases:
        reading = box.look(kind, params)
        assert len(reading.was) <= 200
        assert reading.was.isprintable(), reading.was
        if reading.mends:
            host = box.host(box.point())
            kind(Params(params)).apply(host)
            for path in paths:
                assert garbage.split(b"\n")[0].lstrip(b"#") in (box.root / path[1:]).read_bytes()


def test_too_long_files_are_refused(box: Box) -> None:
    with box.put("/etc/sysctl.conf", "").open("wb") as stream:
        stream.truncate(100 << 20)
    box.put("/proc/sys/kernel/x", "1")
    with pytest.raises(HostError, match="longer"):
        box.look(Sysctl, {"key": "kernel.x", "value": "1"})


# -- sysctl --------------------------------------------------------------------------


def test_sysctl_by_the_order_of_names_in_all_folders(box: Box) -> None:
    box.put("/proc/sys/kernel/x", "1")
    box.put("/etc/sysctl.d/10-a.conf", "kernel.x = 1\n")
    params = {"key": "kernel.x", "value": "1"}
    assert box.look(Sysctl, params).ok
    box.put("/usr/lib/sysctl.d/50-b.conf", "kernel.x = 0\n")
    assert "after a start 0" in box.look(Sysctl, params).was
    box.link("/etc/sysctl.d/50-b.conf", "/dev/null")
    assert box.look(Sysctl, params).ok, "masked"
    box.put("/run/sysctl.d/60-c.conf", "kernel/x=0\n")
    assert not box.look(Sysctl, params).ok
    box.put("/etc/sysctl.conf", "kernel.x=1\n")
    assert box.look(Sysctl, params).ok, "sysctl.conf is read last"


def test_sysctl_of_ufw_counts_where_ufw_is_on(box: Box) -> None:
    box.put("/proc/sys/net/ipv4/tcp_syncookies", "1")
    box.put("/etc/sysctl.conf", "net.ipv4.tcp_syncookies=1\n")
    box.put("/etc/ufw/sysctl.conf", "net/ipv4/tcp_syncookies=0\n")
    params = {"key": "net.ipv4.tcp_syncookies", "value": "1"}
    assert box.look(Sysctl, params).mends, "a line that disagrees is a trap even while it is not read"
    box.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    assert "after a start 0" in box.look(Sysctl, params).was
    assert box.cycle(Sysctl, params)["/etc/ufw/sysctl.conf"][3] == b"#net/ipv4/tcp_syncookies=0\n"


def test_sysctl_that_is_read_only_is_kept_for_the_next_start(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put("/proc/sys/kernel/x", "0\n")
    monkeypatch.setattr("os.access", lambda path, mode: "proc/sys" not in str(path))
    params = {"key": "kernel.x", "value": "1"}
    reading = box.look(Sysctl, params)
    assert (reading.state, reading.mends) == ("not_enforceable", True)
    between = box.cycle(Sysctl, params)
    assert between["/proc/sys/kernel/x"][3] == b"0\n"
    assert b"kernel.x = 1\n" in between["/etc/sysctl.d/zz-civicops.conf"][3]


def test_sysctl_that_the_kernel_refuses(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put("/proc/sys/kernel/x", "0\n")
    host = box.host(box.point())

    def no(key: str, value: str) -> None:
        raise OSError(22, "Invalid argument", key + value)

    monkeypatch.setattr(host, "sysctl", no)
    control = Sysctl(Params({"key": "kernel.x", "value": "1"}))
    control.apply(host)
    reading = control.current(host)
    assert (reading.state, reading.mends) == ("not_enforceable", False)
    assert "Invalid argument" in reading.stuck


def test_sysctl_that_this_kernel_does_not_have(box: Box) -> None:
    assert "no kernel.x" in box.look(Sysctl, {"key": "kernel.x", "value": "1"}).absent


# -- kernel modules ------------------------------------------------------------------

CRAMFS = {"module": "cramfs"}


def test_module_that_no_kernel_has(box: Box) -> None:
    box.put("/lib/modules/6.1/modules.dep", "kernel/fs/ext4.ko:\n")
    assert box.look(KernelModule, CRAMFS).ok
    box.put("/lib/modules/6.2/modules.dep", "kernel/fs/cramfs/cramfs.ko:\n")
    assert box.look(KernelModule, CRAMFS).mends


def test_module_that_is_built_in(box: Box) -> None:
    box.put("/lib/modules/6.1/modules.builtin", "kernel/fs/cramfs/cramfs.ko\n")
    assert box.look(KernelModule, CRAMFS).state == "not_enforceable"


def test_module_that_is_loaded_is_unloaded(box: Box) -> None:
    loaded = box.put("/proc/modules", "ext4 1 2 - Live 0x0\ncramfs 4 0 - Live 0x0\n")
    box.put("/proc/self/status", "CapEff:\t000001ffffffffff\n")

    def unload(argv: list[str]) -> tuple[int, str]:
        loaded.write_text("ext4 1 2 - Live 0x0\n")
        return 0, " ".join(argv)

    box.answers["modprobe"] = unload
    dummy, after, point = box.mend(KernelModule, CRAMFS)
    assert (after.ok, after.was) == (True, "denied")
    point.undo()
    assert box.undone == [["modprobe", "--", "cramfs"]]


@pytest.mark.parametrize(
    ("uses", "capabilities", "why"),
    [("2", "000001ffffffffff", "in use"), ("0", "00000000a80425fb", "can't unload")],
)
def test_module_that_stays(box: Box, uses: str, capabilities: str, why: str) -> None:
    box.put("/proc/modules", f"cramfs 4 {uses} - Live 0x0\n")
    box.put("/proc/self/status", f"CapEff:\t{capabilities}\n")
    assert why in box.look(KernelModule, CRAMFS).stuck
    between = box.cycle(KernelModule, CRAMFS)
    assert b"install cramfs /bin/false" in between["/etc/modprobe.d/60-civicops.conf"][3]
    assert not box.asked


def test_module_that_can_not_be_unloaded_after_all(box: Box) -> None:
    box.put("/proc/modules", "cramfs 4 0 - Live 0x0\n")
    box.answers["modprobe"] = (1, "FATAL: busy")
    host = box.host(box.point())
    control = KernelModule(Params(CRAMFS))
    control.apply(host)
    assert (control.current(host).mends, "busy" in control.current(host).stuck) == (False, True)


# -- systemd, apt, sudo, boot, crypto --------------------------------------------------


def test_systemd_setting_that_is_taken_back_by_an_empty_value(box: Box) -> None:
    box.put("/etc/systemd/journald.conf", "[Journal]\nCompress=no\n")
    box.put("/etc/systemd/journald.conf.d/1.conf", "[Journal]\nCompress=\n")
    params = {"component": "journald", "key": "Compress", "value": "yes", "default": "yes", "always": True}
    assert box.look(SystemdSetting, params).ok
    assert "not installed" in box.look(SystemdSetting, {**params, "always": False}).absent


def test_systemd_setting_that_a_package_overrides(box: Box) -> None:
    box.put("/usr/lib/systemd/logind.conf.d/zzz-x.conf", "[Login]\nKillUserProcesses=no\n")
    params = {"component": "logind", "key": "KillUserProcesses", "value": "yes", "always": True}
    assert "zzz-x.conf overrides" in box.look(SystemdSetting, params).manual
    host = box.host()
    SystemdSetting(Params(params)).apply(host)
    assert host.asked == {"logind"}


APT = {"key": "APT::Periodic::Unattended-Upgrade", "value": "1"}


def test_apt(box: Box) -> None:
    box.program("apt-config")
    ours = box.root / "etc/apt/apt.conf.d/99-civicops"

    def dump(argv: list[str]) -> tuple[int, str]:
        assert argv[1:] == ["dump"]
        return 0, 'APT "";\nAPT::periodic::Unattended-Upgrade "0";\n' + (ours.read_text() if ours.exists() else "")

    box.answers["apt-config"] = dump
    between = box.cycle(AptSetting, APT)
    assert between["/etc/apt/apt.conf.d/99-civicops"][3].endswith(b'\nAPT::Periodic::Unattended-Upgrade "1";\n')
    box.answers["apt-config"] = (0, 'APT::Periodic::Unattended-Upgrade "0";\n')
    box.put("/etc/apt/apt.conf.d/99-civicops", 'APT::Periodic::Unattended-Upgrade "true";\n')
    assert "overrides" in box.look(AptSetting, APT).manual
    box.answers["apt-config"] = (100, "")
    with pytest.raises(HostError):
        box.look(AptSetting, APT)


def test_apt_is_asked_once_for_all(box: Box) -> None:
    box.program("apt-config")
    box.answers["apt-config"] = (0, "")
    host = box.host()
    for number in range(20):
        AptSetting(Params({"key": f"APT::X{number}", "value": "1"})).current(host)
    assert len(box.asked) == 1


def test_apt_that_breaks_is_taken_back(box: Box) -> None:
    box.program("apt-config")
    box.answers["apt-config"] = (100, "")
    with pytest.raises(HostError):
        AptSetting(Params(APT)).apply(box.host(box.point()))
    assert not (box.root / "etc/apt/apt.conf.d/99-civicops").exists()


def sudo(box: Box, main: str, *more: tuple[str, str]) -> None:
    box.put("/usr/sbin/visudo", "", 0o755)
    box.put("/etc/sudoers", main)
    for name, text in more:
        box.put(f"/etc/sudoers.d/{name}", text)


@pytest.mark.parametrize(
    ("main", "more", "why"),
    [
        ("Defaults !use_pty\n", (), "does not include"),
        ("@includedir /etc/sudoers.d\nDefaults !use_pty\n", (), "after the place"),
        ("@includedir /etc/sudoers.d\n", (("90-x", "Defaults !use_pty\n"),), "after the place"),
        ("@includedir /etc/sudoers.d\nDefaults:joe !use_pty\n", (), "Defaults:joe"),
    ],
)
def test_sudo_that_is_for_people(box: Box, main: str, more: tuple[tuple[str, str], ...], why: str) -> None:
    sudo(box, main, *more)
    assert why in box.look(SudoDefault, {"option": "use_pty"}).manual


@pytest.mark.parametrize(
    ("params", "main", "ok"),
    [
        ({"option": "use_pty"}, "Defaults env_reset,use_pty\n", True),
        ({"option": "use_pty"}, "Defaults !use_pty\nDefaults use_pty\n", True),
        ({"option": "timestamp_timeout=15", "op": "max"}, "Defaults timestamp_timeout=5\n", True),
        ({"option": "timestamp_timeout=15", "op": "max", "default": "15"}, "", True),
        ({"option": 'logfile="/a,b"'}, 'Defaults logfile="/a,b", use_pty\n', True),
        ({"option": "!authenticate", "absent": True}, "Defaults use_pty\n", True),
        ({"option": "!authenticate", "absent": True}, "Defaults:joe !authenticate\n", False),
        ({"option": "use_pty"}, "@include /etc/sudoers.d/other.conf\n", True),
        ({"option": "use_pty"}, "@includedir /etc/sudoers.d\n", False),
    ],
)
def test_sudo(box: Box, params: dict[str, Any], main: str, ok: bool) -> None:
    sudo(box, main, ("other.conf", "Defaults use_pty\n"))
    assert box.look(SudoDefault, params).ok is ok


def test_sudo_that_includes_itself(box: Box) -> None:
    sudo(box, "@include /etc/sudoers\n")
    with pytest.raises(HostError, match="too many"):
        box.look(SudoDefault, {"option": "use_pty"})


def test_sudo_is_not_there(box: Box) -> None:
    assert box.look(SudoDefault, {"option": "use_pty"}).absent
    assert box.look(SudoRule, {"forbid": "NOPASSWD"}).absent


def test_sudo_rules(box: Box) -> None:
    sudo(
        box,
        "root ALL=(ALL) ALL\njoe ALL=(ALL) \\\n NOPASSWD: ALL\n@includedir /etc/sudoers.d\n",
        ("x", "# NOPASSWD:\n%ops ALL=NOPASSWD:ALL\n"),
    )
    reading = box.look(SudoRule, {"forbid": "NOPASSWD"})
    assert reading.was == "/etc/sudoers: joe, /etc/sudoers.d/x: %ops"
    assert not reading.mends
    assert box.look(SudoRule, {"forbid": "NOPASSWD", "except": ["joe", "%ops"]}).ok
    assert box.look(SudoRule, {"forbid": "!authenticate"}).ok
    box.put("/etc/sudoers.d/y", "Defaults !authenticate\n")
    assert box.look(SudoRule, {"forbid": "!authenticate"}).manual


AUDIT = {"key": "audit_backlog_limit", "value": "8192", "op": "min"}


def grub(box: Box) -> None:
    box.program("update-grub")
    box.put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz ro audit=1\n")
    box.put("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet audit_backlog_limit=1"\nGRUB_CMDLINE_LINUX="ro"\n')
    box.put("/boot/grub/grub.cfg", "menuentry {\n\tlinux /vmlinuz ro quiet audit_backlog_limit=1\n}\n", 0o400)

    def update(argv: list[str]) -> tuple[int, str]:
        del argv
        values = [line.partition("=")[2].strip('"') for line in box.text("/etc/default/grub").splitlines()]
        box.put("/boot/grub/grub.cfg", f"\tlinux /vmlinuz {' '.join(values)}\n", 0o400)
        return 0, ""

    box.answers["update-grub"] = update


def test_boot_parameter(box: Box) -> None:
    grub(box)
    between = box.cycle(BootParameter, AUDIT)
    assert (
        between["/etc/default/grub"][3]
        == b'GRUB_CMDLINE_LINUX_DEFAULT=quiet\nGRUB_CMDLINE_LINUX="ro audit_backlog_limit=8192"\n'
    )
    assert b"audit_backlog_limit=8192" in between["/boot/grub/grub.cfg"][3]


def test_boot_parameter_takes_effect_at_the_next_start(box: Box) -> None:
    grub(box)
    box.put("/boot/grub/grub.cfg", "linux /vmlinuz audit=1 audit_backlog_limit=9000\n")
    reading = box.look(BootParameter, AUDIT)
    assert (reading.state, reading.mends) == ("not_enforceable", False)
    assert box.look(BootParameter, {"key": "audit", "value": "1"}).ok
    assert box.look(BootParameter, {"key": "nousb"}).was == "now not set, after a start not set"


def test_boot_parameter_in_a_container(box: Box) -> None:
    assert "boot loader" in box.look(BootParameter, AUDIT).absent


def test_boot_parameter_by_grubby(box: Box) -> None:
    box.program("grubby")
    box.put("/proc/cmdline", "ro\n")
    box.put("/boot/loader/entries/a.conf", "title x\noptions root=/ $kernelopts\n")
    box.put("/boot/loader/entries/b.conf", "title x\noptions root=/ audit=1\n")
    box.put("/boot/grub2/grubenv", "kernelopts=ro audit=0\n")

    def grubby(argv: list[str]) -> tuple[int, str]:
        word = argv[2].partition("=")[2]
        box.put("/boot/loader/entries/a.conf", f"title x\noptions root=/ {word}\n")
        return 0, ""

    box.answers["grubby"] = grubby
    between = box.cycle(BootParameter, {"key": "audit", "value": "1"})
    assert between["/boot/loader/entries/a.conf"][3] == b"title x\noptions root=/ audit=1\n"


def test_crypto_policy(box: Box) -> None:
    params = {"policy": ["DEFAULT:NO-SHA1", "FUTURE"]}
    assert box.look(CryptoPolicy, params).absent
    box.program("update-crypto-policies")
    config = box.put("/etc/crypto-policies/config", "# x\nLEGACY\n")

    def update(argv: list[str]) -> tuple[int, str]:
        config.write_text(argv[2] + "\n")
        return 0, ""

    box.answers["update-crypto-policies"] = update
    dummy, after, point = box.mend(CryptoPolicy, params)
    assert after.was == "DEFAULT:NO-SHA1"
    point.undo()
    assert box.undone == [["update-crypto-policies", "--set", "LEGACY"]]
    config.write_text("FUTURE\n")
    assert box.look(CryptoPolicy, params).ok


BROKEN = [
    (Setting, {"path": "x", "key": "a", "value": "1"}),
    (Setting, {"path": "/x", "key": "a", "value": "1", "more": 1}),
    (Setting, {"path": "/x", "key": "a", "value": "1", "flag": True}),
    (Sysctl, {"key": "../x", "value": "1"}),
    (KernelModule, {"module": "a b"}),
    (SystemdSetting, {"component": "dbus", "key": "a", "value": "1"}),
    (SystemdSetting, {"component": "journald", "key": "a=b", "value": "1"}),
    (Limits, {"domain": "* x", "kind": "hard", "item": "core", "value": "0"}),
    (AptSetting, {"key": "a b", "value": "1"}),
    (AptSetting, {"key": "a", "value": '";x'}),
    (UmaskDefault, {"value": "999"}),
    (SudoDefault, {"option": "a b"}),
    (SudoDefault, {"option": "a=b", "op": "max"}),
    (BootParameter, {"key": "a b", "value": "1"}),
    (BootParameter, {"key": "a", "value": '1"'}),
    (CryptoPolicy, {"policy": ["x y"]}),
]


@pytest.mark.parametrize(("kind", "params"), BROKEN)
def test_parameters_that_are_none(kind: Any, params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        kind(Params(params))
