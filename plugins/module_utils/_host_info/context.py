# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The only door to the host: bounded reads, bounded commands, and the list of what could not be read."""

from __future__ import annotations

import errno
import os
import selectors
import stat
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

MEGABYTE = 1 << 20
READ_LIMIT = MEGABYTE  # bytes of one file; callers name a larger limit where a real host has larger files
OUTPUT_LIMIT = 4 * MEGABYTE  # bytes of one command's output
COMMAND_SECONDS = 10.0
DIRECTORY_LIMIT = 5000  # names in one directory
PROGRAM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
COMMAND_ENVIRONMENT = {
    "LC_ALL": "C",
    "TZ": "UTC",
    "PATH": ":".join(PROGRAM_FOLDERS),
    "HOME": "/",
    "DEBIAN_FRONTEND": "noninteractive",
}

Run = Callable[[List[str], float], Tuple[int, bytes]]


class CommandError(Exception):
    """A command could not be run to its end: not found, too slow, or too much output."""


def clean(raw: bytes) -> str:
    """Bytes from a host as text without surrogates; what is not UTF-8 becomes U+FFFD, and so does NUL."""
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def clean_name(name: str) -> str:
    """A file name as os.listdir gives it (bytes may hide in surrogates) as text without them."""
    return name if name.isascii() else clean(os.fsencode(name))


def utc(seconds: float) -> Optional[str]:
    """Seconds since 1970 as ISO 8601 in UTC; None for what is no date between 1970 and 9999."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if 0 <= seconds < 253402300800 else None
    except (ValueError, OverflowError, OSError):
        return None


def start_command(argv: List[str]) -> subprocess.Popen[bytes]:
    """Start without a shell, a terminal or standard input; raises CommandError."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=COMMAND_ENVIRONMENT,
            cwd="/",
            close_fds=True,
        )
    except OSError as error:
        raise CommandError(f"{argv[0]}: {error.strerror}") from error


