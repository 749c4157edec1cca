"""Which file systems are left out, of mounts as the kernel tells them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import client, mounted, standing
from ansible_collections.civicops.town.plugins.module_utils._backup.config import Config, ConfigError, parsed
from ansible_collections.civicops.town.plugins.module_utils._host_info.filesystems import Mount, parse_mountinfo

TABLE = r"""
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 / /home rw - ext4 /dev/sda2 rw
25 22 0:40 / /srv/nfs rw - nfs4 files:/export rw
26 25 0:41 / /srv/nfs/deep rw - nfs4 files:/deep rw
27 22 0:42 / /srv/my\040files rw - cifs //files/town rw
28 22 0:43 / /srv/ram rw - tmpfs tmpfs rw
29 28 0:44 / /srv/ram/far rw - fuse.sshfs x: rw
30 22 0:45 / /srv/layers rw - overlay overlay rw
31 22 0:46 / /srv/auto rw - autofs systemd-1 rw
32 31 0:47 / /srv/auto rw - nfs4 files:/auto rw
33 22 0:48 / /srv/backup rw - nfs4 files:/backup rw
34 22 0:49 / /var/nfs rw - nfs4 files:/other rw
35 22 0:50 / /srv/nfs-too rw - nfs4 files:/too rw
"""
PATHS = ("/etc", "/home", "/srv/", "/srv/nfs-too")


def test_what_is_left_out_is_found_once_and_nothing_else() -> None:
    config = Config(PATHS, excludes=("/srv/backup",))
    there = parse_mountinfo(TABLE)
    assert mounted.found_in(there, config) == ["/srv/auto", "/srv/my files", "/srv/nfs", "/srv/ram/far"]
    assert mounted.found_in(there, Config(("/",)))[-1] == "/var/nfs"
    assert mounted.left_out(Config(PATHS, one_file_system=False)) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_disk_is_another_by_its_device_and_a_bind_mount_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name in ("disk", "bind"):
        (tmp_path / name).mkdir()
    (tmp_path / "hosts").write_text("as a container engine mounts it")
    real = os.lstat

    def elsewhere(path: Any) -> os.stat_result:
        info = real(path)
        away = str(path).endswith(("disk", "hosts"))
        return os.stat_result((*info[:2], info.st_dev + 1, *info[3:10])) if away else info

    monkeypatch.setattr(mounted.os, "lstat", elsewhere)
    there = [Mount("8:3", str(tmp_path / name), "rw", kind, "/dev/sdb1") for name in ("disk", "bind", "hosts", "gone")]
    found = mounted.found_in(there, Config((str(tmp_path),)))
    assert found == [str(tmp_path / "disk"), str(tmp_path / "gone")], "what can't be looked at is told"


@pytest.mark.parametrize(
    ("pattern", "path", "out"),
    [
        ("/srv/backup", "/srv/backup", True),
        ("/srv/backup", "/srv/backup/disk", True),
        ("/srv/backup", "/srv/backups", False),
        ("/srv/*", "/srv/x/y", True),
        ("/srv/**/cache", "/srv/a/b/cache/x", True),
        ("/srv/**/cache", "/srv/cache", True),
        ("/srv/**/cache", "/srv/a/b", False),
        ("cache", "/srv/a/cache/x", True),
        ("a/cache", "/srv/a/cache", True),
        ("*.tmp", "/srv/x.tmp", True),
        ("/cache", "/srv/cache", False),
    ],
)
def test_patterns_mean_what_they_mean_to_restic(pattern: str, path: str, out: bool) -> None:
    assert mounted.excluded(path, [pattern]) == out


def test_what_is_left_out_on_purpose_is_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounted, "mounts", lambda context: parse_mountinfo(TABLE))
    found, alarms = client._left_out(Config(PATHS, left_out=("/srv/nfs/", "/srv/ram", "/srv/backup")))
    assert found == ["/srv/auto", "/srv/backup", "/srv/my files", "/srv/nfs", "/srv/ram/far"]
    assert [(one["kind"], one["text"]) for one in alarms] == [
        ("left_out", "another file system is mounted at /srv/auto, and is not saved"),
        ("left_out", "another file system is mounted at /srv/my files, and is not saved"),
    ]


def test_the_option_holds_paths() -> None:
    assert parsed({"paths": ["/srv"], "left_out": ["/srv/nfs"]}).left_out == ("/srv/nfs",)
    with pytest.raises(ConfigError, match="left_out: 'nfs' is no absolute path"):
        parsed({"paths": ["/srv"], "left_out": ["nfs"]})


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (None, []),
        ("x", []),
        (["/srv/nfs", 7, "/srv/\x1b[2J"], ["/srv/nfs", "/srv/?[2J"]),
        (["/x" * 200] * 60, ["/x" * 150] * 50),
    ],
)
def test_what_the_document_holds_fits_its_schema(kept: Any, told: list[str]) -> None:
    assert standing._left_out([{"left_out": ["/old"]}, {"left_out": kept}]) == told
    assert standing._left_out([]) == []
