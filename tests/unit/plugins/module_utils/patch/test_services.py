"""Services that run on replaced files, the reboot that is wanted, and the boot loader's entry for a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context
from ansible_collections.civicops.town.plugins.module_utils._patch import bootloader, services
from ansible_collections.civicops.town.plugins.module_utils._patch.bootloader import entry_of

# needrestart 3.6 -b -r l, with the lines that it prints on bookworm.
NEEDRESTART = """\
NEEDRESTART-VER: 3.6
NEEDRESTART-KCUR: 6.1.0-39-amd64
NEEDRESTART-KEXP: 6.1.0-40-amd64
NEEDRESTART-KSTA: 3
NEEDRESTART-SVC: cron.service
NEEDRESTART-SVC: dbus.service
NEEDRESTART-SVC: getty@tty1.service
NEEDRESTART-SVC: nginx.service
NEEDRESTART-SVC: user@1000.service
NEEDRESTART-SVC: x.service; reboot
NEEDRESTART-CONT: LXC web1
NEEDRESTART-SESS: clerk @ session #4
"""


class Host:
    """systemd and /proc, as far as restarts ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *stale: tuple[int, str, str | None], needrestart: str = ""):
        self.stale = list(stale)
        self.asked: list[list[str]] = []
        self.dead: set[str] = set()
        self.gone: set[str] = set()
        self.needrestart = needrestart
        monkeypatch.setattr(services, "has_systemd", lambda: True)
        monkeypatch.setattr(services, "_run", self.run)
        monkeypatch.setattr(services.reboot, "stale_processes", self.processes)
        monkeypatch.setattr(services, "unit_of_process", self.unit)
        found = "/usr/sbin/needrestart" if needrestart else None
        monkeypatch.setattr(Context, "program", lambda ctx, name: found)

    def processes(self, ctx: Context) -> list[dict[str, Any]]:
        return [{"pid": pid, "process": name, "unit": unit, "files": ["/x"]} for pid, name, unit in self.stale]

    def unit(self, ctx: Context, pid: int) -> str | None:
        return next((unit for one, _, unit in self.stale if one == pid), None)

    def run(self, command: list[str], seconds: float) -> tuple[int, str]:
        if "needrestart" in command[0]:
            return 0, self.needrestart
        words = command[2:]
        self.asked.append(words)
        if words[0] == "is-active":
            restarted = any(one[0] == "try-restart" for one in self.asked)
            return (3 if words[-1] in (self.dead if restarted else self.gone) else 0), ""
        if words[0] == "try-restart":
            self.stale = [one for one in self.stale if one[2] not in words]
        return 0, ""

    @property
    def restarted(self) -> list[str]:
        return [word for words in self.asked if words[0] == "try-restart" for word in words[2:]]


def test_stale_services_are_restarted_once_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(
        monkeypatch,
        (10, "nginx", "nginx.service"), (11, "nginx", "nginx.service"), (12, "cron", "cron.service"),
        (13, "old", "old.service"), (14, "bash", "session-4.scope"), (15, "tail", None),
    )  # fmt: skip
    host.dead, host.gone = {"cron.service"}, {"old.service"}
    told = services.restart_stale()
    assert host.restarted == ["cron.service", "nginx.service"]
    assert (told.done, told.failed) == (["nginx.service"], ["cron.service"])
    assert told.left == ["old.service", "session-4.scope", "tail (process 15)"]


@pytest.mark.parametrize(
    "unit",
    [
        "civicops-patch-r1.service", "dbus.service", "dbus-broker.service", "display-manager.service", "gdm3.service",
        "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-logind.service", "user@1000.service",
        "networking.service", "NetworkManager.service", "systemd-networkd.service", "docker.service",
    ],
)  # fmt: skip
def test_what_would_end_sessions_or_the_network_waits_for_a_reboot(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    host = Host(monkeypatch, (10, "x", unit))
    told = services.restart_stale()
    assert host.restarted == []
    assert (told.done, told.failed) == ([], [])
    assert told.left == ([] if unit.startswith("civicops-") else [unit])


def test_process_1_is_started_anew_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, (1, "systemd", "init.scope"))
    services.restart_stale()
    assert host.asked == [["daemon-reexec"]]


