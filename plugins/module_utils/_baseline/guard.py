# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""No lock-out: what could shut us out is taken back by the host itself unless somebody logs in anew and says so.

The way back is a program on the host. A timer starts it after SECONDS; a unit before sshd starts it where the host was
restarted meanwhile, as transient timers vanish then. Who confirms runs the same program: all three hold one lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List

from .._host_info.context import COMMAND_ENVIRONMENT, CommandError, Context
from .._host_work.launch import Systemd, launcher
from .._patch.snapshot import read_json, write_json
from . import files
from .files import Found, HostError
from .host import Host
from .reloads import RELOADS
from .restore import RestorePoint, Undone

SECONDS = 60
"""How long a confirmation is waited for."""
MENDING_SECONDS = 180
"""How long the risky part of a run may take before it is taken back as cut off."""
PROGRAM = "undo.pyz"
STATE, CONFIRMED, UNDONE = "guard.json", "confirmed", "undone"
ARMED = "/var/lib/civicops/armed"
UNIT = "civicops-baseline-undo.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
UNIT_LINK = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
_UNIT_TEXT = """# Of civicops.town: takes back what nobody has confirmed, where the host was restarted meanwhile.
[Unit]
Description=Take back unconfirmed changes of a hardening run
ConditionPathExists={armed}
Before=ssh.service sshd.service

[Service]
Type=oneshot
ExecStart={python} -I {program} boot

[Install]
WantedBy=multi-user.target
"""


