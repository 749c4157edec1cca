"""A night's stages before a manager that is not one: what each comes to, and what it leaves undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.processes import Process
from ansible_collections.civicops.town.plugins.module_utils._patch import night, snapshot
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import (
    Holder,
    ManagerError,
    Plan,
    ScriptError,
)
from ansible_collections.civicops.town.plugins.module_utils._patch.night import (
    AFTER,
    BEFORE,
    DETAILS,
    TAKEN_BACK,
    Night,
)

from civicops.ledger.documents import check_body

Key = tuple[str, str]
A = ("a", "amd64")
CUT = "cut"


class PowerCut(BaseException):
    """The program ends here, and writes nothing more."""


class World:
    """A host: packages, marks, files, probes, a clock that only waiting and work move."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = str(folder)
        self.now = 1000.0
        self.packages: dict[Key, str] = {A: "1", ("b", "all"): "5"}
        self.auto = {"b"}
        self.files = {"/etc/a": "1", "/etc/own": "mine"}
        self.calls: list[str] = []
        self.fails: dict[str, list[str]] = {}  # by call: messages, one for each time
        self.cut: str | None = None  # the call in which the power goes
        self.problems: list[str] = []
        self.missing_now: list[str] = []
        self.holders = 0
        self.takes: dict[str, float] = {"install": 10.0, "restore": 10.0}
        self.red: Callable[[], dict[str, str]] = dict
        self.units: list[str] = []
        self.wanted: tuple[bool | None, list[str]] = (False, [])
        self.rebooting: str | None = "not asked"
        self.running = "6.1.0-39"
        self.newest: str | None = "6.1.0-39"
        self.grub: str | None = None
        self.leaving = False
        self.no_backup: str | None = None
        self.deadline = 4000.0
        patches: dict[Any, dict[str, Any]] = {
            night: {"manager_of": lambda name, ctx: self, "boottime": lambda: self.now},
            night.time: {"sleep": self.sleep},
            night.services: {
                "kernel": lambda: self.running,
                "newest_kernel": lambda: self.newest,
                "wanted": lambda more: self.wanted,
                "restart_stale": lambda: night.services.Restarts(["nginx.service"]),
                "begin": self.begin,
                "booting": lambda: False,
                "going_down": lambda: self.leaving,
                "reload": lambda: None,
            },
            night.backup: {"take": self.backup},
            night.bootloader: {"start_once": lambda kernel: self.grub},
            night.probes: {
                "look_at_all": lambda found, grace: self.red(),
                "failed_units": lambda: self.units,
            },
            night.snapshot: {"manifest": self.manifest, "save": lambda folder, found: None, "restore": self.put_back},
        }
        for owner, names in patches.items():
            for name, value in names.items():
                monkeypatch.setattr(owner, name, value)

    # --- the machine ----------------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def backup(self, stamp: str, seconds: float) -> str | None:
        self.calls.append(f"backup {stamp} {seconds:.0f}")
        self.now += self.takes.get("backup", 0.0)
        return self.no_backup

    def begin(self) -> str | None:
        self.calls.append("reboot")
        return None if self.rebooting == "not asked" else self.rebooting

    def manifest(self) -> snapshot.Manifest:
        return {path: ("file", 0o644, 0, 0, content) for path, content in self.files.items()}

    def put_back(self, folder: str, before: Any, after: Any, since: Any) -> snapshot.Restored:
        self.calls.append("files")
        theirs = snapshot.changed(after, since) if after is not None else set()
        done = snapshot.Restored(left=sorted(theirs & snapshot.changed(before, self.manifest())))
        for path in before.keys() | set(self.files):
            if path not in theirs:
                self.files.pop(path, None)
                if path in before:
                    self.files[path] = before[path][4]
        return done

    # --- the manager ----------------------------------------------------------------------------------------------

    name, program = "fake", "fake-get"

    def call(self, name: str) -> None:
        self.calls.append(name)
        self.now += self.takes.get(name, 0.0)
        if self.cut == name:
            raise PowerCut
        if self.fails.get(name):
            raise ManagerError(self.fails[name].pop(0))

    def locked_by(self) -> Holder | None:
        self.holders -= 1
        return Holder(7, "unattended-upgr of root") if self.holders >= 0 else None

    def audit(self) -> list[str]:
        return self.problems

    def repair(self) -> list[str]:
        self.calls.append("repair")
        return self.problems

    def download(self, plan: Plan) -> None:
        self.call("download")

    def keep(self, plan: Plan) -> list[str]:
        self.call("keep")
        return self.missing_now

    def missing(self, before: Mapping[Key, str]) -> list[str]:
        return self.missing_now

    def installed(self) -> dict[Key, str]:
        return dict(self.packages)

    def marks(self) -> set[str]:
        return set(self.auto)

    def set_marks(self, marks: set[str]) -> None:
        self.auto = set(marks)

    def install(self, plan: Plan, lock_wait: int) -> None:
        self.files |= {"/etc/a": "2", "/etc/a.dpkg-dist": "2"}
        self.call("install")
        for one in plan.install:
            self.packages[one.key] = one.candidate

    def restore(self, before: Mapping[Key, str], marks: set[str], lock_wait: int) -> None:
        self.files["/etc/a"] = "written by a script that went back"
        self.call("restore")
        self.packages, self.auto = dict(before), set(marks)

    def reboot_reasons(self) -> list[str]:
        return []

    # --- the night ------------------------------------------------------------------------------------------------

    def run(self, stage: str = "install", **more: Any) -> dict[str, Any]:
        """Run a stage; the details that it leaves, as the document would have them."""
        request = {
            "base": self.base, "manager": "apt", "stage": stage, "run": "r1", "job": "patch", "rebooted": True,
            "install": [["a", "amd64", "1", "2", None, 10], ["n", "all", None, "3", None, 10]],
            "download_bytes": 20, "disk_bytes": 20, "held": ["h"], "needed": 60.0, "lock_wait": 10,
            "reboot_seconds": 300.0, "probes": [{"kind": "port", "port": 443, "name": "site"}], "probe_grace": 5.0,
            "repair": False, "rollback": "automatic", "without_rollback": "skip", "reboot": "when_wanted",
        } | more  # fmt: skip
        self.calls.clear()
        try:
            Night(request, self.deadline).run()
        except PowerCut:
            self.cut = None
        details: dict[str, Any] = snapshot.read_json(self.base, DETAILS) or {}
        if "outcome" in details:
            check_document(details)
        return details

    @property
    def installed_all(self) -> bool:
        return self.packages == {A: "2", ("b", "all"): "5", ("n", "all"): "3"}

    @property
    def as_before(self) -> bool:
        untouched = self.packages == {A: "1", ("b", "all"): "5"} and self.auto == {"b"}
        return untouched and self.files == {"/etc/a": "1", "/etc/own": "mine"}

    def red_after(self, *calls: str) -> None:
        """The probe is red once all of these calls were made, and nothing was taken back."""
        seen: list[str] = []

        def red() -> dict[str, str]:
            seen.extend(self.calls)
            gone_bad = set(calls) <= set(seen) and self.packages.get(A) == "2"
            return {"0": "refused"} if gone_bad else {}

        self.red = red


