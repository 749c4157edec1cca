"""Whether a package is the distribution's own: what it is, the release's end decides about; others have makers."""

from __future__ import annotations

from functools import cache, lru_cache

from civicops.assess.facts import Facts
from civicops.assess.host_finding import cells, data
from civicops.assess.lifecycle import os_of
from civicops.assess.package_rules import rules


def own_names(facts: Facts) -> tuple[str, ...]:
    """How the host's distribution calls itself as an origin of packages, in small letters; none if it is not known.

    A host most of whose packages have another name than we know of it has not only somebody else's packages: there the
    name that we know is wrong.
    """
    os_id, _, _ = os_of(facts)
    names = _names().get(os_id, ())
    return names if any(is_own(origin, names) for origin in facts.column("packages", "origin")) else ()


def is_own(origin: object, names: tuple[str, ...]) -> bool | None:
    """Whether a package's origin is the distribution; None where that is not told.

    An empty one is told of packages that no archive has, in that version or a newer one: put there by hand, or left
    over from a former release. Some say more than the name: `Debian/bookworm-security`, `SUSE LLC <https://...>`.
    """
    return _is_own(origin, names) if isinstance(origin, str) and names else None


@lru_cache(4096)
def _is_own(origin: str, names: tuple[str, ...]) -> bool:
    text = origin.strip().lower()
    return any(text == name or text.startswith((f"{name}:", f"{name}/", f"{name} ", f"{name},")) for name in names)


def has_own_sources_alone(facts: Facts) -> bool:
    """Whether all enabled sources of packages are known to be the distribution's own."""
    os_id, _, _ = os_of(facts)
    names = _names().get(os_id, ())
    enabled = [
        row for row in cells(facts, "package_sources") if row.get("enabled") is True and row.get("kind") != "deb-src"
    ]
    return bool(enabled) and all(is_own(row.get("origin"), names) for row in enabled)


@cache
def _names() -> dict[str, tuple[str, ...]]:
    found = {os_id: tuple(names) for os_id, names in data("origins")["distributions"].items()}
    for os_id, matched in rules().distributions.items():
        found[os_id] = (*sorted(name.lower() for name in matched.origins), *found.get(os_id, ()))
    return found