class TimedUndo:
    """The guard of one run, whose restore point lies in C(folder)."""

    def __init__(self, folder: str, program: bytes) -> None:
        self._folder = folder
        self._program = program
        self._number = 0

    @property
    def armed(self) -> bool:
        return self._number > 0

    def arm(self) -> None:
        self._wait_for_others()
        for name in (CONFIRMED, UNDONE):  # of an earlier attempt of this run
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self._folder, name))
        path = os.path.join(self._folder, PROGRAM)
        own = {"mode": 0o700, "uid": os.geteuid(), "gid": os.getegid(), "mtime_ns": 0}
        files.replace(path, Found(self._program, **own))
        _try(path)
        if isinstance(launcher(), Systemd):
            files.make_folder(os.path.dirname(ARMED))
            text = _UNIT_TEXT.format(armed=ARMED, python=sys.executable, program=path)
            files.replace(UNIT_PATH, Found(text.encode(), **{**own, "mode": 0o644}))
            files.replace(ARMED, Found(self._folder.encode(), **{**own, "mode": 0o600}))
            _command(["systemctl", "daemon-reload"])
            _command(["systemctl", "--quiet", "enable", UNIT])
        self._start(MENDING_SECONDS)

    def _wait_for_others(self) -> None:
        """Two runs at once could each take back what the other has confirmed. Raises HostError."""
        folder = _armed_by()
        if not folder or folder == self._folder or _status(folder) != "waits":
            return
        state = read_json(folder, STATE) or {}
        if time.time() < float(state.get("until", 0.0)) + SECONDS:
            raise HostError("another run's changes still wait for their confirmation: try again in some minutes")
        _command([sys.executable, "-I", os.path.join(folder, PROGRAM), "undo"])

    def hold(self, seconds: float) -> None:
        """Something that takes so long comes before the wait."""
        if self.armed:
            self._start(MENDING_SECONDS + round(seconds))

    def wait(self) -> None:
        if self.armed:
            self._start(SECONDS)

    def _start(self, seconds: int) -> None:
        """A new timer, and only then the old one's end."""
        old, self._number = self._number, self._number + 1
        state = {"number": self._number, "seconds": seconds, "until": time.time() + seconds}
        program = os.path.join(self._folder, PROGRAM)
        if isinstance(launcher(), Systemd):
            unit = timer_of(self._folder, self._number)
            command = ["systemd-run", "--quiet", f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
            _command([*command, f"--unit={unit}", "--", sys.executable, "-I", program, "undo"])
        else:
            # In a session of its own and twice, so that it is process 1's child.
            twice = "import os, sys; os.setsid(); os.fork() or os.execv(sys.argv[1], sys.argv[1:])"
            _command([sys.executable, "-I", "-c", twice, sys.executable, "-I", program, f"undo-{self._number}"])
        write_json(self._folder, STATE, state)
        if old:
            _end_timer(self._folder, old)


def _try(program: str) -> None:
    """A way back that does not run is none. Raises HostError."""
    done = subprocess.run(
        [sys.executable, "-I", program, "status"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=COMMAND_ENVIRONMENT,
        cwd="/",
        timeout=30,
        check=False,
    )
    if done.returncode or done.stdout.strip() != b"waits":
        raise HostError(
            f"the program that would take it back does not run: {done.stderr.decode(errors='replace')[-200:]!r}"
        )


def timer_of(folder: str, number: int) -> str:
    """The timer's unit, named by the run."""
    run = os.path.basename(os.path.dirname(folder))
    return f"civicops-baseline-undo-{run}-{number}"


def main() -> int:
    """The program: C(undo), C(boot), C(confirm) or C(status). Prints one word."""
    folder, verb = os.path.dirname(os.path.abspath(sys.argv[0])), sys.argv[1] if len(sys.argv) > 1 else ""
    if verb.startswith("undo-"):
        _sleep(folder, int(verb[5:]))
    if verb == "status":
        print_word(_status(folder))
        return 0
    with locked(folder):
        if verb == "confirm" and _status(folder) == "waits":
            write_json(folder, CONFIRMED, {"at": time.time()})
            _disarm(folder)
        elif verb.startswith(("undo", "boot")) and _status(folder) == "waits":
            take_back(folder, only_risky=True, booting=verb == "boot")
        elif verb == "confirm" and _armed_by() in ("", folder):
            _disarm(folder)  # what a power cut in the middle of it has left
        print_word(_status(folder))
    return 0


def print_word(word: str) -> None:
    sys.stdout.write(word + "\n")


def _sleep(folder: str, number: int) -> None:
    """Wait as a timer would, and give way to a later one."""
    state = read_json(folder, STATE) or {}
    end = time.monotonic() + float(state.get("seconds", SECONDS))
    while time.monotonic() < end:
        time.sleep(0.5)
    if (read_json(folder, STATE) or {}).get("number") != number:
        raise SystemExit(0)


def _status(folder: str) -> str:
    for name in (CONFIRMED, UNDONE):
        if os.path.exists(os.path.join(folder, name)):
            return name
    return "waits"


def take_back(folder: str, *, only_risky: bool, booting: bool = False) -> Undone:
    """Bring back what a run has changed, and have the services read it. Called with the lock held."""
    point = RestorePoint(folder)
    point.booting = booting
    host = Host(Context(), point)

    def tell(ops: List[Dict[str, Any]]) -> List[str]:
        names = sorted({str(op["name"]) for op in ops if op["op"] == "reload"})
        return [problem for name in names if (problem := _reloaded(name, host))]

    done = point.undo(only_risky=only_risky, theirs=only_risky, tell=tell)
    told = {"at": time.time(), "back": done.back, "left": done.left, "failed": done.failed, "risky": only_risky}
    write_json(folder, UNDONE, told)
    _disarm(folder)
    return done


def _reloaded(name: str, host: Host) -> str:
    """Have a service read what came back; what went wrong, or nothing."""
    try:
        RELOADS[name].apply(host)
    except (HostError, CommandError, OSError, ValueError, KeyError) as error:
        return f"{name}: {error}"[:300]
    return ""


def _armed_by() -> str:
    """The directory of the run that waits for its confirmation; empty where none does. Raises HostError, OSError."""
    found = files.look(ARMED)
    return "" if found is None else found.content.decode("utf-8", "replace")


def _disarm(folder: str) -> None:
    state = read_json(folder, STATE) or {}
    with suppress(FileNotFoundError):
        if files.look(ARMED) is not None:
            os.unlink(ARMED)
    if os.path.lexists(UNIT_PATH) or os.path.lexists(UNIT_LINK):
        with suppress(HostError):
            _command(["systemctl", "--quiet", "disable", UNIT])
        # A systemd that is shutting down refuses that, and nobody could do it once the unit is gone.
        for path in (UNIT_LINK, UNIT_PATH):
            if os.path.lexists(path):
                files.take_away(path)
        with suppress(HostError):
            _command(["systemctl", "daemon-reload"])
    if "number" in state:
        _end_timer(folder, int(state["number"]))


def _end_timer(folder: str, number: int) -> None:
    with suppress(HostError):
        _command(["systemctl", "stop", f"{timer_of(folder, number)}.timer"])


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """One at a time: mending, confirming, taking back."""
    handle = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def undone(folder: str) -> Dict[str, Any]:
    """What taking back came to; empty where nothing was."""
    return dict(read_json(folder, UNDONE) or {})


def _command(argv: List[str]) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=COMMAND_ENVIRONMENT,
        cwd="/",
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise HostError(f"{' '.join(argv[:3])}: {json.dumps(done.stderr.decode('utf-8', 'replace').strip()[-200:])}")