def check_document(details: dict[str, Any]) -> None:
    """What is told of it is a document."""
    state = {"adopted": True, "began": True, "rebooted": False, "host_time": None}
    state |= dict.fromkeys(("started_at", "ended_at", "seconds"))
    check_body("patch", 1, state | {name: value for name, value in details.items() if not name.startswith("_")})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def told(details: dict[str, Any]) -> tuple[str, str]:
    return details["outcome"], details["reason"]


# --- done ----------------------------------------------------------------------------------------------------------


def test_a_night_that_goes_well(world: World) -> None:
    details = world.run()
    assert told(details) == ("done", "")
    assert world.installed_all
    assert world.auto == {"b", "n"}, "what was automatic, and what has come with something"
    assert world.calls == ["download", "keep", "install"]
    assert details["changes"]["rows"] == [["a", "amd64", "1", "2"], ["n", "all", None, "3"]]
    assert details["conffiles"] == ["/etc/a.dpkg-dist"]
    assert details["restarts"]["done"] == ["nginx.service"]
    assert [(one["before"], one["after"]) for one in details["probes"]] == [("green", "green")]
    assert details["rollback"]["possible"] is True
    assert details["away_at_most"] == 10.0
    assert details["phases"]["install"] == 10.0
    assert snapshot.read_json(world.base, BEFORE)["packages"] == [["a", "amd64", "1"], ["b", "all", "5"]]
    assert (details["_late"], details["held"]) == (False, ["h"])


