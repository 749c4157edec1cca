"""How configurations are kept: in an order that makes every point a good one to be killed at.

The index tells of the new versions, the raw files are written, git gets its commits, the index settles, the working
tree follows. What git has is what counts; the next run catches up with it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from civicops.moments import stamp
from civicops.network.differences import unified
from civicops.network.known import SUFFIX, Device, Kind, Known, Raw, caught_up, read, unsafe_name, write
from civicops.network.repository import Draft, Repository, blob_id
from civicops.network.sealed import SealError
from civicops.state import TownState, write_durably
from civicops.text import printable

VERSIONS = 20
"""How many versions of a raw configuration are kept; the one that belongs to what git has is always among them."""
_WORDS = 200

Words = Callable[[str | None, str], str]


@dataclass(frozen=True)
class New:
    """A whole configuration that a device has given."""

    device: str
    platform: str
    raw: bytes = field(repr=False)
    text: str = field(repr=False)
    """Redacted and normalised, as it goes into git."""
    words: str | Words
    """What changed; or what finds it out from the text before (None: there is none) and this one."""
    startup: bytes | None = field(default=None, repr=False)
    """The raw startup configuration, where it was read too."""


@dataclass(frozen=True)
class Result:
    """What became of a configuration."""

    changed: bool = False
    first: bool = False
    """Whether git had nothing of this device."""
    diff: str = field(default="", repr=False)
    """Unified, of the redacted texts, bounded. It is a device's text: fit for a file, not for a terminal."""
    commit: str | None = None
    raw: str | None = None
    """The file of the raw running configuration."""
    refused: str | None = None
    """Why it was not kept: the last good one stays."""


@dataclass
class _Plan:
    """What is to be done with a configuration."""

    new: New
    result: Result
    content: bytes = b""
    version: str = ""
    writes: Mapping[Kind, bytes] = field(default_factory=dict)
    message: str | None = None
    """None: git has this text."""


def why_shrunk(device: str, last: Device | None, raw: bytes) -> str | None:
    """Why a configuration is too small beside the last whole one to be believed."""
    running = last.versions.get(last.version or "", {}).get("running") if last else None
    lines = _lines(raw)
    if running is None or (2 * len(raw) >= running.bytes and 2 * lines >= running.lines):
        return None
    return (
        f"{lines} lines ({len(raw)} bytes), less than half of the last one's {running.lines} ({running.bytes}); if "
        f"that is right, accept it once: accept_shrunk: [{device}]"
    )


def keyed_hash(key: bytes, device: str, kind: Kind, content: bytes) -> str:
    """By which a raw configuration is recognised, and nobody guesses it."""
    return hmac.new(key, f"civicops raw\0{device}\0{kind}\0".encode() + content, hashlib.sha256).hexdigest()


