"""The spool: where documents wait, one file each, between the host's answer and the ledger.

Written by Ansible's workers, 50 at a time, so standard library only. A file is there whole or not at all. The run's
main process holds `.alive` locked, and its workers with it (they inherit it), so ingest can tell a run that may still
write from one that has ended, however it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from civicops.ledger.bounds import out_of_bounds
from civicops.moments import stamp
from civicops.state import TownState, locked, write_durably

ALIVE = ".alive"
# No document is larger than this in the spool, whatever its kind allows: a host must not fill the controller's disk.
SPOOL_LIMIT = 8 * 1024 * 1024
_NAMESPACE = uuid.UUID("6f2c3d0e-9a61-4d0c-8a0e-3f1f5f3f7c11")


@dataclass(frozen=True)
class Origin:
    """Which run a document belongs to: known to the controller, never told by a host."""

    town: str
    run: str
    job: str


def now() -> str:
    """The controller's time in UTC, to the microsecond, as RFC 3339 writes it."""
    return stamp(datetime.now(UTC))


def origin_from_environment() -> Origin | None:
    """The identity that the callback `civicops.town.run` gave this process, or None where it is not enabled."""
    values = [os.environ.get(f"CIVICOPS_ACTIVE_{name}") for name in ("TOWN", "RUN", "JOB")]
    return Origin(*values) if all(values) else None  # type: ignore[arg-type]


def announce(origin: Origin) -> None:
    """Give the identity to this process and its future children."""
    for name in ("town", "run", "job"):
        os.environ[f"CIVICOPS_ACTIVE_{name.upper()}"] = getattr(origin, name)


def hold_alive(origin: Origin) -> int:
    """Mark the run as alive for as long as the returned descriptor is open here or in a forked child.

    A run that goes on may find that its earlier documents are being taken in just now: it waits for that, and as the
    directory may have been removed at its end, it looks whether what it holds is still there.
    """
    state = TownState(origin.town)
    while True:
        path = state.spool_of(origin.run) / ALIVE
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def write(
    origin: Origin,
    *,
    kind: str,
    version: int,
    host: str,
    body: Any,
    target: str | None = None,
    check: bool = False,
    key: str = "",
) -> tuple[str, Path]:
    """Put one document into the spool, fsynced; return its id and its file.

    The same `key` (an Ansible task's id, say) for the same host and target writes the same file again, so that of a
    task's retries the last attempt stays. A body that is too large or is no JSON is replaced by a note that says so,
    which ingest turns into a rejection.
    """
    name = uuid.uuid5(_NAMESPACE, "\0".join((origin.town, origin.run, kind, host, target or "", key)))
    path = TownState(origin.town).spool_of(origin.run) / f"{name}.json"
    envelope: dict[str, Any] = {
        "schema": f"civicops/{kind}/{version}",
        "id": str(uuid.uuid4()),
        "town": origin.town,
        "host": host,
        "target": target,
        "run": origin.run,
        "job": origin.job,
        "check": check,
        "attempt": _attempts(path) + 1,
        "collected_at": now(),
        "body": body,
    }
    try:
        data = json.dumps(envelope, separators=(",", ":"), allow_nan=False).encode("ascii")
        refused = out_of_bounds(body) or ""
        if len(data) > SPOOL_LIMIT:
            refused = f"the document has {len(data)} bytes; the limit is {SPOOL_LIMIT}"
    except (ValueError, TypeError, RecursionError) as error:
        refused = f"the answer is not JSON: {type(error).__name__}"
    if refused:
        del envelope["body"]
        data = json.dumps(envelope | {"refused": refused}, separators=(",", ":")).encode("ascii")
    write_durably(path, data)
    return str(envelope["id"]), path


def _attempts(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["attempt"])
    except FileNotFoundError:
        return 0


def ended_runs(state: TownState) -> Iterator[Path]:
    """The spool directories of runs that can't write any more."""
    for directory in sorted(state.spool.iterdir()):
        if directory.is_symlink() or not directory.is_dir():
            continue
        try:
            with locked(directory / ALIVE) as ended:
                if ended:
                    yield directory
        except FileNotFoundError:
            continue  # another civicops has just emptied and removed it