def test_where_nothing_is_to_be_installed_nothing_is_touched(world: World) -> None:
    details = world.run(install=[])
    assert (told(details), world.calls, world.as_before) == (("done", ""), [], True)
    assert not Path(world.base, BEFORE).exists()


def test_what_ends_after_its_time_says_so(world: World) -> None:
    world.takes["install"] = 9000.0
    assert world.run()["_late"] is True


def test_lists_without_end_fit_into_the_document(world: World) -> None:
    """Else the host's answer is refused, and a night that went well counts as harm."""
    world.run()
    install = world.install

    def much(plan: Plan, lock_wait: int) -> None:
        install(plan, lock_wait)
        world.files |= {f"/etc/{number}.dpkg-dist": "2" for number in range(1200)}
        world.files["/etc/" + "x/" * 700 + "a.dpkg-dist"] = "2"

    world.install = much  # type: ignore[method-assign]
    Path(world.base, DETAILS).unlink()
    Path(world.base, BEFORE).unlink()
    world.packages[A] = "1"
    assert told(world.run()) == ("done", "")


def test_a_rollback_that_leaves_much_different_fits_into_the_document(world: World) -> None:
    world.red_after("install")
    restore = world.restore

    def little(before: Mapping[Key, str], marks: set[str], lock_wait: int) -> None:
        restore(before, marks, lock_wait)
        world.packages |= {(f"left-{number}", "all"): "1" for number in range(1200)}

    world.restore = little  # type: ignore[method-assign]
    details = world.run()
    assert (details["outcome"], len(details["rollback"]["differences"])) == ("failed", 500)


# --- blocked -------------------------------------------------------------------------------------------------------


def block_lock(world: World) -> None:
    world.holders = 99


def block_broken(world: World) -> None:
    world.problems = ["p 1 is half-configured"]


def block_probe(world: World) -> None:
    world.red = lambda: {"0": "refused"}


def block_download(world: World) -> None:
    world.fails["download"] = ["no mirror"]


def block_rollback(world: World) -> None:
    world.missing_now = ["a 1"]


@pytest.mark.parametrize(
    ("spoil", "code", "text"),
    [
        (block_lock, "lock", "unattended-upgr of root (process 7) holds the lock of fake-get, for longer than 10 s"),
        (block_broken, "broken", "could not be repaired: p 1 is half-configured"),
        (block_probe, "probe", "not well before anything was done: site: refused"),
        (block_download, "error", "no mirror"),
        (block_rollback, "rollback", "no package is to be had of a 1"),
    ],
)
def test_blocked_is_untouched(world: World, spoil: Callable[[World], None], code: str, text: str) -> None:
    spoil(world)
    details = world.run(repair=True)
    assert details["outcome"] == "blocked"
    assert [one["code"] for one in details["blockers"]] == [code]
    assert text in details["blockers"][0]["text"]
    assert "install" not in world.calls
    assert world.as_before


def test_a_lock_that_is_let_go_is_waited_for(world: World) -> None:
    world.holders = 3
    details = world.run()
    assert (details["outcome"], details["phases"]["wait_lock"]) == ("done", 6.0)


def test_a_town_may_patch_without_a_way_back(world: World) -> None:
    world.missing_now = ["a 1"]
    details = world.run(without_rollback="patch")
    assert (details["outcome"], details["rollback"]["possible"]) == ("done", False)


# --- refused -------------------------------------------------------------------------------------------------------


def test_the_time_that_the_work_itself_has_used_is_part_of_what_it_needs(world: World) -> None:
    world.takes["download"], world.deadline = 30.0, world.now + 61.0
    assert world.run()["outcome"] == "done"