def test_needrestart_is_heard_and_its_never_list_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, needrestart=NEEDRESTART)
    assert services.restart_stale().done == ["cron.service", "nginx.service"]
    assert host.restarted == ["cron.service", "nginx.service"]


def test_where_nothing_is_stale_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    assert services.restart_stale().values() == {"done": [], "failed": [], "left": []}
    assert host.asked == []


def test_without_systemd_it_is_told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, (10, "nginx", None))
    monkeypatch.setattr(services, "has_systemd", lambda: False)
    assert services.restart_stale().left == ["nginx (10)"]
    assert host.asked == []


def test_lib_and_usr_lib_are_one() -> None:
    assert services._without_usr("/usr/lib/x.so") == services._without_usr("/lib/x.so")


@pytest.mark.parametrize(
    ("files", "kernel", "more", "wanted", "reasons"),
    [
        ({}, ([], True), [], False, []),
        ({}, ([], False), [], None, []),
        ({"run/reboot-required": ""}, ([], True), [], True, ["the system asks for it: no package named"]),
        (
            {"run/reboot-required": "", "run/reboot-required.pkgs": "libc6\nlibc6\ndbus\n"},
            ([], True),
            [],
            True,
            ["the system asks for it: dbus, libc6"],
        ),
        ({}, (["kernel 2 is installed, 1 runs"], True), ["needs-restarting"], True,
         ["needs-restarting", "kernel 2 is installed, 1 runs"]),
    ],
)  # fmt: skip
def test_whether_a_reboot_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    kernel: tuple[list[str], bool],
    more: list[str],
    wanted: bool | None,
    reasons: list[str],
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(services, "Context", lambda: Context(str(tmp_path)))
    monkeypatch.setattr(services.reboot, "kernel_reasons", lambda ctx: kernel)
    assert services.wanted(more) == (wanted, reasons)


def test_a_reboot_that_can_not_be_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    answers = [(1, "no bus"), (0, ""), (1, "no bus"), (1, "no shutdown")]

    def run(command: list[str], seconds: float) -> tuple[int, str]:
        asked.append(command)
        return answers.pop(0)

    monkeypatch.setattr(services, "_run", run)
    monkeypatch.setattr(services, "has_systemd", lambda: True)
    assert services.begin() is None
    assert [words[0] for words in asked] == ["systemctl", "shutdown"]
    assert services.begin() == "the reboot could not be begun: no shutdown"


@pytest.mark.parametrize(
    ("state", "booting", "going"),
    [("running", False, False), ("starting", True, False), ("initializing", True, False), ("stopping", False, True),
     ("degraded", False, False), ("", False, False)],
)  # fmt: skip
def test_how_systemd_stands(monkeypatch: pytest.MonkeyPatch, state: str, booting: bool, going: bool) -> None:
    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "_run", lambda command, seconds: (0, state + "\n"))
    assert (services.booting(), services.going_down()) == (booting, going)
    monkeypatch.setattr(services, "has_systemd", lambda: False)
    assert (services.booting(), services.going_down()) == (False, False)


# --- the boot loader --------------------------------------------------------------------------------------------

MENU = (Path(__file__).parent / "cases" / "grub.cfg").read_text()  # grub-mkconfig 2.06 of bookworm, three kernels
UUID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("kernel", "entry"),
    [
        ("6.1.0-40-amd64", f"gnulinux-simple-{UUID}"),
        ("6.1.0-39-amd64", f"gnulinux-advanced-{UUID}>gnulinux-6.1.0-39-amd64-advanced-{UUID}"),
        ("6.1.0-4-amd64", f"gnulinux-advanced-{UUID}>gnulinux-6.1.0-4-amd64-advanced-{UUID}"),
        ("6.1.0-41-amd64", None),
        ("6.1.0-40", None),
        ("6.1.0-.*", None),
        ("", None),
    ],
)
def test_the_entry_of_a_kernel(kernel: str, entry: str | None) -> None:
    assert entry_of(MENU, kernel) == entry


