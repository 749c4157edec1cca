"""Why a host's newest state is not known: the newest reason counts."""

from __future__ import annotations

import uuid
from typing import Any

from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.report.collect import collect
from civicops.state import TownState


def document(kind: str, body: Any, **more: Any) -> Document:
    return Document(
        kind=kind,
        version=1,
        id=str(uuid.uuid4()),
        town="riverton",
        host="web1",
        target=None,
        run=str(uuid.uuid4()),
        job="checkup",
        check=False,
        attempt=1,
        collected_at="2026-11-23T12:00:00Z",
        body=body,
        **more,
    )


def test_the_newest_reason_is_told(state: TownState) -> None:
    refused = document("host-facts", {}, status="rejected", reason="too large")
    unreachable = document("contact", {"outcome": "unreachable", "task": "t", "reason": "no route"})
    answer = document("host-facts", {"host_time": None, "seen_as_root": True, "unread": []})
    with Ledger("riverton", state=state) as ledger:
        for one, told in (
            (refused, "its answer was refused: too large"),
            (unreachable, "unreachable: no route"),
            (answer, None),
        ):
            ledger.append([one])
            (host,) = collect(ledger, "Riverton").hosts
            assert host.missed == told
