"""Verify a ledger: that it is consistent, and unchanged up to an anchor that was kept elsewhere.

It claims no more: whoever can write the database can recompute the whole chain, and only an anchor shows that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from civicops.ledger.store import Anchor, Ledger, LedgerError, chain_hash, genesis, unpack


@dataclass
class Verdict:
    """What `verify` found. `problems` empty means consistent and in agreement with every anchor given."""

    anchor: Anchor
    redacted: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.problems


def verify(ledger: Ledger, anchors: Sequence[Anchor] = (), *, most: int = 20) -> Verdict:
    """Walk the whole ledger; name at most `most` problems."""
    verdict = Verdict(ledger.anchor())
    wanted = {anchor.count: anchor for anchor in anchors}
    previous, count = genesis(ledger.town), 0
    if (start := wanted.pop(0, None)) and start.hash != previous:
        verdict.problems.append("the anchor of the empty ledger is of another town")
    rows = ledger.walk()
    while True:
        try:
            row, packed = next(rows)
        except StopIteration:
            break
        except LedgerError as error:
            verdict.problems.append(f"after row {count}: {error}")
            return verdict
        count += 1
        missing = row.pop("body_missing")
        if row["seq"] != count:
            verdict.problems.append(f"row {count} is missing: the next one is {row['seq']}")
            count = row["seq"]
        if row["prev"] != previous:
            verdict.problems.append(f"row {count} does not follow the row before it")
        if chain_hash(row) != row["hash"]:
            verdict.problems.append(f"row {count} was changed: its hash does not match")
        if missing:
            verdict.problems.append(f"row {count}: its body is gone")
        elif packed is None:
            verdict.redacted += 1
        elif not _body_matches(packed, row["body"]):
            verdict.problems.append(f"row {count}: its body was changed")
        anchor = wanted.pop(count, None)
        if anchor is not None and anchor.hash != row["hash"]:
            verdict.problems.append(f"row {count} differs from the anchor {anchor.hash[:16]}...: history was rewritten")
        previous = row["hash"]
        if len(verdict.problems) >= most:
            verdict.problems.append("... and perhaps more; stopped here")
            return verdict
    if (count, previous) != (verdict.anchor.count, verdict.anchor.hash):
        verdict.problems.append(f"the head tells of {verdict.anchor.count} rows; the rows end at {count}")
    for anchor in wanted.values():
        verdict.problems.append(f"an anchor tells of {anchor.count} rows; the ledger has {count}: its end was cut off")
    return verdict


def _body_matches(packed: bytes, digest: str) -> bool:
    try:
        return hashlib.sha256(unpack(packed)).hexdigest() == digest
    except LedgerError:
        return False
