"""A town file from the disk: read with suspicion, checked whole."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from .check import check_text
from .directories import TOWN_FILE
from .model import Source, Town
from .problems import TownFileError, cant_read, whole

MAX_BYTES = 1_000_000
"""The largest town file; a full one has some 20,000 bytes."""


def load_town(path: Path | str) -> Town:
    """The town of a directory, or of its town file; raises TownFileError with every problem of the file."""
    file, directory = _places(Path(path))
    content = _bytes(file, directory)
    town, problems = check_text(content, str(file), directory)
    if town is None or problems:
        raise TownFileError(problems)
    town._source = Source(file, directory, hashlib.sha256(content).hexdigest())
    return town


def _places(path: Path) -> tuple[Path, Path]:
    """The town file and the town's directory."""
    if path.is_dir() or path.suffix not in (".yml", ".yaml"):
        return path / TOWN_FILE, path
    if Path(*path.absolute().parts[-3:]) != TOWN_FILE:
        raise whole(path, "not the place of a town file", f"it is TOWN/{TOWN_FILE}")
    return path, path.parent.parent.parent


def _bytes(file: Path, directory: Path) -> bytes:
    """The file's content, if it is a plain file of the town and not too large."""
    try:
        if not file.resolve(strict=True).is_relative_to(directory.resolve(strict=True)):
            raise whole(file, "a link that leads out of the town's directory", "keep the file itself there")
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise whole(file, "not a file", "a town file is plain text")
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        other = next((name for name in ("town.yaml", "town.yml.j2") if (file.parent / name).exists()), None)
        if other is not None:
            raise whole(file, "there is no such file", f"rename {other} to town.yml") from None
        raise whole(
            file, "there is no such file", "begin a town with id, name and timezone: docs/town-file.md"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise whole(file, cant_read(error), "make it a file that this user can read") from None
    if len(content) > MAX_BYTES:
        raise whole(
            file, f"larger than {MAX_BYTES} bytes", "keep what the town wants here, and other data in other files"
        )
    return content
