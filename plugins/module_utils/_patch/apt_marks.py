# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""apt's automatic marks, written as apt writes them: C(apt-mark) solves the dependencies of the whole host to change a
word of a file, which takes it as long as a small update."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import ExitStack, suppress
from typing import AbstractSet, Dict, List, Tuple

EXTENDED_STATES = "/var/lib/apt/extended_states"
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
LIMIT = 16 << 20  # bytes of a file that is read
_FIELD = re.compile(r"^([\w-]+):[ \t]*(.*)$", re.M)
_MARK = re.compile(r"^Auto-Installed:.*$", re.M)

Named = Tuple[str, str]
"""Name and architecture; of a package for all architectures, the host's own."""


class MarksError(Exception):
    """They can't be written here and now; apt's own program may know better."""


def write(marks: Dict[Named, bool]) -> None:
    """Have these packages marked as automatically installed, or not; all others stay as they are. On the disk whole, or
    not at all.

    :raises MarksError: somebody holds apt's locks, or the file is none that could be written.
    """
    try:
        with ExitStack() as held:
            for path in LOCKS:
                stream = held.enter_context(open(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), "rb+"))
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _replace(with_marks(_read(), marks))
    except (OSError, UnicodeError) as error:
        raise MarksError(str(error)) from None


def with_marks(text: str, marks: Dict[Named, bool]) -> str:
    """The file's text with these marks: a stanza that is there keeps its other fields."""
    left = dict(marks)
    stanzas: List[str] = []
    for stanza in filter(None, (one.strip("\n") for one in re.split(r"\n{2,}", text))):
        fields = dict(_FIELD.findall(stanza))
        wanted = left.pop((fields.get("Package", ""), fields.get("Architecture", "")), None)
        if wanted is not None:
            line = f"Auto-Installed: {int(wanted)}"
            stanza = _MARK.sub(line, stanza) if _MARK.search(stanza) else f"{stanza}\n{line}"
        stanzas.append(stanza)
    for (name, arch), automatic in sorted(left.items()):
        if automatic:  # what has no stanza is not automatic
            stanzas.append(f"Package: {name}\nArchitecture: {arch}\nAuto-Installed: 1")
    return "".join(f"{stanza}\n\n" for stanza in stanzas)


def _read() -> str:
    try:
        handle = os.open(EXTENDED_STATES, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    with open(handle, encoding="utf-8") as stream:
        text = stream.read(LIMIT)
        if stream.read(1):
            raise OSError(f"{EXTENDED_STATES} has more than {LIMIT} bytes")
    return text


def _replace(text: str) -> None:
    unfinished = f"{EXTENDED_STATES}.civicops-new"
    with suppress(FileNotFoundError):
        os.unlink(unfinished)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(unfinished, flags, 0o644), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, EXTENDED_STATES)


def named(names: AbstractSet[str], native: str) -> List[Named]:
    """Names as C(apt-mark) has them, with their architecture."""
    pairs = (name.partition(":") for name in names)
    return [(name, arch or native) for name, dummy, arch in pairs]
