"""Types that look at files themselves: modes, owners, content, and what must not be there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline.host import HostError
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import ParameterError, Params
from ansible_collections.civicops.town.plugins.module_utils._baseline.types import log_files, sweep
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.access_list import AccessList
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.banner import DEFAULT, Banner
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.file import File
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.file_absent import FileAbsent
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.file_content import FileContent
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.log_files import LogFiles
from ansible_collections.civicops.town.plugins.module_utils._baseline.types.sweep import Sweep

from .conftest import Box

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of other users are made")
PASSWD = "root:x:0:0::/root:/bin/bash\njoe:x:1000:1000::/home/joe:/bin/bash\n"
GROUP = "root:x:0:\nshadow:x:42:\ncrontab:x:101:\njoe:x:1000:\n"


@pytest.fixture
def people(box: Box) -> Box:
    box.put("/etc/passwd", PASSWD)
    box.put("/etc/group", GROUP)
    return box


def run_find(box: Box) -> None:
    """Let the walk really walk."""
    box.program("find", "timeout", "prlimit")

    def run(argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(argv, capture_output=True, check=False)
        return done.returncode, done.stdout.decode()

    for name in ("find", "timeout", "prlimit"):
        if shutil.which(name):
            box.answers[name] = run


# -- file ----------------------------------------------------------------------------


def test_file_modes(people: Box) -> None:
    people.put("/etc/shadow", "x", 0o666)
    people.put("/etc/shadow-", "x", 0o600)
    params = {"paths": ["/etc/shadow", "/etc/shadow-", "/etc/none"], "group": ["shadow", "root"], "mode": "0640"}
    found = people.look(File, params)
    assert found.was == "/etc/shadow 0666 0:0"
    between = people.cycle(File, params)
    assert between["/etc/shadow"][0] & 0o7777 == 0o640
    assert between["/etc/shadow-"][0] & 0o7777 == 0o600, "fewer bits are as good"


@needs_root
def test_file_owners(people: Box) -> None:
    people.put("/etc/shadow", "x", 0o4640, (1000, 1000))
    params = {"paths": "/etc/shadow", "group": ["nobody-has-this", "shadow"], "mode": "0640"}
    between = people.cycle(File, params)
    mode, uid, gid, dummy = between["/etc/shadow"]
    assert (mode & 0o7777, uid, gid) == (0o640, 0, 42)


def test_folders_keep_their_special_bits(people: Box) -> None:
    people.folder("/etc/cron.d", 0o3777)
    between = people.cycle(File, {"paths": ["/etc/cron.*"], "mode": "0700", "kind": "dir"})
    assert between["/etc/cron.d"][0] & 0o7777 == 0o3700


def test_file_that_is_not_there(people: Box) -> None:
    assert people.look(File, {"paths": ["/etc/x"], "mode": "0600"}).ok
    assert "made first" in people.look(File, {"paths": ["/etc/x*"], "mode": "0600", "required": True}).manual


def test_file_that_is_something_else(people: Box) -> None:
    people.folder("/etc/shadow")
    assert people.look(File, {"paths": ["/etc/shadow"], "mode": "0600"}).was == "/etc/shadow is no file"
    people.put("/etc/a", "", 0o666)
    params = {"paths": ["/etc/a", "/etc/shadow"], "mode": "0600"}
    reading = people.look(File, params)
    assert (reading.mends, "a part" in reading.stuck) == (True, True)
    people.cycle(File, params)


def test_file_behind_links(people: Box) -> None:
    people.put("/usr/lib/issue", "", 0o666)
    people.link("/etc/issue", "../usr/lib/issue")
    people.link("/etc/loop", "loop")
    between = people.cycle(File, {"paths": ["/etc/issue"], "mode": "0644"})
    assert between["/usr/lib/issue"][0] & 0o7777 == 0o644
    assert "loop" in people.look(File, {"paths": ["/etc/loop"], "mode": "0644"}).was


@needs_root
def test_nothing_is_changed_through_a_users_link(people: Box) -> None:
    people.put("/etc/secret", "", 0o644)
    people.folder("/home/joe", 0o755, (1000, 1000))
    people.link("/home/joe/x", "../../etc/secret")
    os.lchown(people.root / "home/joe/x", 1000, 1000)
    before = people.tree()
    reading = people.look(File, {"paths": ["/home/joe/x"], "mode": "0600"})
    assert "somebody's link" in reading.was
    assert not reading.mends
    people.folder("/home/joe/real")
    os.chown(people.root / "home/joe/real", 1000, 1000)
    people.put("/home/joe/real/y", "", 0o666)
    host = people.host(people.point())
    control = File(Params({"paths": ["/home/joe/real/y"], "mode": "0600"}))
    assert control.current(host).mends
    seen = host.access("/home/joe/real/y")
    (people.root / "home/joe/real").rename(people.root / "home/joe/away")
    people.link("/home/joe/real", "../../etc")
    people.put("/etc/y", "", 0o666)
    with pytest.raises(HostError):
        host.restrict("/home/joe/real/y", 0o600, None, None, seen)
    (people.root / "home/joe/real").unlink()
    people.folder("/home/joe/real")
    os.link(people.root / "etc/y", people.root / "home/joe/real/y")
    with pytest.raises(HostError, match="exchanged"):
        host.restrict("/home/joe/real/y", 0o600, None, None, seen)
    assert people.mode("/etc/y") == 0o666
    assert {path: what for path, what in people.tree().items() if path in before and "secret" in path}


@pytest.mark.parametrize("mode", ["0999", "x", "-1", "77777"])
def test_modes_that_are_none(mode: str) -> None:
    with pytest.raises(ParameterError):
        File(Params({"paths": ["/x"], "mode": mode}))


# -- absent, content, banner, lists of access -------------------------------------------


def test_file_absent(box: Box) -> None:
    box.put("/etc/hosts.equiv", b"+\n\xff", 0o600)
    box.put("/root/.rhosts", "x")
    params = {"paths": ["/etc/hosts.equiv", "/root/.rh*", "/none/x"]}
    between = box.cycle(FileAbsent, params)
    assert not {"/etc/hosts.equiv", "/root/.rhosts"} & set(between)
    box.link("/root/.rhx", "/etc/passwd")
    assert "no regular file" in box.look(FileAbsent, params).manual


def test_too_many_files_are_told(box: Box) -> None:
    for number in range(501):
        box.put(f"/etc/a{number}")
    with pytest.raises(HostError, match="more than"):
        box.look(FileAbsent, {"paths": ["/etc/a*"]})


TMOUT = {"path": "/etc/profile.d/60-civicops.sh", "content": ["TMOUT=900", "readonly TMOUT"]}


def test_file_content(box: Box) -> None:
    between = box.cycle(FileContent, TMOUT)
    assert between[TMOUT["path"]] == (0o100644, os.geteuid(), os.getegid(), b"TMOUT=900\nreadonly TMOUT\n")
    box.put("/etc/profile.d/60-civicops.sh", "x", 0o666)
    box.cycle(FileContent, TMOUT)
    box.put("/etc/profile.d/60-civicops.sh", "TMOUT=900\nreadonly TMOUT\n", 0o666)
    assert box.look(FileContent, TMOUT).was.startswith("0666")
    box.cycle(FileContent, TMOUT)


def test_file_content_that_is_a_folder_or_needs_a_package(box: Box) -> None:
    box.folder("/etc/profile.d/60-civicops.sh")
    assert box.look(FileContent, TMOUT).manual
    box.program("dpkg-query")
    box.answers["dpkg-query"] = (0, "")
    assert box.look(FileContent, {**TMOUT, "needs_package": "gdm3"}).absent


BANNERS = [
    ("Debian GNU/Linux 12 \\n \\l\n", {}, "tells"),
    ("Welcome to \\S\n", {}, "tells"),
    ("kernel \\r on \\m\n", {}, "tells"),
    ("", {}, "no words"),
    ("", {"required": False}, None),
    ("Town of X. Keep out.\n", {}, None),
    ("Town of X. Keep out.\n", {"exact": True, "text": ["Other", "words"]}, "other words"),
    ("Other\nwords\n", {"exact": True, "text": ["Other", "words"]}, None),
]


@pytest.mark.parametrize(("text", "params", "problem"), BANNERS)
def test_banner(box: Box, text: str, params: dict[str, Any], problem: str | None) -> None:
    box.put("/etc/os-release", 'ID=debian\nNAME="Debian GNU/Linux"\n')
    box.put("/etc/issue", text)
    given = {"path": "/etc/issue", **params}
    reading = box.look(Banner, given)
    if problem is None:
        assert reading.ok, reading
    else:
        assert reading.was.startswith(problem)
        between = box.cycle(Banner, given)
        assert between["/etc/issue"][3].decode() == "\n".join([*params.get("text", [DEFAULT]), ""])


def test_banner_that_is_missing_or_a_link(box: Box) -> None:
    assert box.look(Banner, {"path": "/etc/motd", "required": False}).ok
    box.cycle(Banner, {"path": "/etc/motd"})
    box.link("/etc/motd", "/run/motd")
    assert box.look(Banner, {"path": "/etc/motd"}).was == "a link"


def test_access_list(people: Box) -> None:
    assert people.look(AccessList, {"service": "cron"}).absent
    people.program("crontab", "at")
    people.put("/etc/cron.deny", "joe\n")
    between = people.cycle(AccessList, {"service": "cron"})
    assert "/etc/cron.deny" not in between
    assert between["/etc/cron.allow"] == (0o100640, 0, 101 if os.geteuid() == 0 else os.getegid(), b"root\n")
    people.cycle(AccessList, {"service": "at"})


@needs_root
def test_access_list_of_the_towns_own_stays(people: Box) -> None:
    people.program("crontab")
    people.put("/etc/cron.allow", "root\njoe\n", 0o666, (1000, 1000))
    between = people.cycle(AccessList, {"service": "cron"})
    assert between["/etc/cron.allow"] == (0o100640, 0, 101, b"root\njoe\n")
    people.link("/etc/at.allow", "x")
    people.program("at")
    assert people.look(AccessList, {"service": "at"}).manual


# -- logs ----------------------------------------------------------------------------


@needs_root
def test_log_files(people: Box) -> None:
    people.put("/var/log/syslog", "", 0o644)
    people.put("/var/log/apt/term.log", "", 0o666)
    people.put("/var/log/wtmp", "", 0o664)
    people.put("/var/log/lastlog", "", 0o666)
    people.link("/var/log/link", "/etc/passwd")
    between = people.cycle(LogFiles, {})
    modes = {path: what[0] & 0o7777 for path, what in between.items() if path.startswith("/var/log/")}
    assert modes["/var/log/syslog"] == modes["/var/log/apt/term.log"] == 0o640
    assert (modes["/var/log/wtmp"], modes["/var/log/lastlog"]) == (0o664, 0o664)
    people.put("/var/log/joe", "", 0o644, (1000, 1000))
    assert "/var/log/joe 0644 1000:1000" in people.look(LogFiles, {}).was


def test_log_files_are_counted(people: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "FILES_LIMIT", 3)
    for number in range(5):
        people.put(f"/var/log/{number}", "", 0o600)
    reading = people.look(LogFiles, {})
    assert (reading.ok, "only the first 3" in reading.was) == (False, True)


# -- sweeps --------------------------------------------------------------------------


@needs_root
def test_sweeps(people: Box) -> None:
    run_find(people)
    people.put("/srv/open\nline", "", 0o666)
    people.put("/srv/closed", "", 0o644)
    people.folder("/srv/all", 0o777)
    people.folder("/tmp", 0o1777)
    people.put("/tmp/x/theirs", "", 0o600, (4242, 4343))
    people.put("/var/lib/docker/overlay2/x", "", 0o666)
    people.link("/srv/link", "closed")
    assert people.look(Sweep, {"check": "world_writable"}).was == "/srv/open?line 0666 0:0"
    for check in ("unowned", "ungrouped"):
        reading = people.look(Sweep, {"check": check})
        assert reading.was == "/tmp/x/theirs 0600 4242:4343"
        assert reading.manual
    between = people.cycle(Sweep, {"check": "world_writable"})
    assert between["/srv/open\nline"][0] & 0o7777 == 0o664
    between = people.cycle(Sweep, {"check": "sticky"})
    assert between["/srv/all"][0] & 0o7777 == 0o1777


@needs_root
def test_one_walk_serves_all(people: Box) -> None:
    run_find(people)
    people.put("/srv/a", "", 0o666)
    people.put("/srv/b", "", 0o666)
    host = people.host(people.point())
    for check in sweep.CHECKS:
        control = Sweep(Params({"check": check}))
        if control.current(host).mends:
            control.apply(host)
        assert control.current(host).ok
    assert len(people.asked) == 1


@pytest.mark.parametrize("status", [124, 152])
def test_a_walk_that_was_cut_short_never_says_that_all_is_well(people: Box, status: int) -> None:
    people.program("find", "timeout", "prlimit")
    people.answers["timeout"] = (status, "")
    with pytest.raises(HostError, match="cut short"):
        people.look(Sweep, {"check": "sticky"})
    people.folder("/srv/all", 0o777)
    people.answers["timeout"] = (status, f"{people.root}/srv/all\0{people.root}/srv/al")
    reading = people.look(Sweep, {"check": "sticky"})
    assert (reading.mends, "cut short" in reading.was) == (True, True)
    host = people.host(people.point())
    control = Sweep(Params({"check": "sticky"}))
    control.apply(host)
    with pytest.raises(HostError, match="cut short"):
        control.current(host)


def test_the_walk_stays_on_local_disks(people: Box) -> None:
    people.program("find")
    for path in ("/home", "/mnt", "/data"):
        people.folder(path)
    rows = [
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        "2 1 0:9 / /mnt rw - nfs4 server:/ rw",
        "3 1 8:2 / /home rw - xfs /dev/b rw",
    ]
    rows += ["4 1 8:1 /x /data rw - ext4 /dev/sda rw", "5 1 0:7 / /var/lib/docker/overlay2/a rw - overlay overlay rw"]
    people.put("/proc/self/mountinfo", "\n".join(rows))
    people.answers["find"] = (0, "")
    assert people.look(Sweep, {"check": "sticky"}).ok
    command = people.asked[0]
    assert command[1 : command.index("-xdev")] == [f"{people.root}/", f"{people.root}/home"]


def test_large_files_are_only_looked_at(people: Box, tmp_path: Path) -> None:
    with people.put("/etc/shadow", "", 0o666).open("wb") as stream:
        stream.truncate(100 << 20)
    people.mend(File, {"paths": ["/etc/shadow"], "mode": "0640"})
    assert people.mode("/etc/shadow") == 0o640
