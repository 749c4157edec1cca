"""Whether a package is the distribution's own: what it is, the release's end decides about; others have makers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from civicops.assess.facts import Facts
from civicops.assess.host_finding import data
from civicops.assess.lifecycle import os_of


def own_names(facts: Facts) -> tuple[str, ...]:
    """How the host's distribution calls itself as an origin of packages, in small letters; none if it is not known."""
    os_id, _, _ = os_of(facts)
    return tuple(data("origins")["distributions"].get(os_id, ()))


def is_own(row: Mapping[str, Any], names: tuple[str, ...]) -> bool | None:
    """Whether a package's row says that it comes from the distribution; None where that is not told.

    Some origins say more than the name: `Debian:bookworm-security`, `SUSE LLC <https://www.suse.com/>`.
    """
    origin = row.get("origin")
    if not isinstance(origin, str) or not origin.strip() or not names:
        return None
    text = origin.strip().lower()
    return any(text == name or text.startswith((f"{name}:", f"{name}/", f"{name} ", f"{name},")) for name in names)
