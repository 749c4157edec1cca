# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What the module C(baseline) looks at on a host: from the controller's list of controls to the body of a document."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, Dict, List

from .._host_info.context import Context, utc
from .engine import Engine, Run
from .host import Host
from .model import COLUMNS, Entry
from .registry import TYPES
from .reloads import RELOADS
from .texts import shown

ENTRIES = 2000
_FAMILIES = {"debian": ("debian", "ubuntu"), "rhel": ("rhel", "fedora", "centos", "almalinux", "rocky")}


class RequestError(ValueError):
    """The list of controls is none; the message says what is wrong with it."""


@dataclass
class Done:
    """The body of the document, and what Ansible shows."""

    body: Dict[str, Any]
    changed: bool
    diffs: List[Dict[str, str]]


def family(ctx: Context) -> str:
    """V(debian), V(rhel), or empty; by os-release(5)."""
    text = ctx.read_or("/etc/os-release", "") or ctx.read_or("/usr/lib/os-release", "") or ""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = [values.get("ID", "").strip("\"'"), *values.get("ID_LIKE", "").strip("\"'").split()]
    for one, members in _FAMILIES.items():
        if any(name in members for name in names):
            return one
    return ""


def entries_of(rows: Any, of: str) -> List[Entry]:
    """The controls for a host of this family, from the rows that the controller sends: C([id, type, params, more]).

    C(more) may be left out; it holds V(waived), V(debian) and V(rhel) (parameters that take the others' place; null
    where the control is not for that family).
    """
    if not isinstance(rows, list) or len(rows) > ENTRIES:
        raise RequestError(f"controls is a list of at most {ENTRIES} rows")
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) not in (3, 4) or not all(isinstance(one, str) for one in row[:2]):
            raise RequestError("a row of controls is [id, type, params] with or without more")
        more = row[3] if len(row) == 4 else {}
        params = row[2]
        if of in more:
            if more[of] is None:
                continue
            params = {**params, **more[of]}
        found.append(Entry(row[0], row[1], params, bool(more.get("waived", False))))
    return found


def audit(rows: Any) -> Done:
    """Look, and say what mending would change."""
    began = time.monotonic()
    # What apt insists on writing goes where Ansible unpacks its modules, and goes away; module.tmpdir would stay.
    with TemporaryDirectory(prefix="civicops-") as folder:
        host = Host(Context(private_folder=folder))
        entries = entries_of(rows, family(host.ctx))
        return told(host, Engine(host, TYPES, RELOADS).run(entries), began, "planned", {})


def told(host: Host, run: Run, began: float, outcome: str, confirm: Dict[str, Any]) -> Done:
    """What came of a run, as the document tells it."""
    states = Counter(result.state for result in run.results)
    changed = any(result.changed for result in run.results)
    body = {
        "outcome": outcome,
        "reason": shown("; ".join(run.notes), 500),
        "host_time": utc(time.time()),
        "family": family(host.ctx) or None,
        "seen_as_root": host.ctx.is_root,
        "results": {"columns": list(COLUMNS), "rows": [result.values() for result in run.results]},
        "counts": dict(sorted(states.items())),
        "restore_point": bool(host.point and host.point.exists),
        "confirm": confirm or None,
        "took_seconds": round(time.monotonic() - began, 3),
    }
    return Done(body, changed, host.diffs())
