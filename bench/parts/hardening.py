"""A fresh host before and after one run of the job baseline, as Lynis, ssh-audit and OpenSCAP see it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssh_audit.builtin_policies import BUILTIN_POLICIES
from tests.hosts import podman
from tests.hosts.controller import BIN
from tests.hosts.host import Host
from tests.hosts.images import OPS_PASSWORD
from tests.hosts.nights import ask_ledger, maintenance, window
from tests.hosts.tools import ensure_tools
from tests.hosts.tools import run as run_tool
from tests.hosts.town import Spec, Town, start_hosts

from bench.result import Options, Section, Table, Target

TITLE = "Hardening, before and after"
PROFILES = ("town-minimum", "cis-l1-server", "strictest")
TARGETS_OF = "strictest"
POLICY = "Hardened Debian 12 (version 3)"
LEVELS = ("minimal", "average", "restrictive", "high")
# The host's own sysctls of the network are writable; those of the kernel are the whole machine's.
WRITABLE_NET = ("--cap-add", "NET_ADMIN", "--security-opt", "unmask=/proc/sys")
SCANNERS = ("lynis", "openscap-scanner", "ssg-debian", "linux-base")
_INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends " + " ".join(SCANNERS)
# Debian 12 carries the content for 10 and 11: a copy is told that 12 is meant, else every rule is "not applicable".
_CONTENT = "/usr/share/xml/scap/ssg/content/ssg-debian11-ds.xml"
_COPY = "/root/ssg-for-12.xml"
_ADAPT = f"sed 's/\\^11\\.\\[0-9\\]+\\$/^12.[0-9]+$/' {_CONTENT} > {_COPY}; grep -c '\\^12' {_COPY}"
# Scanners that meet this file take the host for a container, and leave rules out.
_MARK = "/run/.containerenv"
_LYNIS = (
    "lynis audit system --quick --no-colors --quiet > /dev/null 2>&1 || true\n"
    "cat /var/log/lynis-report.dat; echo ---; cat /var/log/lynis.log"
)
_OSCAP = (
    "oscap xccdf eval --profile xccdf_org.ssgproject.content_profile_anssi_np_nt28_{level} "
    f"{_COPY} 2> /dev/null || [ $? -eq 2 ]"
)


@dataclass(frozen=True)
class Scores:
    """What the scanners say of a host.

    `clean` is the share of the daemon's algorithms that ssh-audit says nothing against, `avoidable` the share that it
    says something against and its own policy does not demand; `oscap` counts results by level, `missed` are the rules
    that failed there.
    """

    lynis: int
    suggestions: tuple[str, ...]
    policy: bool
    clean: float
    avoidable: float
    oscap: dict[str, Counter[str]]
    missed: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """One host: before, what the run did, after, and what a second run did."""

    profile: str
    before: Scores
    after: Scores
    done: dict[str, Any]
    again: dict[str, Any]
    packages: tuple[str, ...]


def run(options: Options) -> Section:
    """Harden one fresh host for each profile, and look at it before and afterwards."""
    del options  # a score is no timing
    return _section([_story(profile) for profile in PROFILES])


def _story(profile: str) -> Story:
    with _town(profile) as town:
        host = next(iter(town.hosts.values()))
        host.run(_INSTALL, timeout=600)
        if int(host.run(_ADAPT).stdout) < 1:
            raise RuntimeError(f"{_CONTENT} does not ask for Debian 11 in the way that is known")
        _hide_mark(host)
        had = _packages(host)
        before = _scores(host)
        done = _harden(town)
        host.ssh("true", user="ops")
        time.sleep(1)
        after = _scores(host)
        again = _harden(town)
        return Story(profile, before, after, done, again, tuple(sorted(_packages(host) - had)))


@contextmanager
def _town(profile: str) -> Iterator[Town]:
    ensure_tools()
    podman.sweep()
    login = {"ansible_user": "ops", "ansible_become": True, "ansible_become_password": OPS_PASSWORD}
    specs = {"host01": Spec(updates=True, vars=login, options=WRITABLE_NET)}
    hosts = start_hosts(specs)
    try:
        folder = Path(tempfile.mkdtemp(prefix="civicops-bench-"))
        file = maintenance(window(jobs=["baseline"]))
        variables: dict[str, object] = {"baseline_profile": profile}
        town = Town("bench", hosts, folder, specs, timezone="UTC", user="ops", town=file, vars=variables)
        try:
            yield town
        finally:
            town.close()
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        podman.remove(*(host.container for host in hosts.values()))


def _hide_mark(host: Host) -> None:
    """Remove the mark of a container, which is a mount that only the machine may undo."""
    process = run_tool(["podman", "inspect", "--format", "{{.State.Pid}}", host.container]).stdout.strip()
    run_tool(["nsenter", "-t", process, "-m", "-p", "umount", _MARK])
    host.run(f"rm -f {_MARK}")


def _harden(town: Town) -> dict[str, Any]:
    done = town.controller.civicops("run", "baseline", town.name, "--json", timeout=900)
    try:
        run = json.loads(done.stdout)["run"]
        return next(one for one in ask_ledger(town, "baseline") if one["run"] == run)
    except (ValueError, StopIteration):
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}") from None


def _packages(host: Host) -> set[str]:
    return set(host.run("dpkg-query -W -f '${Package}\\n'").stdout.split())


def _scores(host: Host) -> Scores:
    report = host.run(_LYNIS, timeout=600).stdout
    index = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    if index is None:
        raise RuntimeError(f"Lynis gave no score:\n{report[-2000:]}")
    suggestions = re.findall(r"^suggestion\[\]=([A-Z]+-\d+)\|([^|]*)", report, re.MULTILINE)
    counts, missed = {}, set()
    for level in LEVELS:
        results = _rules(host.run(_OSCAP.format(level=level), timeout=600).stdout)
        counts[level] = Counter(results.values())
        missed |= {rule for rule, result in results.items() if result == "fail"}
    policy, clean, avoidable = _ssh_audit(host)
    told = tuple(f"{test}: {text}" for test, text in suggestions)
    return Scores(int(index[1]), told, policy, clean, avoidable, counts, tuple(sorted(missed)))


def _rules(text: str) -> dict[str, str]:
    """oscap's result of each rule, from what it prints."""
    rules = re.findall(r"^Rule\s+xccdf_org\.ssgproject\.content_rule_(\S+)", text, re.MULTILINE)
    results = re.findall(r"^Result\s+(\S+)", text, re.MULTILINE)
    if not rules or len(rules) != len(results):
        raise RuntimeError(f"oscap named {len(rules)} rules and {len(results)} results")
    return dict(zip(rules, results, strict=True))