def test_time_that_a_lock_has_used_up_is_refused(world: World) -> None:
    world.holders, world.deadline = 3, world.now + 65.0
    details = world.run()
    assert told(details) == ("refused", "59 s are left, 60 s are needed")
    assert "install" not in world.calls
    assert world.as_before


# --- not well ------------------------------------------------------------------------------------------------------


def test_red_after_it_is_taken_back(world: World) -> None:
    world.red_after("install")
    details = world.run()
    assert told(details) == ("rolled_back", "site: refused")
    assert world.as_before
    back = details["rollback"]
    assert (back["done"], back["packages_identical"], back["marks_identical"], back["files_identical"]) == (True,) * 4
    assert back["differences"] == []
    assert Path(world.base, TAKEN_BACK).exists()
    assert details["changes"]["rows"] == [["a", "amd64", "1", "2"], ["n", "all", None, "3"]]


def test_a_unit_that_fails_after_it_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = ["old.service"]
    monkeypatch.setattr(
        night.probes,
        "failed_units",
        lambda: [*failed, "new.service"] if world.packages.get(A) == "2" else list(failed),
    )
    details = world.run()
    assert told(details) == ("rolled_back", "the unit new.service has failed")
    assert details["failed_units"]["before"] == ["old.service"]


def test_what_was_red_before_is_no_reason(world: World) -> None:
    world.units = ["old.service"]
    assert world.run()["outcome"] == "done"


def test_an_installation_that_fails_is_taken_back(world: World) -> None:
    world.fails["install"] = ["E: postinst"]
    world.problems = []
    details = world.run()
    assert told(details) == ("rolled_back", "the installation failed: E: postinst")
    assert world.calls == ["download", "keep", "install", "repair", "restore", "files"]
    assert world.as_before


def test_an_installation_that_stumbles_and_is_whole_all_the_same_goes_on(world: World) -> None:
    real = world.install

    def install(plan: Plan, lock_wait: int) -> None:
        real(plan, lock_wait)
        raise ManagerError("E: the last trigger")

    world.install = install  # type: ignore[method-assign]
    details = world.run()
    assert details["outcome"] == "done"
    assert details["told"] == ["the installation stumbled and was brought to its end: E: the last trigger"]


def test_a_script_that_failed_unseen_by_its_manager_is_taken_back_without_a_repair(world: World) -> None:
    real = world.install

    def install(plan: Plan, lock_wait: int) -> None:
        real(plan, lock_wait)
        raise ScriptError("%post of a failed")

    world.install = install  # type: ignore[method-assign]
    details = world.run()
    assert told(details) == ("rolled_back", "the installation failed: %post of a failed")
    assert "repair" not in world.calls
    assert world.as_before


@pytest.mark.parametrize(
    ("request_more", "missing", "reason"),
    [
        ({"rollback": "never"}, [], "not taken back, as the town's policy is never to"),
        ({"without_rollback": "patch"}, ["a 1"], "it can't be taken back: a 1"),
    ],
)
def test_red_without_a_way_back_has_failed(
    world: World, request_more: dict[str, Any], missing: list[str], reason: str
) -> None:
    world.red_after("install")
    world.missing_now = missing
    details = world.run(**request_more)
    assert told(details) == ("failed", f"site: refused; {reason}")
    assert "restore" not in world.calls


def test_taking_back_is_tried_twice_with_a_repair_between(world: World) -> None:
    world.red_after("install")
    world.fails["restore"] = ["E: once"]
    assert world.run()["outcome"] == "rolled_back"
    assert world.calls[-4:] == ["restore", "repair", "restore", "files"]


def test_taking_back_that_fails_has_failed(world: World) -> None:
    world.red_after("install")
    world.fails["restore"] = ["E: once", "E: twice"]
    details = world.run()
    assert details["outcome"] == "failed"
    assert "taking it back failed: E: twice; after it was taken back: site: refused" in details["reason"]
    assert details["rollback"]["packages_identical"] is False
    assert not Path(world.base, TAKEN_BACK).exists()


