"""host_info against the usual way of asking the same, over SSH, on one real host and on ten."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from typing import Any

from tests.hosts.town import Spec, Town

from bench.plays import LATER, Cost, Plays, Way, town_of
from bench.result import Options, Section, Table, Target
from civicops.ledger.documents import canonical

TITLE = "Asking hosts"
HOSTS = 10
PENDING_AT_LEAST = 10

PING, USUAL, QUICK, FULL = "ping", "usual", "quick", "full"
WAYS = {
    PING: Way("`ping`", ({"ansible.builtin.ping": {}},)),
    USUAL: Way(
        "usual: `setup`, `package_facts`, `service_facts`",
        tuple({f"ansible.builtin.{name}": {}} for name in ("setup", "package_facts", "service_facts")),
    ),
    QUICK: Way("`host_info` without updates", ({"civicops.town.host_info": {"updates": False}},), env=LATER),
    FULL: Way("`host_info`", ({"civicops.town.host_info": {}},), env=LATER),
    "recorded": Way("`host_info`, taken into the ledger", ({"civicops.town.host_info": {}},), env={}),
    "checkup": Way("`civicops.town.checkup`, taken into the ledger", playbook="civicops.town.checkup", env={}),
}


def run(options: Options) -> Section:
    """Measure every way on one host and on ten, in turns."""
    with town_of({f"host{number:02}": Spec(updates=True) for number in range(1, HOSTS + 1)}) as town:
        pending = next(iter(town.hosts.values())).pending_updates()
        if pending < PENDING_AT_LEAST:
            raise RuntimeError(f"{pending} updates are pending; at least {PENDING_AT_LEAST} are needed")
        plays = Plays(town, WAYS)
        one, ten = plays.measure(1, options.rounds_one), plays.measure(HOSTS, options.rounds_ten)
        body = _document(town)
        idle = plays.idle
    size = len(canonical(body))
    notes = [
        f"Hosts: {HOSTS} Debian 12 systems (systemd, sshd) on this machine, with the package lists of main and "
        f"security, {len(body['packages']['rows'])} packages and {pending} pending updates each.",
        "All ways: pipelining, 10 forks, interpreter named, no other fact gathering, SSH connections already open, "
        "each way once before the first that counts; then in turns, so that all meet the same load. Medians of "
        f"{options.rounds_one} rounds with one host, {options.rounds_ten} with ten.",
        "Controller: user and system time of ansible-playbook, of all that it starts and of the open SSH connections. "
        "Host: its control group's processor time, sshd included, less what it uses when idle "
        f"({idle * 1000:.1f} ms a second).",
        "`host_info` writes its document to the spool (fsynced), the callback `civicops.town.run` enabled and ingest "
        "left for later (`CIVICOPS_INGEST=later`); the last two ways have the callback take it into the ledger too, as "
        "a plain `ansible-playbook` does. `checkup` is the whole job: two plays, a role, the check that the run is "
        "recorded.",
    ]
    targets = [target for count, costs in ((1, one), (HOSTS, ten)) for target in _targets(count, costs)]
    targets += [
        Target(f"the document, {len(body['packages']['rows'])} packages: JSON", size, 30_000, "bytes"),
        Target("the same, zlib as in the ledger", len(zlib.compress(canonical(body), 6)), 8_000, "bytes"),
    ]
    tables = [_table("One host:", one), _table(f"{HOSTS} hosts, the host's time per host:", ten), _growth(one, ten)]
    return Section([*notes, *_explained(one, ten)], tables, targets)


def _explained(one: Mapping[str, Cost], ten: Mapping[str, Cost]) -> list[str]:
    """What to know when reading the ratios, with this run's own figures."""
    floor = one[PING].controller / one[USUAL].controller
    cores = os.cpu_count() or 1
    shared = HOSTS * (ten[QUICK].host - ten[PING].host) / cores
    return [
        f"With one host, `ping` alone takes {floor:.2f} of the usual way's controller CPU, nearly all of it Ansible's "
        "own start. Further hosts cost what the last table shows. Ours can take less than `ping`, as the callback "
        "keeps Python from looking for garbage in what stays to the end anyway.",
        f"All hosts share the controller's {cores} cores here. With {HOSTS} of them, {shared:.2f} s of the wall time "
        "beyond `ping` is the hosts' own processor time, which hosts with processors of their own spend side by side.",
    ]


def _growth(one: Mapping[str, Cost], ten: Mapping[str, Cost]) -> Table:
    each = {key: (ten[key].controller - one[key].controller) / (HOSTS - 1) for key in WAYS}
    rows = [[WAYS[key].label, f"{seconds:.3f}", f"{seconds / each[USUAL]:.2f}"] for key, seconds in each.items()]
    return Table("Each further host (from one to ten):", ("", "controller CPU s", "/ usual"), rows)


def _targets(count: int, costs: Mapping[str, Cost]) -> list[Target]:
    where = "1 host" if count == 1 else f"{count} hosts"
    ping, usual, quick, full = (costs[key] for key in (PING, USUAL, QUICK, FULL))
    return [
        Target(f"{where}: without updates, host CPU / usual", quick.host / usual.host, 1 / 5),
        Target(f"{where}: with updates, host CPU / usual", full.host / usual.host, 1 / 2),
        Target(f"{where}: without updates, controller CPU / usual", quick.controller / usual.controller, 1 / 2),
        Target(f"{where}: with updates, controller CPU / usual", full.controller / usual.controller, 1 / 2),
        Target(f"{where}: without updates, wall time / ping", quick.wall / ping.wall, 1.15),
        Target(f"{where}: without updates, controller CPU / ping", quick.controller / ping.controller, 1.15),
    ]


def _table(caption: str, costs: Mapping[str, Cost]) -> Table:
    ping, usual = costs[PING], costs[USUAL]
    headings = ("", "wall s", "/ ping", "controller CPU s", "/ ping", "/ usual", "host CPU s", "/ usual")
    rows = [
        [
            WAYS[key].label,
            f"{cost.wall:.2f}",
            f"{cost.wall / ping.wall:.2f}",
            f"{cost.controller:.2f}",
            f"{cost.controller / ping.controller:.2f}",
            f"{cost.controller / usual.controller:.2f}",
            f"{cost.host:.2f}",
            f"{cost.host / usual.host:.2f}",
        ]
        for key, cost in costs.items()
    ]
    return Table(caption, headings, rows)


def _document(town: Town) -> dict[str, Any]:
    """The body of the newest full answer."""
    found = [one["body"] for one in town.documents("host-facts")]
    return next(body for body in found if isinstance(body, dict) and body.get("updates"))
