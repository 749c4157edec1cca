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
from typing import NamedTuple

from tests.hosts.controller import BIN

from bench.answers import TOWN
from bench.meter import wall_of
from bench.parts.assess import HOSTS, ISSUES, NOW, PACKAGES, document, documents, feeds
from bench.result import Options, Section, Table, Target
from civicops.assess.assessment import assess
from civicops.assess.finding import RECORD
from civicops.assess.recorded import NOTHING, as_body
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.state import TownState
from civicops.town import Town, load_town

TITLE = "Findings"
ADVISORY_WITHIN, WHOLE_WITHIN, MEMORY = 1.2, 4.0, 400.0
TIMES = 5
NEVER_PATCHED = 3000
"""Issues in the tracker by which each host has some 144 findings. Of the 447 sources of a Debian 12 machine with 783
packages 91 have had a fixed advisory since its release, so as many are found where it was never patched."""
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
    told = {issues: _measured(issues) for issues in (NEVER_PATCHED, ISSUES)}
    often, worst = told[NEVER_PATCHED], told[ISSUES]
    every = f"{HOSTS:,} hosts x {PACKAGES} packages"
    return Section(
        [
            f"{every} as above, no two alike, by two feeds: one by which they are as a Debian 12 host that was never "
            "patched, and one by which three quarters of all packages have an issue. Their findings and systems are as "
            f"they were recorded at the end of a checkup. Whole commands, start included; medians of {TIMES}.",
            f"The advisory hits {worst.hit:,} hosts.",
        ],
        [
            Table(
                "",
                ("what", *(f"{one.found // HOSTS} findings a host" for one in (often, worst))),
                [
                    ["`civicops findings TOWN`", *(f"{one.shown:.1f} s, {one.peak:.0f} MB" for one in (often, worst))],
                    [
                        "`civicops findings TOWN --json`, once",
                        *(f"{one.exported:.1f} s, {one.size / 1e6:.0f} MB of JSON" for one in (often, worst)),
                    ],
                    ["`civicops findings --advisory ID`", *(f"{one.asked:.2f} s" for one in (often, worst))],
                ],
            )
        ],
        [
            Target(f"from the ledger to findings, {often.found // HOSTS} a host", often.shown, WHOLE_WITHIN, "s"),
            Target(f"from the ledger to findings, {worst.found // HOSTS} a host", worst.shown, WHOLE_WITHIN, "s"),
            Target("memory of that", worst.peak, MEMORY, "MB"),
            Target(f"which hosts does this CVE hit, {every}", worst.asked, ADVISORY_WITHIN, "s"),
        ],
    )


class _Measured(NamedTuple):
    found: int
    shown: float
    peak: float
    exported: float
    size: int
    asked: float
    hit: int


def _measured(issues: int) -> _Measured:
    folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
    before = os.environ.get("CIVICOPS_STATE")
    os.environ["CIVICOPS_STATE"] = str(folder / "state")
    try:
        feeds(folder, issues)
        _town(folder)
        _record(load_town(folder / "inventories" / TOWN))
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


def _asked(folder: Path) -> _Measured:
    civicops = str(BIN / "civicops")
    environment = os.environ | {"CIVICOPS_INVENTORIES": str(folder / "inventories")}

    def output(*arguments: str) -> bytes:
        return subprocess.run([civicops, *arguments], capture_output=True, env=environment, check=True).stdout

    whole = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "findings", TOWN], capture_output=True, text=True, env=environment, check=True
    )
    start = time.perf_counter()
    exported = output("findings", TOWN, "--json")
    took = time.perf_counter() - start
    found = [one for one in json.loads(exported)["findings"] if one["state"] == "found"]
    advisory = max(sorted({cve for one in found[:100] for cve in one["cves"]}), key=lambda cve: cve[-2:])
    (hit,) = json.loads(output("findings", "--advisory", advisory, "--json"))["towns"]
    assert len(hit["hosts_hit"]) + len(hit["not_hit"]) + len(hit["not_known"]) == HOSTS
    return _Measured(
        found=sum(len(one["about"]) for one in found),
        shown=wall_of([civicops, "findings", TOWN], times=TIMES, env=environment),
        peak=float(whole.stderr.split()[-1]),
        exported=took,
        size=len(exported),
        asked=wall_of([civicops, "findings", "--advisory", advisory], times=TIMES, env=environment),
        hit=len(hit["hosts_hit"]),
    )


def _record(town: Town) -> None:
    """What a checkup records at its end."""
    groups = {f"system_{one.id}": _NAMES[number :: len(town.systems)] for number, one in enumerate(town.systems)}
    with Ledger(TOWN, state=TownState(TOWN)) as ledger:
        found = assess(ledger, NOW, town, groups | {"all": _NAMES}, Index())
        body = as_body(found.ranked, NOTHING, NOW.date(), feeds=found.feeds.values(), systems=found.systems)
        ledger.append([document(RECORD, "", body)])
