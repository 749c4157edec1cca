"""Answers of many hosts over many days, made from one real answer: no two are equal, and they compress as real ones do.

`sample_host.json` is the answer of a test host (Debian 12, 165 packages, 17 pending updates) with its names changed.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from civicops.ledger.documents import Document

TOWN = "bench"
_FIRST_DAY = datetime(2025, 1, 1, 3, 0, tzinfo=UTC)


@cache
def sample() -> dict[str, Any]:
    """The real answer."""
    text = Path(__file__).with_name("sample_host.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


class SomeHost:
    """One host: its own identity, keys and choice of packages, which are renewed as time goes on."""

    def __init__(self, number: int) -> None:
        self.name = f"pc{number:03}"
        self._random = random.Random(number)
        self._identity = sample()["identity"] | {"machine_id": self._hex(32), "hostname": self.name}
        keys = [key | {"sha256": self._hex(43)} for key in sample()["ssh"]["host_keys"]]
        self._ssh = sample()["ssh"] | {"host_keys": keys}
        rows: list[list[Any]] = [row for row in sample()["packages"]["rows"] if self._random.random() > 0.1]
        self._packages = rows

    def _hex(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def answer(self, day: int) -> dict[str, Any]:
        """What it says on that day, later than the day it was asked about before."""
        now = _FIRST_DAY + timedelta(days=day, seconds=self._random.randrange(600))
        if self._random.random() < 0.1:
            place = self._random.randrange(len(self._packages))
            name, release, *rest = self._packages[place]
            self._packages[place] = [name, f"{release}+u{day}", *rest[:3], _said(now), *rest[4:]]
        (system,) = sample()["filesystems"]
        memory = self._random.randrange(8 * 2**30, 24 * 2**30, 4096)
        return sample() | {
            "host_time": _said(now),
            "identity": self._identity | {"uptime_seconds": self._random.randrange(10**7)},
            "hardware": sample()["hardware"] | {"memory_available_bytes": memory},
            "filesystems": [system | {"free_bytes": self._random.randrange(40 * 10**9, 81 * 10**9, 4096)}],
            "packages": sample()["packages"] | {"rows": self._packages},
            "ssh": self._ssh,
            "took_seconds": round(self._random.uniform(0.2, 0.9), 3),
        }


def days(hosts: int, first: int = 0) -> Iterator[list[Document]]:
    """Day after day, the documents of one run over all hosts, with the run's own at the end."""
    all_of_them = [SomeHost(number) for number in range(hosts)]
    day = first
    while True:
        run, at = f"day{day:05}", _said(_FIRST_DAY + timedelta(days=day))
        facts = [_document("host-facts", host.name, run, at, host.answer(day)) for host in all_of_them]
        outcome = {"playbook": "checkup", "started_at": at, "ended_at": at}
        body = outcome | {"hosts": {host.name: "ok" for host in all_of_them}}
        yield [*facts, _document("run", "", run, at, body)]
        day += 1


def _document(kind: str, host: str, run: str, at: str, body: dict[str, Any]) -> Document:
    return Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {host}")),
        town=TOWN,
        host=host,
        target=None,
        run=run,
        job="checkup",
        check=False,
        attempt=1,
        collected_at=at,
        body=body,
    )


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
