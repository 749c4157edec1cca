"""Where a town's device configurations are kept: raw and encrypted for a restore, redacted in git for reading.

Everything lies in the town's state, below `network/`:

    configs/        a git repository: DEVICE.cfg, redacted; one commit per changed device
    raw/DEVICE/     VERSION.running and VERSION.startup, encrypted by ansible-vault
    key             what fingerprints and hashes are keyed with
    index.json      what is known of each device
    lock            held while something is kept
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from civicops.moments import moment
from civicops.network.differences import unified
from civicops.network.keeping import Keeping, New, Result, keyed_hash, why_shrunk
from civicops.network.known import SUFFIX, Device, Kind, Known, StoreError, caught_up, read, unsafe_name
from civicops.network.repository import COMMIT_ID, Commit, OvertakenError, Repository
from civicops.network.sealed import SealError
from civicops.state import TownState, write_durably
from civicops.text import printable

__all__ = ["Checked", "Kept", "New", "Result", "Store", "StoreError", "unsafe_name"]

KEY_BYTES = 32
_ATTEMPTS = 3


@dataclass(frozen=True)
class Kept:
    """What is known of a device's last whole configuration."""

    device: str
    platform: str
    version: str | None
    """Which raw version belongs to what git has."""
    bytes: int | None
    lines: int | None
    seen: datetime | None
    changed: datetime | None
    versions: tuple[str, ...]
    """All raw versions, the oldest first."""


@dataclass(frozen=True)
class Checked:
    """A raw file that was opened, and what is wrong with it, if anything is."""

    device: str
    file: str
    problem: str | None


def _now() -> datetime:
    return datetime.now(UTC)


