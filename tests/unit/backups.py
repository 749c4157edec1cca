"""Documents about backups, as hosts and drills give them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from civicops.ledger.documents import Document, check_body
from civicops.ledger.store import Ledger

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RUN = {
    "started_at": "2026-11-30T01:00:00Z",
    "ended_at": "2026-11-30T01:05:00Z",
    "seconds": 300.0,
    "outcome": "complete",
    "reason": "",
    "snapshot": "ab" * 32,
    "files": 1234,
    "bytes": 5000,
    "added_bytes": 50,
    "unread_files": 0,
    "manifest_sha256": "cd" * 32,
    "manifest_files": 1234,
    "without_hash": 0,
    "changes": None,
    "dumps": [],
    "alarms": [],
}
CLIENT = {
    "server": "vault:8000",
    "timer": {"enabled": "enabled", "active": "active", "last": "", "next": ""},
    "service": {"active": "inactive", "result": "success"},
    "running": None,
    "last": RUN,
    "complete": RUN,
    "outcomes": {"complete": 1},
    "reachable": True,
    "reachable_why": "",
    "period_seconds": 86400,
}
SERVER = {"town": "riverton", "clients": [], "certificate": None, "free_bytes": 1, "serving": True, "looked_at": None}


DRILL: dict[str, Any] = {
    "outcome": "done",
    "reason": "",
    "host_time": None,
    "snapshot": "ab" * 32,
    "snapshot_time": "",
    "newest_known": True,
    "manifest_from": "host",
    "manifest_sha256": "cd" * 32,
    "everything": True,
    "turn": None,
    "files": {"compared": 4, "equal": 4, "different": 0, "missing": 0, "without_hash": 0, "examples": []},
    "bytes": 5,
    "restore_seconds": 840,
    "took_seconds": 900,
    "databases": [
        {
            "name": "payroll",
            "kind": "postgresql",
            "outcome": "restored",
            "tables": 3,
            "rows": 412331,
            "seconds": 5,
            "reason": "",
        }
    ],
}


def put_drill(ledger: Ledger, host: str, *, age: timedelta = timedelta(days=5), **more: Any) -> None:
    append(ledger, "drill", host, DRILL | more, age)


def put(ledger: Ledger, host: str, *alarms: str, age: timedelta = timedelta(hours=1), **more: Any) -> None:
    body = {
        "host_time": None,
        "seen_as_root": True,
        "client": CLIENT,
        "server": None,
        "alarms": [{"kind": kind, "text": f"<b>{kind}</b> \x1b[31m"} for kind in alarms],
    } | more
    append(ledger, "backup-status", host, body, age)


def append(ledger: Ledger, kind: str, host: str, body: dict[str, Any], age: timedelta) -> None:
    check_body(kind, 1, body)
    document = Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town=ledger.town,
        host=host,
        target=None,
        run=str(uuid.uuid4()),
        job="checkup",
        check=False,
        attempt=1,
        collected_at=(NOW - age).isoformat(timespec="seconds").replace("+00:00", "Z"),
        body=body,
    )
    ledger.append([document])


CONFIG: dict[str, Any] = {
    "outcome": "whole",
    "reason": "",
    "platform": "cisco_ios",
    "tested": True,
    "transport": "ssh",
    "sha256": "ab" * 32,
    "bytes": 5000,
    "lines": 200,
    "changed": False,
    "words": "",
    "added": 0,
    "removed": 0,
    "commit": "cd" * 20,
    "whole_at": "2026-11-30T11:00:00Z",
    "changed_at": "2026-11-01T11:00:00Z",
    "unsaved": False,
    "signs": {"telnet": False, "http": False, "https": None, "default_community": False, "time": True, "log": True},
    "seconds": 2.5,
}


def put_config(ledger: Ledger, device: str, *, age: timedelta = timedelta(hours=1), **more: Any) -> None:
    append(ledger, "device-config", device, CONFIG | more, age)


DEVICE_FACTS: dict[str, Any] = {
    "platform": "cisco_ios",
    "tested": True,
    "vendor": "Cisco",
    "transport": "ssh",
    "model": "C9200L <b>",
    "serial": "JAE24",
    "version": "17.9.4a",
    "hostname": "sw1",
    "software_built": "2023-10-20",
    "uptime_seconds": 90_000,
    "members": [],
    "modules": [],
    "interfaces": [],
    "neighbours": [],
    "power": [],
    "temperatures": [],
    "poe": [],
    "unanswered": [],
    "seconds": 1.5,
}


def put_network_run(ledger: Ledger, **hosts: str) -> None:
    body = {
        "playbook": "network_backup",
        "started_at": "2026-11-30T11:00:00Z",
        "ended_at": "2026-11-30T11:01:00Z",
        "limit": None,
        "user": "ops",
        "ansible": "2.19",
        "hosts": hosts,
    }
    document = Document(
        kind="run",
        version=1,
        id=str(uuid.uuid4()),
        town=ledger.town,
        host="",
        target=None,
        run=str(uuid.uuid4()),
        job="network",
        check=False,
        attempt=1,
        collected_at="2026-11-30T11:01:00Z",
        body=body,
    )
    ledger.append([document])
