# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Start a piece of work or adopt it, and tell what became of it.

Three files decide, each made by C(link) or C(rename), so that it is there whole or not at all:

- the claim: whoever makes it starts the work, and nobody of the same run ever again;
- the beginning: made by the program as its first act, or by whoever finds a claim that nothing came of, and then the
  program can't begin any more. So C(began=False) is certain, not a guess;
- the result: made by the program as its last act.

The directory is locked from before the claim until the program is on its way, so that "claimed, and nothing there yet"
is not taken for an interruption.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional

from . import wrapper
from .launch import Launcher, launcher
from .place import Place, WorkError
from .wrapper import BEGAN, CLAIM, RESULT, boot, boottime, create, read, start_of

PROGRAM = "work.py"
LOCK_SECONDS = 20.0  # how long a start waits for another one of the same work
QUEUE_SECONDS = 120.0  # how long a claim may wait where systemd does not say what became of it
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Permit:
    """The host's part of a ticket. C(deadline) is on this host's C(boottime), counted from when it was read."""

    run: str
    job: str
    deadline: float
    needed: float
    may_start: bool

    @classmethod
    def read(cls, value: Any, now: float) -> Permit:
        """Raises WorkError for anything but what the module's action sends."""
        if not isinstance(value, dict) or set(value) != {"run", "job", "seconds", "needed", "may_start"}:
            raise WorkError("the option gate holds no ticket's host part, so nothing is done")
        run, job, may_start = value["run"], value["job"], value["may_start"]
        numbers = [value["seconds"], value["needed"]]
        if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in numbers):
            raise WorkError("the option gate holds no numbers of seconds, so nothing is done")
        if not all(math.isfinite(one) for one in numbers) or min(numbers) < 0:
            raise WorkError("the option gate holds impossible numbers of seconds, so nothing is done")
        if not isinstance(may_start, bool):
            raise WorkError("the option gate does not say whether to start, so nothing is done")
        if not isinstance(run, str) or not isinstance(job, str) or not _RUN.fullmatch(run) or not _JOB.fullmatch(job):
            raise WorkError(
                "run or job in the option gate can't be the name of a directory and a unit: use letters, "
                "digits, '.', '_' and '-'"
            )
        return cls(run, job, now + value["seconds"], float(value["needed"]), may_start)


@dataclass(frozen=True)
class State:
    """What is to be told about a piece of work."""

    state: str  # absent, refused, planned, running, finished or interrupted
    adopted: bool = False  # the claim was there before this call
    began: Optional[bool] = None  # None: can't be told
    rebooted: bool = False  # the host was started anew since the claim
    status: Optional[int] = None  # the command's exit status, negative for a signal
    late: bool = False  # it ended after its deadline
    seconds: Optional[float] = None  # since it began, or from its begin to its end
    started_at: Optional[str] = None
    ended_at: Optional[str] = None
    reason: str = ""
    host_time: str = field(default_factory=wrapper.now)

    @property
    def changed(self) -> bool:
        """Whether the call that tells this has started the work."""
        return self.state == "running" and not self.adopted

    def values(self) -> Dict[str, Any]:
        return asdict(self)


