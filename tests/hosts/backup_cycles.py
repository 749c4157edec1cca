"""The campaign of backups: days on which people work and nothing is wrong, and days on which something is.

Each cycle is a day: people change files, the hosts back themselves up, the server looks at its repositories, and all
are asked. Where nothing was done to them, nobody may say anything; what was done has to be told by the same cycle.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts import podman
from tests.hosts.backups import CANARY, CLIENTS, DATA, TOWN, drill, forget_changes, run, set_up
from tests.hosts.host import Host
from tests.hosts.tools import ensure_tools
from tests.hosts.town import Spec, Town, start_hosts

EVERY = 6
"""One cycle of so many has a fault."""
DRILL_EVERY, PRUNE_EVERY = 40, 25
_WORK = f"""
import os, random, sqlite3
dice = random.Random({{seed}})
names = sorted(name for name in os.listdir("{DATA}") if name.startswith("letter-"))
for name in dice.sample(names, len(names) // 20):
    with open("{DATA}/" + name, "a") as stream:
        stream.write("more %d\\n" % dice.randrange(10**9))
for name in dice.sample(names, 3):
    os.rename("{DATA}/" + name, "{DATA}/letter-%d.txt" % dice.randrange(10**9))
for _ in range(dice.randrange(8)):
    with open("{DATA}/letter-%d.txt" % dice.randrange(10**9), "wb") as stream:
        stream.write(dice.randbytes(dice.randrange(60000)))
for name in sorted(os.listdir("{DATA}"))[400:]:
    os.unlink("{DATA}/" + name)
base = sqlite3.connect("/srv/payroll.sqlite")
base.execute("drop table if exists tmp")
base.execute("create table tmp (n)")
base.commit()
"""


@dataclass(frozen=True)
class Fault:
    """What is done on one day, to whom, and who has to say what; it is undone afterwards."""

    name: str
    kinds: frozenset[str]
    """Of which at least one has to be told."""
    who: str
    """Who has to tell it: client or server."""
    do: Callable[[Town, Host, random.Random], str]
    """Does it, and gives the script that undoes it, on the host that it was done on."""
    on: str = "server"
    before_backup: bool = False
    alone: bool = True
    """Nothing but the kinds may be told; others follow where the backup itself is kept from being made."""


def _repository_fault(folder: str, script: str) -> Callable[[Town, Host, random.Random], str]:
    def do(town: Town, client: Host, dice: random.Random) -> str:
        vault, root = town.host("vault"), f"/srv/backup/{TOWN}/{client.name}"
        found = vault.run(f"cd {root}; find {folder} -type f -printf '%T@ %p\\n' | sort -n").stdout.split("\n")[:-1]
        newest = folder == "snapshots"
        path = f"{root}/{(found[-1] if newest else dice.choice(found)).split()[1]}"
        size = int(vault.run(f"cp -a {path} /root/kept; stat -c %s {path}").stdout)
        vault.run(script.format(path=path, at=dice.randrange(size), less=dice.randrange(1, size)))
        return f"cp -a /root/kept {path}; rm /root/kept"

    return do


def _script(script: str, undo: str) -> Callable[[Town, Host, random.Random], str]:
    def do(town: Town, client: Host, dice: random.Random) -> str:
        client.run(script)
        return undo

    return do


def _on_server(script: str, undo: str) -> Callable[[Town, Host, random.Random], str]:
    def do(town: Town, client: Host, dice: random.Random) -> str:
        address = town.host("vault").address
        town.host("vault").run(script.replace("ADDRESS", address), check=False)
        return f"{undo}; sleep 2"  # until it listens

    return do


_LIST = "/usr/local/bin/list"
_SETTINGS = f"/etc/civicops/backup-server/{TOWN}"
_DROP_IN = "/run/systemd/system/civicops-backup.service.d"
_FLIP = (
    "python3 -c \"f = open('{path}', 'r+b'); f.seek({at}); byte = f.read(1)[0]; f.seek({at}); "
    'f.write(bytes([byte ^ 16]))"'
)
FAULTS = (
    Fault(
        "a bit of a pack flipped",
        frozenset({"pack"}),
        "server",
        _repository_fault("data", _FLIP),
    ),
    Fault("a pack cut short", frozenset({"pack"}), "server", _repository_fault("data", "truncate -s -{less} {path}")),
    Fault("a pack deleted", frozenset({"pack"}), "server", _repository_fault("data", "rm {path}")),
    Fault("an index deleted", frozenset({"index"}), "server", _repository_fault("index", "rm {path}")),
    Fault(
        "the newest snapshot deleted", frozenset({"snapshot"}), "server", _repository_fault("snapshots", "rm {path}")
    ),
    Fault(
        "a dump that is cut short",
        frozenset({"dump"}),
        "client",
        _script(
            f"mv {_LIST} {_LIST}.kept; printf '#!/bin/sh\\necho begin\\n' > {_LIST}; chmod 755 {_LIST}",
            f"mv {_LIST}.kept {_LIST}",
        ),
        on="client",
        before_backup=True,
        alone=False,
    ),
    Fault(
        "files encrypted and renamed",
        frozenset({"changes"}),
        "client",
        _script(
            f"cp -a {DATA} /root/data; cd {DATA}; "
            "for one in *; do head -c 64 /dev/urandom > $one.locked; rm $one; done",
            f"rm -r {DATA}; mv /root/data {DATA}",
        ),
        on="client",
        before_backup=True,
    ),
    Fault(
        "a canary touched",
        frozenset({"canary"}),
        "client",
        _script(f"cp -a {CANARY} /root/canary; echo x >> {CANARY}", f"mv /root/canary {CANARY}"),
        on="client",
        before_backup=True,
    ),
    Fault(
        "the timer stopped",
        frozenset({"timer"}),
        "client",
        _script("systemctl stop civicops-backup.timer", "systemctl start civicops-backup.timer"),
        on="client",
    ),
    Fault(
        "a backup that hangs",
        frozenset({"service"}),
        "client",
        _script(
            f"mkdir -p {_DROP_IN}; printf '[Service]\\nTimeoutStartSec=3\\n' > {_DROP_IN}/x.conf; "
            "systemctl daemon-reload; "
            f"mv {_LIST} {_LIST}.kept; printf '#!/bin/sh\\nsleep 1000\\n' > {_LIST}; chmod 755 {_LIST}",
            f"rm -r {_DROP_IN}; systemctl daemon-reload; mv {_LIST}.kept {_LIST}",
        ),
        on="client",
        before_backup=True,
        alone=False,
    ),
    Fault(
        "the wrong password",
        frozenset({"failed"}),
        "client",
        _script(
            "cd /etc/civicops/backup; cp -a password kept; echo another-password > password",
            "cd /etc/civicops/backup; mv kept password",
        ),
        on="client",
        before_backup=True,
        alone=False,
    ),
    Fault(
        "the server refuses the host",
        frozenset({"server"}),
        "client",
        _script(
            "cd /etc/civicops/backup; cp -a repository kept; sed -i 's/-to-the/-to-no/' repository",
            "cd /etc/civicops/backup; mv kept repository",
        ),
        on="client",
        before_backup=True,
        alone=False,
    ),
    Fault(
        "the server off",
        frozenset({"server"}),
        "client",
        _on_server(f"systemctl stop civicops-restic-{TOWN}", f"systemctl start civicops-restic-{TOWN}"),
        before_backup=True,
        alone=False,
    ),
    Fault(
        "the server's disk full",
        frozenset({"disk"}),
        "server",
        _on_server("cat /dev/zero > /srv/backup/ballast", "rm /srv/backup/ballast"),
        before_backup=True,
        alone=False,
    ),
    Fault(
        "the server's certificate ended",
        frozenset({"certificate"}),
        "server",
        _on_server(
            f"cd {_SETTINGS}; cp -a server.pem /root/server.pem; "
            "openssl req -new -key server.key -subj /CN=x -out /root/r; echo subjectAltName=IP:ADDRESS > /root/x; "
            "openssl x509 -req -in /root/r -CA authority.pem "
            "-CAkey authority.key -set_serial 77 -days -1 -extfile /root/x -out server.pem; "
            f"systemctl restart civicops-restic-{TOWN}",
            f"cp -a /root/server.pem {_SETTINGS}/server.pem; systemctl restart civicops-restic-{TOWN}",
        ),
        before_backup=True,
        alone=False,
    ),
)


@dataclass
class Outcome:
    """What happened, and what should not have."""

    clean: int = 0
    drills: int = 0
    prunings: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class Days:
    """The cycles of one town."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.dice, self.outcome = town, random.Random(seed), Outcome()  # noqa: S311  not for secrets
        self.order = self.dice.sample(FAULTS, len(FAULTS))
        self.vault = town.host("vault")

    def work(self) -> None:
        """What people do in a day."""
        for name in CLIENTS:
            self.town.host(name).run("python3 -", stdin=_WORK.format(seed=self.dice.randrange(2**32)))

    def backups(self) -> None:
        """Have the hosts back themselves up, at the same time."""
        with ThreadPoolExecutor(2) as pool:
            hosts = [self.town.host(name) for name in CLIENTS]
            list(pool.map(lambda host: host.run("systemctl start civicops-backup", timeout=300, check=False), hosts))

    def look(self) -> dict[str, dict[str, str]]:
        """The server looks at its repositories, and all are asked: who says what is wrong."""
        self.vault.run(f"systemctl start civicops-backup-cycle-{TOWN}", timeout=120, check=False)
        done = self.town.controller.ansible(
            "all", "-o", "-m", "civicops.town.backup_info", "-a", f"town={TOWN} record=false", timeout=120
        )
        found: dict[str, dict[str, str]] = {}
        for line in done.stdout.splitlines():
            if match := re.match(r"(\S+) \| \S+ => (\{.*)", line):
                body: dict[str, Any] = json.loads(match[2])["document"]
                found[match[1]] = {one["kind"]: one["text"] for one in body["alarms"]}
        return found

    def clean(self, where: str) -> None:
        """A day on which nothing is wrong."""
        self.work()
        self.backups()
        found = self.look()
        self.outcome.clean += 1
        if set(found) != {"vault", *CLIENTS}:
            self.outcome.broken.append(f"{where}: answers came from {sorted(found)} alone")
        self.outcome.broken += [f"{where}: {host} says {said} for nothing" for host, said in found.items() if said]

    def faulty(self, where: str) -> None:
        """A day on which something is done to one host, or to the server."""
        fault = self.order[sum(self.outcome.faults.values()) % len(self.order)]
        client = self.town.host(self.dice.choice(list(CLIENTS)))
        self.outcome.faults[fault.name] += 1
        self.work()
        if not fault.before_backup:
            self.backups()
            self.look()
        undo = fault.do(self.town, client, self.dice)
        if fault.before_backup:
            self.backups()
        found = self.look()
        teller = client.name if fault.who == "client" else "vault"
        told = fault.kinds & found.get(teller, {}).keys()
        if not told:
            self.outcome.broken.append(f"{where}: {fault.name} ({client.name}) was not told: {found}")
        more = {(host, kind) for host, said in found.items() for kind in said}
        more -= {(teller, kind) for kind in fault.kinds}
        if fault.alone and more:
            self.outcome.broken.append(f"{where}: beside {fault.name}, {found} was told")
        self.mend(fault, client, undo, where)

    def mend(self, fault: Fault, client: Host, undo: str, where: str) -> None:
        """Undo it; the day after it nothing may be left, but what is remembered on purpose."""
        (client if fault.on == "client" else self.vault).run(undo, timeout=120)
        self.backups()
        found = self.look()
        forget_changes(client)
        if {kind for said in found.values() for kind in said} & {"partial", "pack"}:
            accept = f"backup-server.pyz accept {_SETTINGS}/server.json"
            for name in CLIENTS:  # an upload that was cut off is told until somebody has looked
                self.vault.run(f"python3 -I /var/lib/civicops/programs/{accept} {name}", check=False)
        odd = {host: said for host, said in found.items() if said.keys() - {"changes", "partial"}}
        if odd:
            self.outcome.broken.append(f"{where}: after {fault.name} was undone, {odd} was told")

    def prune(self, where: str) -> None:
        """The server forgets what is old; nothing that is young goes with it."""
        self.outcome.prunings += 1
        script = f"cd /srv/backup/{TOWN}; find . -path '*/snapshots/*' | sort"
        before = self.vault.run(script).stdout
        begun = self.vault.run("date -u +%Y-%m-%dT%H:%M:%SZ").stdout.strip()
        unit = f"civicops-backup-prune-{TOWN}"
        # systemctl calls it cancelled, as the server that comes back conflicts with it: what it has done tells.
        self.vault.run(f"systemctl start {unit}", timeout=300, check=False)
        told = json.loads(self.vault.run(f"cat /var/lib/civicops/backup-server/{TOWN}/prune.json").stdout)["clients"]
        if not all((one["done"] or "") >= begun and not one["alarms"] for one in told.values()):
            self.outcome.broken.append(f"{where}: the pruning has not come to its end: {told}")
        if self.vault.run(script).stdout != before:
            self.outcome.broken.append(f"{where}: the pruning has taken a young snapshot")
        self.vault.run(f"for _ in $(seq 50); do systemctl -q is-active civicops-restic-{TOWN} && exit; sleep 0.1; done")

    def drill(self, where: str) -> None:
        """What was saved comes back."""
        self.outcome.drills += 1
        for name in CLIENTS:
            body = drill(self.town, name)[1]
            if body["outcome"] != "done":
                self.outcome.broken.append(f"{where}: the drill of {name}: {body['outcome']} {body['reason']}")


def cycles(seed: int, count: int, town: Town) -> Outcome:
    """So many clean cycles, with faults between them."""
    days = Days(town, seed)
    number = 0
    while days.outcome.clean < count:
        number += 1
        where, began, broken = f"cycle {number} of seed {seed}", time.monotonic(), len(days.outcome.broken)
        if number % EVERY:
            days.clean(where)
        else:
            days.faulty(where)
        if number % PRUNE_EVERY == 0:
            days.prune(where)
        if number % DRILL_EVERY == 0:
            days.drill(where)
        print(f"{where}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        for line in days.outcome.broken[broken:]:
            print(f"  BROKEN {line}", file=sys.stderr)
        sys.stderr.flush()
    return days.outcome


@contextmanager
def _town(folder: Path) -> Iterator[Town]:
    def make(name: str, specs: dict[str, Spec], **settings: Any) -> Town:
        return Town(name, start_hosts(specs), folder, specs, **settings)

    town = set_up(make)  # type: ignore[arg-type]  # a maker of towns with what is asked for here
    try:
        if (done := run(town))["exit_status"]:
            raise RuntimeError(f"the job has failed: {done['reasons']}")
        yield town
    finally:
        town.close()
        podman.remove(*(host.container for host in town.hosts.values()))


def campaign(seed: int, count: int) -> tuple[list[str], list[str]]:
    """Lines of Markdown with what was done, and the promises that were broken."""
    ensure_tools()
    podman.sweep()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outcome = cycles(seed, count, stack.enter_context(_town(folder)))
    lines = [
        "A backup server and two clients (bookworm, bullseye). Each cycle is a day: people change, rename, add and",
        "delete files and rows, the hosts back themselves up, the server looks at its repositories, and all three are",
        "asked. On a clean day nobody may say anything; what was done has to be told by the same cycle, and nothing",
        "may be left on the day after it was undone.",
        "",
        f"Clean cycles: {outcome.clean}, with {outcome.prunings} prunings and {outcome.drills} drills of both hosts "
        f"between them. Cycles with a fault: {sum(outcome.faults.values())}.",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {what} | {times} |" for what, times in sorted(outcome.faults.items())),
    ]
    return lines, outcome.broken
