"""The campaign: the long fault and property runs, seeded. Writes docs/campaign.md.

Each part's figures lie in a file of their own, docs/campaign/PART.md, so that a part can be run anew by itself:
`python -m tests.campaign --only gate --gate 10000`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"

Found = tuple[list[str], list[str]]
"""Lines of Markdown, and the promises that were broken."""


def _checkups(seed: int, size: int) -> Found:
    from tests.hosts.kills import campaign

    return campaign(seed, size)


def _patch_nights(seed: int, size: int) -> Found:
    from tests.hosts.night_kills import campaign

    return campaign(seed, size)


def _patches(seed: int, size: int) -> Found:
    from tests.hosts.patch_kills import campaign

    return campaign(seed, size)


def _patches_controller(seed: int, size: int) -> Found:
    from tests.hosts.patch_kills import of_the_controller

    return of_the_controller(seed, size)


def _lockouts(seed: int, size: int) -> Found:
    from tests.hosts.lockouts import campaign

    return campaign(seed, size)


def _gate(seed: int, size: int) -> Found:
    from tests.gate_nights import campaign

    return campaign(seed, size)


def _town_night(seed: int, size: int) -> Found:
    from tests.hosts.town_night import night

    return night(seed, size)


def _backups(seed: int, size: int) -> Found:
    from tests.hosts.backup_cycles import campaign

    return campaign(seed, size)


def _cuts(seed: int, size: int) -> Found:
    from tests.network_cuts import campaign

    return campaign(seed, size)


@dataclass(frozen=True)
class Part:
    """One part: its name, its heading, what it counts and how much of that is usual, and what runs it."""

    name: str
    title: str
    counts: str
    usual: int
    run: Callable[[int, int], Found]


PARTS = (
    Part("checkups", "A checkup whose controller is killed", "kills", 200, _checkups),
    Part("patch-nights", "A patch night that is struck", "kills", 100, _patch_nights),
    Part("patches", "A patch night's packages, struck", "nights", 40, _patches),
    Part("patches-controller", "A patch night whose controller is killed", "kills", 50, _patches_controller),
    Part("backups", "Backups, and what is done to them", "cycles", 200, _backups),
    Part("lockouts", "Changes that would shut us out", "faults", 50, _lockouts),
    Part("town-night", "A whole night over a town", "machines with a kernel of their own", 1, _town_night),
    Part("cuts", "Sessions with network devices, cut", "sessions", 1_000, _cuts),
    Part("gate", "Nights that the gate lets begin", "nights", 10_000, _gate),
)


def section(part: Part, seed: int, size: int, found: Found, on: str) -> str:
    """A part's own page."""
    lines, broken = found
    how = f"Written by `make campaign` on {on}: seed {seed}, {size:,} {part.counts}. Don't edit."
    promises = [f"**Broken promises: {len(broken)}.**", *(f"- {line}" for line in broken)]
    return "\n".join([f"## {part.title}", "", how, "", *lines, "", *promises, ""])


def whole(docs: Path) -> str:
    """The page of all parts that were run, whenever that was."""
    pages = (docs / "campaign" / f"{part.name}.md" for part in PARTS)
    sections = [page.read_text() for page in pages if page.exists()]
    return "\n".join(
        ["# Campaign", "", "Faults and chance, seeded and at length. Generated; don't edit.", "", *sections]
    )


def main(given: list[str] | None = None, docs: Path = DOCS) -> int:
    """Run the parts that are wanted, and write what they found; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("--only", action="append", choices=names, metavar="PART", help=f"of {', '.join(names)}")
    parser.add_argument("--seed", type=int, default=1)
    for part in PARTS:
        parser.add_argument(f"--{part.name}", type=int, default=part.usual, metavar="N", help=f"how many {part.counts}")
    asked = parser.parse_args(given)
    broken = 0
    for part in PARTS:
        if asked.only and part.name not in asked.only:
            continue
        size = getattr(asked, part.name.replace("-", "_"))
        found = part.run(asked.seed, size)
        broken += len(found[1])
        (docs / "campaign").mkdir(exist_ok=True)
        text = section(part, asked.seed, size, found, f"{datetime.now(UTC):%Y-%m-%d}")
        (docs / "campaign" / f"{part.name}.md").write_text(text)
        (docs / "campaign.md").write_text(whole(docs))
        print(text, flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
