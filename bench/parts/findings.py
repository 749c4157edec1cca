"""`civicops findings` for 1,000 hosts: all of them, and which hosts one advisory hits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hosts.controller import BIN

from bench.answers import TOWN
from bench.meter import wall_of
from bench.parts.assess import HOSTS, PACKAGES, documents, feeds
from bench.result import Options, Section, Table, Target
from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.state import TownState

TITLE = "Findings"
ADVISORY_WITHIN = 1.2
TIMES = 5
_NAMES = [f"pc{number:04}" for number in range(HOSTS)]
# Peak memory of the command itself, without that of Ansible, which reads the inventory.
_PROGRAM = """
import resource, sys
from civicops.cli.main import run
try:
    run(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""


def run(options: Options) -> Section:
    """Make a town of 1,000 hosts whose findings are recorded, and ask it."""
    del options  # no host is asked
    folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
    before = os.environ.get("CIVICOPS_STATE")
    os.environ["CIVICOPS_STATE"] = str(folder / "state")
    try:
        feeds(folder)
        _town(folder)
        return _asked(folder)
    finally:
        os.environ.pop("CIVICOPS_STATE") if before is None else os.environ.update(CIVICOPS_STATE=before)
        shutil.rmtree(folder)


def _town(folder: Path) -> None:
    directory = folder / "inventories" / TOWN
    (directory / "group_vars" / "all").mkdir(parents=True)
    systems = [{"id": f"system{number}", "name": f"System {number}"} for number in range(20)]
    town = {"id": TOWN, "name": "Bench", "timezone": "UTC", "systems": systems}
    (directory / "group_vars" / "all" / "town.yml").write_text(json.dumps({"town": town}))
    groups = {f"system_system{number}": {"hosts": dict.fromkeys(_NAMES[number::20])} for number in range(20)}
    (directory / "hosts.yml").write_text(json.dumps({"all": {"hosts": dict.fromkeys(_NAMES), "children": groups}}))
    with Ledger(TOWN, state=TownState(TOWN)) as ledger:
        ledger.append(list(documents()))


def _asked(folder: Path) -> Section:
    civicops = str(BIN / "civicops")
    environment = os.environ | {"CIVICOPS_INVENTORIES": str(folder / "inventories")}
    start = time.perf_counter()
    whole = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "findings", TOWN, "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    took, peak = time.perf_counter() - start, float(whole.stderr.split()[-1])
    told = json.loads(whole.stdout)
    found = [one for one in told["findings"] if one["cves"]]
    _record()
    advisory = max(sorted({cve for one in found[:2000] for cve in one["cves"]}), key=lambda cve: cve[-2:])
    shown = wall_of([civicops, "findings", TOWN], times=2, env=environment)
    asked = wall_of([civicops, "findings", "--advisory", advisory], times=TIMES, env=environment)
    hit = json.loads(
        subprocess.run(
            [civicops, "findings", "--advisory", advisory, "--json"], capture_output=True, env=environment, check=True
        ).stdout
    )
    (town,) = hit["towns"]
    assert len(town["hosts_hit"]) + len(town["not_hit"]) + len(town["not_known"]) == HOSTS
    every = f"{HOSTS:,} hosts x {PACKAGES} packages"
    return Section(
        [
            f"{every} as above, no two alike; their systems as they were recorded at the end of a checkup. Whole "
            f"commands, start included; medians of {TIMES} and 2.",
            f"The advisory hits {len(town['hosts_hit']):,} hosts; there are {len(told['findings']):,} findings in all.",
        ],
        [
            Table(
                "",
                ("what", "measured"),
                [
                    ["`civicops findings --advisory ID`", f"{asked:.2f} s"],
                    ["`civicops findings TOWN`", f"{shown:.1f} s"],
                    ["`civicops findings TOWN --json`, once", f"{took:.1f} s, {peak:.0f} MB"],
                ],
            )
        ],
        [Target(f"which hosts does this CVE hit, {every}", asked, ADVISORY_WITHIN, "s")],
    )


def _record() -> None:
    """What a checkup records of systems: without it, the inventory has to be read for them."""
    body = {"feeds": [], "rows": [], "systems": {f"system{number}": _NAMES[number::20] for number in range(20)}}
    document = Document(
        kind="findings",
        version=1,
        id="record",
        town=TOWN,
        host="",
        target=None,
        run="day",
        job="checkup",
        check=False,
        attempt=1,
        collected_at="2026-11-30T08:00:00.000000Z",
        body=body,
    )
    with Ledger(TOWN, state=TownState(TOWN)) as ledger:
        ledger.append([document])
