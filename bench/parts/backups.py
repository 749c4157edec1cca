"""Backups: a drill against restoring by hand, the state of many repositories against asking restic, and freshness."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.hosts import podman
from tests.hosts.backups import SECRETS, TOWN, VARS, backup
from tests.hosts.backups import run as run_job
from tests.hosts.host import Host
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

from bench.result import Options, Section, Table, Target

TITLE = "Backups"
FILES, SIZE = 8000, 32_000
REPOSITORIES, SNAPSHOTS = 1000, 90
TIMES = 5
# What a town's data is like: texts and what does not pack, in directories of a hundred.
_FILL = f"""
import os, random
random.seed(7)
for number in range({FILES}):
    folder = "/srv/data/%d" % (number // 100)
    os.makedirs(folder, exist_ok=True)
    with open("%s/%d" % (folder, number), "wb") as stream:
        half = random.randrange({SIZE})
        stream.write(random.randbytes(half) + b"a line of text\\n" * (half // 15))
"""
_MANY = f"""
import json, os
config = json.load(open("/etc/civicops/backup-server/{TOWN}/server.json"))
late = config["clients"][0]["late_after"]
names = ["host-%d" % number for number in range({REPOSITORIES})]
for name in names:
    folder = "/srv/many/%s/snapshots" % name
    os.makedirs(folder)
    for number in range({SNAPSHOTS}):
        open("%s/%064x" % (folder, number), "w").close()
config.update(root="/srv/many", state="/root/many", clients=[{{"name": name, "late_after": late}} for name in names])
json.dump(config, open("/root/many.json", "w"))
"""


def run(options: Options) -> Section:
    """Measure each on two real hosts, a server and a client."""
    del options
    with _town() as town:
        pc, vault = town.host("pc"), town.host("vault")
        pc.run("python3 -", stdin=_FILL, timeout=300)
        backup(pc)
        drilled, size = _drill(town)
        by_hand = _by_hand(pc)
        many, asked = _many(vault)
        fresh = [_freshness(pc, vault) for _ in range(TIMES)]
    targets = [
        Target(f"a drill of {FILES:,} files: seconds for 10 MB", 10e6 * drilled / size, 1.0, "s"),
        Target(f"how fresh {REPOSITORIES:,} repositories are", many, 2.0, "s"),
        Target("from a snapshot to the metric, the longest", max(fresh), 1.0, "s"),
    ]
    return Section(
        [
            f"{FILES:,} files with {size / 1e6:.0f} MB; a drill restores all of them where there is room, as here, "
            "compares each with the hash of its day, and removes them. By hand they are restored and hashed.",
            f"{REPOSITORIES:,} repositories with {SNAPSHOTS} snapshots each: ours reads names and times, without any "
            f"password. One question of restic's, to one repository on the same disk, took {asked:.2f} s.",
            f"Freshness: {TIMES} backups, each from the snapshot's coming to the figure for Prometheus.",
        ],
        [
            Table(
                "",
                ("", "ours, s", "the usual way, s", "ratio"),
                [
                    _row("a whole drill / restored and hashed by hand", drilled, by_hand),
                    _row(f"{REPOSITORIES:,} repositories / `restic snapshots` of each", many, asked * REPOSITORIES),
                    ["from a snapshot to the metric", f"{median(fresh):.2f}", "", ""],
                ],
            )
        ],
        targets,
    )


def _row(what: str, ours: float, usual: float) -> list[str]:
    return [what, f"{ours:.1f}", f"{usual:.1f}", f"{ours / usual:.3f}"]


@contextmanager
def _town() -> Iterator[Town]:
    ensure_tools()
    specs = {
        "vault": Spec(updates=True, groups=("backup_server",)),
        "pc": Spec(updates=True, groups=("backup_client",)),
    }
    plain = {"backup_client_paths": ["/srv"], "backup_client_dumps": [], "backup_client_canaries": []}
    hosts = start_hosts(specs)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    town = Town(TOWN, hosts, folder, specs, "UTC", vars=VARS | plain)
    try:
        done = run_job(town)
        if done["exit_status"]:
            raise SystemExit(f"bench: the job has failed: {done['reasons']}")
        yield town
    finally:
        town.close()
        podman.remove(*(host.container for host in hosts.values()))
        shutil.rmtree(folder, ignore_errors=True)


def _drill(town: Town) -> tuple[float, int]:
    """Seconds of a whole drill on the host, and bytes that came back."""
    done = town.controller.ansible("pc", "-m", "civicops.town.restore_drill", "-a", "record=false", timeout=600)
    body = json.loads(done.stdout.partition("=> ")[2])["document"]
    if body["outcome"] != "done" or body["files"]["equal"] < FILES:
        raise SystemExit(f"bench: the drill has failed: {body['reason'] or body['files']}")
    return body["took_seconds"], body["bytes"]


def _by_hand(pc: Host) -> float:
    folder = "/etc/civicops/backup"
    files = f"--repository-file {folder}/repository --password-file {folder}/password --cacert {folder}/server.pem"
    begun = time.perf_counter()
    pc.run(f"restic {files} restore latest --tag civicops --target /var/tmp/back >/dev/null", timeout=600)
    pc.run("find /var/tmp/back -type f -print0 | xargs -0 sha256sum >/dev/null; rm -r /var/tmp/back", timeout=600)
    return time.perf_counter() - begun


def _many(vault: Host) -> tuple[float, float]:
    """Seconds for the state of many repositories, and for one question of restic's."""
    vault.run("python3 -", stdin=_MANY, timeout=300)
    ours = _timed(vault, "python3 -I /var/lib/civicops/programs/backup-server.pyz status /root/many.json")
    ask = (
        f"RESTIC_PASSWORD={SECRETS['pc']['repository']} restic -r /srv/backup/{TOWN}/pc snapshots --no-lock >/dev/null"
    )
    return ours, _timed(vault, ask)


def _timed(host: Host, command: str) -> float:
    script = f"for _ in $(seq {TIMES}); do a=$(date +%s%N); {command}; b=$(date +%s%N); echo $((b - a)); done"
    return median(int(line) for line in host.run(script, timeout=600).stdout.split()) / 1e9


def _freshness(pc: Host, vault: Host) -> float:
    """Seconds from a snapshot's coming to the figure that tells of it, by the server's own files."""
    backup(pc)
    prom = f"/var/lib/civicops/backup-server/{TOWN}/backup.prom"
    newest = float(vault.run(f"stat -c %.9Y /srv/backup/{TOWN}/pc/snapshots/* | sort -n | tail -1").stdout)
    vault.run(f"for _ in $(seq 100); do grep -q ' {newest:.3f}' {prom} && exit 0; sleep 0.1; done; false")
    return float(vault.run(f"stat -c %.9Y {prom}").stdout) - newest
