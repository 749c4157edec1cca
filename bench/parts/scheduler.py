"""What a look at many towns costs the scheduler when nothing is due."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.hosts.controller import BIN, ROOT
from tests.hosts.tools import run as run_command

from bench.result import Options, Section, Table, Target

TITLE = "The scheduler"
FEW, MANY = 50, 1000
TIMES = 5
# Reads the peak of its child's memory, which is its own child's alone.
_METER = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, wall, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def run(options: Options) -> Section:
    """Time `civicops scheduler --once` over towns like the worked example, unchanged since the last look."""
    rows, targets = [], []
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            first, wall, processor, memory = _looks(Path(folder), count)
        rows.append([f"{count:,}", f"{first:.1f}", f"{wall:.2f}", f"{processor:.2f}", f"{memory / 1024:.0f}"])
        if count == FEW:
            targets.append(Target(f"`--once`, {count} towns, nothing due", wall, 1.2, "s"))
        else:
            targets.append(Target(f"a look at {count:,} unchanged towns", wall, 2.0, "s"))
            targets.append(Target(f"its memory at {count:,} towns", memory / 1024, 200, "MB"))
    return Section(
        [
            "Each town is the worked example, with windows that open hours from now. The first look reads every town "
            f"file; the others are medians of {TIMES}."
        ],
        [Table("", ("towns", "first look, s", "a look, s", "its CPU, s", "memory, MB"), rows)],
        targets,
    )


def _looks(folder: Path, count: int) -> tuple[float, float, float, float]:
    """Seconds of the first look, and of a later one: wall, processor; and its memory in KiB."""
    _towns(folder / "inventories", count)
    environment = os.environ | {
        "CIVICOPS_STATE": str(folder / "state"),
        "CIVICOPS_INVENTORIES": str(folder / "inventories"),
    }
    command = [str(BIN / "python"), "-c", _METER, str(BIN / "civicops"), "scheduler", "--once"]

    def look() -> tuple[float, float, float]:
        status, *figures = run_command(command, env=environment, timeout=600).stdout.split()
        if status != "0":
            raise RuntimeError(f"the scheduler ended with {status}")
        wall, processor, memory = map(float, figures)
        return wall, processor, memory

    first = look()[0]
    later = sorted(look() for _ in range(TIMES))
    return (first, *later[TIMES // 2])


def _towns(inventories: Path, count: int) -> None:
    """Towns like the worked example, in which a job of ours has windows, and none of them is open."""
    source = ROOT / "inventories" / "fairview"
    text = (source / "group_vars/all/town.yml").read_text()
    soon = datetime.now(ZoneInfo("America/New_York")) + timedelta(hours=6)
    text = re.sub(r"jobs: \[patch, baseline\]", "jobs: [wait]", text)
    text = re.sub(r"jobs: \[backup, patch_stage, network\]", "jobs: [checkup]", text)
    windows, freezes = text.split("    freezes:")
    text = re.sub(r'start: "[0-9:]{5}"', f'start: "{soon:%H:%M}"', windows) + "    freezes:" + freezes
    for number in range(count):
        town = inventories / f"town-{number:04}"
        (town / "group_vars/all").mkdir(parents=True)
        shutil.copytree(source / "calendars", town / "calendars")
        (town / "hosts.yml").write_text("all:\n")
        (town / "group_vars/all/town.yml").write_text(text.replace("id: fairview", f"id: town-{number:04}", 1))
