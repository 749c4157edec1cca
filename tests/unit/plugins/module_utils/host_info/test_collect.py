"""Whole documents from made-up hosts: complete, hostile and broken ones."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info import collect as collecting
from ansible_collections.civicops.town.plugins.module_utils._host_info import packages, sources, updates
from ansible_collections.civicops.town.plugins.module_utils._host_info.apt_caches import private_caches
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context

from .conftest import NOW, MakeHost

SCHEMA = json.loads((Path(__file__).parents[5] / "src/civicops/ledger/schemas/host-facts-1.json").read_text())

DEBIAN: dict[str, str | bytes] = {
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n"
    "sync:x:4:65534::/bin:/bin/sync\n",
    "/etc/shadow": "root:*:19700:0:99999:7:::\nann:$y$j9T$salt$hushhush:19700:0:99999:7:::\nsync:*:19700::::::\n",
    "/etc/group": "sudo:x:27:ann\nann:x:1000:\n",
    "/etc/sudoers": "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "/etc/sudoers.d/backup": "ann ALL=(root) NOPASSWD: /usr/bin/restic\n",
    "/etc/sudoers.d/backup.old": "bob ALL=(ALL) ALL\n",
    "/etc/apt/sources.list": "deb http://u:hush@deb.example/debian bookworm main\n",
    "/proc/self/mountinfo": "29 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 29 0:40 / /home/far rw - nfs4 nas:/x rw\n",
    "/proc/sys/kernel/hostname": "web1\n",
    "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "/proc/sys/kernel/version": "#1 SMP Debian 6.1.76-1 (2024-02-01)\n",
    "/proc/stat": "btime 1763800000\n",
    "/proc/1/stat": "1 (systemd) S " + " ".join(["0"] * 18) + " 500 0\n",
    "/proc/1/comm": "systemd\n",
    "/proc/1/maps": "7f00-7f01 r-xp 0 8:1 9 /usr/lib/systemd/systemd (deleted)\n",
    "/proc/meminfo": "MemTotal: 1024 kB\n",
    "/proc/cpuinfo": "processor : 0\nmodel name : Pentium\n",
    "/proc/net/tcp": "head\n 0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n",
    "/boot/vmlinuz-6.1.0-9-amd64": "",
    "/boot/vmlinuz-6.1.0-21-amd64": "",
    "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "/sys/class/dmi/id/product_name": "OptiPlex 3060\n",
    "/sys/class/dmi/id/bios_date": "04/01/2019\n",
    "/sys/block/sda/size": "1000\n",
    "/var/lib/dpkg/status": "Package: restic\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.14\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    "Package: half\nStatus: hold ok half-configured\nArchitecture: amd64\nVersion: 2\n",
    "/var/lib/dpkg/info/restic.list": "/.\n",
    "/usr/bin/apt-get": "",
    "/usr/bin/systemctl": "",
    "/run/systemd/system/x": "",
    "/etc/systemd/system/multi-user.target.wants/cron.service": "",
}
ANSWERS = {
    "systemctl list-units": "cron.service loaded active running x\nbad.service loaded failed failed x\n"
    "d.timer loaded active waiting x\n",
    "systemctl show": "Id=d.timer\nActiveState=active\nUnit=d.service\n"
    "NextElapseUSecRealtime=Mon 2026-11-23 18:00:00 UTC\n",
}


def document(ctx: Context) -> dict[str, Any]:
    body = collecting.collect(ctx)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(body)))
    return body


def unread(body: dict[str, Any]) -> dict[str, str]:
    return {entry["item"]: entry["reason"] for entry in body["unread"]}


def test_a_debian_host(host: MakeHost) -> None:
    body = document(host(DEBIAN, ANSWERS))
    assert body["identity"]["hostname"] == "web1"
    assert body["identity"]["booted_at"] == "2025-11-22T08:26:45Z"
    assert body["identity"]["kernel"]["newest_installed"] == "6.1.0-21-amd64"
    assert body["hardware"]["model"] == "OptiPlex 3060"
    assert body["hardware"]["age"] == {
        "since": "2019-04-01",
        "basis": "firmware date; the machine is at least this old",
    }
    assert body["hardware"]["disks"][0]["bytes"] == 512_000
    assert [user["name"] for user in body["users"]] == ["root", "ann"]
    assert body["users"][1]["power_groups"] == ["sudo"]
    assert body["users"][1]["password"]["state"] == "set"
    assert [(rule["who"], rule["nopasswd"]) for rule in body["sudo"]["rules"]] == [("%sudo", False), ("ann", True)]
    assert [row[:2] for row in body["packages"]["rows"]] == [["restic", "0.14"], ["half", "2"]]
    assert (body["packages"]["held"], body["packages"]["broken"]) == (["half"], ["half: ok half-configured"])
    assert body["backup_tools"] == [{"name": "restic", "seen_as": ["package restic"], "running": False}]
    assert body["reboot"]["wanted"] is True
    assert body["reboot"]["stale_processes"][0]["files"] == ["/usr/lib/systemd/systemd"]
    assert body["failed_units"] == ["bad.service"]
    assert ["cron.service", True, "active", "running"] in body["services"]["rows"]
    assert body["timers"][0]["next"] == "2026-11-23T18:00:00Z"
    assert "hush" not in json.dumps(body)


def test_a_network_file_system_is_never_asked(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "statvfs", lambda path: asked.append(path) or os.statvfs_result(range(11)))
    body = document(host(DEBIAN, ANSWERS))
    assert [entry["mount"] for entry in body["filesystems"]] == ["/"]
    assert len(asked) == 1
    assert "filesystems./home/far" in unread(body)


def test_an_empty_tree_is_a_document_that_says_what_is_missing(host: MakeHost) -> None:
    body = document(host())
    for item in ("filesystems", "packages", "package_sources", "updates", "services", "users", "sockets", "sudo"):
        assert item in unread(body), item
        assert not body.get(item), item


def test_a_collector_that_breaks_costs_only_its_own_part(host: MakeHost) -> None:
    def broken(ctx: Context) -> dict[str, Any]:
        raise ZeroDivisionError("odd")

    body = collecting.collect(host(DEBIAN, ANSWERS), (("users", broken), *collecting.COLLECTORS[:1]))
    assert unread(body)["users"] == "ZeroDivisionError: odd"
    assert body["identity"]["hostname"] == "web1"


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param(b"<script>alert(1)</script>", id="html"),
        pytest.param(b"\x1b[31m\x07", id="escapes"),
        pytest.param(b"{{ lookup('pipe', 'id') }}", id="template"),
        pytest.param(b"../../../etc/cron.d/x", id="traversal"),
        pytest.param(b"\xff\xfe\x00", id="not utf-8"),
        pytest.param(b"A" * (10 << 20), id="10 MB"),
        pytest.param(b"a\nb\rc", id="newlines"),
        pytest.param("\u0663\u00b2\U0001f600".encode(), id="digits"),
    ],
)
def test_a_hostile_host_gives_a_bounded_valid_document(host: MakeHost, evil: bytes) -> None:
    files: dict[str, str | bytes] = {name: text for name, text in DEBIAN.items() if name != "/proc/1/stat"}
    line = evil.replace(b"\n", b" ")
    files["/proc/sys/kernel/hostname"] = evil
    files["/etc/os-release"] = b'ID="' + evil + b'"\nPRETTY_NAME=' + line
    files["/etc/passwd"] = line + b":x:1000:1000::/home/" + line + b":/bin/" + line + b"\n" + evil
    files["/var/lib/dpkg/status"] = (
        b"Package: " + line + b"\nStatus: install ok installed\nVersion: " + line + b"\n\n" + evil
    )
    files["/etc/apt/sources.list.d/x.sources"] = b"Types: deb\nURIs: http://" + line + b"\nSuites: " + line + b"\n"
    files["/etc/sudoers"] = line + b" ALL=(ALL) " + line + b"\n"
    files["/root/.ssh/authorized_keys"] = b"ssh-rsa " + line + b"\n"
    answers = {"systemctl list-units": line.decode("utf-8", "replace") + ".service loaded failed failed x\n"}
    started = time.monotonic()
    body = document(host(files, answers))
    text = json.dumps(body, ensure_ascii=False).encode()
    assert len(text) < 200_000
    assert time.monotonic() - started < 10


# -- updates: a number never stands without what makes it doubtful ---------------

STATUS = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 1\n"
INST = "Inst libc6 [1] (2 Debian-Security:12/stable-security [amd64])\n"
SECURITY = "deb http://deb.example/debian-security bookworm-security main\n"
LISTED = "/var/lib/apt/lists/deb.example_debian-security_dists_bookworm-security_InRelease"
RELEASE = "Label: Debian-Security\nDate: Sat, 22 Nov 2025 09:00:00 UTC\nValid-Until: Sat, 29 Nov 2025 09:00:00 UTC\n"


def apt_host(host: MakeHost, sources_list: str, lists: dict[str, str], now: float | None = None) -> Context:
    files = {"/var/lib/dpkg/status": STATUS, "/etc/apt/sources.list": sources_list, "/usr/bin/apt-get": "", **lists}
    return host(files, {"apt-get -s": INST}, now=time.time() if now is None else now)


def test_no_lists_is_not_zero_updates(host: MakeHost) -> None:
    ctx = apt_host(host, SECURITY, {})
    assert updates.collect(ctx) == {"updates": None}
    assert "no package lists" in ctx.unread_items["updates"]


def test_without_a_security_source_the_security_count_is_unknown(host: MakeHost) -> None:
    main = "/var/lib/apt/lists/deb.example_debian_dists_bookworm_InRelease"
    ctx = apt_host(host, "deb http://deb.example/debian bookworm main\n", {main: "Label: Debian\n"})
    answer = updates.collect(ctx)["updates"]
    assert (answer["count"], answer["security_count"]) == (1, None)
    assert answer["caveats"] == ["none of the enabled sources is a security archive"]
    assert "updates.security_count" in ctx.unread_items


def test_expired_and_old_lists_are_said(host: MakeHost) -> None:
    ctx = apt_host(host, SECURITY, {LISTED: RELEASE}, now=time.time() + 30 * 86400)
    caveats = updates.collect(ctx)["updates"]["caveats"]
    assert [caveat for caveat in caveats if caveat.startswith("lists not renewed for")]
    assert [caveat for caveat in caveats if "valid-until" in caveat]


def test_fresh_lists_with_a_security_source_have_no_caveat(host: MakeHost) -> None:
    ctx = apt_host(host, SECURITY, {LISTED: "Label: Debian-Security\n"})
    answer = updates.collect(ctx)["updates"]
    assert (answer["count"], answer["security_count"], answer["caveats"]) == (1, 1, [])
    assert dict(zip(answer["columns"], answer["rows"][0], strict=True))["source"] == "glibc"


def test_a_security_source_that_is_switched_off_is_none(host: MakeHost) -> None:
    answer = sources.collect(apt_host(host, "#" + SECURITY, {LISTED: RELEASE}))["package_sources"]
    assert answer["security_source"] is False
    assert answer["rows"][0][answer["columns"].index("enabled")] is False


def test_apt_caches_are_linked_only_when_younger_than_what_they_hold(host: MakeHost, tmp_path: Path) -> None:
    ctx = apt_host(
        host, SECURITY, {LISTED: RELEASE, "/var/cache/apt/pkgcache.bin": "", "/var/cache/apt/srcpkgcache.bin": ""}
    )
    ctx.private_folder = str(tmp_path)
    cache = Path(ctx.path("/var/cache/apt/pkgcache.bin"))
    os.utime(cache, (NOW - 10**8, NOW - 10**8))
    assert private_caches(ctx) == {"pkgcache": "", "srcpkgcache": ""}
    os.utime(cache, (time.time() + 60, time.time() + 60))
    places = private_caches(ctx)
    assert Path(places["pkgcache"]).parent == tmp_path
    assert Path(places["pkgcache"]).readlink() == cache


def test_an_outdated_cache_may_be_made_anew_elsewhere(host: MakeHost, tmp_path: Path) -> None:
    ctx = apt_host(host, SECURITY, {LISTED: RELEASE})
    ctx.private_folder = None
    assert private_caches(ctx, make=True) == {"pkgcache": "", "srcpkgcache": ""}, "there is no place for it"
    ctx.private_folder = str(tmp_path / "ours")
    places = private_caches(ctx, make=True)
    assert places == {name: str(tmp_path / "ours" / f"{name}.bin") for name in ("pkgcache", "srcpkgcache")}


def test_rpm_family(host: MakeHost) -> None:
    line = "bash\t(none)\t5.1-1\tx86_64\tbash-5.1-1.src.rpm\t1700000000\tAlmaLinux\n"
    repo = "[baseos]\nname=BaseOS\nbaseurl=https://me:hush@mirror.example/baseos\nenabled=1\ngpgcheck=0\n"
    files = {"/usr/bin/rpm": "", "/usr/bin/dnf": "", "/etc/yum.repos.d/base.repo": repo,
             "/var/cache/dnf/baseos-0123/repodata/repomd.xml": ""}  # fmt: skip
    dnf = "dnf -q --cacheonly --setopt=cachedir=/var/cache/dnf"
    answers = {
        "rpm -qa": line,
        f"{dnf} check-update": "bash.x86_64 5.1-2 baseos\n",
        f"{dnf} updateinfo": "RHSA-1 Important/Sec. bash-5.1-2.x86_64\n",
    }
    ctx = host(files, answers, is_root=False)
    assert packages.collect(ctx)["packages"]["rows"][0][:3] == ["bash", "5.1-1", "x86_64"]
    assert "hush" not in json.dumps(sources.collect(ctx))
    answer = updates.collect(ctx)["updates"]
    assert answer["rows"] == [["bash", "x86_64", "5.1-1", "5.1-2", True, "baseos", None]]
    as_root = host(files, answers)
    assert updates.collect(as_root) == {"updates": None}
    assert "dnf writes to its cache" in as_root.unread_items["updates"]
