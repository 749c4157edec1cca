"""What a backup server hangs on: never told to be its own disk, or in no directory, where that is not known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.civicops.town.plugins.module_utils._backup import standing
from ansible_collections.civicops.town.plugins.module_utils._backup.storage import domain, storage
from hypothesis import given
from hypothesis import strategies as st

ROOT = "25 1 8:1 / / rw - ext4 /dev/sda1 rw"
SYS = {
    "8:1": "pci0/sda/sda1",
    "8:2": "pci0/sda/sda2",
    "8:17": "pci1/sdb/sdb1",
    "253:0": "virtual/dm-0",
    "253:1": "virtual/dm-1",
}
SLAVES = {"dm-0": "../../pci0/sda/sda2", "dm-1": "../../pci1/sdb/sdb1"}


def host(root: Path, *mounts: str, files: dict[str, str] | None = None) -> str:
    (root / "sys/dev/block").mkdir(parents=True)
    for number, place in SYS.items():
        device = root / "sys/devices" / place
        device.mkdir(parents=True)
        (root / "sys/dev/block" / number).symlink_to(f"../../devices/{place}")
        if not place.startswith("virtual"):
            (device / "partition").write_text("1\n")
    for name, below in SLAVES.items():
        (root / "sys/devices/virtual" / name / "slaves").mkdir()
        (root / "sys/devices/virtual" / name / "slaves" / Path(below).name).symlink_to(f"../{below}")
    (root / "srv/backup").mkdir(parents=True)
    for path, text in ({"/proc/self/mountinfo": "\n".join(mounts) + "\n"} | (files or {})).items():
        place_of = root / path.lstrip("/")
        place_of.parent.mkdir(parents=True, exist_ok=True)
        place_of.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("mounts", "own"),
    [
        ([ROOT], False),
        ([ROOT, "30 25 8:17 / /srv rw - ext4 /dev/sdb1 rw"], True),
        ([ROOT, "30 25 8:2 / /srv rw - xfs /dev/sda2 rw"], False),
        ([ROOT, "30 25 253:0 / /srv rw - ext4 /dev/mapper/a rw"], False),
        ([ROOT, "30 25 253:1 / /srv rw - ext4 /dev/mapper/b rw"], True),
        (["25 1 0:27 /@ / rw - btrfs /dev/sda1 rw", "30 25 0:27 /@srv /srv rw - btrfs /dev/sda1 rw"], False),
        (["25 1 0:27 /@ / rw - btrfs /dev/sda1 rw", "30 25 0:31 /@srv /srv rw - btrfs /dev/sda1 rw"], False),
        (["25 1 0:30 / / rw - zfs tank/root rw", "30 25 0:31 / /srv rw - zfs tank/srv rw"], False),
        (["25 1 0:30 / / rw - zfs boot/root rw", "30 25 0:31 / /srv rw - zfs tank/srv rw"], True),
        ([ROOT, "30 25 0:40 / /srv rw - nfs4 nas:/backup rw"], True),
        ([ROOT, "30 25 0:41 / /srv rw - tmpfs tmpfs rw"], False),
        ([ROOT, "30 25 8:17 / /srv rw - ext4 /dev/sdb1 rw", "31 25 8:2 / /srv rw - ext4 /dev/sda2 rw"], False),
        (["25 1 0:50 / / rw - overlay overlay rw"], False),
        (["25 1 0:50 / / rw - overlay overlay rw", "30 25 8:17 / /srv rw - ext4 /dev/sdb1 rw"], None),
        ([ROOT, "30 25 9:127 / /srv rw - ext4 /dev/md127 rw"], None),
        (["nothing"], None),
    ],
)
def test_the_disk_under_the_repositories(tmp_path: Path, mounts: list[str], own: bool | None) -> None:
    told = storage("/srv/backup", host(tmp_path, *mounts))
    assert (told and told["own"]) is own
    if told is not None:
        assert told["filesystem"] == mounts[-1].split(" - ")[1].split()[0]
        assert told["size_bytes"] > 0


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, None),
        ({"/etc/sssd/sssd.conf": "[sssd]\ndomains = corp.example\n[domain/corp.example]\nid_provider = ad\n"},
         "corp.example"),
        ({"/etc/sssd/conf.d/corp.conf": "[domain/corp.example]\n  id_provider=ldap\n"}, "corp.example"),
        ({"/etc/sssd/sssd.conf": "[domain/files]\nid_provider = files\n"}, None),
        ({"/etc/sssd/sssd.conf": "[sssd]\n"}, "/etc/sssd/sssd.conf"),
        ({"/etc/samba/smb.conf": "[global]\n  security = ADS\n  realm = CORP.EXAMPLE\n"}, "CORP.EXAMPLE"),
        ({"/etc/samba/smb.conf": "[global]\n  security = user\n  realm = CORP.EXAMPLE\n"}, None),
        ({"/etc/nslcd.conf": "uri ldap://x/\nbase dc=corp,dc=example\n"}, "dc=corp,dc=example"),
        ({"/etc/krb5.keytab": "x", "/etc/krb5.conf": "[libdefaults]\n default_realm = CORP.EXAMPLE\n"}, "CORP.EXAMPLE"),
        ({"/etc/krb5.keytab": "x"}, "/etc/krb5.keytab"),
        ({"/etc/krb5.conf": "[libdefaults]\n default_realm = CORP.EXAMPLE\n"}, None),
    ],
)  # fmt: skip
def test_the_directory_that_a_server_is_in(tmp_path: Path, files: dict[str, str], name: str | None) -> None:
    assert domain(host(tmp_path, ROOT, files=files)) == name


def test_a_file_that_is_none_is_no_reason_to_be_in_no_directory(tmp_path: Path) -> None:
    root = host(tmp_path, ROOT)
    (tmp_path / "etc/sssd").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/sssd/sssd.conf")
    assert domain(root) == "/etc/sssd/sssd.conf"


@given(st.text(max_size=400))
def test_a_name_fits_the_document(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("host")
    (root / "etc").mkdir()
    (root / "etc/nslcd.conf").write_text(f"base {text}", encoding="utf-8", errors="replace")
    told = domain(str(root))
    assert told is not None
    assert len(told) <= 255
    assert told.isprintable()


def test_the_servers_document_has_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "etc/riverton"
    settings.mkdir(parents=True)
    (settings / "server.json").write_text(json.dumps({"root": str(tmp_path), "clients": [{"name": "pc"}]}))
    monkeypatch.setattr(standing, "SERVERS", str(tmp_path / "etc"))
    monkeypatch.setattr(standing, "SERVER_KEPT", str(tmp_path / "var"))
    monkeypatch.setattr(standing, "_active", lambda unit: True)
    monkeypatch.setattr(standing, "domain", lambda: "corp.example")
    alarms: list[dict[str, str]] = []
    server = standing._server("riverton", alarms)
    assert server["domain"] == "corp.example"
    assert set(server["storage"] or {}) <= {"filesystem", "own", "size_bytes"}
    body = {"host_time": None, "seen_as_root": True, "client": None, "server": server, "alarms": alarms}
    schema = Path(__file__).parents[5] / "src/civicops/ledger/schemas/backup-status-1.json"
    jsonschema.validate(body, json.loads(schema.read_text()))
