"""What the command `civicops` costs before it does anything."""

from __future__ import annotations

import os
import sys

from tests.hosts.controller import BIN, ROOT

from bench.meter import wall_of
from bench.result import Options, Section, Table, Target

TITLE = "The command"
TIMES = 10


def run(options: Options) -> Section:
    """Time the command's help, its list of towns and its import."""
    civicops = str(BIN / "civicops")
    env = os.environ | {"CIVICOPS_INVENTORIES": str(ROOT / "inventories")}
    imported = wall_of([sys.executable, "-c", "import civicops.cli.main"], times=TIMES)
    python = wall_of([sys.executable, "-c", "pass"], times=TIMES)
    shown = wall_of([civicops, "--help"], times=TIMES)
    listed = wall_of([civicops, "town", "list"], times=TIMES, env=env)
    rows = [
        ["`civicops --help`", f"{shown:.2f} s"],
        ["`civicops town list`, the two towns of this repository", f"{listed:.2f} s"],
        ["importing the command, without Python's own start", f"{imported - python:.2f} s"],
    ]
    return Section(
        [f"Medians of {TIMES}, after one that is not counted."],
        [Table("", ("what", "wall time"), rows)],
        [Target("`civicops --help`", shown, 0.4, "s")],
    )