class Keeping:
    """One go at keeping a batch; whoever makes it holds the lock, unless he only asks what it `would` do."""

    def __init__(self, state: TownState, repository: Repository, index: Path, run: str, at: datetime) -> None:
        self._state, self._repository, self._index = state, repository, index
        self._raw = index.with_name("raw")
        self._run, self._at = printable(run, 128) or "unknown", at

    def mend(self) -> None:
        """Make what is missing; take away what a killed run has left."""
        self._state.directory("network", "raw")
        for left in [*self._index.parent.glob(".*.tmp"), *self._raw.glob("*/.*.tmp")]:
            if not left.is_dir():
                left.unlink()
        self._repository.make()

    def would(self, batch: Sequence[New], accept_shrunk: Collection[str]) -> dict[str, Result]:
        """What would become of a batch."""
        tree = self._repository.tree(self._repository.tip())
        return {
            plan.new.device: plan.result for plan in self._plans(batch, tree, self._known(tree), accept_shrunk, None)
        }

    def keep(
        self, batch: Sequence[New], accept_shrunk: Collection[str], key: bytes, seal: Callable[[bytes], bytes]
    ) -> dict[str, Result]:
        """Keep a batch.

        :raises OvertakenError: somebody has committed to `main` meanwhile: try again.
        """
        tip = self._repository.tip()
        tree = self._repository.tree(tip)
        known = self._known(tree)
        plans = self._plans(batch, tree, known, accept_shrunk, key)
        self._write(plans, known, key, seal)
        good = [plan for plan in plans if not plan.result.refused]
        drafts = [
            Draft(plan.new.device + SUFFIX, plan.content, plan.message) for plan in good if plan.message is not None
        ]
        if drafts:
            author = f"civicops <civicops@{self._state.town}>"
            made = iter(self._repository.add(drafts, on=tip, author=author, at=self._at))
            for plan in good:
                if plan.message is not None:
                    plan.result = replace(plan.result, commit=next(made))
        for plan in good:
            self._settle(plan, known.devices.setdefault(plan.new.device, Device()), key)
        write(self._index, known)
        kept = tree | {plan.new.device + SUFFIX: blob_id(plan.content) for plan in good}
        self._repository.lay_out({path: kept[path] for name in known.devices if (path := name + SUFFIX) in kept})
        if drafts:
            self._repository.tidy()
        return {plan.new.device: plan.result for plan in plans}

    def _known(self, tree: Mapping[str, str]) -> Known:
        return caught_up(read(self._index) or Known(), tree, self._repository, self._raw)

    def _plans(
        self,
        batch: Sequence[New],
        tree: Mapping[str, str],
        known: Known,
        accept_shrunk: Collection[str],
        key: bytes | None,
    ) -> list[_Plan]:
        names = {path.removesuffix(SUFFIX).lower(): path.removesuffix(SUFFIX) for path in tree}
        plans: list[_Plan] = []
        if len({new.device for new in batch}) < len(batch):
            raise ValueError("a device is twice in a batch")
        for new in batch:
            one = known.devices.get(new.device) or Device()
            other = names.setdefault(new.device.lower(), new.device)
            refused = unsafe_name(new.device) or _why_refused(new, one, other, accept_shrunk)
            plan = _Plan(new, Result(refused=refused))
            plans.append(plan)
            if not refused:
                plan.content = _encoded(new.text)
                plan.result = replace(plan.result, changed=tree.get(new.device + SUFFIX) != blob_id(plan.content))
        changed = [plan for plan in plans if plan.result.changed]
        blobs = self._repository.blobs(tree[path] for plan in changed if (path := plan.new.device + SUFFIX) in tree)
        for plan in plans:
            if not plan.result.refused:
                old = blobs.get(tree.get(plan.new.device + SUFFIX, "")) if plan.result.changed else None
                self._decide(plan, known.devices.get(plan.new.device) or Device(), old, key)
        return plans

    def _decide(self, plan: _Plan, one: Device, old: bytes | None, key: bytes | None) -> None:
        new = plan.new
        given: dict[Kind, bytes] = {"running": new.raw}
        if new.startup is not None:
            given["startup"] = new.startup
        if not plan.result.changed and one.version is not None:
            plan.version = one.version
            # Secrets that the device encrypts anew each time, and the like: a restore shall have the newest.
            plan.writes = {
                kind: content for kind, content in given.items() if not self._has(one, new.device, kind, content, key)
            }
        else:
            plan.version = self._new_version(new.device, one)
            plan.writes = given
        plan.result = replace(plan.result, raw=f"{plan.version}.running")
        if not plan.result.changed:
            return
        before = None if old is None else old.decode("utf-8", "surrogateescape")
        words = new.words if isinstance(new.words, str) else new.words(before, new.text)
        plan.result = replace(
            plan.result, first=before is None, diff="" if before is None else unified(before, _decoded(plan.content))
        )
        trailers = [
            f"Device: {new.device}",
            f"Platform: {printable(new.platform, 60) or 'unknown'}",
            f"Run: {self._run}",
            f"Size: {len(new.raw)} bytes, {_lines(new.raw)} lines",
            *(f"Raw: {plan.version}.{kind}" for kind in given),
        ]
        subject = f"{new.device}: {printable(words, _WORDS) or 'changed'}"
        plan.message = "\n".join([subject, "", *trailers, ""])

    def _has(self, one: Device, device: str, kind: Kind, content: bytes, key: bytes | None) -> bool:
        """Whether the newest version holds just this."""
        kept = one.versions.get(one.version or "", {}).get(kind)
        file = self._raw / device / f"{one.version}.{kind}"
        return (
            kept is not None
            and key is not None
            and kept.hashes == [keyed_hash(key, device, kind, content)]
            and file.is_file()
        )

    def _new_version(self, device: str, one: Device) -> str:
        """Named after the moment; where the clock was set back, or is quick, with a number."""
        name = base = f"{self._at:%Y%m%dT%H%M%SZ}"
        number = 1
        while name in one.versions or any((self._raw / device).glob(f"{name}.*")):
            number += 1
            name = f"{base}-{number}"
        return name

    def _write(self, plans: Sequence[_Plan], known: Known, key: bytes, seal: Callable[[bytes], bytes]) -> None:
        """The raw files, encrypted. The index tells beforehand what they may hold from now on."""
        writing = [plan for plan in plans if plan.writes]
        if not writing:
            return
        for plan in writing:
            device = known.devices.setdefault(plan.new.device, Device())
            version = device.versions.setdefault(plan.version, {})
            for kind, content in plan.writes.items():
                before = version[kind].hashes if kind in version else []
                hashes = [keyed_hash(key, plan.new.device, kind, content), *before]
                version[kind] = Raw(hashes=list(dict.fromkeys(hashes)), bytes=len(content), lines=_lines(content))
        for plan in writing:
            self._state.directory("network", "raw", plan.new.device)
        _sync(self._raw)
        write(self._index, known)
        for plan in writing:
            try:
                sealed = {kind: seal(content) for kind, content in plan.writes.items()}
            except SealError as error:
                plan.result = Result(refused=f"it can't be encrypted: {error}")
                continue
            for kind, data in sealed.items():
                write_durably(self._raw / plan.new.device / f"{plan.version}.{kind}", data)

    def _settle(self, plan: _Plan, one: Device, key: bytes) -> None:
        """What is known from now on; and the versions that are too many, or were never written, go."""
        one.platform, one.seen = plan.new.platform, stamp(self._at)
        one.blob, one.version = blob_id(plan.content), plan.version
        if plan.message is not None:
            one.changed = one.seen
        for kind, content in plan.writes.items():
            one.versions[plan.version][kind].hashes = [keyed_hash(key, plan.new.device, kind, content)]
        folder = self._raw / plan.new.device
        for version in [name for name in one.versions if name != plan.version]:
            files = [folder / f"{version}.{kind}" for kind in one.versions[version]]
            too_many = list(one.versions).index(version) < len(one.versions) - VERSIONS
            for file in files if too_many else ():
                file.unlink(missing_ok=True)
            if not any(file.exists() for file in files):
                del one.versions[version]


def _why_refused(new: New, one: Device, other: str, accept_shrunk: Collection[str]) -> str | None:
    if other != new.device:
        return (
            f"its name differs from {other}'s, which is kept here, in upper and lower case alone; rename it, or take "
            f"{other}{SUFFIX} out of the git repository by a commit"
        )
    if not new.raw.strip() or not new.text.strip():
        return "the configuration is empty"
    return None if new.device in accept_shrunk else why_shrunk(new.device, one, new.raw)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _lines(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