def _ssh_audit(host: Host) -> tuple[bool, float, float]:
    """Whether the running daemon passes the policy; the shares of its algorithms that are clean and avoidable."""
    program = str(BIN / "ssh-audit")
    policy = subprocess.run(
        [program, "-P", POLICY, host.address], capture_output=True, text=True, timeout=120, check=False
    )
    if policy.returncode not in (0, 3):
        raise RuntimeError(f"ssh-audit: exit {policy.returncode}\n{policy.stdout}{policy.stderr}")
    listed = subprocess.run(
        [program, "--json", host.address], capture_output=True, text=True, timeout=120, check=False
    ).stdout
    offered = [one for kind in ("kex", "key", "enc", "mac") for one in json.loads(listed)[kind]]
    accused = [one["algorithm"] for one in offered if set(one["notes"]) & {"fail", "warn"}]
    avoidable = set(accused) - set(BUILTIN_POLICIES[POLICY]["kex"])
    return policy.returncode == 0, 1 - len(accused) / len(offered), len(avoidable) / len(offered)


def _applicable(counts: Counter[str]) -> int:
    return counts["pass"] + counts["fail"]


def _section(stories: list[Story]) -> Section:
    best = next(one for one in stories if one.profile == TARGETS_OF)
    lost = sum(max(0, _applicable(best.before.oscap[level]) - _applicable(best.after.oscap[level])) for level in LEVELS)
    second = sum(row[2] for one in stories for row in one.again["results"]["rows"])
    targets = [
        Target(f"profile {TARGETS_OF}: Lynis, points short of 100", 100 - best.after.lynis, 20, "points"),
        Target(
            "the same: algorithms that ssh-audit says something against and its policy does not demand",
            best.after.avoidable * 100,
            0,
            "%",
        ),
        Target(f'the same: ssh-audit\'s policy "{POLICY}" failed', float(not best.after.policy), 0, "times"),
        Target("the same: OpenSCAP rules that were applicable and are no more", lost, 0, "rules"),
        Target("controls that a second run changed, all profiles", second, 0, "controls"),
    ]
    tables = [
        Table("One run on a fresh host of each profile's own:", _HEADINGS, [_row(one) for one in stories]),
        Table(
            "OpenSCAP, ANSSI DAT-NT28 of Debian's ssg-debian, rules passed of those applicable:",
            ("profile", *LEVELS),
            [[one.profile, *(_passed(one, level) for level in LEVELS)] for one in stories],
        ),
        Table(
            f"What is still said against a host with the profile {TARGETS_OF}:",
            ("scanner", "", ""),
            [["Lynis", *one.split(": ", 1)] for one in best.after.suggestions]
            + [["OpenSCAP", one, ""] for one in best.after.missed],
        ),
    ]
    added = [f"`{one.profile}` adds the packages {', '.join(one.packages) or 'none'}." for one in stories]
    return Section([*_NOTES, *added], tables, targets)


