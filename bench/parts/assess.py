"""The matcher of packages: 1,000 hosts with 600 packages each, by itself and from the ledger on."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.answers import TOWN, sample
from bench.result import Options, Section, Table, Target
from civicops.feeds.importing import look
from civicops.feeds.store import Index
from civicops.ledger.documents import Document
from civicops.ledger.store import Ledger
from civicops.state import TownState

TITLE = "Assessing packages"
HOSTS, PACKAGES = 1000, 600
MATCH_WITHIN, WHOLE_WITHIN, MEMORY = 1.0, 4.0, 400.0
# As Debian 12's tracker: packages that have had issues, and issues of the release.
TRACKED, ISSUES = 3000, 36_000
NOW = datetime.now(UTC).replace(microsecond=0)
_ORIGIN = "Debian/bookworm"
_VM = {"kind": "vm", "by": "kvm"}
KERNEL_ISSUES = 3000
_STATES: tuple[dict[str, str], ...] = (
    {"status": "open", "urgency": "not yet assigned"},
    {"status": "open", "urgency": "unimportant"},
    {"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue"},
)
# In a process of its own, so that its memory is its own; times are of the processor but for the whole.
_PROGRAM = """
import json, resource, sys, time
start = time.perf_counter()
from datetime import UTC, datetime
from civicops.assess.estate import read_estate
from civicops.assess.packages import match
from civicops.feeds.store import Index
from civicops.ledger.store import Ledger
from civicops.state import TownState
state = TownState(sys.argv[1])
with Ledger(sys.argv[1], state=state) as ledger:
    estate = read_estate(ledger, datetime.now(UTC), index=Index())
read = time.process_time()
found = match(estate)
matched = time.process_time() - read
whole = time.perf_counter() - start
states = {}
for host in found.values():
    for name, count in host.counts.items():
        states[name] = states.get(name, 0) + count
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"match": matched, "whole": whole, "peak": peak, "states": states, "hosts": len(found)}))
"""


def run(options: Options) -> Section:
    """Make feeds and hosts, and judge them in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
    before = os.environ.get("CIVICOPS_STATE")
    os.environ["CIVICOPS_STATE"] = str(folder / "state")
    try:
        feeds(folder)
        with Ledger(TOWN, state=TownState(TOWN)) as ledger:
            ledger.append(list(documents()))
        return _section([_judged() for _ in range(max(3, options.rounds_ten))])
    finally:
        os.environ.pop("CIVICOPS_STATE") if before is None else os.environ.update(CIVICOPS_STATE=before)
        shutil.rmtree(folder)


def _judged() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, TOWN], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["hosts"] == HOSTS
    return told


def feeds(folder: Path, issues: int = ISSUES) -> None:
    """Import feeds of a release, made up."""
    chance = random.Random(1)
    packages: dict[str, dict[str, Any]] = {f"source{number}": {} for number in range(TRACKED)}
    for issue in range(issues):
        # Most issues are of a few packages.
        source = f"source{int(TRACKED * chance.random() ** 3)}"
        state: dict[str, str] = chance.choice(_STATES)
        if chance.random() < 0.6:
            state = {"status": "resolved", "urgency": "low", "fixed_version": f"1.{chance.randrange(20)}-1+deb12u2"}
        packages[source][f"CVE-2025-{10000 + issue}"] = {"scope": "local", "releases": {"bookworm": state}}
    packages["linux"] = {
        f"CVE-2026-{10000 + issue}": {
            "scope": "local",
            "releases": {
                "bookworm": {"status": "resolved", "urgency": "low", "fixed_version": f"1.{chance.randrange(20, 50)}-1"}
            },
        }
        for issue in range(KERNEL_ISSUES)
    }
    day = f"{NOW:%Y-%m-%d}"
    (folder / f"tracker-{day}.json").write_text(json.dumps(packages))
    head = "version,codename,series,created,release,eol,eol-lts\n"
    later = f"{NOW + timedelta(days=900):%Y-%m-%d}"
    (folder / f"debian-{day}.csv").write_text(f"{head}12,Bookworm,bookworm,2021-08-14,2023-06-10,{later},{later}\n")
    ended = "# packages whose security support ends before\nsource7 1 2026-01-01 x\n"
    (folder / "security-support-ended.deb12").write_text(ended)
    for feed in look([folder]).feeds:
        Index().replace(feed.format, feed.name, feed.sources, origin=feed.origin)


def documents() -> Iterator[Document]:
    """The facts of all hosts."""
    columns = [*sample()["packages"]["columns"][:7], "origin"]
    for number in range(HOSTS):
        chance = random.Random(number)
        versions: dict[int, str] = {}
        rows = [
            [
                f"lib{package}-{package % 7}",
                # As apt installs them: all packages of a source have its version.
                versions.setdefault(
                    package // 2,
                    f"1.{chance.choice((9, 12, 12, 12, 15))}-1+deb12u{chance.choice((1, 2, 2, 2))}",
                ),
                "amd64",
                f"source{package // 2 * 4}",
                None,
                "2026-11-23T12:21:58Z",
                None,
                _ORIGIN,
            ]
            for package in sorted(chance.sample(range(1500), PACKAGES - 3))
        ]
        rows += [_kernel(release, chance) for release in ("37-amd64", "41-amd64", "45-amd64")]
        packages = {"family": "dpkg", "columns": columns, "rows": rows, "held": [], "broken": []}
        name = f"pc{number:04}"
        running = {"running": f"6.1.0-{chance.choice((41, 45))}-amd64", "build": "", "installed": None}
        identity = sample()["identity"] | {"kernel": running | {"newest_installed": None}, "virtualization": _VM}
        more = {"packages": packages, "identity": identity, "host_time": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}
        yield document("host-facts", name, sample() | more)


def _kernel(release: str, chance: random.Random) -> list[Any]:
    version = f"1.{release[:2]}-{chance.choice((1, 2))}"
    return [f"linux-image-6.1.0-{release}", version, "amd64", "linux-signed-amd64", f"{version}+b", None, None, _ORIGIN]


def document(kind: str, host: str, body: dict[str, Any]) -> Document:
    """What a checkup has brought; of no host, where it is the controller's own."""
    return Document(
        kind=kind,
        version=1,
        id=f"{kind} of {host}",
        town=TOWN,
        host=host,
        target=None,
        run="day",
        job="checkup",
        check=False,
        attempt=1,
        collected_at=f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        body=body,
    )


def _section(rounds: list[dict[str, Any]]) -> Section:
    match, whole, peak = (median(one[key] for one in rounds) for key in ("match", "whole", "peak"))
    states = sorted(rounds[0]["states"].items(), key=lambda one: -one[1])
    every = f"{HOSTS:,} hosts x {PACKAGES} packages"
    return Section(
        [
            f"{every}, {len(rounds)} times, medians. No two hosts are alike: each has {PACKAGES} of 1,500 binary "
            f"packages, in one of ten versions. Feeds: {ISSUES:,} issues of {TRACKED:,} packages in the layout of "
            f"Debian's tracker, {KERNEL_ISSUES:,} more of the kernel; each host has three kernels.",
            "From the ledger on: a new process that imports, reads the newest facts of all hosts, and judges them.",
        ],
        [Table("", ("state", "source packages, all hosts"), [[name, f"{count:,}"] for name, count in states])],
        [
            Target(f"{every}: matching alone, processor time", match, MATCH_WITHIN, "s"),
            Target(f"{every}: from the ledger on, whole process", whole, WHOLE_WITHIN, "s"),
            Target("the same: memory, peak", peak, MEMORY, "MB"),
        ],
    )
