"""What stands in the way, each thing alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context
from ansible_collections.civicops.town.plugins.module_utils._host_info.logins import USER_PROCESS, WTMP_RECORD
from ansible_collections.civicops.town.plugins.module_utils._patch import preflight
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import ManagerError, Plan, Update
from ansible_collections.civicops.town.plugins.module_utils._patch.preflight import Limits, look
from hypothesis import given
from hypothesis import strategies as st

DAY = 86400.0
GIGABYTE = 1 << 30


class Fake:
    """A manager of which all is well."""

    def __init__(self) -> None:
        self.at: float | None = time.time()
        self.problems: list[str] | Exception = []
        self.bytes = 0

    def lists_at(self) -> float | None:
        return self.at

    def audit(self) -> list[str]:
        if isinstance(self.problems, Exception):
            raise self.problems
        return self.problems

    def to_download(self, plan: Plan) -> int:
        return self.bytes


def plan(name: str = "a", disk: int | None = 0) -> Plan:
    return Plan([Update(name, "amd64", "1", "2", selected=True)], disk_bytes=disk)


@pytest.fixture(autouse=True)
def disks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """File systems by folder, with bytes free and files to be made."""
    held: dict[str, Any] = {"/": (1, 10 * GIGABYTE, 10**6)}

    def of(folder: str) -> tuple[int, int, int]:
        while folder not in held:
            folder = str(Path(folder).parent)
        return held[folder]  # type: ignore[no-any-return]

    def room(folder: str) -> Any:
        dummy, free, files = of(folder)
        return SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_files=0 if files < 0 else 10**6, f_favail=files)

    monkeypatch.setattr(preflight, "_device", lambda folder: of(folder)[0])
    monkeypatch.setattr(preflight.os, "statvfs", room)
    return held


def codes(fake: Fake | None = None, limits: Limits | None = None, **more: Any) -> list[str]:
    given_plan = more.get("plan", plan())
    found = look(Context(), fake or Fake(), given_plan, limits or Limits(), more.get("clock"))
    return [one.code for one in found]


def texts(*arguments: Any, **more: Any) -> str:
    fake, limits = (*arguments, None, None)[:2]
    given_plan = more.get("plan", plan())
    found = look(Context(), fake or Fake(), given_plan, limits or Limits(), more.get("clock"))
    return " / ".join(one.text for one in found)


def test_nothing_stands_in_the_way_of_a_host_that_is_well() -> None:
    assert codes() == []


def test_lists() -> None:
    fake = Fake()
    fake.at = None
    assert (codes(fake), "run patch_stage first" in texts(fake)) == (["lists"], True)
    fake.at = time.time() - 9 * DAY
    assert (codes(fake), "9 days ago" in texts(fake)) == (["lists"], True)
    assert codes(fake, Limits(lists_max_age=10 * DAY)) == []
    assert codes(fake, Limits(lists_max_age=None)) == []


@pytest.mark.parametrize(("off", "word"), [(-400, "behind"), (400, "ahead of"), (-200, ""), (200, "")])
def test_clock(off: float, word: str) -> None:
    told = texts(clock=time.time() - off)
    assert (word in told) if word else told == ""


def test_broken() -> None:
    fake = Fake()
    fake.problems = [f"p{number} is half-configured" for number in range(7)]
    assert codes(fake) == ["broken"]
    assert "p4 is half-configured and 2 more" in texts(fake)
    assert codes(fake, Limits(repair=True)) == []
    fake.problems = ManagerError("dpkg-query: no")
    assert texts(fake) == "dpkg-query: no"


def test_room_is_added_up_for_each_file_system(disks: dict[str, Any]) -> None:
    fake = Fake()
    fake.bytes = 300 << 20
    disks["/"] = (1, 600 << 20, 10**6)
    assert codes(fake, plan=plan(disk=100 << 20)) == [], "spare, the download and the growth fit exactly"
    assert codes(fake, plan=plan(disk=101 << 20)) == ["disk"]
    disks["/var"] = (2, 400 << 20, 10**6)
    assert "the file system of /var, 500 are needed" in texts(fake)
    disks["/var"] = (2, 600 << 20, 10**6)
    assert codes(fake, plan=plan(disk=300 << 20)) == []
    disks["/usr"] = (3, 400 << 20, 10**6)
    assert "file system of /usr" in texts(fake, plan=plan(disk=300 << 20))
    assert codes(fake, plan=plan(disk=None)) == [], "what is not known is not guessed"
    assert codes(fake, plan=Plan()) == [], "nothing is to be installed, so nothing is needed"


def test_boot_counts_for_kernels(disks: dict[str, Any]) -> None:
    disks["/boot"] = (4, 50 << 20, 10**6)
    assert codes() == []
    for name in ("linux-image-6.1.0-40-amd64", "kernel-core"):
        assert codes(plan=plan(name)) == ["disk"]


def test_files_that_can_not_be_made(disks: dict[str, Any]) -> None:
    disks["/"] = (1, GIGABYTE, 1999)
    assert "only 1999 files" in texts()
    disks["/"] = (1, GIGABYTE, -1)
    assert codes() == [], "a file system without a limit of files, such as btrfs"


def test_backup(tmp_path: Path) -> None:
    stamp = tmp_path / "last"
    limits = Limits(backup_max_age=DAY, backup_stamp=str(stamp))
    assert "no backup is known" in texts(None, limits)
    stamp.touch()
    assert codes(None, limits) == []
    os.utime(stamp, (1, time.time() - 30 * 3600))
    assert texts(None, limits) == "the last backup is 30 hours old, 24 allowed"
    assert codes(None, Limits(backup_stamp=str(stamp))) == []


def record(kind: int = USER_PROCESS, pid: int = 0, line: bytes = b"", user: bytes = b"clerk") -> bytes:
    packed: bytes = WTMP_RECORD.pack(kind, pid or os.getpid(), line, b"", user, b"", 0, 0, 0, 1, 0, b"", b"")
    return packed


@pytest.fixture
def utmp(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "utmp"


def at_work(utmp: Path, data: bytes) -> set[str]:
    utmp.write_bytes(data)
    found: set[str] = preflight.at_work(Context(str(utmp.parent.parent)))
    return found


def test_who_is_at_work(utmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.at_work(Context(str(utmp.parent.parent))) == set()
    assert at_work(utmp, record() + record(user=b"mayor", line=b":0") + b"half") == {"clerk", "mayor"}
    assert at_work(utmp, record(kind=8) + record(pid=2**22 + 1) + record(user=b"")) == set()
    ages = {"/dev/pts/1": 60.0, "/dev/pts/2": 7200.0}
    real = os.stat

    def stat(path: Any, **more: Any) -> Any:
        return SimpleNamespace(st_atime=time.time() - ages[path]) if path in ages else real(path, **more)

    monkeypatch.setattr(preflight.os, "stat", stat)
    assert at_work(utmp, record(line=b"pts/1", user=b"a") + record(line=b"pts/2", user=b"b")) == {"a"}
    assert at_work(utmp, record(line=b"../etc/passwd")) == {"clerk"}, "no way out of /dev"


def test_users_stand_in_the_way_where_the_town_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "at_work", lambda ctx: {"mayor", "clerk"})
    assert codes() == []
    assert texts(None, Limits(block_users=True)) == "logged in and not idle: clerk, mayor"


@given(st.binary(max_size=1200))
def test_whatever_utmp_holds_is_read(data: bytes) -> None:
    files = SimpleNamespace(read_bytes=lambda path, limit: data)
    for user in preflight.at_work(files):
        assert user


def test_a_folder_that_is_not_there_counts_for_the_one_that_it_will_be_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    assert preflight._device(f"{tmp_path}/a/b/c") == tmp_path.stat().st_dev


def test_texts_fit_their_document() -> None:
    assert len(preflight.Blocker("error", "x" * 5000).values()["text"]) == 1000