class Work:
    """One piece of work of one run: a command, of which a host sees one start at most."""

    def __init__(
        self,
        permit: Permit,
        command: List[str],
        place: Optional[Place] = None,
        start: Optional[Launcher] = None,
        files: Optional[Mapping[str, bytes]] = None,
    ) -> None:
        self.permit = permit
        self.command = command
        self.files = files or {}  # what the command finds in its directory
        self.place = place or Place.of_this_user()
        self.launcher = start or launcher()
        self.unit = f"civicops-{permit.job}-{permit.run}"

    def start_or_adopt(self, dry: bool = False) -> State:
        """One step: start the work if it is this run's to start and there is time, else tell how it stands.

        With C(dry) nothing on the host is changed.
        """
        found = self.look(mark=not dry)
        if found.state != "absent":
            return found
        if not self.permit.may_start:
            return replace(found, reason="nothing was started by this run, and the ticket does not let it start now")
        if (refusal := self._too_late()) is not None:
            return refusal
        if dry:
            return State("planned", began=False, reason="check mode: it would be started")
        return self._start()

    def look(self, mark: bool = True) -> State:
        """How the work stands. What was claimed and never begun is kept from ever beginning, if C(mark)."""
        folder = self.place.of(self.permit.run, self.permit.job, make=False)
        try:
            claim = read(folder, CLAIM)
            if claim is None:
                return State("absent", began=False)
            while True:
                state = self._look(folder, claim, mark)
                if state is not None:
                    return replace(state, adopted=True)
        except (ValueError, KeyError, TypeError, IndexError):
            return State("interrupted", adopted=True, reason=f"what is kept in {folder} can't be read")
        except OSError as error:
            raise WorkError(f"{error.filename or folder}: {error.strerror}") from error

    def _look(self, folder: str, claim: Dict[str, Any], mark: bool) -> Optional[State]:
        """One look; None when the work went on while we looked, and another look is wanted."""
        began = read(folder, BEGAN)
        result = read(folder, RESULT)
        if result is not None:
            told = {name: result[name] for name in ("status", "late", "seconds", "started_at", "ended_at")}
            return State("finished", began=True, reason=result.get("error", ""), **told)
        rebooted = claim["boot"] != boot()
        if began is None:
            return self._not_begun(folder, claim, rebooted, mark)
        if "void" in began:
            return State("interrupted", began=False, rebooted=rebooted, reason=str(began["void"]))
        if not rebooted and start_of(int(began["pid"])) == began["start"]:
            seconds = round(boottime() - began["boottime"], 3)
            return State("running", began=True, seconds=seconds, started_at=began["at"])
        if read(folder, RESULT) is not None:
            return None
        why = "the host was started anew meanwhile" if rebooted else "its process is gone"
        return State(
            "interrupted", began=True, rebooted=rebooted, started_at=began["at"], reason=f"it left no result: {why}"
        )

    def _not_begun(self, folder: str, claim: Dict[str, Any], rebooted: bool, mark: bool) -> Optional[State]:
        if not rebooted and self._on_its_way(folder, claim):
            return State("running", seconds=0.0, reason="it was started and has not come to run yet")
        why = "the host was started anew" if rebooted else "what was to start it ended"
        void = f"it was claimed and never began: {why}"
        if mark and not create(folder, BEGAN, {"void": void, "at": wrapper.now()}):
            return None  # it has begun in this moment
        return State("interrupted", began=False, rebooted=rebooted, reason=void)

    def _on_its_way(self, folder: str, claim: Dict[str, Any]) -> bool:
        with _locked(folder, fcntl.LOCK_SH) as free:
            if free is None:
                return True
        waits = self.launcher.waits(self.unit)
        if waits is None:  # systemd does not answer; it may be about to begin
            return bool(boottime() - claim["boottime"] < QUEUE_SECONDS)
        return waits

    def _too_late(self) -> Optional[State]:
        left = self.permit.deadline - boottime()
        if left >= self.permit.needed:
            return None
        reason = f"{left:.0f} s are left and {self.permit.needed:.0f} s are needed"
        return State("refused", began=False, reason=reason)

    def _start(self) -> State:
        folder = self.place.of(self.permit.run, self.permit.job, make=True)
        try:
            with suppress(OSError):  # another start may tidy too, and no work waits for order
                self.place.tidy(keep=self.permit.run)
            end = time.monotonic() + LOCK_SECONDS
            while time.monotonic() < end:
                with _locked(folder, fcntl.LOCK_EX) as lock:
                    if lock is not None and not os.path.lexists(os.path.join(folder, CLAIM)):
                        return self._start_locked(folder, lock)
                if os.path.lexists(os.path.join(folder, CLAIM)):
                    return self.look()
                time.sleep(0.05)
        except OSError as error:
            raise WorkError(f"{error.filename or folder}: {error.strerror}") from error
        raise WorkError(f"{folder} stays locked by another start of the same work")

    def _start_locked(self, folder: str, lock: int) -> State:
        program = os.path.join(folder, PROGRAM)
        if not os.path.lexists(program):
            _write(folder, PROGRAM, _program().encode())
        for name, content in self.files.items():
            _write(folder, name, content)
        now = boottime()
        claim = {
            "job": self.permit.job,
            "run": self.permit.run,
            "command": self.command,
            "unit": self.unit,
            "boot": boot(),
            "boottime": now,
            "at": wrapper.now(),
            "deadline": self.permit.deadline,
            "begin_by": self.permit.deadline - self.permit.needed,
        }
        if (refusal := self._too_late()) is not None:
            return refusal
        if not create(folder, CLAIM, claim):
            return self.look()
        failed = self.launcher.start(self.unit, program, lock)
        if failed is not None:
            void = f"it could not be started: {failed}"
            if create(folder, BEGAN, {"void": void, "at": wrapper.now()}):
                return State("interrupted", began=False, reason=void)
        return State("running", seconds=0.0, began=None, reason="it was started")


@contextmanager
def _locked(folder: str, how: int) -> Iterator[Optional[int]]:
    """The descriptor that holds the lock on a directory, None where another process has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)


def _write(folder: str, name: str, content: bytes) -> None:
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, os.path.join(folder, name))


def _program() -> str:
    """The wrapper's own text, from the archive that Ansible sent or from the file."""
    loader = getattr(wrapper, "__loader__", None) or sys.modules[wrapper.__name__].__spec__.loader
    text = loader.get_source(wrapper.__name__)
    if not text:
        raise WorkError("the program that does the work can't be read from the module")
    return str(text)
