# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""How a host's backup stands, as the host sees it: read-only, and no password is told."""

from __future__ import annotations

import base64
import calendar
import http.client
import json
import os
import re
import ssl
import time
import urllib.parse
from typing import Any, Dict, List, Optional, Tuple

from .._host_info.context import CommandError, clean, run_command, utc
from . import copies, kept, mounted
from .config import FOLDER, Config, ConfigError, load
from .escrow import EscrowError
from .escrow import told as told_of
from .restic import AUTHORITY, PASSWORD, REPOSITORY
from .storage import domain, storage
from .units import CLIENT, ServerUnits

SERVERS = "/etc/civicops/backup-server"
SERVER_KEPT = "/var/lib/civicops/backup-server"
NO_REPOSITORY = "there is no repository yet"
REMEMBERED = 8 * 86400.0
"""Seconds for which an attack's traces are told, though the backups after it see nothing new: until somebody has asked
once a week."""
_SECONDS = 5.0
_ALARMS = 100
_TEXT = 300


def standing(town: Optional[str], escrow: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """The body of a document of kind backup-status/1. C(escrow) is what the inventory says of where the host's password
    is kept elsewhere."""
    body: Dict[str, Any] = {
        "host_time": utc(time.time()),
        "seen_as_root": os.geteuid() == 0,
        "client": None,
        "server": None,
        "alarms": [],
    }
    alarms: List[Dict[str, str]] = body["alarms"]
    if os.geteuid() != 0:
        _alarm(alarms, "not_seen", "only root can see how backups stand")
        return body
    if os.path.lexists(os.path.join(FOLDER, "config.json")):
        body["client"] = _client(alarms, escrow)
    if town and os.path.isdir(os.path.join(SERVERS, town)):
        body["server"] = _server(town, alarms)
    del alarms[_ALARMS:]
    return body


def _alarm(alarms: List[Dict[str, str]], kind: str, text: Any) -> None:
    alarms.append({"kind": kind, "text": printable(text)})


def printable(text: Any, limit: int = _TEXT) -> str:
    """Text that steers no terminal."""
    plain = clean(str(text).encode("utf-8", "replace"))
    return "".join(letter if letter.isprintable() else "?" for letter in plain)[:limit]


def _client(alarms: List[Dict[str, str]], escrow: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    told: Dict[str, Any] = {"server": None, "timer": None, "service": None, "running": None, "last": None}
    told.update(complete=None, outcomes={}, reachable=None, reachable_why="", period_seconds=None)
    try:
        config = load()
        state = kept.read()
    except (OSError, ConfigError, ValueError) as error:
        _alarm(alarms, "unreadable", f"how the backup is set up or went can't be read: {error}")
        return told
    told.update(period_seconds=config.period, late_after_seconds=config.late_after)
    told.update(
        paths=[printable(path) for path in config.paths[:200]], dumps=[dump.name for dump in config.dumps[:100]]
    )
    told["timer"], told["service"] = _systemd()
    told["escrow"] = _escrow(escrow, alarms)
    told["server"], told["reachable"], told["reachable_why"] = reach()
    runs = [run for run in state["runs"] if isinstance(run, dict)]
    told["outcomes"] = {name: sum(run.get("outcome") == name for run in runs) for name in kept.OUTCOMES}
    if isinstance(state.get("running"), dict):
        told["running"] = printable(state["running"].get("started_at"), 40)
    told["last"] = _run(runs[-1]) if runs else None
    told["left_out"] = _left_out(runs)
    told["complete"] = _run(state["complete"]) if isinstance(state.get("complete"), dict) else None
    _judge(told, config, runs[:-1], alarms)
    return told


def _escrow(given: Optional[Dict[str, Any]], alarms: List[Dict[str, str]]) -> Optional[Dict[str, Any]]:
    try:
        with open(os.path.join(FOLDER, PASSWORD), encoding="utf-8") as stream:
            found = told_of(given, stream.read().strip())
    except (OSError, EscrowError) as error:
        _alarm(alarms, "escrow", error)
        return None
    if found["state"] == "differs":
        _alarm(alarms, "escrow", f"the repository's password is not the one that is kept elsewhere ({found['place']})")
    return dict(found, place=printable(found["place"], 200))


def _judge(told: Dict[str, Any], config: Config, earlier: List[Dict[str, Any]], alarms: List[Dict[str, str]]) -> None:
    """Told apart: the timer, the service, the last backup, the last complete one's age, and the server."""
    timer, service, last, complete = told["timer"], told["service"], told["last"], told["complete"]
    if timer is None or timer["enabled"] != "enabled" or timer["active"] != "active":
        _alarm(alarms, "timer", "the timer that starts the backup is not on")
    if service is not None and service["active"] == "failed":
        _alarm(alarms, "service", f"the backup's service has failed: {service['result']}")
    if last is not None and last["outcome"] != "complete":
        _alarm(alarms, last["outcome"], last["reason"] or f"the last backup is {last['outcome']}")
    for one in (last or {}).get("alarms", ()):
        _alarm(alarms, one["kind"], one["text"])
    for run in earlier:
        ended = _seconds(str(run.get("ended_at")))
        if ended is None or ended < time.time() - REMEMBERED:
            continue
        for one in _run(run)["alarms"]:
            if one["kind"] == "changes":
                _alarm(alarms, "changes", f"{printable(run.get('ended_at'), 40)}: {one['text']}")
    if complete and told["reachable_why"] == NO_REPOSITORY:
        _alarm(alarms, "repository", "the server has no repository of this host any more")
    if complete is None:
        _alarm(alarms, "never", "there is no complete backup yet")
    else:
        age = time.time() - (_seconds(complete["ended_at"]) or 0)
        if age > config.late_after:
            _alarm(alarms, "late", f"the last complete backup ended {complete['ended_at']}, {age / 3600:.0f} hours ago")
        if age < -600:
            _alarm(alarms, "clock", f"the last complete backup ended {complete['ended_at']}, which is yet to come")
    if told["reachable"] is False:
        _alarm(alarms, "server", told["reachable_why"])


def _run(run: Dict[str, Any]) -> Dict[str, Any]:
    """One run in the document's words; the state's file is root's, and yet nothing of it is taken on trust."""
    manifest, changes, unread = (_dict(run.get(name)) for name in ("manifest", "changes", "unread"))
    outcome = run.get("outcome")
    return {
        "started_at": printable(run.get("started_at"), 40),
        "ended_at": printable(run["ended_at"], 40) if run.get("ended_at") else None,
        "seconds": _number(run.get("seconds")),
        "outcome": outcome if outcome in kept.OUTCOMES else "failed",
        "reason": printable(run.get("reason") or ""),
        "snapshot": printable(run["snapshot"], 64) if run.get("snapshot") else None,
        "files": _number(run.get("files")),
        "bytes": _number(run.get("bytes")),
        "added_bytes": _number(run.get("added_bytes")),
        "unread_files": _number(unread.get("count")),
        "manifest_sha256": printable(manifest["sha256"], 64) if manifest.get("sha256") else None,
        "manifest_files": _number(manifest.get("files")),
        "without_hash": _number(manifest.get("without_hash")),
        "changes": {name: _number(changes.get(name)) for name in ("same", "changed", "gone", "new")}
        if changes
        else None,
        "dumps": [_dump(one) for one in _dicts(run.get("dumps"))],
        "alarms": [
            {"kind": printable(one.get("kind"), 40), "text": printable(one.get("text"))}
            for one in _dicts(run.get("alarms"))
        ],
    }


def _dump(one: Dict[str, Any]) -> Dict[str, Any]:
    outcome = one.get("outcome")
    return {
        "name": printable(one.get("name"), 63),
        "kind": printable(one.get("kind"), 20),
        "outcome": outcome if outcome in ("good", "shrunk", "failed") else "failed",
        "bytes": _number(one.get("bytes")),
        "reason": printable(one.get("reason") or ""),
    }


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> List[Dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)][:_ALARMS] if isinstance(value, list) else []


def _left_out(runs: List[Dict[str, Any]]) -> List[str]:
    """What the last backup has told of; nothing where it failed before it looked."""
    found = runs[-1].get("left_out") if runs else None
    texts = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return [printable(one) for one in texts[: mounted.SHOWN]]


def _number(value: Any) -> Optional[float]:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if fits else None


def _systemd() -> Tuple[Optional[Dict[str, str]], Optional[Dict[str, str]]]:
    """The timer and the service, by one question to systemd; None where it has no answer."""
    shown = "--property=Id,UnitFileState,ActiveState,Result,LastTriggerUSec,NextElapseUSecRealtime"
    command = ["systemctl", "show", "--no-pager", shown, "--", f"{CLIENT}.timer", f"{CLIENT}.service"]
    try:
        dummy, output = run_command(command, 15.0)
    except CommandError:
        return None, None
    found = {}
    for block in clean(output).split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[values.get("Id", "")] = values
    timer, service = found.get(f"{CLIENT}.timer"), found.get(f"{CLIENT}.service")
    return (
        timer
        and {
            "enabled": printable(timer.get("UnitFileState", ""), 40),
            "active": printable(timer.get("ActiveState", ""), 40),
            "last": printable(timer.get("LastTriggerUSec", ""), 60),
            "next": printable(timer.get("NextElapseUSecRealtime", ""), 60),
        },
        service
        and {
            "active": printable(service.get("ActiveState", ""), 40),
            "result": printable(service.get("Result", ""), 40),
        },
    )


def reach(folder: str = FOLDER) -> Tuple[Optional[str], Optional[bool], str]:
    """The server's place, whether it can be reached and takes our password, and why not."""
    try:
        with open(os.path.join(folder, REPOSITORY), encoding="utf-8") as stream:
            url = urllib.parse.urlsplit(stream.read().strip().partition("rest:")[2])
        place, port = url.hostname or "", url.port or 443
        context = ssl.create_default_context(cafile=os.path.join(folder, AUTHORITY))
    except (OSError, ValueError, ssl.SSLError) as error:
        return None, None, printable(f"the server's address or authority can't be read: {error}")
    told = printable(f"{place}:{port}", 260)
    login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode("ascii")
    connection = http.client.HTTPSConnection(place, port, timeout=_SECONDS, context=context)
    try:
        connection.request("HEAD", f"{url.path}config", headers={"Authorization": f"Basic {login}"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return told, False, printable(f"the backup server can't be reached: {error}")
    finally:
        connection.close()
    if status in (401, 403):
        return told, False, "the backup server refuses this host's password"
    if status == 404:
        return told, True, NO_REPOSITORY
    return told, status == 200, "" if status == 200 else f"the backup server answers {status}"


def _server(town: str, alarms: List[Dict[str, str]]) -> Dict[str, Any]:
    folder = os.path.join(SERVER_KEPT, town)
    status, cycle = _json(folder, "status.json", alarms), _json(folder, "cycle.json", alarms)
    pruned = _dict(_json(folder, "prune.json", alarms).get("clients"))
    told: Dict[str, Any] = {"town": town, "clients": [], "certificate": None, "free_bytes": None, "serving": False}
    told["domain"] = domain()
    told["looked_at"] = printable(cycle.get("at"), 40) if cycle.get("at") else None
    told["certificate"] = printable(cycle["certificate"], 40) if cycle.get("certificate") else None
    for one in _dicts(cycle.get("alarms")):
        _alarm(alarms, printable(one.get("kind"), 40), one.get("text"))
    if (_seconds(told["looked_at"]) or 0) < time.time() - 3 * 3600:
        _alarm(alarms, "witness", "the repositories were not looked at for three hours")
    for verb, what in (("cycle", "the repositories looked at"), ("prune", "old backups forgotten")):
        if not _active(ServerUnits(town).job(verb, "timer")):
            _alarm(alarms, "timer", f"the timer by which {what} is not on")
    told["serving"] = _active(f"civicops-restic-{town}.service")
    if not told["serving"]:
        _alarm(alarms, "serving", "the backup server does not run")
    config: Dict[str, Any] = {}
    try:
        with open(os.path.join(SERVERS, town, "server.json"), encoding="utf-8") as stream:
            config = json.load(stream)
        space = os.statvfs(config["root"])
        told["free_bytes"] = space.f_bavail * space.f_frsize
        told["storage"] = storage(config["root"])
        if space.f_bavail * 20 < space.f_blocks:
            _alarm(alarms, "disk", f"{told['free_bytes']} bytes are left for backups, less than a twentieth")
        names = [printable(one["name"], 64) for one in config["clients"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _alarm(alarms, "unreadable", f"how the server is set up can't be read: {error}")
        names = []
    told["copy"] = _copy(folder, town, config, names, alarms)
    for name in names:
        told["clients"].append(_repository(name, status, cycle, alarms))
        _pruning(name, _dict(pruned.get(name)), _prune_late(config), alarms)
    return told


def _copy(
    folder: str, town: str, config: Dict[str, Any], names: List[str], alarms: List[Dict[str, str]]
) -> Optional[Dict[str, Any]]:
    """How the second copy stands: each host's, since when, and what keeps it from being made."""
    to = config.get("copy_to")
    if not to:
        return None
    kept = _json(folder, copies.STATE, alarms)
    began = os.stat(os.path.join(SERVERS, town, "server.json")).st_mtime
    if not _active(ServerUnits(town).job("copy", "timer")):
        _alarm(alarms, "copy", "the timer that brings backups to the second server is not on")
    told: Dict[str, Any] = {"to": printable(to), "ended_at": _moment(kept.get("ended_at")), "clients": []}
    known = _dict(kept.get("clients")) if kept.get("to") == to else {}
    for name in names:
        one = _dict(known.get(name))
        since = one.get("copied_at") or one.get("since") or began
        if one.get("why"):
            _alarm(alarms, "copy", f"{name}: {one['why']}")
        elif _number(since) and not time.time() - since <= copies.LATE:
            _alarm(alarms, "copy", f"{name}: the second server was not brought up to date since {_moment(since)}")
        told["clients"].append(
            {
                "name": name,
                "copied_at": _moment(one.get("copied_at")),
                "newest": _moment(one.get("newest")),
                "snapshots": _number(one.get("snapshots")),
            }
        )
    return told


def _pruning(name: str, pruned: Dict[str, Any], late: Optional[float], alarms: List[Dict[str, str]]) -> None:
    """What was wrong at the last pruning; and where none has come to its end: by a client's lock, or an early end."""
    for one in _dicts(pruned.get("alarms")):
        _alarm(alarms, printable(one.get("kind"), 40), f"{name}: {one.get('text')}")
    since = _seconds(str(pruned.get("done") or pruned.get("since")))
    if late and since is not None and time.time() - since > late:
        _alarm(alarms, "prune", f"{name}: old backups were not forgotten since {utc(since)}")


def _prune_late(config: Dict[str, Any]) -> Optional[float]:
    text = str(config.get("prune_late"))
    return float(text) if text.isdigit() else None


def _moment(seconds: Any) -> Optional[str]:
    number = _number(seconds)
    return utc(number) if number else None


def _repository(name: str, status: Any, cycle: Any, alarms: List[Dict[str, str]]) -> Dict[str, Any]:
    fresh = _dict(_dict(status.get("clients")).get(name))
    whole = _dict(_dict(cycle.get("clients")).get(name))
    if fresh.get("late", True):
        newest = fresh.get("newest")
        _alarm(alarms, "late", f"{name}: {f'the newest backup came {newest}' if newest else 'no backup has come yet'}")
    for one in _dicts(whole.get("alarms")):
        _alarm(alarms, printable(one.get("kind"), 40), f"{name}: {one.get('text')}")
    return {
        "name": name,
        "newest": printable(fresh["newest"], 40) if fresh.get("newest") else None,
        "late": bool(fresh.get("late", True)),
        "snapshots": _number(fresh.get("snapshots")),
        "files": _number(whole.get("files")),
        "bytes": _number(whole.get("bytes")),
        "read_all_since": printable(whole["read_all_since"], 40) if whole.get("read_all_since") else None,
        "alarms": len(_dicts(whole.get("alarms"))),
    }


def _json(folder: str, name: str, alarms: List[Dict[str, str]]) -> Dict[str, Any]:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as stream:
            found = json.load(stream)
        if isinstance(found, dict):
            return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _alarm(alarms, "unreadable", f"{name}: {error}")
    return {}


def _active(unit: str) -> bool:
    try:
        return run_command(["systemctl", "is-active", "--quiet", unit], 15.0)[0] == 0
    except CommandError:
        return False


def _seconds(text: Optional[str]) -> Optional[float]:
    if not text or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        return None
    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None