def test_a_kernel_that_has_a_recovery_entry_alone_has_none() -> None:
    lines = MENU.splitlines()
    start = next(number for number, line in enumerate(lines) if "gnulinux-6.1.0-39-amd64-recovery" in line)
    assert entry_of("\n".join(lines[start:]), "6.1.0-39-amd64") is None


def test_an_entry_after_the_submenu_is_in_none() -> None:
    more = f"{MENU}menuentry 'Own' $menuentry_id_option 'own' {{\n\tlinux /vmlinuz-9.9 ro\n}}\n"
    assert entry_of(more, "9.9") == "own"


def test_without_grub_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(bootloader, "Context", lambda: Context(str(tmp_path)))
    monkeypatch.setattr(bootloader.subprocess, "run", lambda words, **more: asked.append(words))
    assert bootloader.start_once("6.1.0-39-amd64") == "no GRUB was found on this host"
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/grub-reboot").touch(0o755)
    (tmp_path / "boot/grub").mkdir(parents=True)
    (tmp_path / "boot/grub/grub.cfg").write_text(MENU)
    assert bootloader.start_once("9.9") == "/boot/grub/grub.cfg has no entry for 9.9"
    assert asked == []


def test_grub_is_told_the_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("usr/sbin", "boot/grub"):
        (tmp_path / folder).mkdir(parents=True)
    program = tmp_path / "usr/sbin/grub-reboot"
    program.touch(0o755)
    (tmp_path / "boot/grub/grub.cfg").write_text(MENU)
    monkeypatch.setattr(bootloader, "Context", lambda: Context(str(tmp_path)))
    monkeypatch.setattr(Context, "program", lambda ctx, name: str(program))
    program.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/told; echo "no space" >&2; exit $2\n')
    assert bootloader.start_once("6.1.0-39-amd64") is None
    assert (tmp_path / "told").read_text() == (f"gnulinux-advanced-{UUID}>gnulinux-6.1.0-39-amd64-advanced-{UUID}\n")
    program.write_text('#!/bin/sh\necho "no space" >&2; exit 1\n')
    assert bootloader.start_once("6.1.0-39-amd64") == f"{program}: no space"


def test_a_user_names_no_unit_that_root_restarts(tmp_path: Path) -> None:
    """Who has a session makes cgroups below it and calls them what he likes."""
    cgroups = {
        1: "0::/init.scope\n",
        10: "0::/system.slice/nginx.service\n",
        11: "0::/user.slice/user-1000.slice/user@1000.service/app.slice/postgresql.service\n",
        12: "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x:/postgresql.service\n",
        13: "0::/user.slice/user-1000.slice/session-4.scope/postgresql.service\n",
        14: "0::/system.slice/app.service/postgresql.service\n",
        15: "4:memory:/x\n1:name=systemd:/system.slice/cron.service\n",
        16: "0::/\n",
    }
    for pid, text in cgroups.items():
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/cgroup").write_text(text)
    ctx = Context(str(tmp_path))
    assert {pid: services.unit_of_process(ctx, pid) for pid in cgroups} == {
        1: "init.scope", 10: "nginx.service", 11: "user@1000.service", 12: "user@1000.service",
        13: "session-4.scope", 14: "app.service", 15: "cron.service", 16: None,
    }  # fmt: skip


def test_in_a_container_that_sees_the_machines_cgroups_a_unit_is_its_own(tmp_path: Path) -> None:
    for pid, name in ((1, "init.scope"), (10, "system.slice/cron.service")):
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/cgroup").write_text(f"0::/machine.slice/libpod-1.scope/{name}\n")
    assert services.unit_of_process(Context(str(tmp_path)), 10) == "cron.service"


def test_as_many_reasons_are_told_as_a_document_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.reboot, "kernel_reasons", lambda ctx: ([], True))
    wanted, reasons = services.wanted([f"package {number} is newer than the boot" for number in range(80)])
    assert (wanted, len(reasons)) == (True, 50)