def test_what_somebody_changed_meanwhile_is_left_and_told(world: World) -> None:
    world.red_after("install")
    looks: list[int] = []
    real = world.manifest

    def manifest() -> snapshot.Manifest:
        looks.append(1)
        if len(looks) == 3:  # before, after, and when taking back begins
            world.files["/etc/own"] = "theirs"
        return real()

    night.snapshot.manifest = manifest
    details = world.run()
    assert world.files["/etc/own"] == "theirs"
    assert "/etc/own (changed by somebody since, left)" in details["rollback"]["differences"]


# --- the reboot ----------------------------------------------------------------------------------------------------


def test_a_wanted_reboot_is_asked_for_and_gone_on_after(world: World) -> None:
    world.wanted = (True, ["the system asks for it: dbus"])
    details = world.run()
    assert (world.calls[-1], details["_next"], details["reason"]) == ("reboot", "after", "it is being restarted")
    details = world.run("after")
    assert told(details) == ("done", "")
    assert (details["reboot"]["done"], details["reboot"]["reasons"]) == (True, ["the system asks for it: dbus"])
    assert "_next" not in details
    assert "reboot" in details["phases"]


def test_never_a_reboot(world: World) -> None:
    world.wanted = (True, ["x"])
    details = world.run(reboot="never")
    assert ("reboot" in world.calls, details["outcome"]) == (False, "done")
    assert details["reboot"]["why_not"] == "the town's policy is never to reboot"
    assert details["restarts"]["done"] == ["nginx.service"]


def test_too_late_for_a_reboot(world: World) -> None:
    world.wanted, world.deadline = (True, ["x"]), world.now + 100.0
    details = world.run()
    assert ("reboot" in world.calls, details["outcome"]) == (False, "done")
    assert details["reboot"]["why_not"].startswith("too little time: 90 s are left, a reboot may take 300 s")


def test_a_reboot_that_can_not_be_begun(world: World) -> None:
    world.wanted, world.rebooting = (True, ["x"]), "no systemctl"
    details = world.run()
    assert (details["outcome"], details["reboot"]["why_not"], details["reboot"]["done"]) == (
        "done", "no systemctl", False
    )  # fmt: skip
    assert "_next" not in details


def test_a_host_that_said_it_restarts_and_did_not(world: World) -> None:
    world.wanted = (True, ["x"])
    world.run()
    details = world.run("after", rebooted=False)
    assert told(details) == ("failed", "it was asked to restart, and process 1 is still the old one")
    assert details["reboot"]["done"] is False


def test_a_kernel_that_did_not_come_up_has_failed(world: World) -> None:
    world.wanted = (True, ["kernel 6.1.0-40 is installed, 6.1.0-39 runs"])
    world.run()
    world.newest = "6.1.0-40"
    assert told(world.run("after")) == ("failed", "it was restarted, and kernel 6.1.0-39 runs, 6.1.0-40 is installed")


def test_a_red_host_with_a_new_kernel_starts_the_old_one_first(world: World) -> None:
    world.wanted = (True, ["kernel"])
    world.run()
    world.running = world.newest = "6.1.0-40"
    world.red_after()
    details = world.run("after")
    assert (details["_next"], world.calls) == ("rollback", ["reboot"])
    assert details["rollback"]["kernel"] == "the previous entry, 6.1.0-39, was started"
    world.running = "6.1.0-39"
    details = world.run("rollback")
    assert told(details) == ("rolled_back", "site: refused")
    assert world.as_before


def test_without_a_boot_loader_the_kernel_stays_and_the_rest_goes_back(world: World) -> None:
    world.wanted = (True, ["kernel"])
    world.run()
    world.running = world.newest = "6.1.0-40"
    world.grub = "no GRUB was found on this host"
    world.red_after()
    details = world.run("after")
    assert details["outcome"] == "rolled_back"
    assert details["rollback"]["kernel"] == "not possible: no GRUB was found on this host"
    assert "the new kernel stays" in details["told"][-1]


