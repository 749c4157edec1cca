"""What an audit and an enforcement of a whole catalogue cost, on one real host and on many."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.hosts.host import Host
from tests.hosts.nights import ask_ledger, maintenance, window
from tests.hosts.town import Spec, Town

from bench.parts.hardening import WRITABLE_NET
from bench.plays import LATER, Cost, Plays, Way, town_of
from bench.result import Options, Section, Table, Target
from civicops.ledger.documents import canonical

TITLE = "Hardening, what it costs"
HOSTS = 10
MANY = 50
PROFILE = "strictest"
# The controller logs in as root here.
DOORS = ("ssh-no-root-login", "ssh-who-may-log-in")
# Its installation goes through the whole disk, for minutes: that is the package's own time.
AIDE = ("aide-installed", "aide-database", "aide-daily", "aide-audit-tools")

PING, AUDIT, MINIMUM = "ping", "audit", "minimum"


def _audit(profile: str) -> Way:
    task = {"civicops.town.baseline": {"profile": profile}, "check_mode": True}
    return Way(f"audit, profile {profile}", (task,), env=LATER)


WAYS = {
    PING: Way("`ping`, a play of one task", ({"ansible.builtin.ping": {}},)),
    AUDIT: _audit(PROFILE),
    MINIMUM: _audit("town-minimum"),
}


@dataclass(frozen=True)
class Story:
    """What was measured: costs of each way on one and on ten hosts, fresh and hardened; and the enforcement's."""

    fresh: Mapping[str, Cost]
    hardened: Mapping[str, Cost]
    ten: Mapping[str, Cost]
    many: Cost
    predicted: dict[str, Any]
    first: dict[str, Any]
    second: dict[str, Any]


def run(options: Options) -> Section:
    """Audit fresh hosts, harden one, and audit it again."""
    login = {"baseline_profile": PROFILE, "baseline_skip": [*DOORS, *AIDE]}
    specs = {f"host{number:02}": Spec(updates=True, options=WRITABLE_NET) for number in range(1, HOSTS + 1)}
    with town_of(specs, timezone="UTC", town=maintenance(window(jobs=["baseline"])), vars=login) as town:
        plays = Plays(town, WAYS)
        fresh, ten = plays.measure(1, options.rounds_one), plays.measure(HOSTS, options.rounds_ten)
        host = next(iter(town.hosts.values()))
        predicted = _run(town, "--check")
        _download(host, predicted)
        first, second = _run(town), _run(town)
        hardened = plays.measure(1, options.rounds_one)
        many = _many(town, plays)
    return _section(Story(fresh, hardened, ten, many, predicted, first, second))


def _run(town: Town, *more: str) -> dict[str, Any]:
    """The first host's answer to a run of the job on it."""
    name = next(iter(town.hosts))
    done = town.controller.civicops("run", "baseline", town.name, "--json", "--limit", name, *more, timeout=900)
    try:
        told = json.loads(done.stdout)["run"]
        return next(one for one in ask_ledger(town, "baseline") if one["run"] == told)
    except (ValueError, StopIteration):
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}") from None


def _download(host: Host, predicted: dict[str, Any]) -> None:
    """Packages are downloaded before: how fast they come is the mirror's affair."""
    lacking = [row[3] for row in predicted["results"]["rows"] if row[1] == "changed"]
    names = {name for text in lacking for name in re.findall(r"[\w.+-]+", text.partition("not installed: ")[2])}
    if names:
        host.run(f"apt-get -y -q -d --no-install-recommends install {' '.join(sorted(names))}", timeout=600)


def _many(town: Town, plays: Plays) -> Cost:
    """One audit of many names, which stand for the hosts in turn."""
    hosts = list(town.hosts.values()) * MANY
    names = {f"pc{number:02}": {"ansible_host": host.address} for number, host in zip(range(MANY), hosts, strict=False)}
    shutil.copy(town.inventory / "hosts.yml", town.folder / "hosts.kept")
    try:
        (town.inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": names}}))
        return plays.play(AUDIT, list(names))
    finally:
        shutil.copy(town.folder / "hosts.kept", town.inventory / "hosts.yml")


def _section(story: Story) -> Section:
    ping, audit = story.fresh[PING], story.fresh[AUDIT]
    again, before = story.hardened[AUDIT], story.hardened[PING]
    controls = len(story.first["results"]["rows"])
    changes = {name: _changes(body) for name, body in (("predicted", story.predicted), ("first", story.first))}
    size = len(canonical(story.first)) / controls * 180
    ten = story.ten
    targets = [
        Target("1 fresh host: audit, wall time beyond a play of one task", audit.wall - ping.wall, 1.5, "s"),
        Target("1 fresh host: audit, host CPU beyond a play of one task", audit.host - ping.host, 1.0, "s"),
        Target("1 hardened host: the same, wall time", again.wall - before.wall, 1.5, "s"),
        Target("1 hardened host: the same, host CPU", again.host - before.host, 1.0, "s"),
        Target("first enforcement on the host, packages downloaded before", story.first["took_seconds"], 30.0, "s"),
        Target("controls that a second run changed", len(_changes(story.second)), 0, "controls"),
        Target(
            "controls that check mode told otherwise than enforcement did",
            len(changes["predicted"] ^ changes["first"]),
            0,
            "controls",
        ),
        Target("10 hosts: audit, controller CPU / ping", ten[AUDIT].controller / ten[PING].controller, 1.2),
        Target(f"{MANY} hosts: audit, wall time", story.many.wall, 60.0, "s"),
        Target("the document, for 180 controls: JSON", size, 40_000, "bytes"),
    ]
    notes = [
        f"Hosts: {HOSTS} Debian 12 systems (systemd, sshd) on this machine's {os.cpu_count()} cores, which they share "
        f"with the controller. The profile `{PROFILE}` has {controls} controls for such a server, the default profile "
        "fewer.",
        "All ways: pipelining, 10 forks, connections already open; in turns, medians. Controller and host are metered "
        "as for [asking hosts](#asking-hosts); an audit writes its document to the spool.",
        f"First enforcement: {len(changes['first'])} of {controls} controls changed; by the host's own clock "
        f"{story.first['took_seconds']:.1f} s, installation of packages included, their download and AIDE not. The "
        f"second run took {story.second['took_seconds']:.1f} s.",
        f"{MANY} hosts: as many names of the {HOSTS} hosts, in one play with 10 forks.",
    ]
    tables = [
        _table("One fresh host:", story.fresh),
        _table("One hardened host:", story.hardened),
        _table(f"{HOSTS} fresh hosts, the host's time per host:", story.ten),
    ]
    return Section(notes, tables, targets)


def _changes(body: dict[str, Any]) -> set[str]:
    return {row[0] for row in body["results"]["rows"] if row[2]}


def _table(caption: str, costs: Mapping[str, Cost]) -> Table:
    ping = costs[PING]
    headings = ("", "wall s", "/ ping", "controller CPU s", "/ ping", "host CPU s")
    rows = [
        [
            WAYS[key].label,
            f"{cost.wall:.2f}",
            f"{cost.wall / ping.wall:.2f}",
            f"{cost.controller:.2f}",
            f"{cost.controller / ping.controller:.2f}",
            f"{cost.host:.2f}",
        ]
        for key, cost in costs.items()
    ]
    return Table(caption, headings, rows)
