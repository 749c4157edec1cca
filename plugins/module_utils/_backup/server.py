# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program on the backup server: how fresh each repository is, whether it is whole, and what may go.

server.pyz status CONFIG      how fresh: by the names of files alone, in an instant
server.pyz cycle CONFIG       whole? What is new is read, and of the rest a share
server.pyz prune CONFIG       forget what is older than the town keeps, and read what remains
server.pyz copy CONFIG        bring what is new to the second server
server.pyz accept CONFIG CLIENT
"""

from __future__ import annotations

import calendar
import json
import os
import pwd
import re
import subprocess
import sys
import time
from typing import Any, ContextManager, Dict, List, Optional, Tuple

from .._host_info.context import COMMAND_ENVIRONMENT, clean, utc
from . import copies
from .server_config import Client, Server
from .witness import FUTURE, PARTIAL, Told, Witness, newest
from .written import alone, write

STATUS, CYCLE, PRUNE, LOCK = "status.json", "cycle.json", "prune.json", "lock"
METRICS = "backup.prom"
EXPORTER = "/var/lib/prometheus/node-exporter"
"""Where Debian's node exporter looks for figures of others."""
PRUNE_SECONDS = 6 * 3600.0
ASK_SECONDS = 600.0
CLOCK = 600.0
READ_WITHIN = 30 * 86400.0
EXPIRES_SOON = 30 * 86400.0
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


def main() -> int:
    """Exit status 1 where something is wrong with a repository: systemd tells a failed unit."""
    os.umask(0o077)
    verb, path, *more = sys.argv[1:] or ["", ""]
    if verb not in _VERBS:
        sys.stderr.write(f"usage: server.pyz {'|'.join(_VERBS)} CONFIG\n")
        return 2
    server = Server.read(path)
    os.makedirs(server.state, mode=0o700, exist_ok=True)
    done: int = _VERBS[verb](server, more)
    return done


def status(server: Server, more: List[str]) -> int:
    """How fresh each repository is, by the server's own clock; without any password."""
    del more
    now = time.time()
    clients = {}
    lines = ["# HELP civicops_backup_newest_seconds When the newest snapshot came, in seconds since 1970."]
    lines += ["# TYPE civicops_backup_newest_seconds gauge"]
    for client in server.clients:
        count, when = newest(server.repository(client))
        late = when is None or not -CLOCK <= now - when <= client.late_after
        clients[client.name] = {"snapshots": count, "newest": when and utc(when), "late": late}
        labels = f'{{town="{server.town}",client="{client.name}"}}'
        lines.append(f"civicops_backup_newest_seconds{labels} {when or 0:.3f}")
    write(os.path.join(server.state, STATUS), json.dumps({"at": utc(now), "clients": clients}))
    text = "\n".join(lines) + "\n"
    write(os.path.join(server.state, METRICS), text, mode=0o644)
    if os.path.isdir(EXPORTER):
        write(os.path.join(EXPORTER, f"civicops-backup-{server.town}.prom"), text, mode=0o644)
    return 0


def cycle(server: Server, more: List[str]) -> int:
    """Whether each repository is whole; what is wrong goes to the status and to standard error."""
    del more
    with _alone(server), Witness(server.state, server.root) as witness:
        told = [witness.look(client.name) for client in server.clients]
    return _tell(server, told)


def prune(server: Server, more: List[str]) -> int:
    """Forget what is older than the town keeps. Nothing is forgotten where a repository is not whole, or where a
    snapshot's own time is not the time at which it came: by a date in the future an attacker with a client's
    credentials would have all the others forgotten."""
    del more
    told: List[Told] = []
    kept = {client.name: _pruned(server).get(client.name) or _never() for client in server.clients}
    _keep_pruned(server, kept)  # since when, also where this one is cut off
    with _alone(server), Witness(server.state, server.root) as witness:
        for client in server.clients:
            one = witness.look(client.name)
            whole = not [alarm for alarm in one.alarms if alarm["kind"] != PARTIAL]
            with alone(server.busy(client), wait=False) as mine:
                if mine and one.snapshots and whole:
                    wrong, done = _prune(server, client, witness)
                    one = witness.look(client.name, pruned=True, keep=_seconds(server.keep_within))
                    last = utc(time.time()) if done else kept[client.name].get("done")
                    kept[client.name].update(at=utc(time.time()), done=last, alarms=wrong)
                    _keep_pruned(server, kept)
            if not one.snapshots:
                kept[client.name] = _never()
            told.append(one)
    _keep_pruned(server, kept)
    return max(_tell(server, told), 1 if any(one["alarms"] for one in kept.values()) else 0)


def _never() -> Dict[str, Any]:
    return {"at": None, "done": None, "since": utc(time.time()), "alarms": []}


def _keep_pruned(server: Server, kept: Dict[str, Any]) -> None:
    write(os.path.join(server.state, PRUNE), json.dumps({"clients": kept}))


def _pruned(server: Server) -> Dict[str, Any]:
    """What the prunings before have come to, by client."""
    try:
        with open(os.path.join(server.state, PRUNE), encoding="utf-8") as stream:
            found = json.load(stream)["clients"]
        return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _prune(server: Server, client: Client, witness: Witness) -> Tuple[List[Dict[str, str]], bool]:
    """What is wrong, and whether it was pruned. A backup that is being made is let be, and the next time will do."""
    try:
        wrong, waved = _odd_times(server, client, witness)
        if wrong:
            return [{"kind": "snapshot", "text": wrong}], False
        if waved:
            _restic(server, client, ASK_SECONDS, "forget", *waved)
            witness.forget(client.name, waved)
        _restic(server, client, ASK_SECONDS, "unlock")  # what was left behind, half an hour ago or longer
        witness.begin_pruning(client.name)
        # By host and tag: a manifest's path is its own, and would be the newest of its group for ever.
        words = ("forget", "--group-by", "host,tags", "--keep-within", server.keep_within, "--prune")
        _restic(server, client, PRUNE_SECONDS, *words)
        return [], True
    except Refused as error:
        if "already locked" in str(error):
            return [], False
        return [{"kind": "prune", "text": str(error)[:300]}], False
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [{"kind": "prune", "text": f"what restic says of it makes no sense: {error}"[:300]}], False


