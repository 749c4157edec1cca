"""The findings about hosts and devices: each a class in a file of its own in this folder, which is all that it takes.

A file holds `FINDING`, the one object of its class. Those about recovery have a folder's worth of their own:
`civicops.assess.recovery`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from civicops.assess.estate import Estate
from civicops.assess.finding import Finding, Judged, judged


@cache
def findings() -> tuple[Finding[Estate], ...]:
    """All of them, in the order of their ids."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    found = (importlib.import_module(f"{__name__}.{name}").FINDING for name in names)
    return tuple(sorted(found, key=lambda finding: finding.id))


def look(estate: Estate) -> list[Judged]:
    """All that is found in a town, what is not known, and what is fine; worst first."""
    with estate.index.steady():
        told = [one for finding in findings() for one in judged(finding, finding.look(estate))]
    return sorted(told, key=lambda one: one.rank)
