# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program that patches a host, or takes it back, by itself.

It is run by C(_host_work) from a copy beside the claim, and needs nobody from then on. What it has come to is in
C(details.json) of the first piece of work, written anew at each step, so that what comes after a power cut knows where
it was. Modules are imported at the start, all of them: the work may replace Python itself.

A stage is one run of the program: C(install), then C(after) where the host was rebooted, C(recover) where the stage
before left no result, C(rollback) where somebody asked for it, or a kernel made it wait for a reboot.
"""

from __future__ import annotations

import os
import sys
import tarfile
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set

from .._host_info.context import Context
from .._host_info.processes import all_processes
from .._host_info.processes import system_unit as unit_of_process
from .._host_work.wrapper import boottime
from . import backup, bootloader, probes, services, snapshot
from .manager import Holder, Key, Manager, ManagerError, Plan, ScriptError, Update
from .managers import manager_of
from .preflight import Blocker

REQUEST = "request.json"
DETAILS = "details.json"
BEFORE, AFTER, SINCE, TAKEN_BACK = "before.json", "after.json", "since.json", "taken-back.json"
TOLD = 500  # so many lines of a list fit into the document, which would be refused with more
LOCK_LOOK = 2.0
LEFTOVER_SECONDS = 1800.0  # how long what an ended program has left running (apt, a package's script) is waited for
BOOT_SECONDS = 180  # how long the units of a boot may take to settle, beside the probes' own grace


class Ended(Exception):
    """The stage has come to its end; C(outcome) and C(reason) stand in the details."""


class Night:
    """One stage. C(base) is the directory of the run's first piece of work, where the record of the host is kept."""

    def __init__(self, request: Dict[str, Any], deadline: float) -> None:
        self.request = request
        self.base: str = request["base"]
        self.deadline = deadline
        self.began = boottime()
        self.manager: Manager = manager_of(request["manager"], Context())
        self.health = probes.Health([probes.Probe.read(one) for one in request["probes"]])
        self.details: Dict[str, Any] = snapshot.read_json(self.base, DETAILS) or self._new_details()
        self.waited = 0.0

    def _new_details(self) -> Dict[str, Any]:
        return {
            "manager": self.request["manager"],
            "changes": {"columns": ["name", "arch", "before", "after"], "rows": []},
            "phases": {},
            "reboot": {
                "wanted": None,
                "reasons": [],
                "done": False,
                "why_not": "",
                "kernel_before": services.kernel(),
                "kernel_after": None,
            },
            "restarts": {"done": [], "failed": [], "left": []},
            "probes": [],
            "failed_units": {"before": [], "after": []},
            "away_at_most": None,
            "conffiles": [],
            "held": list(self.request.get("held", [])),
            "blockers": [],
            "recovered": False,
            "rollback": {
                "possible": None,
                "missing": [],
                "done": False,
                "seconds": None,
                "packages_identical": None,
                "marks_identical": None,
                "files_identical": None,
                "differences": [],
                "kernel": None,
            },
            "told": [],
            **({"of_run": self.request["of_run"]} if "of_run" in self.request else {}),
        }

    # -- stages -------------------------------------------------------------------

    def run(self) -> None:
        self.details.pop("_next", None)
        with suppress(OSError):
            os.unlink(os.path.join(self.base, snapshot.BALLAST_FILE))  # of a piece before that was cut off
        if (rebooting := self.details.pop("_reboot_at", None)) is not None:
            self._add("reboot", max(0.0, time.time() - rebooting))
        if "outcome" in self.details:  # of the stage before, which ended with a reboot; not of this one
            self._conclude("failed", "the program has ended in the middle")
        stages: Dict[str, Callable[[], None]] = {
            "install": self._install,
            "after": self._after_reboot,
            "recover": self._recover,
            "rollback": self._roll_back,
        }
        try:
            stages[self.request["stage"]]()
        except Ended:
            pass
        except (ManagerError, OSError, ValueError, tarfile.TarError) as error:
            self._conclude("failed", f"{type(error).__name__}: {error}")
        except Exception as error:  # whatever it is, the host's last word must not be silence
            self._conclude("failed", f"a fault of the program: {type(error).__name__}: {error}")
        self.details["_late"] = boottime() > self.deadline
        self._write()

    def _install(self) -> None:
        plan = self._plan()
        self._lock()
        if self.request["repair"] and self.manager.audit():
            with self._phase("repair"):
                if problems := self.manager.repair():
                    self._blocked("broken", f"could not be repaired: {'; '.join(problems[:5])}")
        self._probes_before()
        if plan.install:
            self._backup()
            with self._phase("stage"):
                self._stage(plan)
            with self._phase("snapshot"):
                self._snapshot()
            self._enough_time()
            self._transaction(plan)
        self._finish()

    def _after_reboot(self) -> None:
        told = self.details["reboot"]
        told["kernel_after"] = services.kernel()
        if not self.request["rebooted"]:
            told["why_not"] = "it was asked to restart, and did not"
            self._well("failed", "it was asked to restart, and process 1 is still the old one")
            return
        told["done"] = True
        self._settled()
        newest = services.newest_kernel()
        if newest is not None and newest != told["kernel_after"] and any("kernel" in one for one in told["reasons"]):
            told["why_not"] = f"kernel {told['kernel_after']} runs, {newest} is installed"
            self._well("failed", f"it was restarted, and {told['why_not']}")
            return
        self._well("done", "")

    def _recover(self) -> None:
        """The stage before left no result: a power cut, or something killed it."""
        phase = self.details.get("_phase")
        self.details["recovered"] = True
        self._settled()
        if left := self._leftovers():
            raise self._ended("interrupted", f"it can't be put right: what it had started still runs: {left}")
        self._lock()
        with self._phase("recover"):
            problems = self.manager.repair()
        self._tell(f"interrupted in the phase {phase or 'plan'}; put right: {'; '.join(problems[:3]) or 'all of it'}")
        if phase == "rollback" or self.request["job"] == "rollback":
            self._roll_back()
        elif phase is None or snapshot.read_json(self.base, BEFORE) is None:
            if self._left() < self.request["needed"]:
                self._well(
                    "interrupted", "it was interrupted before anything was installed, and too little time is left"
                )
            else:
                self._install()
        elif phase == "install":
            self._go_on_installing()
        else:
            self._finish()

    def _go_on_installing(self) -> None:
        plan = self._plan()
        now = self.manager.installed()
        rest = [one for one in plan.install if not has(now, one)]
        if rest and self._left() < self.request["needed"]:
            self._after_transaction()
            self._well("interrupted", f"{len(rest)} of {len(plan.install)} packages are left: too little time for them")
        elif rest:
            self._transaction(plan)
            self._finish()
        else:
            self._after_transaction()
            self._finish()

    def _roll_back(self) -> None:
        if self.request["rebooted"]:
            self._settled()
            if str(self.details["rollback"]["kernel"] or "").startswith("the previous"):
                self.details["reboot"].update(done=True, kernel_after=services.kernel())
        if self.request["job"] != "rollback":
            self._take_back(str(self.details.get("_red") or "it was not well"))
            return
        self._lock()
        source = self.request["of"]
        before = snapshot.read_json(source, BEFORE)
        if before is None:
            self._blocked("rollback", f"nothing was installed by {self.request['of_run']} here")
        missing = self.manager.missing(packages_of(before["packages"]))
        self.details["rollback"].update(possible=not missing, missing=missing[:5000])
        if missing and not self.details.get("_phase"):
            self._blocked("rollback", f"the packages to go back to are not all kept: {', '.join(missing[:5])}")
        if not self.details.get("_phase"):
            self._probes_before(must_be_green=False)
        self._take_back("")

    # -- steps ----------------------------------------------------------------------

    def _plan(self) -> Plan:
        updates = [
            Update(name, arch, current, candidate, source=source, size=size, selected=True)
            for name, arch, current, candidate, source, size in self.request["install"]
        ]
        return Plan(updates, self.request["download_bytes"], self.request["disk_bytes"])

    def _leftovers(self) -> str:
        """Wait for what the pieces before have left running: a program that is killed leaves its apt at work. What
        still runs after that, in words."""
        start, end = f"civicops-{self.request['job']}", f"-{self.request['run']}.service"
        mine = unit_of_process(Context(), os.getpid())
        began = boottime()
        while True:
            ctx = Context()
            units = ((one, unit_of_process(ctx, one.pid) or "") for one in all_processes(ctx))
            found = [one for one, unit in units if unit.startswith(start) and unit.endswith(end) and unit != mine]
            if not found or boottime() - began > LEFTOVER_SECONDS:
                break
            time.sleep(LOCK_LOOK)
        self.waited += boottime() - began
        return ", ".join(f"{one.name} (process {one.pid})" for one in found[:5])

    def _lock(self) -> None:
        began = boottime()
        with self._phase("wait_lock"):
            holder: Optional[Holder] = self.manager.locked_by()
            while holder is not None and boottime() - began < self.request["lock_wait"]:
                time.sleep(LOCK_LOOK)
                holder = self.manager.locked_by()
        self.waited += boottime() - began
        if holder is not None:
            text = f"{holder} holds the lock of {self.manager.program}, for longer than {self.request['lock_wait']} s"
            if self.details.get("_phase") is not None:
                raise self._ended("interrupted", f"it can't be put right: {text}")  # it is not as it was any more
            self._blocked("lock", text)

    def _probes_before(self, must_be_green: bool = True) -> None:
        if self.details["probes"]:
            return  # a stage before has looked
        with self._phase("probes_before"):
            red = self.health.before(10.0 if must_be_green else 0.0)
        self.details.update(self.health.values())
        if red and must_be_green:
            self._blocked("probe", f"not well before anything was done: {'; '.join(red)}"[:900])

    def _backup(self) -> None:
        """Have the host back itself up, where that is asked for, within the time that nothing else needs."""
        if not self.request.get("backup_first"):
            return
        began = boottime()
        with self._phase("backup"):
            why = backup.take(self.request["backup_stamp"], max(10.0, self._left() - self.request["needed"]))
        self.waited += boottime() - began
        if why:
            self._blocked("backup", why)

    def _stage(self, plan: Plan) -> None:
        try:
            self.manager.download(plan)
        except ManagerError as error:
            self._blocked("error", str(error))
        missing = self.manager.keep(plan)
        told = self.details["rollback"]
        told["possible"], told["missing"] = not missing, missing[:5000]
        if missing and self.request["rollback"] == "automatic" and self.request["without_rollback"] == "skip":
            names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            self._blocked(
                "rollback",
                f"it could not be taken back, as no package is to be had of {names}; "
                "without_rollback: patch patches it all the same",
            )

    def _snapshot(self) -> None:
        if snapshot.read_json(self.base, BEFORE) is not None:
            return
        files = snapshot.manifest()
        snapshot.save(self.base, files)
        packages = [[*key, version] for key, version in self.manager.installed().items()]
        marks = sorted(self.manager.marks())
        before = {"packages": packages, "marks": marks, "files": files, "kernel": services.kernel()}
        snapshot.write_json(self.base, BEFORE, before)

    def _enough_time(self) -> None:
        """Look again before the transaction: waiting for a lock or a download may have used the time up."""
        used = boottime() - self.began - self.waited
        left = self._left()
        if left + used < self.request["needed"]:
            raise self._ended("refused", f"{left:.0f} s are left, {self.request['needed']:.0f} s are needed")

    def _transaction(self, plan: Plan) -> None:
        self.details.setdefault("_installing_at", boottime())
        self._enter("install")
        try:
            with self._phase("install"), snapshot.ballast(self.base):
                self.manager.install(plan, int(self.request["lock_wait"]))
        except ScriptError as error:
            self._after_transaction()
            self._red(f"the installation failed: {error}")
        except ManagerError as error:
            self._transaction_failed(plan, str(error))
        self._after_transaction()

    def _transaction_failed(self, plan: Plan, problem: str) -> None:
        """What went wrong may be over (a lock, a full disk): where all is as wanted, it is told, else taken back."""
        self._wait_for_the_boot("recover")
        with self._phase("repair"):
            left = self.manager.repair()
        now = self.manager.installed()
        if not left and all(has(now, one) for one in plan.install):
            self._tell(f"the installation stumbled and was brought to its end: {problem}")
            return
        self._after_transaction()
        self._red(f"the installation failed: {problem}")

    def _after_transaction(self) -> None:
        """What is there now, kept as the state that our work has left."""
        before = snapshot.read_json(self.base, BEFORE)
        now = self.manager.installed()
        # Package managers take what is named for wanted by hand. What is new has come with something else.
        new = {name for name, arch in now.keys() - packages_of(before["packages"]).keys()}
        had = {name for name, arch, version in before["packages"]}
        try:
            self.manager.set_marks(set(before["marks"]) | (new - had))
        except ManagerError as error:
            self._tell(f"the automatic marks could not be set right: {error}")
        files = snapshot.manifest()
        self.details["changes"]["rows"] = differences(packages_of(before["packages"]), now)
        known = snapshot.load(before["files"])
        self.details["conffiles"] = sorted(
            path[:1000] for path in files if path not in known and path.endswith((".dpkg-dist", ".ucf-dist", ".rpmnew"))
        )[:TOLD]
        snapshot.write_json(self.base, AFTER, {"files": files, "packages": [[*key, now[key]] for key in now]})
        self._write()

    def _finish(self) -> None:
        """After the installation: the reboot where one is wanted, else the services; then whether it is well."""
        self._wait_for_the_boot("after")
        told = self.details["reboot"]
        told["wanted"], told["reasons"] = services.wanted(self.manager.reboot_reasons())
        if told["wanted"] and self.request["reboot"] == "when_wanted":
            if self._left() >= self.request["reboot_seconds"]:
                self._reboot("after")
            else:
                left = f"{max(0.0, self._left()):.0f} s are left"
                told["why_not"] = f"too little time: {left}, a reboot may take {self.request['reboot_seconds']:.0f} s"
        elif told["wanted"]:
            told["why_not"] = "the town's policy is never to reboot"
        if self.details["changes"]["rows"]:
            self._enter("restart")
            with self._phase("restart"):
                self.details["restarts"] = services.restart_stale().values()
        self._well("done", "")

    def _reboot(self, then: str) -> None:
        self.details["_reboot_at"] = time.time()
        self.details["_next"] = then
        self._enter("reboot")
        problem = services.begin()
        if problem is None:
            raise self._ended("done", "it is being restarted")
        self.details.pop("_next")
        self.details.pop("_reboot_at")
        self.details["reboot"]["why_not"] = problem

    def _wait_for_the_boot(self, then: str) -> None:
        """Where somebody restarts the host meanwhile: go on after it, with another piece of work."""
        if services.going_down():
            self._tell("somebody has asked for a restart of the host meanwhile")
            self.details["_reboot_at"] = time.time()
            self.details["_next"] = then
            raise self._ended("done", "it is being restarted")

    def _settled(self) -> None:
        """Wait until the units of a boot have started, or failed to."""
        end = time.monotonic() + BOOT_SECONDS
        while services.booting() and time.monotonic() < end:
            time.sleep(1.0)

    def _well(self, outcome: str, reason: str) -> None:
        """Whether the host is well after all that was done; where it is not, take it back."""
        self._enter("probes_after")
        red = self._probes_after()
        if not red:
            self._away()
            raise self._ended(outcome, reason)
        self._red("; ".join(red))

    def _probes_after(self) -> List[str]:
        """What is not well and was before."""
        with self._phase("probes_after"):
            self.health.recall(self.details)
            red = self.health.after(float(self.request["probe_grace"]))
        self.details.update(self.health.values())
        return red

    def _red(self, reason: str) -> None:
        """Not well, for this reason: taken back where that is allowed and possible."""
        self._wait_for_the_boot("after")
        self.details["_red"] = reason
        told = self.details["rollback"]
        if snapshot.read_json(self.base, BEFORE) is None:
            raise self._ended("failed", f"{reason}; nothing was installed that could be taken back")
        if self.request["rollback"] != "automatic":
            raise self._ended("failed", f"{reason}; not taken back, as the town's policy is never to")
        if not told["possible"]:
            raise self._ended("failed", f"{reason}; it can't be taken back: {', '.join(told['missing'][:5])}")
        self._take_back(reason)

    def _take_back(self, reason: str) -> None:
        source = self.request.get("of") or self.base
        before = snapshot.read_json(source, BEFORE)
        after = snapshot.read_json(source, AFTER)
        told = self.details["rollback"]
        packages, marks = packages_of(before["packages"]), set(before["marks"])
        files = snapshot.load(before["files"])
        wanted = dict(packages)
        if not self._kernel_first(packages, before.get("kernel")):
            self._tell("the new kernel stays, as it runs and no boot loader was found to start another one")
            running = services.kernel()
            wanted.update({key: version for key, version in self.manager.installed().items() if running in key[0]})
        started = boottime()
        self._enter("rollback")
        problem = ""
        with self._phase("rollback"):
            since = self._since()
            was = self.manager.installed()
            try:
                self._restore(wanted, marks)
            except ManagerError as error:
                problem = str(error)
            restored = snapshot.restore(source, files, snapshot.load(after["files"]) if after else None, since)
            services.relabel(restored.paths)
            services.reload()
            stale = services.restart_stale().values()
        self.details["restarts"] = stale if self.request["job"] == "rollback" else self.details["restarts"]
        self._compare(packages, marks, files, restored)
        told["done"], told["seconds"] = True, round(boottime() - started, 3)
        if told["packages_identical"]:
            snapshot.write_json(source, TAKEN_BACK, {"by": self.request["run"]})
        if self.request["job"] == "rollback":
            self.details["changes"]["rows"] = differences(was, self.manager.installed())
        red = self._probes_after()
        whole = not problem and told["packages_identical"] and told["marks_identical"] and told["files_identical"]
        if not red:
            self._away()
        words = [reason] if reason else []
        if problem:
            words.append(f"taking it back failed: {problem}")
        elif not whole:
            words.append(f"taken back, but for {', '.join(told['differences'][:3])}")
        if red:
            words.append(f"after it was taken back: {'; '.join(red)}")
        good = "done" if self.request["job"] == "rollback" else "rolled_back"
        raise self._ended(good if whole and not red else "failed", "; ".join(words))

    def _since(self) -> snapshot.Manifest:
        """How the files were when taking back began: what a try that was cut off has changed is ours."""
        kept = snapshot.read_json(self.base, SINCE)
        if kept is None:
            kept = snapshot.manifest()
            snapshot.write_json(self.base, SINCE, kept)
        return snapshot.load(kept)

    def _restore(self, packages: Dict[Key, str], marks: Set[str]) -> None:
        """Twice, as what was broken in the middle may need a repair first."""
        wait = int(self.request["lock_wait"])
        try:
            self.manager.restore(packages, marks, wait)
        except ManagerError as error:
            self._tell(f"the first try to take it back failed: {error}")
            self.manager.repair()
            self.manager.restore(packages, marks, wait)

    def _kernel_first(self, packages: Mapping[Key, str], before: Optional[str]) -> bool:
        """Where the kernel that is to go runs, start the one before first. False where that can't be done."""
        running = services.kernel()
        told = self.details["rollback"]
        if before is None or before == running or told["kernel"]:
            return before is None or before == running
        problem = bootloader.start_once(before)
        if problem is not None:
            told["kernel"] = f"not possible: {problem}"
            return False
        told["kernel"] = f"the previous entry, {before}, was started"
        self.details["reboot"]["why_not"] = ""
        self._reboot("rollback")
        told["kernel"] = f"not possible: {self.details['reboot']['why_not']}"
        return False

    def _compare(
        self, packages: Dict[Key, str], marks: Set[str], files: snapshot.Manifest, restored: snapshot.Restored
    ) -> None:
        now, told = self.manager.installed(), self.details["rollback"]
        other = differences(packages, now)
        lines = [f"package {name}: {is_now or 'gone'}, was {was or 'not there'}" for name, dummy, was, is_now in other]
        told["packages_identical"] = not other
        marked = self.manager.marks() ^ marks
        told["marks_identical"] = not marked
        lines += [f"mark of {name}" for name in sorted(marked)]
        differing = snapshot.changed(files, snapshot.manifest()) - set(restored.left)
        told["files_identical"] = not differing
        lines += sorted(differing)
        lines += [f"{path} (changed by somebody since, left)" for path in restored.left]
        lines += restored.failed
        told["differences"] = [one[:500] for one in lines[:TOLD]]

    # -- the record -------------------------------------------------------------------

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = boottime()
        try:
            yield
        finally:
            self._add(name, boottime() - began)

    def _add(self, name: str, seconds: float) -> None:
        phases = self.details["phases"]
        phases[name] = round(phases.get(name, 0.0) + seconds, 3)

    def _enter(self, phase: str) -> None:
        """Say where we are before we go there."""
        self.details["_phase"] = phase
        self._write()

    def _write(self) -> None:
        snapshot.write_json(self.base, DETAILS, self.details)

    def _tell(self, line: str) -> None:
        if len(self.details["told"]) < 100:
            self.details["told"].append(line[:1000])

    def _left(self) -> float:
        return self.deadline - boottime()

    def _away(self) -> None:
        began = self.details.get("_installing_at")
        if began is not None:
            phases = self.details["phases"]
            # boottime begins anew on a machine that was restarted: the phases since then are added up.
            since = boottime() - began
            parts = sum(phases.get(one, 0.0) for one in _DISTURBING)
            self.details["away_at_most"] = round(max(parts, since) if self.request["stage"] == "install" else parts, 1)

    def _blocked(self, code: str, text: str) -> None:
        self.details["blockers"].append(Blocker(code, text).values())
        raise self._ended("blocked", f"{code}: {text}")

    def _conclude(self, outcome: str, reason: str) -> None:
        self.details["outcome"], self.details["reason"] = outcome, reason[:1000]

    def _ended(self, outcome: str, reason: str) -> Ended:
        self._conclude(outcome, reason)
        return Ended()


_DISTURBING = ("install", "repair", "restart", "reboot", "probes_after", "rollback", "recover")


def packages_of(rows: List[List[str]]) -> Dict[Key, str]:
    return {(name, arch): version for name, arch, version in rows}


def has(now: Mapping[Key, str], update: Update) -> bool:
    """Whether an update is installed; kernels of dnf stand beside each other."""
    return update.candidate in now.get(update.key, "").split(", ")


def differences(before: Mapping[Key, str], after: Mapping[Key, str]) -> List[List[Optional[str]]]:
    """What differs: name, architecture, version before, version after."""
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return [[*key, before.get(key), after.get(key)] for key in keys][:5000]


def main() -> int:
    folder = os.environ["CIVICOPS_WORK"]
    request = snapshot.read_json(folder, REQUEST)
    if request is None:
        sys.stderr.write(f"{folder}/{REQUEST} is not there\n")
        return 2
    deadline = request.get("deadline")
    night = Night(request, float(os.environ["CIVICOPS_DEADLINE"]) if deadline is None else float(deadline))
    night.run()
    return 0
