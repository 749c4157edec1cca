"""A git repository with a working tree that only whole texts get into: many commits in one process, untouched by
anybody's settings.

Everything but the branch `main` belongs to whoever put it there: other branches, remotes, commits and files by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from civicops.network.known import SUFFIX, StoreError
from civicops.state import private_directory
from civicops.text import printable

BRANCH = "refs/heads/main"
COMMIT_ID = re.compile(r"[0-9a-f]{7,64}")
_LOCK_SECONDS = 2.0
_MOST_PATHS = 500
_TRAILERS = ("Device", "Platform", "Run", "Size", "Raw")
_FIELDS = ["%H", "%ct", "%s", *(f"%(trailers:key={key},valueonly,separator=%x0A)" for key in _TRAILERS)]
# Over what stands in the repository's own configuration, since somebody may have written there.
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.fsync": "all",
    "core.fileMode": "false",
    "core.logAllRefUpdates": "true",
    "gc.autoDetach": "false",
    "log.showSignature": "false",
    "maintenance.auto": "false",
}


class RepositoryError(StoreError):
    """git is missing, or did not do what it was asked to; the message says which and why."""


class OvertakenError(RepositoryError):
    """Somebody has committed to `main` meanwhile."""


@dataclass(frozen=True)
class Draft:
    """A commit to be made: one file, whole."""

    path: str
    content: bytes
    message: str


@dataclass(frozen=True)
class Commit:
    """A commit as it stands in the history. What somebody has committed by hand has no device and no raw files."""

    id: str
    at: datetime
    subject: str
    device: str
    platform: str
    run: str
    size: str
    raw: tuple[str, ...]


def blob_id(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


class Repository:
    """One town's repository. Whoever changes it holds the store's lock, and hands it to git: should he be killed, the
    lock is free only when his git has ended too."""

    def __init__(self, directory: Path, *, lock: int | None = None) -> None:
        self.directory = directory
        self._git_dir = directory / ".git"
        self._index = self._git_dir / "civicops-index"
        self._lock = lock

    @property
    def exists(self) -> bool:
        return (self._git_dir / "HEAD").exists()

    def make(self) -> None:
        """Make it, unless there is one; take away what a killed run has left."""
        above = self.directory.parent
        for left in above.glob(f".{self.directory.name}.*.tmp"):
            shutil.rmtree(left)
        private_directory(self.directory)
        for left in [*self.directory.glob(f".*{SUFFIX}.*.tmp"), *self._git_dir.glob("fast_import_crash_*")]:
            left.unlink()
        for left in (self._index, self._index.with_name(f"{self._index.name}.lock")):
            left.unlink(missing_ok=True)
        if not self.exists:
            new = private_directory(above / f".{self.directory.name}.{os.urandom(6).hex()}.tmp")
            self._run(
                "init", "--quiet", "--template=", "--object-format=sha1", f"--initial-branch={_name()}", place=new
            )
            (new / ".git").rename(self._git_dir)
            new.rmdir()
        self._end_locks()

    def _end_locks(self) -> None:
        """git holds these for a moment only: one that stays was left by a killed process."""
        locks = [self._git_dir / name for name in (f"{BRANCH}.lock", "HEAD.lock", "packed-refs.lock", "config.lock")]
        deadline = time.monotonic() + _LOCK_SECONDS
        while any(lock.exists() for lock in locks) and time.monotonic() < deadline:
            time.sleep(0.05)
        for lock in locks:
            lock.unlink(missing_ok=True)

    def tip(self) -> str | None:
        """The newest commit of `main`."""
        if not self.exists:
            return None
        done = self._run("rev-parse", "--verify", "--quiet", f"{BRANCH}^{{commit}}", check=False)
        return done.decode().strip() or None

    def tree(self, commit: str | None) -> dict[str, str]:
        """The files that devices' texts are in, by name, and the ids of their contents."""
        if commit is None:
            return {}
        found = {}
        for entry in self._run("ls-tree", "-z", commit).split(b"\0"):
            about, _, name = entry.partition(b"\t")
            if about.startswith(b"100") and name.endswith(SUFFIX.encode()):
                found[os.fsdecode(name)] = about.split()[2].decode()
        return found

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Contents by their ids."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        answer = self._run("cat-file", "--batch", given="".join(f"{one}\n" for one in wanted).encode())
        found, place = {}, 0
        for one in wanted:
            end = answer.index(b"\n", place)
            head = answer[place:end].split()
            if len(head) != 3 or head[1] != b"blob":
                raise RepositoryError(f"{self.directory}: {one} can't be read; see: git -C {self.directory} fsck")
            size = int(head[2])
            found[one] = answer[end + 1 : end + 1 + size]
            place = end + 1 + size + 1
        return found

    def content(self, commit: str, path: str) -> bytes | None:
        """A file as it was in a commit, None if it was not there then."""
        named = self._run("rev-parse", "--verify", "--quiet", f"{commit}:{path}", check=False).decode().strip()
        return self.blobs([named])[named] if named else None

    def log(self, paths: Sequence[str] = (), *, limit: int | None = None) -> list[Commit]:
        """The commits of `main`, the newest first; with `paths`, those that touch them."""
        if self.tip() is None:
            return []
        form = "--format=tformat:" + "%x00".join(_FIELDS)
        most = [f"--max-count={limit}"] if limit is not None else []
        named = paths if len(paths) <= _MOST_PATHS else ()
        answer = self._run("log", "-z", "--no-color", "--no-show-signature", form, *most, BRANCH, "--", *named)
        fields = answer.decode("utf-8", "replace").split("\0")
        size = len(_FIELDS)
        return [_commit(fields[at : at + size]) for at in range(0, len(fields) - size + 1, size)]

    def add(self, drafts: Sequence[Draft], *, on: str | None, author: str, at: datetime) -> list[str]:
        """Make the commits, all or none, one after the other; their ids.

        :raises OvertakenError: `main` is no longer at `on`.
        """
        who = f"{author} {int(at.timestamp())} +0000"
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as trouble:
            with self._start(
                "fast-import", "--quiet", "--done", "--date-format=raw", stdout=answer, stderr=trouble
            ) as process:
                assert process.stdin is not None  # noqa: S101  it is a pipe
                try:
                    for number, draft in enumerate(drafts, 1):
                        process.stdin.writelines(_stream(number, draft, who, on))
                    process.stdin.write(b"done\n")
                    process.stdin.close()
                except BrokenPipeError:  # it has ended, and says why
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.close()
                except BaseException:
                    process.kill()
                    raise
                process.wait()
            answer.seek(0)
            made = answer.read().decode().split()
            trouble.seek(0)
            why = trouble.read(10_000).decode("utf-8", "replace")
        tip = self.tip()
        if len(made) == len(drafts) and tip == made[-1]:
            return made
        if tip != on:
            raise OvertakenError(f"{self.directory}: somebody else commits to main again and again")
        raise RepositoryError(f"{self.directory}: git fast-import did not take the configurations: {_told(why)}")

    def lay_out(self, tree: Mapping[str, str]) -> None:
        """Bring the working tree and git's index in line with `main`; where another branch is checked out, leave both.

        :param tree: the devices' files and the ids of their contents; other files stay as they are.
        """
        if (self._git_dir / "HEAD").read_bytes().strip() != b"ref: " + BRANCH.encode():
            return
        behind = {name: one for name, one in tree.items() if _id_of(self.directory / name) != one}
        contents = self.blobs(behind.values())
        for name, one in behind.items():
            _put(self.directory / name, contents[one])
        listed = self._run("ls-files", "--stage", "-z").split(b"\0")
        parts = [entry.partition(b"\t") for entry in listed if entry]
        staged = {os.fsdecode(name): about.split()[1].decode() for about, _, name in parts}
        late = {name: one for name, one in tree.items() if staged.get(name) != one}
        if not late and not behind:
            return
        # In a copy that takes the index's place: a killed run leaves no index.lock, and one that is there is no matter.
        if (index := self._git_dir / "index").exists():
            self._index.touch(mode=0o600)
            shutil.copyfile(index, self._index)
        entries = "".join(f"100644 {one}\t{name}\0" for name, one in late.items())
        self._run("update-index", "-z", "--index-info", given=os.fsencode(entries), index=self._index)
        self._run("update-index", "-q", "--refresh", index=self._index, check=False)
        self._index.replace(index)

    def tidy(self) -> None:
        """Pack what has become many; git itself knows when."""
        self._run("gc", "--auto", "--quiet", check=False)

    def _run(
        self,
        *arguments: str,
        given: bytes = b"",
        check: bool = True,
        place: Path | None = None,
        index: Path | None = None,
    ) -> bytes:
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as trouble:
            with self._start(*arguments, stdout=answer, stderr=trouble, place=place, index=index) as process:
                try:
                    process.communicate(given)
                except BaseException:
                    process.kill()
                    raise
            answer.seek(0)
            trouble.seek(0)
            if check and process.returncode:
                why = trouble.read(10_000).decode("utf-8", "replace")
                raise RepositoryError(f"{place or self.directory}: git {arguments[0]} failed: {_told(why)}")
            return answer.read()

    def _start(
        self,
        *arguments: str,
        stdout: IO[bytes],
        stderr: IO[bytes],
        place: Path | None = None,
        index: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """git with nothing of the caller's: no settings, no hooks, no `GIT_...`, no terminal."""
        directory = place or self.directory
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/dev/null",
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        if place is None:
            environment |= {"GIT_DIR": str(self._git_dir), "GIT_WORK_TREE": str(self.directory)}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        try:
            return subprocess.Popen(
                ["git", "--literal-pathspecs", *settings, *arguments],
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                pass_fds=() if self._lock is None else (self._lock,),
                umask=0o077,
            )
        except FileNotFoundError as error:
            if not directory.is_dir():
                raise RepositoryError(f"{directory} is not there") from error
            raise RepositoryError(
                "git is not installed on the controller, and configurations are kept in it: apt install git, or "
                "dnf install git"
            ) from error


def _name() -> str:
    return BRANCH.removeprefix("refs/heads/")


def _stream(number: int, draft: Draft, who: str, on: str | None) -> list[bytes]:
    """A commit in the language of `git fast-import`. Texts go in by their exact length, so nothing in them is read."""
    message = draft.message.encode("utf-8", "replace")
    origin = f"from {on}\n" if number == 1 and on else "" if number == 1 else f"from :{number - 1}\n"
    return [
        f"commit {BRANCH}\nmark :{number}\nauthor {who}\ncommitter {who}\ndata {len(message)}\n".encode(),
        message,
        f"\n{origin}M 100644 inline {draft.path}\ndata {len(draft.content)}\n".encode(),
        draft.content,
        f"\n\nget-mark :{number}\n".encode(),
    ]


def _commit(fields: Sequence[str]) -> Commit:
    made, at, subject, device, platform, run, size, raw = fields
    when = datetime.fromtimestamp(int(at), UTC)
    return Commit(made, when, subject, device.strip(), platform.strip(), run.strip(), size.strip(), tuple(raw.split()))


def _id_of(path: Path) -> str | None:
    """The id of what a file of the working tree holds; None where there is no such file."""
    if path.is_symlink() or not path.is_file():
        return None
    return blob_id(path.read_bytes())


def _put(path: Path, content: bytes) -> None:
    """Put a file into the working tree, whole. It is a copy of what git has: it needs no fsync."""
    if path.is_dir() and not path.is_symlink():
        return  # somebody's own, and in nobody's way
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(path)


def _told(trouble: str) -> str:
    lines = [line for line in trouble.splitlines() if line.strip()]
    return printable(lines[0] if lines else "it gave no reason", 300)
