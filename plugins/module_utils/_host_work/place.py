# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where work is kept on the host: a directory that no other user of it can reach into."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import time
from dataclasses import dataclass
from typing import List, Tuple

from .wrapper import BEGAN, RESULT, read, start_of, sync

KEPT_DAYS = 90
KEPT_RUNS = 20
TIDIED_AT_ONCE = 50


class WorkError(Exception):
    """Nothing was started, and nothing can be told; the message says why."""


@dataclass(frozen=True)
class Place:
    """The directory of all runs: C(parts) below C(anchor), which is the system's or the user's own."""

    anchor: str = "/var/lib"
    parts: Tuple[str, ...] = ("civicops", "runs")

    @classmethod
    def of_this_user(cls) -> Place:
        if os.geteuid() == 0:
            return cls()
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise WorkError(f"user {os.geteuid()} has no home directory to keep work in") from None
        return cls(home, (".local", "state", "civicops", "runs"))

    @property
    def path(self) -> str:
        return os.path.join(os.path.realpath(self.anchor), *self.parts)

    def of(self, run: str, job: str, make: bool) -> str:
        """The directory of one piece of work, safe to use by its path; not there at all where C(make) is false and it
        was never made."""
        anchor = os.path.realpath(self.anchor)
        try:
            self._check_way(anchor)
            folder = anchor
            for part in (*self.parts, run, job):
                private = part in (run, job) or part == self.parts[-1]
                folder = os.path.join(folder, part)
                if not _own(folder, private, make):
                    break
        except OSError as error:
            raise WorkError(f"{error.filename or anchor}: {error.strerror}") from error
        return os.path.join(anchor, *self.parts, run, job)

    @staticmethod
    def _check_way(anchor: str) -> None:
        """Nobody else may be able to exchange a directory on the way to ours."""
        steps = [anchor]
        while steps[-1] != "/":
            steps.append(os.path.dirname(steps[-1]))
        for step in reversed(steps):
            info = os.lstat(step)
            replaceable = info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX
            if info.st_uid not in (0, os.geteuid()) or replaceable:
                raise WorkError(f"{step} is another user's or open to others, so no work is kept below it")

    def tidy(self, keep: str) -> None:
        """Remove old runs, a bounded number of them; never one whose work goes on."""
        runs = os.path.join(os.path.realpath(self.anchor), *self.parts)
        found: List[Tuple[float, str]] = []
        with os.scandir(runs) as entries:
            found.extend(
                (entry.stat(follow_symlinks=False).st_mtime, entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and entry.name != keep
            )
        found.sort(reverse=True)
        old = [path for changed, path in found[KEPT_RUNS:] if changed < time.time() - KEPT_DAYS * 86400]
        for path in old[-TIDIED_AT_ONCE:]:
            if not any(_goes_on(os.path.join(path, job)) for job in os.listdir(path)):
                shutil.rmtree(path, ignore_errors=True)


def _own(path: str, private: bool, make: bool) -> bool:
    """Make sure of a directory of ours: no link, nobody else's, closed to others. False where it is not there."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        if not make:
            return False
        try:
            os.mkdir(path, 0o700)
            sync(os.path.dirname(path))
        except FileExistsError:
            pass  # another process of ours was faster, or nobody of ours: that is looked at now
        info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise WorkError(f"{path} is a link, a file or another user's, so no work is kept in it")
    if info.st_mode & (0o077 if private else 0o022):
        raise WorkError(f"{path} is open to other users, so no work is kept in it: chmod {'700' if private else '755'}")
    return True


def _goes_on(folder: str) -> bool:
    try:
        began = read(folder, BEGAN)
        return began is not None and read(folder, RESULT) is None and start_of(int(began["pid"])) == began["start"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
