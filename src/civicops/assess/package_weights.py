"""How bad a package's issues are, by CISA's catalogue and points. What has none is told as such, never as harmless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.package_types import Hit
from civicops.feeds.store import Index

NOT_KNOWN: Severity = "medium"
"""What an issue counts as of which nothing is known: beside others it is never the least."""
# The qualitative scale of CVSS v3.1 and v4.0 (FIRST, specification, section 5 and 6).
_SCALE: tuple[tuple[float, Severity], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))


class Weight(NamedTuple):
    """The worst of some issues, None where nothing is known of any; and what it comes from."""

    severity: Severity | None
    because: str


class _Known(NamedTuple):
    rank: int
    score: float
    text: str


class Weights:
    """The index's KEV and SSVC points of CVEs, each asked once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._kev = index.all_kev()
        status = index.status()
        self._missing = ", ".join(name for name in ("kev", "vulnrichment") if name not in status)
        self._points = "vulnrichment" in status
        self._known: dict[str, _Known | None] = {}

    def of(self, hits: Iterable[Hit]) -> Weight:
        """The worst that is known of them."""
        every = issues(hits)
        known = [(one, cve) for cve in every if (one := self._of(cve)) is not None]
        unknown = len(every) - len(known)
        notes = []
        worst: Severity | None = None
        if known:
            (rank, _, text), cve = max(known)
            worst = SEVERITIES[rank]
            notes.append(f"{cve}: {text}")
        if unknown:
            whose = f"{unknown} of {len(every)} issues" if len(every) > 1 else "the issue"
            missing = f" (feeds that are missing: {self._missing})" if self._missing else ""
            notes.append(f"how bad {whose} may be is not known{missing}")
            worst = max(worst, NOT_KNOWN, key=SEVERITIES.index) if worst else None
        return Weight(worst, "; ".join(notes))

    def _of(self, cve: str) -> _Known | None:
        if cve not in self._known:
            self._known[cve] = self._asked(cve) if cve.startswith("CVE-") else None
        return self._known[cve]

    def _asked(self, cve: str) -> _Known | None:
        critical = SEVERITIES.index("critical")
        if cve in self._kev:
            ransomware = ", by ransomware too" if self._kev[cve].ransomware else ""
            return _Known(critical, 12.0, f"exploited{ransomware} (CISA KEV, since {self._kev[cve].added})")
        points = self._index.ssvc(cve) if self._points else None
        if points is None:
            return None
        if points.exploitation == "active":
            return _Known(critical, 11.0, "exploited (CISA SSVC)")
        if points.cvss is None:
            return None
        severity = next(name for least, name in _SCALE if points.cvss >= least)
        return _Known(SEVERITIES.index(severity), points.cvss, f"CVSS {points.cvss:g}")


def issues(hits: Iterable[Hit]) -> Sequence[str]:
    """The CVEs of advisories, and an advisory's own name where it has none; each once, in order."""
    return sorted({one for hit in hits for one in hit.cves or (hit.id,)})
