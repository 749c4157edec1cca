# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Files that are whole or not at all, and there after a power cut."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator


def write(place: str, text: str, mode: int = 0o600) -> None:
    """Put a text into the place of a file. Raises OSError."""
    handle = os.open(place + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fchmod(handle, mode)
        os.fsync(handle)
    os.replace(place + ".new", place)
    handle = os.open(os.path.dirname(place) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remembered(place: str) -> Dict[str, Any]:
    """What a program of ours has noted; nothing where it can't be read, as it is noted anew each time."""
    try:
        with open(place, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def alone(place: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock; whether it was got, where it is not waited for. The kernel frees it when its holder dies."""
    with open(place, "w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