# --- cut off -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cut", "half", "done"),
    [
        ("download", {}, ["download", "keep", "install"]),
        ("keep", {}, ["download", "keep", "install"]),
        ("install", {}, ["repair", "install"]),
        ("install", {A: "2"}, ["repair", "install"]),
        ("install", {A: "2", ("n", "all"): "3"}, ["repair"]),
    ],
)
def test_what_was_cut_off_is_brought_to_its_end(world: World, cut: str, half: dict[Key, str], done: list[str]) -> None:
    world.cut = cut
    world.run()
    world.packages |= half
    details = world.run("recover")
    assert told(details) == ("done", "")
    assert [(one["before"], one["after"]) for one in details["probes"]] == [("green", "green")]
    assert details["rollback"]["possible"] is True
    assert world.installed_all
    assert [call for call in world.calls if call in done] == done
    assert details["recovered"] is True
    assert len(details["changes"]["rows"]) == 2


def test_cut_off_between_the_snapshot_and_the_installation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Night._enough_time

    def cut(self: Night) -> None:
        raise PowerCut

    monkeypatch.setattr(Night, "_enough_time", cut)
    world.run()
    monkeypatch.setattr(Night, "_enough_time", real)
    assert Path(world.base, BEFORE).exists()
    world.units = ["old.service"]
    details = world.run("recover")
    assert told(details) == ("done", ""), "what had failed before is no harm of ours"
    assert world.installed_all, "done is what was to be done"
    assert details["rollback"]["possible"] is True


def test_what_a_killed_program_has_left_running_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    apt, other = Process(70, "apt-get", 0), Process(71, "apt-get", 0)
    units = {70: "civicops-patch-r1.service", 71: "civicops-patch-r2.service"}
    world.cut = "install"
    world.run()
    gone_at = world.now + 30.0
    monkeypatch.setattr(night, "all_processes", lambda ctx: [apt, other] if world.now < gone_at else [other])
    monkeypatch.setattr(night, "unit_of_process", lambda ctx, pid: units.get(pid, "civicops-patch-2-r1.service"))
    assert told(world.run("recover")) == ("done", "")
    assert world.now >= gone_at
    assert world.installed_all


def test_what_a_killed_program_has_left_running_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cut = "install"
    world.run()
    monkeypatch.setattr(night, "all_processes", lambda ctx: [Process(70, "apt-get", 0)])
    monkeypatch.setattr(night, "unit_of_process", lambda ctx, pid: "civicops-patch-r1.service" if pid == 70 else None)
    why = "it can't be put right: what it had started still runs: apt-get (process 70)"
    assert told(world.run("recover")) == ("interrupted", why)
    assert "repair" not in world.calls


def test_cut_off_with_too_little_time_left(world: World) -> None:
    world.cut = "install"
    world.run()
    world.packages[A] = "2"
    world.deadline = world.now + 30.0
    details = world.run("recover")
    assert told(details) == ("interrupted", "1 of 2 packages are left: too little time for them")
    assert details["changes"]["rows"] == [["a", "amd64", "1", "2"]]


def test_cut_off_before_anything_with_too_little_time_left(world: World) -> None:
    world.cut = "download"
    world.run()
    world.deadline = world.now + 30.0
    assert world.run("recover")["outcome"] == "interrupted"
    assert world.as_before


def test_cut_off_while_probes_are_asked_is_looked_at_anew(world: World) -> None:
    def cut() -> dict[str, str]:
        if world.packages.get(A) == "2":
            world.red = dict
            raise PowerCut
        return {}

    world.red = cut
    world.run()
    details = world.run("recover")
    assert told(details) == ("done", "")
    assert "install" not in world.calls
    world.red_after()
    assert told(world.run("recover")) == ("rolled_back", "site: refused")


def test_cut_off_while_it_is_taken_back(world: World) -> None:
    world.red_after("install")
    world.cut = "restore"
    world.run()
    details = world.run("recover")
    assert told(details) == ("rolled_back", "site: refused")
    assert world.as_before, "what the first try has written is ours, too"
    assert details["rollback"]["files_identical"] is True


def test_half_of_it_installed_and_locked_is_not_untouched(world: World) -> None:
    world.cut = "install"
    world.run()
    world.packages[A] = "2"
    world.holders = 99
    details = world.run("recover")
    assert details["outcome"] == "interrupted", "the gate takes blocked for no harm"
    assert "unattended-upgr" in details["reason"]
    assert details["blockers"] == []