class Store:
    """One town's device configurations. Readers need no lock, and nothing to encrypt with."""

    def __init__(
        self,
        state: TownState,
        seal: Callable[[bytes], bytes] | None = None,
        *,
        now: Callable[[], datetime] = _now,
        wait: float = 60,
    ) -> None:
        """
        :param seal: encrypts a raw configuration; `SealError` refuses one.
        :param wait: how many seconds another process that keeps something is waited for.
        """
        self.town = state.town
        self.directory = state.directory("network")
        self._state, self._seal, self._now, self._wait = state, seal, now, wait
        self._index = self.directory / "index.json"
        self._repository = Repository(self.directory / "configs")
        self._read: Known | None = None

    def key(self, *, make: bool = True) -> bytes:
        """What this town's fingerprints are keyed with: 32 random bytes, made when first asked for.

        :param make: else, where there is none, one that is forgotten again.
        :raises StoreError: it is gone though configurations are kept, or it is not as it should be.
        """
        path = self.directory / "key"
        if not path.exists() and not make and not self._index.exists():
            return os.urandom(KEY_BYTES)
        if not path.exists():
            with _alone(self.directory / "lock", self._wait, self.town):
                self._make_key(path)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"{path} can't be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as stream:
            info, key = os.fstat(stream.fileno()), stream.read(KEY_BYTES + 1)
        ours = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o077
        if not ours or len(key) != KEY_BYTES:
            raise StoreError(f"{path} must be a file of {KEY_BYTES} bytes, of the user who runs civicops, mode 0600")
        return key

    def _make_key(self, path: Path) -> None:
        if path.exists():
            return  # another process was first
        if self._index.exists():
            raise StoreError(
                f"{path} is gone, and without it every secret would seem changed: bring it back from a backup of the "
                f"state directory; if it is lost for good, move {self._index.name} beside it away"
            )
        write_durably(path, os.urandom(KEY_BYTES))

    def devices(self) -> list[str]:
        """Every device of which something is kept."""
        return sorted(name for name, one in self._known().devices.items() if one.version)

    def look(self, device: str) -> Kept | None:
        """What is known of the device's last whole configuration; None if none was ever kept."""
        one = self._known().devices.get(device)
        return _kept(device, one) if one is not None and one.version else None

    def why_shrunk(self, device: str, raw: bytes, *, accept: Collection[str] = ()) -> str | None:
        """Why a configuration that is whole by its end is refused all the same: it is less than half of the last one.

        :param accept: devices whose configuration may be so.
        """
        return None if device in accept else why_shrunk(device, self._known().devices.get(device), raw)

    def text(self, device: str, at: str | None = None) -> str | None:
        """The redacted text as git has it, now or in a commit; None where there is none."""
        if unsafe_name(device):
            return None
        if at is not None and not COMMIT_ID.fullmatch(at):
            raise StoreError(f"{printable(at, 80)!r} is no commit's id")
        commit = at or self._repository.tip()
        content = self._repository.content(commit, device + SUFFIX) if commit and self._repository.exists else None
        return None if content is None else content.decode("utf-8", "surrogateescape")

    def history(self, device: str, *, limit: int | None = None) -> list[Commit]:
        """The commits that changed the device's text, the newest first."""
        return [] if unsafe_name(device) else self._repository.log([device + SUFFIX], limit=limit)

    def diff(self, device: str, *, last: int = 1, since: datetime | None = None) -> str:
        """What the last changes have changed in all, or those after a moment."""
        commits = self.history(device, limit=None if since else last + 1)
        before = [one for one in commits if one.at <= since] if since else commits[last:]
        old = self.text(device, before[0].id) if before else None
        return unified(old or "", self.text(device) or "")

    def raw_file(self, device: str, version: str | None = None, kind: Kind = "running") -> Path:
        """The encrypted file of a version; of the newest, unless one is named.

        :raises StoreError: there is none.
        """
        one = self._known().devices.get(device)
        if one is None or not one.version:
            raise StoreError(f"{self.town} has no configuration of {printable(device, 200)!r}")
        found = version or one.version
        if found not in one.versions:
            there = ", ".join(one.versions) or "none"
            raise StoreError(f"{device} has no raw version {printable(found, 60)!r}; there are: {there}")
        if kind not in one.versions[found]:
            raise StoreError(f"{device} has no {kind} configuration in its version {found}")
        return self._raw(device) / f"{found}.{kind}"

    def verify(self, unseal: Callable[[bytes], bytes], *, every: bool = False) -> Iterator[Checked]:
        """Open raw files, of each device's newest version or of all, and compare them with what is known of them.

        :param unseal: decrypts one; `SealError` says why it can't be.
        """
        known = self._known(fresh=True)
        for device in self.devices():
            one = known.devices[device]
            if one.version not in one.versions:
                yield Checked(device, "", f"the raw version {one.version}, which belongs to what git has, is gone")
            for version in one.versions if every else [str(one.version)]:
                for kind in one.versions.get(version, {}):
                    problem = self._problem(known, device, version, kind, unseal)
                    if problem:  # a run may have taken its place meanwhile
                        problem = self._problem(self._known(fresh=True), device, version, kind, unseal)
                    yield Checked(device, f"{version}.{kind}", problem)

    def _problem(
        self, known: Known, device: str, version: str, kind: Kind, unseal: Callable[[bytes], bytes]
    ) -> str | None:
        one = known.devices[device]
        wanted = one.versions.get(version, {}).get(kind)
        try:
            content = unseal((self._raw(device) / f"{version}.{kind}").read_bytes())
        except FileNotFoundError:
            return "the file is gone" if version == one.version else None
        except OSError as error:
            return f"it can't be read: {error.strerror}"
        except SealError as error:
            return str(error)
        if wanted is None or not wanted.hashes:
            return "it decrypts, but what it held is not known any more; for the newest, the next run mends that"
        if keyed_hash(self.key(), device, kind, content) not in wanted.hashes:
            return "it decrypts, but to something else than what was kept"
        return None

    def refuse_another_seal(self, unseal: Callable[[bytes], bytes]) -> None:
        """Make sure that what decrypts now is what will decrypt later: by the newest of what is kept.

        :raises StoreError: it does not open that; else the next one would be kept under a password that nobody knows.
        """
        kept = [one for name in self.devices() if (one := self.look(name)) is not None and one.changed is not None]
        if not kept:
            return
        newest = max(kept, key=lambda one: one.changed or datetime.min.replace(tzinfo=UTC))
        file = self.raw_file(newest.device)
        try:
            unseal(file.read_bytes())
        except FileNotFoundError:
            return  # `verify` tells that
        except SealError as error:
            raise StoreError(
                f"the vault password given is not the one that {file} was encrypted with, so nothing is kept: {error}; "
                "give that one too, or, where it is lost, move the directory raw away and back everything up anew"
            ) from error

    def keep(
        self, batch: Sequence[New], *, run: str, accept_shrunk: Collection[str] = (), check: bool = False
    ) -> dict[str, Result]:
        """Keep what has changed of these configurations: a raw version and a commit each. What was refused says so.

        :param run: the run's id, for the commits.
        :param accept_shrunk: devices whose configuration may be less than half of the last one.
        :param check: only tell what would be done.
        :raises StoreError: git has nothing new, and the last good state is there.
        """
        if check:
            return self._keeping(self._repository, run).would(batch, accept_shrunk)
        if self._seal is None:
            raise StoreError("there is nothing to encrypt raw configurations with")
        key = self.key()
        self._read = None
        with _alone(self.directory / "lock", self._wait, self.town) as lock:
            repository = Repository(self._repository.directory, lock=lock)
            keeping = self._keeping(repository, run)
            keeping.mend()
            for _ in range(_ATTEMPTS - 1):
                try:
                    return keeping.keep(batch, accept_shrunk, key, self._seal)
                except OvertakenError:
                    continue
            return keeping.keep(batch, accept_shrunk, key, self._seal)

    def _keeping(self, repository: Repository, run: str) -> Keeping:
        return Keeping(self._state, repository, self._index, run, self._now().astimezone(UTC))

    def _raw(self, device: str) -> Path:
        return self.directory / "raw" / device

    def _known(self, *, fresh: bool = False) -> Known:
        """The index, in line with what git has: read once, as one store is asked for many devices."""
        if self._read is None or fresh:
            tree = self._repository.tree(self._repository.tip())
            self._read = caught_up(read(self._index) or Known(), tree, self._repository, self.directory / "raw")
        return self._read


def _kept(device: str, one: Device) -> Kept:
    running = one.versions.get(one.version or "", {}).get("running")
    return Kept(
        device=device,
        platform=one.platform,
        version=one.version,
        bytes=running.bytes if running else None,
        lines=running.lines if running else None,
        seen=moment(one.seen) if one.seen else None,
        changed=moment(one.changed) if one.changed else None,
        versions=tuple(one.versions),
    )


@contextmanager
def _alone(path: Path, wait: float, town: str) -> Iterator[int]:
    """Hold the lock; what is yielded is handed to git, which holds it on if we die."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"another process keeps configurations of {town} for more than {wait:g} s; try again when it "
                        f"has ended: fuser -v {path}"
                    ) from None
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)
