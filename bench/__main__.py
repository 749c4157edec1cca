"""`python -m bench [PART]...`: print what each part costs, say which targets are met, and write docs/bench.md."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version

from bench import page, parts
from bench.result import Options, Section, Target


def main() -> int:
    """Run the parts that were asked for. A missed target is told and fails nothing: a timing is no test."""
    names = [module.name for module in pkgutil.iter_modules(parts.__path__)]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(names)}; all without")
    parser.add_argument("--rounds", type=int, nargs=2, default=(9, 5), help="rounds with one host, with ten")
    parser.add_argument("--documents", type=int, default=100_000, help="documents in the ledger")
    parser.add_argument("--no-page", action="store_true", help="leave docs/bench.md as it is")
    asked = parser.parse_args()
    if unknown := set(asked.part) - set(names):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options = Options(rounds_one=asked.rounds[0], rounds_ten=asked.rounds[1], documents=asked.documents)
    modules = {name: importlib.import_module(f"bench.parts.{name}") for name in names}
    missed: list[Target] = []
    for name in asked.part or names:
        section: Section = modules[name].run(options)
        text = f"{_measured_on()}\n\n{section.markdown()}"
        print(f"\n## {modules[name].TITLE}\n\n{text}", flush=True)
        missed += [target for target in section.targets if not target.met]
        if not asked.no_page:
            page.write({modules[name].TITLE: text}, [module.TITLE for module in modules.values()])
    for target in missed:
        print(f"SHORT: {': '.join(target.cells()[:2])} ({target.cells()[2]})", file=sys.stderr)
    return 0


def _measured_on() -> str:
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"ansible-core {version('ansible-core')}."
    )


if __name__ == "__main__":
    sys.exit(main())
