"""Whence packages come, and whose files are in use: by made-up archives of apt and trees of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import total_ordering

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info import owners, packages, reboot, sources, updates
from ansible_collections.civicops.town.plugins.module_utils._host_info.origins import note, origin_of

from .conftest import MakeHost

DEBIAN = ("debian", "bookworm")


@dataclass
class File:
    """An index as apt_pkg shows it."""

    origin: str
    codename: str = "bookworm"
    archive: str = "oldstable"
    site: str = ""


NOW = File("", "", "now")


@total_ordering
@dataclass
class Version:
    number: int
    files: list[File] = field(default_factory=list)

    @property
    def file_list(self) -> list[tuple[File, int]]:
        return [(one, 0) for one in self.files]

    def __lt__(self, other: Version) -> bool:
        return self.number < other.number


@dataclass
class Package:
    current: int
    version_list: list[Version]

    @property
    def current_ver(self) -> Version:
        return next(one for one in self.version_list if one.number == self.current)


SECURITY, TRIXIE = File("Debian", "bookworm-security"), File("Debian", "trixie")


@pytest.mark.parametrize(
    ("current", "versions", "wanted"),
    [
        (1, [Version(1, [NOW, File("Debian")])], "Debian/bookworm"),
        (1, [Version(2, [SECURITY]), Version(1, [NOW])], "Debian/bookworm-security"),
        (1, [Version(3, [TRIXIE]), Version(2, [SECURITY]), Version(1, [NOW])], "Debian/bookworm-security"),
        (3, [Version(3, [NOW, TRIXIE]), Version(2, [SECURITY])], "Debian/trixie"),
        (2, [Version(2, [NOW, File("Docker")]), Version(1, [File("Debian")])], "Docker/bookworm"),
        (1, [Version(1, [NOW, File("Acme"), TRIXIE, SECURITY])], "Debian/bookworm-security"),
        (2, [Version(2, [NOW]), Version(1, [File("Debian")])], ""),
        (1, [Version(1, [NOW])], ""),
        (1, [Version(1, [NOW, File("", "", "", "apt.example")])], "apt.example"),
        (1, [Version(1, [NOW, File("", "", "", "")])], "an archive without a name"),
    ],
)
def test_the_origin_of_a_package(current: int, versions: list[Version], wanted: str) -> None:
    assert origin_of(Package(current, versions), DEBIAN) == wanted


STATUS = "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"


def test_origins_complete_the_table_of_packages(host: MakeHost) -> None:
    ctx = host({packages.STATUS: STATUS + "\n" + STATUS.replace("zlib1g", "mine")})
    note(ctx, {("zlib1g", "amd64"): "Debian/bookworm", ("zlib1g", "i386"): "Docker"})
    table = packages.collect(ctx)["packages"]
    rows = {row["name"]: row for row in (dict(zip(table["columns"], row, strict=True)) for row in table["rows"])}
    assert (rows["zlib1g"]["origin"], rows["mine"]["origin"]) == ("Debian/bookworm", None)


@pytest.mark.parametrize("lists", [True, False])
def test_without_python3_apt_the_origin_is_unread(host: MakeHost, lists: bool) -> None:
    files = {
        packages.STATUS: STATUS,
        "/usr/bin/apt-get": "",
        "/etc/apt/sources.list": "deb http://d/debian bookworm main\n",
    }
    if lists:
        release = "Origin: Debian\nCodename: bookworm\nDate: Sat, 09 Nov 2024 09:52:13 UTC\n"
        files["/var/lib/apt/lists/d_debian_dists_bookworm_InRelease"] = release
    ctx = host(files, {"apt-get": ""})
    updates.collect(ctx)
    assert packages.collect(ctx)["packages"]["rows"][0][-1] is None
    assert "packages.origin" in ctx.unread_items
    table = sources.collect(ctx)["package_sources"]
    assert table["columns"][-1] == "origin"
    assert [row[-1] for row in table["rows"]] == ["Debian/bookworm" if lists else None]


def maps(*paths: str) -> str:
    return "".join(f"7f00-7f01 r-xp 0 8:1 9 {path} (deleted)\n" for path in paths)


LISTS: dict[str, str | bytes] = {
    packages.STATUS: "\n".join(STATUS.replace("zlib1g", name) for name in ("zlib1g", "libc6", "nginx", "../x")),
    "/var/lib/dpkg/info/zlib1g:amd64.list": "/.\n/lib/x86_64-linux-gnu/libz.so.1\n/lib/x86_64-linux-gnu/libz.so.1.3\n",
    "/var/lib/dpkg/info/libc6:amd64.list": "/lib/x86_64-linux-gnu/libc.so.6\n",
    "/var/lib/dpkg/info/nginx.list": "/usr/sbin/nginx\n",
}


def test_whose_files_processes_still_use(host: MakeHost) -> None:
    files = LISTS | {
        "/proc/1/comm": "systemd\n",
        "/proc/7/comm": "nginx\n",
        "/proc/7/maps": maps(
            "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/sbin/nginx.dpkg-tmp",
        ),
        "/proc/8/comm": "x\n",
        "/proc/8/maps": maps(
            "/opt/x/x.so", "/usr/local/lib/y.so", "/usr/lib/gone.so.1", *(f"/usr/lib/z{n}" for n in range(30))
        ),
    }
    ctx = host(files)
    told = {one["pid"]: one for one in reboot.collect(ctx)["reboot"]["stale_processes"]}
    assert (told[7]["packages"], told[7]["without_package"]) == (["libc6", "nginx", "zlib1g"], 0)
    assert (told[8]["packages"], told[8]["without_package"]) == ([], 31)
    assert len(told[8]["files"]) == reboot.FILES_PER_PROCESS
    assert "packages" not in reboot.stale_processes(ctx)[0], "who acts on services does not pay for it"


def test_nothing_is_read_where_no_files_are_stale(host: MakeHost) -> None:
    ctx = host({"/proc/1/comm": "systemd\n"})
    assert reboot.collect(ctx)["reboot"]["stale_processes"] == []
    assert "packages" not in ctx.shared


def test_the_same_from_rpm(host: MakeHost) -> None:
    files: dict[str, str | bytes] = {
        "/usr/bin/rpm": "",
        "/proc/7/comm": "x\n",
        "/proc/7/maps": maps("/usr/lib64/libz.so.1.2.11"),
    }
    answer = "zlib\t/lib64/other\nzlib\t/usr/lib64/libz.so.1\nfile /lib64/x is not owned by any package\n"
    (one,) = reboot.collect(host(files, {"rpm -qf": answer}))["reboot"]["stale_processes"]
    assert (one["packages"], one["without_package"]) == (["zlib"], 0)
    ctx = host(files)
    (one,) = reboot.collect(ctx)["reboot"]["stale_processes"]
    assert (one["packages"], one["without_package"]) == (None, None)
    assert "reboot.stale_processes.packages" in ctx.unread_items


def test_rpm_is_asked_in_its_own_words(host: MakeHost) -> None:
    asked: list[list[str]] = []

    def answer(argv: list[str], seconds: float) -> tuple[int, bytes]:
        asked.append(argv)
        return 0, b""

    ctx = host({"/usr/bin/rpm": ""})
    ctx.run_command = answer
    owners.owners(ctx, ["/usr/lib64/-e x"])
    (argv,) = asked
    assert argv[3] == "[%{=NAME}\\t%{FILENAMES}\\n]", "one name for many files has to be repeated"
    assert all(one.startswith("/") for one in argv[4:]), "none of the host's names is an option"


def test_what_was_read_in_part_is_told(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "STATUS_LIMIT", 200)
    monkeypatch.setattr(reboot, "MAPS_LIMIT", 100)
    ctx = host({packages.STATUS: STATUS + "\n" * 300, "/proc/7/comm": "x\n", "/proc/7/maps": "7f00-7f01 r-xp\n" * 50})
    assert packages.collect(ctx)["packages"] and reboot.collect(ctx)["reboot"]["stale_processes"] == []
    assert "truncated" in ctx.unread_items["packages"]
    assert "1 processes: their maps" in ctx.unread_items["reboot.stale_processes"]


def test_more_files_than_are_looked_for_have_no_package(host: MakeHost) -> None:
    ctx = host(LISTS)
    found = owners.owners(ctx, [f"/usr/lib/{n:04}" for n in range(owners.FILES)] + ["/usr/sbin/nginx"])
    assert "/usr/sbin/nginx" not in found
    assert owners.owners(ctx, ["/usr/sbin/nginx"]) == {"/usr/sbin/nginx": ["nginx"]}
