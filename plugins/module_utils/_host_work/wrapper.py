# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program that runs one piece of work, once, and writes its result.

Its text is copied beside the claim and run by the host's own Python when the module is long gone, so it stands alone:
the standard library, all of it imported at the start, as the work may replace Python itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import subprocess
import time
from contextlib import suppress
from typing import Any, Dict, Optional

CLAIM = "claim.json"  # this run has decided to start the work
BEGAN = "began.json"  # the work has begun, or never will: whoever writes it first decides
RESULT = "result.json"  # the work has ended; nothing else proves that it did
OUTPUT = "output"  # what the command wrote
LOG = "log"  # one line for each begin and end, for people
_RESULT_ROOM = 1024
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}


def boottime() -> float:
    """Seconds since the machine was started, sleep included; no clock that is set moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> str:
    """The host's own clock, as text in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def start_of(pid: int) -> Optional[int]:
    """When a process was started, in the kernel's ticks; None where there is none, or only its exit status."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
        return None if fields[0] in ("Z", "X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def boot() -> Dict[str, Any]:
    """What tells this boot from every other: in a container the id is the machine's and stays, so process 1's start
    counts; on a machine process 1 starts at much the same tick each time, so the id counts."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot_id: Optional[str] = stream.read(64).strip()
    except OSError:
        boot_id = None
    return {"boot_id": boot_id, "init": start_of(1)}


def sync(folder: str) -> None:
    """Make the names in a directory last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create(folder: str, name: str, values: Dict[str, Any]) -> bool:
    """Write a file that is there whole or not at all; False where one of that name is there already."""
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            json.dump(values, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, os.path.join(folder, name))
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    sync(folder)
    return True


def read(folder: str, name: str) -> Optional[Dict[str, Any]]:
    """One of the files above; None where it is not there. Raises OSError, ValueError."""
    try:
        handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, encoding="ascii") as stream:
        values = json.loads(stream.read(1 << 20))
    if not isinstance(values, dict):
        raise ValueError(f"{name} is not an object")
    return values


def _note(folder: str, line: str) -> None:
    handle = os.open(os.path.join(folder, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"{now()} {line}\n".encode())
    finally:
        os.close(handle)


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _run(folder: str, claim: Dict[str, Any]) -> Dict[str, Any]:
    """Run the command to its end, however long that takes; its exit status, negative for a signal."""
    output = os.open(os.path.join(folder, OUTPUT), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    more = {"HOME": _home(), "CIVICOPS_WORK": folder, "CIVICOPS_DEADLINE": str(claim["deadline"])}
    try:
        command = subprocess.Popen(
            claim["command"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**_ENVIRONMENT, **more},
            cwd="/",
        )
    except (OSError, ValueError) as error:
        return {"status": 127, "error": f"{claim['command'][0]}: {error}"[:100]}
    finally:
        os.close(output)
    return {"status": command.wait()}


def hold() -> int:
    """Lock this program's own file for as long as it runs, so that who waits for its end need not look again and again.

    Nothing depends on it: where somebody else has the lock in this moment, it is done without.
    """
    handle = os.open(os.path.abspath(__file__), os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def main(folder: str) -> int:
    claim = read(folder, CLAIM)
    if claim is None:
        return 1
    started = boottime()
    mark = {"pid": os.getpid(), "start": start_of(os.getpid()), "boottime": started, "at": now()}
    if started > claim["begin_by"]:
        mark["void"] = "too little time was left when the host came to it"
    if not create(folder, BEGAN, mark) or "void" in mark:
        return 0
    _note(folder, f"began {' '.join(claim['command'])[:200]}")
    # The result's room is taken now: the work may fill the disk.
    unfinished = os.path.join(folder, f".{RESULT}")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(b" " * _RESULT_ROOM)
        stream.flush()
        os.fsync(stream.fileno())
        result = _run(folder, claim)
        ended = boottime()
        result.update(
            started_at=mark["at"], ended_at=now(), seconds=round(ended - started, 3), late=ended > claim["deadline"]
        )
        stream.seek(0)
        stream.write(json.dumps(result).encode().ljust(_RESULT_ROOM - 1) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(unfinished, os.path.join(folder, RESULT))
    sync(folder)
    _note(folder, f"ended with status {result['status']} after {result['seconds']} s")
    return 0


if __name__ == "__main__":
    HELD = hold()
    raise SystemExit(main(os.path.dirname(os.path.abspath(__file__))))
