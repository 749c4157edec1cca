"""A run over controls: what is predicted is what is done, one failure stops no other, and all of it can be put back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._baseline import files, restore
from ansible_collections.civicops.town.plugins.module_utils._baseline.engine import Engine, Run
from ansible_collections.civicops.town.plugins.module_utils._baseline.host import Host
from ansible_collections.civicops.town.plugins.module_utils._baseline.model import (
    ACCESS,
    FILES,
    Entry,
    Params,
    Reading,
    absent,
    bad,
    good,
    manual,
    stuck,
)
from ansible_collections.civicops.town.plugins.module_utils._baseline.restore import RestorePoint
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context
from hypothesis import given, settings
from hypothesis import strategies as st


class Line:
    """A file that holds one line."""

    name = "line"
    stage = FILES

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")
        self.wanted = params.text("text")
        self.reload = params.maybe("reload")
        self.fails = params.flag("fails")
        params.done()

    def current(self, host: Host) -> Reading:
        text = host.text(self.path)
        if text is None and self.path.endswith("/none"):
            return absent("it is not here")
        return good(text) if text == self.wanted else bad(text or "")

    def apply(self, host: Host) -> None:
        host.write(self.path, self.wanted)
        if self.reload:
            host.reload(self.reload)
        if self.fails and not host.dry:
            raise OSError(28, "No space left on device", self.path)


class Door(Line):
    name = "door"
    stage = ACCESS


class Half:
    """Half of it can be done here."""

    name = "half"
    stage = FILES
    wanted = "1"

    def __init__(self, params: Params) -> None:
        self.path = params.path("path")

    def current(self, host: Host) -> Reading:
        done = host.text(self.path) is not None
        return stuck("0, after a start 1" if done else "0", "read-only here", todo=not done)

    def apply(self, host: Host) -> None:
        host.write(self.path, "1")


class People(Half):
    name = "people"

    def current(self, host: Host) -> Reading:
        return manual("no partition", "needs new partitions")


class Stumbles(Half):
    name = "stumbles"

    def current(self, host: Host) -> Reading:
        raise IndexError("list index out of range")


TYPES: Any = {kind.name: kind for kind in (Line, Door, Half, People, Stumbles)}


class Service:
    """Reads its file, and may not like it."""

    def __init__(self, refuses: str = "", breaks: str = "") -> None:
        self.refuses, self.breaks = refuses, breaks
        self.applied: list[str] = []

    def check(self, host: Host) -> None:
        if self.refuses and self.refuses in (host.text("/etc/daemon") or ""):
            raise files.HostError("line 1: bad word")

    def apply(self, host: Host) -> None:
        text = host.text("/etc/daemon") or ""
        self.applied.append(text)
        if self.breaks and self.breaks in text:
            raise files.HostError("it does not start")


class Guard:
    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.calls: list[str] = []

    def arm(self) -> None:
        self.calls.append("arm")
        if self.problem:
            raise files.HostError(self.problem)

    def wait(self) -> None:
        self.calls.append("wait")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "point").mkdir()
    return tmp_path / "root"


def line(name: str, text: str = "good", kind: str = "line", **more: Any) -> Entry:
    return Entry(name, kind, {"path": f"/etc/{name}", "text": text, **more})


def run(
    root: Path, entries: list[Entry], *, dry: bool = False, service: Service | None = None, guard: Any = None
) -> Run:
    point = None if dry else RestorePoint(str(root.parent / "point"), str(root))
    host = Host(Context(root=str(root)), point)
    return Engine(host, TYPES, {"daemon": service or Service()}).run(entries, guard)


def states(came: Run) -> dict[str, tuple[str, bool]]:
    return {result.id: (result.state, result.changed) for result in came.results}


def tree(root: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (info.st_mode, info.st_uid, info.st_mtime_ns if path.is_file() else 0, content)
    return found


ENTRIES = [
    line("a"),
    line("new"),
    line("none"),
    line("fine"),
    Entry("half", "half", {"path": "/etc/half"}),
    Entry("people", "people", {"path": "/etc/x"}),
    Entry("stumbles", "stumbles", {"path": "/etc/x"}),
    Entry("unknown", "magic", {}),
    Entry("wrong", "line", {"path": "etc", "text": "x"}),
    Entry("more", "line", {"path": "/etc/x", "text": "x", "colour": "red"}),
    Entry("waived", "line", {"path": "/etc/waived", "text": "x"}, waived=True),
    line("door", kind="door"),
]


def test_what_check_mode_predicts_is_what_enforcement_changes(root: Path) -> None:
    (root / "etc/a").write_text("old")
    (root / "etc/fine").write_text("good")
    before = tree(root)
    predicted = run(root, ENTRIES, dry=True)
    assert tree(root) == before, "check mode changes nothing"
    done = run(root, ENTRIES, guard=Guard())
    assert states(predicted) == states(done)
    assert states(done) == {
        "a": ("changed", True),
        "new": ("changed", True),
        "none": ("not_applicable", False),
        "fine": ("compliant", False),
        "half": ("not_enforceable", True),
        "people": ("failed", False),
        "stumbles": ("error", False),
        "unknown": ("error", False),
        "wrong": ("error", False),
        "more": ("error", False),
        "waived": ("waived", False),
        "door": ("changed", True),
    }
    assert done.access == ["door"]
    again = run(root, ENTRIES, guard=Guard())
    assert not any(changed for dummy, changed in states(again).values())


def test_all_of_it_comes_back_byte_by_byte(root: Path) -> None:
    (root / "etc/a").write_bytes(b"old \xff\x00 bytes")
    (root / "etc/a").chmod(0o640)
    os.utime(root / "etc/a", ns=(1, 1))
    before = tree(root)
    run(root, [line("a"), line("new"), Entry("deep", "line", {"path": "/etc/d/e/f", "text": "x"})])
    assert tree(root) != before
    undone = RestorePoint(str(root.parent / "point"), str(root)).undo()
    assert (undone.left, undone.failed) == ([], [])
    assert tree(root) == before


@pytest.mark.parametrize("purged", [True, False])
def test_what_a_packages_script_has_made_goes_with_it_unless_somebody_has_changed_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, purged: bool
) -> None:
    def command(argv: list[str], seconds: float) -> tuple[int, bytes]:
        if argv[0] == "dpkg-query":
            return (0 if argv[-1] == "/etc/taken" else 1), b""
        return (0 if purged or argv[0] != "apt-get" else 100), b""

    monkeypatch.setattr(restore, "run_command", command)
    point = RestorePoint(str(root.parent / "point"), str(root))
    (root.parent / "point").mkdir(exist_ok=True)
    point.add({"op": "packages", "installed": ["exim4"], "removed": []})
    for name in ("mailname", "aliases", "taken"):
        (root / "etc" / name).write_text("by a script")
        point.made(f"/etc/{name}")
    (root / "etc/aliases").write_text("by an administrator")
    undone = RestorePoint(point.folder, str(root)).undo()
    back = ["exim4", "/etc/mailname"] if purged else []
    assert undone.back == back
    assert set(undone.left) == {"/etc/aliases", "/etc/taken"} | (set() if purged else {"/etc/mailname"})
    assert bool(undone.failed) != purged
    assert (root / "etc/mailname").exists() != purged


def test_somebody_elses_later_change_is_left_and_told(root: Path) -> None:
    (root / "etc/a").write_text("old")
    run(root, [line("a"), line("b")])
    (root / "etc/a").write_text("theirs")
    undone = RestorePoint(str(root.parent / "point"), str(root)).undo()
    assert undone.left == ["/etc/a"]
    assert (root / "etc/a").read_text() == "theirs"
    assert not (root / "etc/b").exists()
    RestorePoint(str(root.parent / "point"), str(root)).undo(theirs=True)
    assert (root / "etc/a").read_text() == "old"


def test_one_that_fails_stops_no_other_and_leaves_nothing(root: Path) -> None:
    (root / "etc/a").write_text("old")
    came = run(root, [line("a", fails=True), line("b")])
    assert states(came) == {"a": ("failed", False), "b": ("changed", True)}
    assert "No space left" in came.results[0].reason
    assert (root / "etc/a").read_text() == "old"


def test_what_the_daemon_refuses_is_put_back_before_it_is_reloaded(root: Path) -> None:
    (root / "etc/daemon").write_text("old")
    service = Service(refuses="bad")
    entries = [
        Entry("first", "line", {"path": "/etc/daemon", "text": "bad", "reload": "daemon"}),
        Entry("second", "line", {"path": "/etc/other", "text": "x", "reload": "daemon"}),
    ]
    came = run(root, entries, service=service)
    assert states(came) == {"first": ("failed", False), "second": ("changed", True)}
    assert came.results[0].reason == "line 1: bad word"
    assert service.applied == ["old"], "once for both, and never with what it refuses"


def test_a_daemon_that_does_not_start_with_it_gets_its_old_settings(root: Path) -> None:
    (root / "etc/daemon").write_text("old")
    service = Service(breaks="bad")
    came = run(
        root, [Entry("first", "line", {"path": "/etc/daemon", "text": "bad", "reload": "daemon"})], service=service
    )
    assert states(came) == {"first": ("failed", False)}
    assert service.applied == ["bad", "old"]
    assert (root / "etc/daemon").read_text() == "old"
    assert came.notes == []


def test_a_daemon_that_stays_down_is_told_loudly(root: Path) -> None:
    (root / "etc/daemon").write_text("bad old")
    service = Service(breaks="bad")
    came = run(
        root, [Entry("first", "line", {"path": "/etc/daemon", "text": "bad", "reload": "daemon"})], service=service
    )
    assert came.notes == ["daemon could not be brought back: it does not start"]


def test_nothing_risky_is_done_without_a_way_back(root: Path) -> None:
    guard = Guard(problem="no systemd-run")
    came = run(root, [line("door", kind="door"), line("a")], guard=guard)
    assert states(came) == {"door": ("failed", False), "a": ("changed", True)}
    assert guard.calls == ["arm"]
    assert not (root / "etc/door").exists()


def test_nothing_is_armed_where_nothing_risky_is_done(root: Path) -> None:
    (root / "etc/door").write_text("good")
    guard = Guard()
    run(root, [line("door", kind="door"), line("a")], guard=guard)
    assert guard.calls == []


def test_the_risky_part_alone_can_be_taken_back(root: Path) -> None:
    guard = Guard()
    run(root, [line("door", kind="door"), line("a")], guard=guard)
    assert guard.calls == ["arm", "wait"]
    RestorePoint(str(root.parent / "point"), str(root)).undo(only_risky=True, theirs=True)
    assert not (root / "etc/door").exists()
    assert (root / "etc/a").exists()


def test_a_file_that_was_harmless_first_and_risky_later_comes_back_with_the_risky_part(root: Path) -> None:
    entries = [line("same", text="one"), Entry("door", "door", {"path": "/etc/same", "text": "two"})]
    (root / "etc/same").write_text("old")
    run(root, entries, guard=Guard())
    RestorePoint(str(root.parent / "point"), str(root)).undo(only_risky=True, theirs=True)
    assert (root / "etc/same").read_text() == "old"


@settings(deadline=None)
@given(st.data())
def test_a_journal_cut_anywhere_is_read_as_far_as_it_is_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (folder / "point").mkdir()
    (root / "etc/a").write_text("old")
    run(root, [line("a"), line("b"), line("c")])
    journal = folder / "point" / "journal"
    raw = journal.read_bytes()
    journal.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    point = RestorePoint(str(folder / "point"), str(root))
    undone = point.undo(theirs=True)
    assert undone.failed == []
    assert len(point.ops) <= 3


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "huge", "linked folder"])
def test_a_hostile_file_is_told_and_not_written(root: Path, tmp_path: Path, what: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = root / "etc/a"
    if what == "link":
        path.symlink_to(victim)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "huge":
        with path.open("wb") as stream:
            stream.truncate(200 << 20)
    else:
        (root / "etc").rmdir()
        (tmp_path / "elsewhere").mkdir()
        (root / "etc").symlink_to(tmp_path / "elsewhere")
    came = run(root, [line("a"), Entry("b", "line", {"path": "/etc/b", "text": "x"})])
    assert states(came)["a"][0] in ("error", "failed")
    assert victim.read_text() == "mine"
    if what == "linked folder":
        assert not list((tmp_path / "elsewhere").iterdir())
    else:
        assert states(came)["b"] == ("changed", True)


def test_a_folder_that_others_write_to_is_not_written_in(root: Path) -> None:
    (root / "etc/open").mkdir(mode=0o777)
    (root / "etc/open").chmod(0o777)
    came = run(root, [Entry("a", "line", {"path": "/etc/open/a", "text": "x"})])
    assert states(came)["a"][0] == "failed"
    assert "open to others" in came.results[0].reason


def test_what_ran_of_packages_is_stopped_also_where_another_takes_them_along(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """unattended-upgrades goes with a library that came by another transaction, and leaves its service running."""
    there = {"unattended-upgrades", "lsb-release"}
    ran: list[list[str]] = []

    def command(argv: list[str], seconds: float) -> tuple[int, bytes]:
        ran.append(argv)
        if argv[0] == "dpkg-query":
            found = there & set(argv[2:])
            return 0, "".join(f"/lib/systemd/system/{name}.service\n" for name in sorted(found)).encode()
        if argv[0] == "apt-get":
            there.clear()
        return 0, b""

    monkeypatch.setattr(restore, "run_command", command)
    (root.parent / "point").mkdir(exist_ok=True)
    point = RestorePoint(str(root.parent / "point"), str(root))
    for name in ("unattended-upgrades", "lsb-release"):
        point.add({"op": "packages", "installed": [name], "removed": []})
    assert point.undo().failed == []
    stopped = {name for argv in ran if argv[:2] == ["systemctl", "stop"] for name in argv[3:]}
    assert "unattended-upgrades.service" in stopped