def _odd_times(server: Server, client: Client, witness: Witness) -> Tuple[Optional[str], List[str]]:
    """What is odd of a snapshot's time; and the odd ones that an administrator has let go."""
    arrivals = witness.arrivals(client.name)
    waved: List[str] = []
    for one in json.loads(_restic(server, client, ASK_SECONDS, "snapshots", "--json", "--no-lock")) or []:
        identity, says = str(one["id"]), str(one["time"])
        came, claimed = arrivals.get(identity), _claimed(says)
        if came is None:
            continue  # of this minute
        if claimed is not None and claimed <= came + FUTURE:
            continue
        if not witness.waved(client.name, identity):
            return f"{identity[:12]} says that it is of {says[:25]}; it came {utc(came)}", []
        waved.append(identity)
    return None, waved


class Refused(Exception):
    """restic has not done what was asked; the message is what it said last."""


def _restic(server: Server, client: Client, seconds: float, *arguments: str) -> str:
    """restic as the town's own user, in the directory of one client. The password is in the environment, which that
    user's processes alone can read; the server that is reached from outside is off meanwhile. Raises Refused."""
    user = pwd.getpwnam(server.user)
    password = server.password(client)
    more = {"RESTIC_PASSWORD": password, "HOME": "/nonexistent"}
    try:
        done = subprocess.run(
            ["restic", "--no-cache", "-r", server.repository(client), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(COMMAND_ENVIRONMENT, **more),
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd="/",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"restic {arguments[0]}: not done within {seconds:.0f} s") from None
    if done.returncode:
        said = clean(done.stderr[-2000:]).replace(password, "********").strip()
        raise Refused(f"restic {arguments[0]}: exit {done.returncode}: {said[-200:]}")
    return clean(done.stdout)


def copy(server: Server, more: List[str]) -> int:
    """Bring what is new to the second server."""
    del more
    return copies.copy(server)


def accept(server: Server, more: List[str]) -> int:
    """An administrator has looked at what is gone, and goes on without it."""
    if len(more) != 1 or more[0] not in {client.name for client in server.clients}:
        sys.stderr.write(f"name one of {', '.join(client.name for client in server.clients)}\n")
        return 2
    with _alone(server), Witness(server.state, server.root) as witness:
        count = witness.accept(more[0])
        for identity in witness.arrivals(more[0]):
            witness.wave(more[0], identity)
        copies.forget(server, more[0])
        sys.stdout.write(f"{count} files are no longer missed; snapshots of the future go at the next pruning\n")
    return cycle(server, [])


def _tell(server: Server, told: List[Told]) -> int:
    now = time.time()
    clients = {}
    for one in told:
        clients[one.client] = {
            "files": one.files,
            "bytes": one.bytes,
            "snapshots": one.snapshots,
            "newest": one.newest and utc(one.newest),
            "read_bytes": one.hashed_bytes,
            "read_all_since": one.oldest_hash and utc(one.oldest_hash),
            "alarms": one.alarms,
        }
        for alarm in one.alarms:
            sys.stderr.write(f"ALARM {one.client} {alarm['kind']}: {alarm['text']}\n")
        if one.oldest_hash is not None and one.oldest_hash < now - READ_WITHIN:
            one.alarm("witness", f"not all of it was read since {utc(one.oldest_hash)}")
    expires = certificate_end(server.certificate)
    alarms = []
    if expires is None or expires < now + EXPIRES_SOON:
        alarms.append({"kind": "certificate", "text": f"the certificate ends {utc(expires) if expires else 'unknown'}"})
    found = {"at": utc(now), "clients": clients, "certificate": expires and utc(expires), "alarms": alarms}
    write(os.path.join(server.state, CYCLE), json.dumps(found))
    status(server, [])
    return 1 if alarms or any(one.alarms for one in told) else 0


def certificate_end(path: str) -> Optional[float]:
    """When a certificate ends; None where that can't be read."""
    command = ["openssl", "x509", "-noout", "-enddate", "-in", path]
    try:
        done = subprocess.run(command, capture_output=True, env=COMMAND_ENVIRONMENT, timeout=10, check=False)
        text = clean(done.stdout).partition("=")[2].strip()
        return float(calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT")))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _claimed(text: str) -> Optional[float]:
    found = _TIME.match(text)
    if not found:
        return None
    away = 0
    if found[2] != "Z":
        sign = -1 if found[2][0] == "-" else 1
        away = sign * (int(found[2][1:3]) * 3600 + int(found[2][4:6]) * 60)
    try:
        return float(calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) - away)
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """restic's way to write a time, `1y6m15d12h`, in seconds at the least that it can be."""
    days = {"y": 365, "m": 28, "d": 1}
    parts = re.findall(r"(\d+)([ymdh])", text)
    return float(sum(int(number) * (3600 if unit == "h" else days[unit] * 86400) for number, unit in parts))


def _alone(server: Server) -> ContextManager[bool]:
    """A cycle and a pruning never see each other's half."""
    return alone(os.path.join(server.state, LOCK))


_VERBS: Dict[str, Any] = {"status": status, "cycle": cycle, "prune": prune, "copy": copy, "accept": accept}
