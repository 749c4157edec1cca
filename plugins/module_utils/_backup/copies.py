# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The second copy: the snapshots of a town's repositories, on another server that takes additions and nothing else.

They are copied by restic itself, with the repositories' passwords: what is damaged here is not carried along, and each
server forgets by its own rule. It is done by root, who may read here and write nothing; the server that is reached from
outside goes on meanwhile, as its user can't see root's processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator

from .._host_info.context import COMMAND_ENVIRONMENT, clean
from . import restic
from .config import without
from .server_config import Client, Server
from .witness import arrivals
from .written import alone, remembered, write

STATE = "copy.json"
LATE = 26 * 3600.0
"""Seconds after which a copy is late: a pass each hour, each snapshot looked for anew each day."""
_LOOK_ANEW = 23 * 3600.0
_ASK_SECONDS = 600.0
_COPY_SECONDS = 7 * 86400.0  # the first one, over a town's line


class Refused(Exception):
    """restic has not done what was asked; the message is what it said last."""


def copy(server: Server) -> int:
    """One pass over all hosts; exit status 1 where one could not be copied."""
    if not server.copy_to:
        sys.stderr.write("there is no second server: set backup_server_copy\n")
        return 2
    with _memory(server) as told:
        names = {client.name for client in server.clients}
        for name in [name for name in told["clients"] if name not in names]:
            del told["clients"][name]
        for name in names:  # whose turn does not come, as the first copy of another takes days, is told too
            told["clients"].setdefault(name, _nothing())
    failed = False
    for client in server.clients:
        with alone(server.busy(client), wait=False) as mine:
            if not mine:
                continue  # it is being pruned
            before = remembered(os.path.join(server.state, STATE))["clients"].get(client.name, _nothing())
            found = _copied(server, client, before)
        with _memory(server) as told:
            forgotten = client.name not in told["clients"]
            told["clients"][client.name] = dict(_nothing(), why=found["why"]) if forgotten and found["why"] else found
        if found["why"]:
            failed = True
            sys.stderr.write(f"ALARM {client.name} copy: {found['why']}\n")
    with _memory(server) as told:
        told["ended_at"] = time.time()
    return 1 if failed else 0


def forget(server: Server, client: str) -> None:
    """Somebody has looked at a copy that is gone: the next pass makes it anew."""
    if server.copy_to:
        with _memory(server) as told:
            told["clients"].pop(client, None)


@contextmanager
def _memory(server: Server) -> Iterator[Dict[str, Any]]:
    """What is known of each host's copy on this second server, to be changed; of another one nothing is kept."""
    place = os.path.join(server.state, STATE)
    with alone(place + ".lock"):
        kept = remembered(place)
        clients = kept.get("clients") if kept.get("to") == server.copy_to else None
        known = clients.items() if isinstance(clients, dict) else ()
        told = {
            "to": server.copy_to,
            "ended_at": kept.get("ended_at"),
            "clients": {name: {**_nothing(), **one} for name, one in known if isinstance(one, dict)},
        }
        yield told
        write(place, json.dumps(told))


def _nothing() -> Dict[str, Any]:
    return {"copied_at": None, "newest": None, "snapshots": 0, "mark": "", "since": time.time(), "why": ""}


def _copied(server: Server, client: Client, before: Dict[str, Any]) -> Dict[str, Any]:
    """What is known of one host's copy after a look at it."""
    now = time.time()
    known: Dict[str, Any] = dict(before, why="")
    try:
        there = arrivals(server.repository(client))
        if not there:
            return dict(known, since=now)
        mark = hashlib.sha256("\n".join(sorted(there)).encode()).hexdigest()
        recent = 0 <= now - (known["copied_at"] or 0) < _LOOK_ANEW
        if recent and known["mark"] == mark and not before.get("why"):
            return known
        _make(server, client, known)
        _restic(server, client, _ASK_SECONDS, "unlock")  # what was left behind, half an hour ago or longer
        source = ("--from-repo", server.repository(client))
        _restic(server, client, _COPY_SECONDS, "copy", "--no-lock", *source)
    except Refused as error:
        # A pruning, here or there: the next pass will do, and what is late is told.
        return known if "already locked" in str(error) else dict(known, why=str(error)[:300])
    except OSError as error:
        return dict(known, why=f"{error.filename}: {error.strerror}"[:300])
    return dict(known, copied_at=now, newest=max(there.values()), snapshots=len(there), mark=mark)


def _make(server: Server, client: Client, known: Dict[str, Any]) -> None:
    """Have a repository there. One that was there before is not made anew: somebody has to look at it first."""
    try:
        _restic(server, client, _ASK_SECONDS, "cat", "config")
        return
    except Refused as error:
        if restic.NO_REPOSITORY not in str(error):
            raise
    if known["copied_at"]:
        raise Refused("the copy is gone from the second server; it is not made anew before somebody has accepted that")
    alike = ("--copy-chunker-params", "--from-repo", server.repository(client))  # else nothing is the same there
    _restic(server, client, _ASK_SECONDS, "init", *alike)


def _restic(server: Server, client: Client, seconds: float, *arguments: str) -> str:
    """restic for one host's copy; passwords are in the environment, which root alone can read.

    :raises Refused: it has not done it.
    :raises OSError: a password can't be read.
    """
    password, login = server.password(client), server.copy_password(client)
    secrets = {
        "RESTIC_REPOSITORY": f"rest:https://{client.name}:{login}@{server.copy_to}/{client.name}/",
        "RESTIC_PASSWORD": password,
        "RESTIC_FROM_PASSWORD": password,
    }
    files = ["--cacert", server.copy_authority, "--cache-dir", os.path.join(server.state, "cache")]
    try:
        done = subprocess.run(
            ["restic", *files, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(COMMAND_ENVIRONMENT, HOME="/nonexistent", **secrets),
            cwd="/",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"restic {arguments[0]}: not done within {seconds:.0f} s") from None
    if done.returncode:
        said = without(restic.last_words(done.stderr), [password, login])
        raise Refused(f"restic {arguments[0]}: exit {done.returncode}: {said}")
    return clean(done.stdout)