_HEADINGS = (
    "profile",
    "Lynis",
    "ssh-audit clean",
    "its policy",
    "changed",
    "failed",
    "not enforceable",
    "second run changed",
    "login",
)
_NOTES = [
    "A fresh Debian 12 host (systemd, sshd) in a container, whose network settings of the kernel are its own; the "
    "kernel's other settings are the machine's and stay as they are. So what asks for a kernel, disks or a boot loader "
    "of the host's own can't be met here, and counts against us.",
    f"{', '.join(SCANNERS)} are installed before the first scan. No rule or test of a scanner is left out. "
    "The mark of a container is taken away before the first.",
    "Debian 12 ships SSG's content for Debian 10 and 11 alone; the scans use a copy of Debian 11's that asks for "
    "version 12. Applicable is what passes or fails.",
    "ssh-audit warns of each key exchange that a quantum computer could break, and its policy for Debian 12 demands a "
    "list with five of those: no host can have all algorithms clean and pass the policy too.",
    "The controller logs in as a user with sudo. Who may log in by SSH is for the town to say: that control fails.",
]


def _row(one: Story) -> list[str]:
    counts = one.done["counts"]
    return [
        one.profile,
        f"{one.before.lynis} -> {one.after.lynis}",
        f"{one.before.clean:.0%} -> {one.after.clean:.0%}",
        f"{_verdict(one.before.policy)} -> {_verdict(one.after.policy)}",
        str(counts.get("changed", 0)),
        str(counts.get("failed", 0) + counts.get("error", 0)),
        str(counts.get("not_enforceable", 0)),
        str(sum(row[2] for row in one.again["results"]["rows"])),
        str(one.done.get("login", "not asked")),
    ]


def _passed(one: Story, level: str) -> str:
    before, after = one.before.oscap[level], one.after.oscap[level]
    return f"{before['pass']} of {_applicable(before)} -> {after['pass']} of {_applicable(after)}"


def _verdict(policy: bool) -> str:
    return "pass" if policy else "fail"