# --- the job rollback ----------------------------------------------------------------------------------------------


def back(world: World, stage: str = "rollback", **more: Any) -> dict[str, Any]:
    """The job rollback, of the run that has its record beside it."""
    source, folder = world.base, Path(world.base, "later")
    folder.mkdir(exist_ok=True)
    world.base = str(folder)
    try:
        return world.run(stage, job="rollback", of=source, of_run="r1", install=[], rollback="never", **more)
    finally:
        world.base = source


def test_somebody_takes_a_run_back(world: World) -> None:
    world.run()
    world.red = lambda: {"0": "refused"}  # why somebody wants it
    looks = iter([{"0": "refused"}, {}])
    world.red = lambda: next(looks)
    details = back(world)
    assert told(details) == ("done", "")
    assert world.as_before
    assert details["changes"]["rows"] == [["a", "amd64", "2", "1"], ["n", "all", "3", None]]
    assert details["of_run"] == "r1"
    assert snapshot.read_json(world.base, TAKEN_BACK) == {"by": "r1"}


def test_nothing_is_taken_back_without_its_packages_or_its_record(world: World) -> None:
    assert "nothing was installed by r1 here" in back(world)["reason"]
    world.run()
    world.missing_now = ["a 1"]
    details = back(world)
    assert (details["outcome"], "restore" in world.calls) == ("blocked", False)
    assert "not all kept: a 1" in details["reason"]


def test_taking_back_that_was_cut_off_is_gone_on_with(world: World) -> None:
    world.run()
    world.cut = "restore"
    back(world)
    world.packages[("n", "all")] = "3"
    details = back(world, "recover")
    assert told(details) == ("done", "")
    assert world.as_before


# --- what nobody thought of ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("what is this"), ManagerError("x")]
)
def test_an_error_ends_the_stage_with_a_word(world: World, error: Exception) -> None:
    def marks() -> set[str]:
        raise error

    world.marks = marks  # type: ignore[method-assign]
    details = world.run()
    assert details["outcome"] == "failed"
    assert type(error).__name__ in details["reason"]
    assert world.packages[A] == "1"


def test_somebody_restarts_the_host_meanwhile(world: World) -> None:
    world.leaving = True
    details = world.run()
    assert (details["_next"], details["reason"]) == ("after", "it is being restarted")
    assert "reboot" not in world.calls, "it was theirs"
    world.leaving = False
    assert world.run("after")["outcome"] == "done"


def test_differences_are_told_in_order_and_bounded() -> None:
    before = {(f"p{number}", "all"): "1" for number in range(6000)}
    assert len(night.differences(before, {})) == 5000
    assert night.differences({A: "1"}, {A: "1"}) == []
    assert night.packages_of([["a", "amd64", "1"]]) == {A: "1"}


def test_a_program_without_a_request_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIVICOPS_WORK", str(tmp_path))
    assert night.main() == 2
    assert capsys.readouterr().err == f"{tmp_path}/request.json is not there\n"
    assert not Path(tmp_path, AFTER).exists()


def test_a_backup_right_before_and_nothing_without_it(world: World) -> None:
    asked = {"backup_first": True, "backup_stamp": "/stamp"}
    world.no_backup = "the backup right before it is not complete"
    told = world.run(**asked)
    assert (told["outcome"], told["blockers"][0]["code"]) == ("blocked", "backup")
    assert world.as_before
    world.no_backup, world.takes["backup"] = None, 2000.0
    told = world.run(**asked)
    assert (told["outcome"], told["phases"]["backup"], world.installed_all) == ("done", 2000.0, True)
    assert world.calls[:2] == ["backup /stamp 2940", "download"], "it may take all the time that the work leaves"


def test_a_backup_that_took_too_long_leaves_the_host_as_it_was(world: World) -> None:
    world.takes["backup"] = 2950.0
    told = world.run(backup_first=True, backup_stamp="/stamp")
    assert (told["outcome"], world.as_before) == ("refused", True)
