# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Whether the password that a host uses is the one that is kept elsewhere: by a seal, from which nobody has it back."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Dict, Optional

_SEAL = re.compile(r"scrypt:([0-9a-f]{32}):([0-9a-f]{64})")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class EscrowError(ValueError):
    """What the inventory says of it makes no sense; the message names the key and the remedy."""


def fits(seal: str, password: str) -> bool:
    """Whether a seal, as C(civicops seal) prints it, is of this password.

    scrypt with n=2^14, r=8, p=1: RFC 7914, section 2, for what somebody waits for.
    """
    found = _SEAL.fullmatch(seal)
    if not found:
        return False
    digest = hashlib.scrypt(password.encode(), salt=bytes.fromhex(found[1]), n=2**14, r=8, p=1, dklen=32)
    return hmac.compare_digest(digest.hex(), found[2])


def told(given: Optional[Dict[str, Any]], password: str) -> Dict[str, Any]:
    """How it stands, in the words of the document. Raises EscrowError."""
    if not given:
        return {"state": "none", "checked": None, "place": ""}
    seal, checked = str(given.get("seal") or ""), str(given.get("checked") or "")
    if not _SEAL.fullmatch(seal):
        raise EscrowError("escrow: seal is none as `civicops seal` prints it")
    if not _DAY.fullmatch(checked):
        raise EscrowError(f"escrow: checked is {checked!r:.40}; wanted is a day, such as 2026-11-30")
    state = "known" if fits(seal, password) else "differs"
    return {"state": state, "checked": checked, "place": str(given.get("place") or "")}