def end_command(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def finish_command(process: subprocess.Popen[bytes], name: str, seconds: float) -> Tuple[int, bytes]:
    """Exit status and output of a command; it is ended at the deadline or the output limit, with a CommandError."""
    chunks: List[bytes] = []
    size = 0
    deadline = time.monotonic() + seconds
    out = process.stdout
    if out is None:
        raise CommandError(f"{name}: started without a pipe")
    try:
        with out, selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise CommandError(f"{name}: no end after {seconds:g} s")
                chunk = os.read(out.fileno(), 65536)
                if not chunk:
                    break
                size += len(chunk)
                if size > OUTPUT_LIMIT:
                    raise CommandError(f"{name}: more than {OUTPUT_LIMIT} bytes of output")
                chunks.append(chunk)
        return process.wait(max(0.1, deadline - time.monotonic())), b"".join(chunks)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{name}: no end after {seconds:g} s") from error
    finally:
        end_command(process)


def run_command(argv: List[str], seconds: float) -> Tuple[int, bytes]:
    return finish_command(start_command(argv), argv[0], seconds)


@dataclass
class Context:
    """A host to read: the real one, or (in tests) a tree of files with a table of command answers."""

    root: str = "/"
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    now: float = field(default_factory=time.time)
    run_command: Run = run_command
    private_folder: Optional[str] = None  # removed after the module's run; for what a library insists on writing
    want_packages: bool = True
    want_updates: bool = True
    unread_items: Dict[str, str] = field(default_factory=dict)
    shared: Dict[str, Any] = field(default_factory=dict)
    started: Dict[Tuple[str, ...], subprocess.Popen[bytes]] = field(default_factory=dict)

    def unread(self, item: str, reason: str) -> None:
        """Note that an item of the document could not be read; the first reason stays."""
        self.unread_items.setdefault(item, reason)

    def unread_error(self, item: str, error: Exception) -> None:
        """The same from an exception, in an administrator's words."""
        if isinstance(error, PermissionError):
            reason = "needs root" if not self.is_root else f"refused even to root: {error.filename}"
        elif isinstance(error, OSError) and error.strerror:
            reason = f"{error.strerror}: {self.shown(error.filename)}" if error.filename else error.strerror
        else:
            reason = str(error) or type(error).__name__
        self.unread(item, reason)

    def shown(self, name: Any) -> str:
        """A path as the host knows it, without the test tree's root."""
        text = clean_name(os.fsdecode(name)) if isinstance(name, (str, bytes)) else str(name)
        return text[len(self.root) :] if self.root != "/" and text.startswith(self.root) else text

    def once(self, key: str, make: Callable[[Context], Any]) -> Any:
        """What several collectors need is read once."""
        if key not in self.shared:
            self.shared[key] = make(self)
        return self.shared[key]

    # -- files ----------------------------------------------------------------

    def path(self, path: str) -> str:
        return path if self.root == "/" else self.root + path

    def read_bytes(self, path: str, limit: int = READ_LIMIT, whole: bool = True) -> bytes:
        """A regular file's first bytes; a pipe or device that a user put there can't make us wait.

        A file that is longer is noted as truncated, unless its beginning is all that is wanted (whole=False).
        """
        real = self.path(path)
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", real)
            chunks = []
            left = limit + 1
            while left > 0:
                chunk = os.read(handle, min(left, MEGABYTE))
                if not chunk:
                    break
                chunks.append(chunk)
                left -= len(chunk)
        finally:
            os.close(handle)
        data = b"".join(chunks)
        if len(data) > limit:
            if whole:
                self.unread(path, f"truncated: only the first {limit} bytes were read")
            data = data[:limit]
        return data

    def read(self, path: str, limit: int = READ_LIMIT) -> str:
        return clean(self.read_bytes(path, limit))

    def read_or(self, path: str, default: Optional[str] = None, limit: int = READ_LIMIT) -> Optional[str]:
        """A file that may well be absent or unreadable, where neither needs a word in the document."""
        try:
            return self.read(path, limit)
        except OSError:
            return default

    def head(self, path: str, limit: int) -> str:
        """The beginning of a file, or nothing where it is absent or unreadable."""
        try:
            return clean(self.read_bytes(path, limit, whole=False))
        except OSError:
            return ""

    def line_or_none(self, path: str) -> Optional[str]:
        """The first line of a small file (/sys, /proc), stripped; None when absent, unreadable or blank."""
        return self.head(path, 65536).strip().split("\n", 1)[0].strip() or None

    def names(self, folder: str) -> List[str]:
        """Sorted names in a folder; raises OSError."""
        found = os.listdir(self.path(folder))
        if len(found) > DIRECTORY_LIMIT:
            self.unread(folder, f"truncated: {len(found)} names, the first {DIRECTORY_LIMIT} were read")
        return sorted(found)[:DIRECTORY_LIMIT]

    def names_or_none(self, folder: str) -> List[str]:
        try:
            return self.names(folder)
        except OSError:
            return []

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.path(path))

    def mtime(self, path: str) -> Optional[float]:
        try:
            return os.stat(self.path(path)).st_mtime
        except OSError:
            return None

    def ctime(self, path: str) -> Optional[float]:
        """When a file was put in place; apt sets the modification time of its lists to the server's."""
        try:
            return os.stat(self.path(path)).st_ctime
        except OSError:
            return None

    def link(self, path: str) -> Optional[str]:
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    # -- commands -------------------------------------------------------------

    def program(self, name: str) -> Optional[str]:
        for folder in PROGRAM_FOLDERS:
            candidate = f"{folder}/{name}"
            if os.access(self.path(candidate), os.X_OK):
                return candidate
        return None

    def start(self, argv: List[str]) -> None:
        """Let a command run while others collect; run() with the same words takes its answer."""
        if self.run_command is run_command:  # a test's table of answers needs no start
            self.started[tuple(argv)] = start_command(argv)

    def run(self, argv: List[str], seconds: float = COMMAND_SECONDS) -> Tuple[int, str]:
        """A command's exit status and output; raises CommandError."""
        process = self.started.pop(tuple(argv), None)
        if process is not None:
            status, output = finish_command(process, argv[0], seconds)
        else:
            status, output = self.run_command(argv, seconds)
        return status, clean(output)

    def close(self) -> None:
        """End what was started and never asked for."""
        while self.started:
            dummy, process = self.started.popitem()
            end_command(process)
            if process.stdout is not None:
                process.stdout.close()
