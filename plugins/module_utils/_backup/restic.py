# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""restic, as the client's program runs it: the password and the address by files, never by arguments."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .._host_info.context import COMMAND_ENVIRONMENT, clean
from .config import FOLDER

REPOSITORY, PASSWORD, AUTHORITY = "repository", "password", "server.pem"
CACHE = "/var/cache/civicops-restic"
MANIFEST_TAG = "civicops-manifest"
BACKUP_TAG = "civicops"
NO_REPOSITORY = "does not exist"
"""What restic says of a configuration that is not there; of a server that can't be reached it says something else, and
asks for a repository all the same."""
_SAID = 4000


class ResticError(Exception):
    """restic has ended without what was wanted; the message is what it said last."""


@dataclass(frozen=True)
class Saved:
    """What a backup has come to."""

    snapshot: str
    files: int
    bytes: int
    added: int
    unread: Tuple[str, ...]  # what could not be read, the first few
    unread_count: int
    vanished: int  # files that somebody removed meanwhile, as on any day


def command(*more: str, folder: str = FOLDER) -> List[str]:
    """restic's command line, which holds no secret."""
    place = [f"{folder}/{name}" for name in (REPOSITORY, PASSWORD, AUTHORITY)]
    files = ["--repository-file", place[0], "--password-file", place[1], "--cacert", place[2]]
    return ["restic", *files, "--cache-dir", CACHE, *more]


def environment() -> Dict[str, str]:
    """Nothing of root's own settings steers it."""
    return dict(COMMAND_ENVIRONMENT, HOME="/root", GOGC="50")


def ask(arguments: Sequence[str], seconds: float, folder: str = FOLDER) -> str:
    """What a short command prints. Raises ResticError."""
    argv, more = command(*arguments, folder=folder), environment()
    if arguments[0] == "init":  # 0.11, of bullseye, makes no repository whose address is in a file
        with open(argv.pop(2), encoding="utf-8") as stream:
            more["RESTIC_REPOSITORY"] = stream.read().strip()
        argv.pop(1)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=more,
            cwd="/",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise ResticError(f"restic: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ResticError(f"restic {arguments[0]} did not end within {seconds:.0f} s") from None
    if done.returncode:
        raise ResticError(last_words(done.stderr) or f"restic {arguments[0]}: exit {done.returncode}")
    return clean(done.stdout)


def last_words(said: bytes) -> str:
    """The last line that is no advice: restic tells the reason there."""
    lines = [line.strip() for line in clean(said[-_SAID:]).splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith(("fatal", "error", "unable"))]
    return (told or lines or [""])[-1][:300]


def there(seconds: float) -> bool:
    """Whether the repository is there and opens by our password. Raises ResticError for what is neither."""
    try:
        ask(["cat", "config"], seconds)
    except ResticError as error:
        if NO_REPOSITORY in str(error):
            return False
        raise
    return True


def save(paths: Sequence[str], excludes: str, *, one_file_system: bool, tag: str, host: str) -> Saved:
    """One snapshot of the paths. Raises ResticError where none was made."""
    more = ["--host", host] if host else []
    more += ["--one-file-system"] if one_file_system else []
    more += ["--exclude-file", excludes] if excludes else []
    argv = command("backup", "--json", "--tag", tag, *more, "--", *paths)
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), cwd="/"
    )
    summary: Optional[Dict[str, Any]] = None
    unread: List[str] = []
    count, vanished, last = 0, 0, ""
    for kind, value in _messages(process):
        if kind == "summary":
            summary = value
        elif kind == "error" and value.get("during") == "scan":
            continue  # the estimate of how much there is; what matters is told once more
        elif kind == "error" and _is_gone(value):
            vanished += 1
        elif kind == "error":
            count += 1
            unread += [_told(value)] if len(unread) < 10 else []
        elif kind == "":
            last = value or last
    status = process.wait()
    if summary is None or not summary.get("snapshot_id"):
        raise ResticError(last[:300] or f"restic backup: exit {status}, and no snapshot")
    return Saved(
        str(summary["snapshot_id"]),
        int(summary.get("total_files_processed", 0)),
        int(summary.get("total_bytes_processed", 0)),
        int(summary.get("data_added", 0)),
        tuple(unread),
        max(count, 1 if status == 3 and not vanished else 0),
        vanished,
    )


def _messages(process: subprocess.Popen[bytes]) -> Iterator[Tuple[str, Any]]:
    """(kind, message) of each line; what is no JSON has the kind "" and is text."""
    for line in process.stdout or ():
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield str(value.get("message_type", "other")), value
        elif line.strip():
            yield "", clean(line).strip()


def _is_gone(value: Dict[str, Any]) -> bool:
    error = value.get("error")
    return isinstance(error, dict) and error.get("Err") == errno.ENOENT


def _told(value: Dict[str, Any]) -> str:
    item = str(value.get("item", ""))
    error = value.get("error")
    why = error.get("message", error) if isinstance(error, dict) else error
    return clean(f"{item}: {why}".encode("utf-8", "replace"))[:200]


def nodes(snapshot: str, folder: str = FOLDER) -> Iterator[Dict[str, Any]]:
    """What is in a snapshot; first the snapshot itself. Raises ResticError."""
    process = subprocess.Popen(
        command("ls", "--json", snapshot, folder=folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd="/",
    )
    try:
        for line in process.stdout or ():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value
        said = process.stderr.read() if process.stderr else b""
        if process.wait():
            raise ResticError(last_words(said) or "restic ls failed")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def excludes_file(folder: str, patterns: Sequence[str]) -> str:
    """The file of patterns, or nothing where there are none."""
    path = os.path.join(folder, "excludes")
    return path if patterns else ""
