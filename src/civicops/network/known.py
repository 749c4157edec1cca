"""What is known of the configurations that are kept: one small file per town, whole or not at all.

git and the encrypted files are the truth; this says which belong together, and how a raw configuration is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from civicops.moments import stamp
from civicops.state import write_durably
from civicops.text import printable

if TYPE_CHECKING:
    from civicops.network.repository import Repository

SUFFIX = ".cfg"
LONGEST_NAME = 200
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_RAW_FILE = re.compile(r"(\d{8}T\d{6}Z(?:-\d{1,4})?)\.(running|startup)")
_SIZE = re.compile(r"(\d{1,12}) bytes, (\d{1,12}) lines")

Kind = Literal["running", "startup"]


class StoreError(Exception):
    """Nothing was kept or read; the message says why and what to do about it."""


class Raw(BaseModel):
    """One encrypted file."""

    hashes: list[str]
    """Keyed hashes of what it holds. Two, while it is replaced: of the new content and of the one before."""
    bytes: int
    lines: int


Version = dict[Kind, Raw]


class Device(BaseModel):
    """One device, as it was whole last. Moments are in UTC, as RFC 3339 writes them."""

    platform: str = ""
    seen: str = ""
    changed: str = ""
    blob: str = ""
    """The content in git that the rest was last in line with."""
    version: str | None = None
    """Which version belongs to that content."""
    versions: dict[str, Version] = {}
    """All that are kept, the oldest first."""


class Known(BaseModel):
    """Everything that is known of a town's devices."""

    format: Literal[1] = 1
    devices: dict[str, Device] = {}


def unsafe_name(name: str) -> str | None:
    """Why no file can be called after a device; None if one can."""
    if len(name) > LONGEST_NAME:
        return f"the name {printable(name, 60)!r} has {len(name)} characters; a file's may have {LONGEST_NAME}"
    if not name or name[0] in ".-" or not _SAFE.issuperset(name):
        return (
            f"no file can be called {printable(name, LONGEST_NAME)!r}: a device's name has letters, digits, '.', '_' "
            "and '-' alone, and neither '.' nor '-' in front"
        )
    return None


def read(path: Path) -> Known | None:
    """What is known; None where there is no such file.

    :raises StoreError: it is not as it should be.
    """
    try:
        return Known.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(
            f"{path} is damaged: move it away, and the next run finds most of it again from git and the raw files"
        ) from error


def write(path: Path, known: Known) -> None:
    write_durably(path, known.model_dump_json().encode())


def caught_up(known: Known, tree: Mapping[str, str], repository: Repository, raw: Path) -> Known:
    """Bring what is known in line with what git has: a run was killed between the two, or the index was lost.

    :param tree: the files of `main` and the ids of their contents.
    """
    names = {name: blob for path, blob in tree.items() if not unsafe_name(name := path.removesuffix(SUFFIX))}
    behind = [name for name, blob in names.items() if (known.devices.get(name) or Device()).blob != blob]
    if not behind:
        return known
    for commit in reversed(repository.log([name + SUFFIX for name in behind])):
        found = [match for file in commit.raw if (match := _RAW_FILE.fullmatch(file))]
        if commit.device not in behind or not found:
            continue
        device = known.devices.setdefault(commit.device, Device())
        device.platform, device.version = commit.platform, found[0][1]
        device.changed = stamp(commit.at)
        device.seen = max(device.seen, device.changed)
        for match in found:
            kept = device.versions.setdefault(match[1], {})
            kind: Kind = "running" if match[2] == "running" else "startup"
            if kind not in kept and (raw / commit.device / match[0]).exists():
                size = _SIZE.fullmatch(commit.size) if kind == "running" else None
                kept[kind] = Raw(hashes=[], bytes=int(size[1]) if size else 0, lines=int(size[2]) if size else 0)
        if not device.versions[found[0][1]]:
            del device.versions[found[0][1]]
    for name in behind:
        if name in known.devices:
            known.devices[name].blob = names[name]
    return known
