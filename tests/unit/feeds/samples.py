"""Small feeds in their sources' layouts, and the index to put them in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from civicops.feeds.importing import look
from civicops.feeds.store import Imported, Index

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("CIVICOPS_TEST_DATA", ROOT.parent / "shared/data"))
needs_data = pytest.mark.skipif(
    not (DATA / "kev-2026-08-08.json").is_file(), reason="the real feeds are not here (CIVICOPS_TEST_DATA names them)"
)


def put(path: Path, **options: bool) -> Imported:
    """Import the one feed that is in a path."""
    found = look([path])
    assert not found.errors, found.errors
    (feed,) = found.feeds
    return Index().replace(feed.format, feed.name, feed.sources, origin=feed.origin, **options)


def kev(*cves: str, released: str = "2026-08-07T16:45:47.0648Z", **more: Any) -> str:
    entries = [
        {
            "cveID": cve,
            "vulnerabilityName": f"Acme {cve}",
            "dateAdded": "2026-08-01",
            "dueDate": "2026-08-15",
            "knownRansomwareCampaignUse": "Known" if at == 0 else "Unknown",
        }
        | more
        for at, cve in enumerate(cves)
    ]
    return json.dumps({"catalogVersion": "2026.08.07", "dateReleased": released, "vulnerabilities": entries})


def cves(count: int) -> list[str]:
    return [f"CVE-2026-{1000 + one}" for one in range(count)]


def osv(name: str, *fixes: tuple[str, str, str | None], upstream: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An OSV record; `fixes`: ecosystem, package, version that mends it."""
    affected = [
        {
            "package": {"ecosystem": ecosystem, "name": package},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]},
            ],
        }
        for ecosystem, package, fixed in fixes
    ]
    return {"id": name, "published": "2026-08-01", "upstream": list(upstream), "affected": affected} | more


def osv_lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)
