# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A place where a dump is restored: a directory of a server's user, in which that user's commands and servers run for a
limited time, and which is gone afterwards with all that runs there.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import IO, Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from .._host_info.context import COMMAND_ENVIRONMENT, clean

Given = Union[IO[bytes], bytes, None]
SECONDS = 4 * 3600
"""How long it may take to restore a dump and to count what is in it."""


class NotTried(Exception):
    """There is nothing here to restore it into; the message says what is missing."""


class RestoreError(Exception):
    """It can't be restored, or is not what it was; the message says why."""


class Scratch:
    """Commands as the server's user; nothing of the host's own servers is reached."""

    def __init__(self, folder: str, uid: int, gid: int) -> None:
        self.folder, self.uid, self.gid = folder, uid, gid
        self.until = time.monotonic() + SECONDS
        self.servers: List[subprocess.Popen[bytes]] = []

    def run(self, *command: str, stdin: Given = None, stderr: int = subprocess.PIPE) -> str:
        """What a command prints. Raises RestoreError where it fails."""
        status, printed, said = self.tried(*command, stdin=stdin, stderr=stderr)
        if status:
            raise RestoreError(f"{os.path.basename(command[0])}: exit {status} {said.strip()[-200:]}")
        return printed

    def tried(self, *command: str, stdin: Given = None, stderr: int = subprocess.PIPE) -> Tuple[int, str, str]:
        """The exit status of a command, what it prints and what it says of errors. Raises RestoreError for one that
        can't be run, or does not end in time."""
        text = stdin if isinstance(stdin, bytes) else None
        source = subprocess.PIPE if isinstance(stdin, bytes) else stdin or subprocess.DEVNULL
        process = self._popen(command, source, subprocess.PIPE, stderr)
        try:
            printed, said = process.communicate(text, timeout=max(1.0, self.until - time.monotonic()))
        except subprocess.TimeoutExpired:
            name = os.path.basename(command[0])
            raise RestoreError(f"{name} did not end within the {SECONDS} s that a restore may take") from None
        finally:
            _end(process)
        return process.returncode, clean(printed), clean(said or b"")

    def opened(self, name: str) -> IO[bytes]:
        """A file that a command has written; what else the user may have put there is not read. Raises RestoreError."""
        try:
            handle = os.open(f"{self.folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RestoreError(f"{name}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise RestoreError(f"{name} is no file")
        return os.fdopen(handle, "rb")

    def serve(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a server, which ends with this place, or with us where we are killed."""
        server = self._popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            subprocess.DEVNULL,
            subprocess.DEVNULL,
            subprocess.DEVNULL,
        )
        self.servers.append(server)
        return server

    def _popen(self, command: Sequence[str], stdin: Any, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        environment: Dict[str, str] = dict(COMMAND_ENVIRONMENT, HOME=self.folder, LC_ALL="C.UTF-8")
        try:
            return subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                user=self.uid,
                group=self.gid,
                extra_groups=[],
                cwd=self.folder,
                start_new_session=True,
            )
        except OSError as error:
            raise RestoreError(f"{os.path.basename(command[0])}: {error.strerror}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def scratch(user: str) -> Iterator[Scratch]:
    """A place of this user's. Raises NotTried where nobody is called so."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NotTried(f"there is no user {user} here to run a server") from None
    folder = tempfile.mkdtemp(prefix="civicops-drill-", dir="/var/tmp")
    place = Scratch(folder, entry.pw_uid, entry.pw_gid)
    try:
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield place
    finally:
        for server in place.servers:
            _end(server)
        shutil.rmtree(folder, ignore_errors=True)


def program(*names: str) -> Optional[str]:
    """The first of these programs that is here."""
    return next((name for name in names if shutil.which(name, path=COMMAND_ENVIRONMENT["PATH"])), None)
