"""Shut ourselves out of a host in every way that comes to mind, strike the host or the controller meanwhile, and see
that the host lets us in again by itself and that the change is gone.

Five faults run in CI; `make campaign` does fifty: `python -m tests.hosts.lockouts --seed 1 --faults 50`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts import podman
from tests.hosts.controller import BIN
from tests.hosts.host import Host
from tests.hosts.images import APT_UPDATE, OPS_PASSWORD
from tests.hosts.kills import kill
from tests.hosts.nights import FORGET, ask_ledger, maintenance, window
from tests.hosts.tools import ensure_tools, run
from tests.hosts.town import Spec, Town, start_hosts

BACK_WITHIN = 120.0
"""Seconds from the change until a new login succeeds and nothing of the change is left: what is promised."""
LIMIT = 300.0
"""Seconds after which a host counts as lost."""
GOES_ON = 20.0
"""Seconds in which a host's own work comes to its end once the controller was killed."""
HOSTS = {"old1": "bullseye", "web1": "bookworm", "web2": "bookworm", "new1": "trixie", "new2": "trixie"}
STRIKES = ("none", "none", "reboot", "power off", "power off early")
CONTROLLER = ("controller", "controller early")
NFT = "/etc/nftables.d/60-civicops.nft"
SSHD = "/etc/ssh/sshd_config.d/01-x.conf"
# What a host is: every file that a run may touch, with its mode and content; its units; its packet filter.
STATE = """
cd /; find etc usr/share/pam-configs root/.ssh -mindepth 1 -printf '%p %y %m %U:%G %l\\n' | sort
find etc usr/share/pam-configs root/.ssh -type f -print0 | sort -z | xargs -0 sha256sum
systemctl list-unit-files --no-legend | sort
systemctl is-active ssh
nft list ruleset 2>/dev/null || true
"""
# The newest number of the guard's timer: 1 while a run mends, 2 once it waits for the proof; and whether it is armed.
GUARD = """
grep -oE '"number": *[0-9]+' /var/lib/civicops/runs/*/baseline/guard.json 2>/dev/null | grep -oE '[0-9]+$' || echo 0
[ ! -e /var/lib/civicops/armed ] || echo armed
ls /var/lib/civicops/runs/*/baseline/undone 2>/dev/null || true
"""
Controls = list[dict[str, Any]]


@dataclass(frozen=True)
class Fault:
    """A way of shutting the door: the controls that do it, as whom we come, and whether a validator says no to it."""

    name: str
    controls: Callable[[Host], Controls]
    user: str = "root"
    refused: bool = False


def control(kind: str, **params: Any) -> Controls:
    """One control that shuts the door."""
    return [{"id": "x-lock", "type": kind, "params": params}]


def text(path: str, *lines: str, **more: str) -> Controls:
    """A file of these lines that shuts the door."""
    return control("file_content", path=path, content=list(lines), **more)


def _sshd(name: str, *lines: str, **more: Any) -> Fault:
    return Fault(name, lambda host: text(SSHD, *lines, reload="ssh"), **more)


def _option(name: str, option: str, value: str) -> Fault:
    return Fault(name, lambda host: control("sshd", option=option, value=value))


def _file(name: str, path: str, *lines: str, reload: str = "", mode: str = "", **more: Any) -> Fault:
    asked = {key: value for key, value in (("reload", reload), ("mode", mode)) if value}
    return Fault(name, lambda host: text(path, *lines, **asked), **more)


def _sudoers(name: str, *lines: str, **more: Any) -> Fault:
    """The mode is what bullseye's visudo wants, which refuses any other."""
    return _file(name, "/etc/sudoers.d/zz-x", *lines, reload="sudo", mode="0440", user="ops", **more)


def _pam(name: str, *lines: str, service: str = "sshd", **more: Any) -> Fault:
    rest = ("auth include common-auth", "account include common-account", "session include common-session")
    return _file(name, f"/etc/pam.d/{service}", *lines, *rest, **more)


def _edited(name: str, path: str, change: Callable[[list[str]], list[str]], mode: str, **more: Any) -> Fault:
    """A file of the host with some fields of a line changed."""

    def controls(host: Host) -> Controls:
        lines = [line.split(":") for line in host.run(f"cat {path}").stdout.splitlines()]
        return text(path, *(":".join(change(line)) for line in lines), mode=mode)

    return Fault(name, controls, **more)


def _nologin_shell(line: list[str]) -> list[str]:
    return [*line[:6], "/usr/sbin/nologin"] if line[0] == "root" else line


def _expired(line: list[str]) -> list[str]:
    return [*line[:7], "1", line[8]] if line[0] == "ops" else line


def _table(*rules: str) -> tuple[str, ...]:
    head = ("table inet civicops", "delete table inet civicops", "table inet civicops {", "  chain input {")
    return (*head, "    type filter hook input priority filter; policy accept;", *rules, "  }", "}")


def _access(host: Host) -> Controls:
    one, other = (
        _pam("", "account required pam_access.so").controls(host),
        text("/etc/security/access.conf", "-:ALL EXCEPT clerk:ALL"),
    )
    return [*one, {**other[0], "id": "x-lock-access"}]


def _shells(host: Host) -> Controls:
    one, other = (
        _pam("", "auth required pam_shells.so", "account required pam_shells.so").controls(host),
        text("/etc/shells", "/bin/false"),
    )
    return [*one, {**other[0], "id": "x-lock-shells"}]


FAULTS = (
    _sshd("AllowUsers without us", "AllowUsers nobody"),
    _sshd("AllowUsers from elsewhere alone", "AllowUsers root@192.0.2.1"),
    _sshd("DenyUsers root", "DenyUsers root"),
    _sshd("AllowGroups without us", "AllowGroups nogroup"),
    _sshd("DenyGroups root", "DenyGroups root"),
    _sshd("Match: no keys for this address", "Match Address *", "  PubkeyAuthentication no"),
    _option("no keys", "pubkeyauthentication", "no"),
    _option("root refused", "permitrootlogin", "no"),
    _sshd("keys are looked for elsewhere", "AuthorizedKeysFile /etc/ssh/nowhere/%u"),
    _sshd("a password as well as a key", "AuthenticationMethods publickey,password"),
    _sshd("no keys of our kind", "PubkeyAcceptedKeyTypes rsa-sha2-512"),
    _sshd("all keys revoked", "RevokedKeys /etc/ssh/nowhere"),
    _sshd("a command instead of ours", "ForceCommand /bin/false"),
    _sshd("listens to itself alone", "ListenAddress 127.0.0.1"),
    _sshd("another port", "Port 2222"),
    _sshd("a cipher that nobody speaks", "Ciphers 3des-cbc"),
    _pam("PAM refuses all", "account required pam_deny.so"),
    _pam("PAM refuses root", "account required pam_succeed_if.so user != root quiet"),
    _pam("a PAM module that is not there", "account required pam_nowhere.so"),
    Fault("access.conf without us", _access),
    Fault("our shell not in /etc/shells", _shells),
    _edited("nologin as root's shell", "/etc/passwd", _nologin_shell, "0644"),
    _file("no key of ours", "/root/.ssh/authorized_keys", "# nobody"),
    Fault(
        "keys that are another user's",
        lambda host: control("file", paths=["/root/.ssh/authorized_keys"], owner="clerk", mode="0600"),
    ),
    Fault("the daemon off", lambda host: control("service", unit="ssh.service", state="off")),
    _file("hosts.deny", "/etc/hosts.deny", "sshd: ALL"),
    _file("a firewall drops new connections", NFT, *_table("tcp dport 22 ct state new drop"), reload="nftables"),
    _file("a firewall drops open connections too", NFT, *_table("tcp dport 22 drop"), reload="nftables"),
    _file("a firewall refuses", NFT, *_table("tcp dport 22 ct state new reject with tcp reset"), reload="nftables"),
    _file("nologin", "/etc/nologin", "closed", user="ops"),
    _sudoers("sudo refuses us", "ops ALL=(ALL) !ALL"),
    _sudoers("sudo wants a terminal", "Defaults requiretty"),
    _pam("PAM refuses sudo", "account required pam_deny.so", service="sudo", user="ops"),
    _file("no logins by limits.conf", "/etc/security/limits.d/x.conf", "ops - maxlogins 0", user="ops"),
    _sshd("DenyUsers ops", "DenyUsers ops", user="ops"),
    _edited("an account that has expired", "/etc/shadow", _expired, "0640", user="ops"),
    _sshd("a broken drop-in", "NoSuchOption yes", refused=True),
    _sshd("a drop-in with a broken value", "PermitRootLogin perhaps", refused=True),
    _sudoers("broken sudoers", "ops ALL=(ALL", refused=True),
    _file("a broken ruleset", NFT, "table inet civicops { chain", reload="nftables", refused=True),
)
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass(frozen=True)
class Blow:
    """One fault on one host in one round, with what strikes meanwhile."""

    fault: Fault
    strike: str


@dataclass
class Watched:
    """What was seen of a host: seconds until it was as before and let us in, None where it never was shut."""

    shut: bool = False
    back: float | None = None


@dataclass
class Outcome:
    """What the faults did, and every promise that was broken."""

    faults: Counter[str] = field(default_factory=Counter)
    strikes: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    broken: list[str] = field(default_factory=list)


def vars_of(fault: Fault, host: Host) -> dict[str, Any]:
    """A host's variables for a fault."""
    become = {"ansible_become": True, "ansible_become_password": OPS_PASSWORD} if fault.user != "root" else {}
    return {"ansible_user": fault.user, "baseline_own": fault.controls(host), "baseline_profile": "none"} | become


def state(host: Host) -> str:
    """What a host is: equal means that nothing is left of a change."""
    return host.run(STATE).stdout


def prepared(names: Mapping[str, str]) -> dict[str, Host]:
    """Hosts with a packet filter of their own."""
    options = ("--cap-add", "NET_ADMIN")
    hosts = start_hosts({name: Spec(release, options=options) for name, release in names.items()})
    script = (
        f"{APT_UPDATE}; DEBIAN_FRONTEND=noninteractive apt-get -qq -y install nftables >/dev/null; nft list ruleset"
    )
    try:
        for host in hosts.values():
            host.run(script, timeout=300)
    except BaseException:
        podman.remove(*(host.container for host in hosts.values()))
        raise
    return hosts


class Round:
    """Several hosts, each with a fault of its own, in one run."""

    def __init__(self, hosts: Mapping[str, Host], blows: Mapping[str, Blow], folder: Path) -> None:
        self.hosts, self.blows = hosts, blows
        specs = {name: Spec(host.release, vars=vars_of(blows[name].fault, host)) for name, host in hosts.items()}
        file = maintenance(window(jobs=["baseline"]), halt={"ring": 100, "town": 100})
        self.town = Town("riverton", dict(hosts), folder, specs, timezone="UTC", town=file)
        self.before = {name: state(host) for name, host in hosts.items()}
        self.over = threading.Event()
        self.killed = False

    def run(self, outcome: Outcome, where: str) -> set[str]:
        """Names of the hosts that are not as they were."""
        process = self.town.controller.start(BIN / "civicops", "run", "baseline", self.town.name, "--json")
        with ThreadPoolExecutor(len(self.hosts) + 1) as pool:
            said = pool.submit(self._end, process)
            seen = {name: pool.submit(self._watch, name, process) for name in self.hosts}
            watched = {name: one.result() for name, one in seen.items()}
            printed = said.result()
        bad = set()
        for name, one in watched.items():
            broken = self._judge(name, one, printed)
            outcome.broken += [f"{where}, {name}, {self.blows[name].fault.name}: {line}" for line in broken]
            bad |= {name} if one.back is None else set()
            blow = self.blows[name]
            outcome.faults[blow.fault.name] += 1
            outcome.strikes[blow.strike] += 1
            if one.shut and one.back is not None:
                outcome.seconds.append(one.back)
            outcome.refused += blow.fault.refused
        self._told(outcome, where, bad)
        return bad

    def _end(self, process: subprocess.Popen[str]) -> str:
        printed = process.communicate(timeout=LIMIT * 2)[0]
        self.over.set()
        return printed

    def _watch(self, name: str, process: subprocess.Popen[str]) -> Watched:
        """Wait for the change, strike, and wait for the way back."""
        host, blow = self.hosts[name], self.blows[name]
        wanted = 1 if "early" in blow.strike else 2
        began = self._reached(host, wanted)
        if began is None:
            return self._untouched(name)
        self._strike(host, blow.strike, process)
        while time.monotonic() < began + LIMIT:
            if self._in(host, blow.fault.user) and self._same(name):
                return Watched(True, time.monotonic() - began)
            time.sleep(1)
        return Watched(True, None)

    def _reached(self, host: Host, wanted: int) -> float | None:
        """When the guard had come so far; None if it never did before the run was over.

        Where the controller was killed, the work on the host goes on without it.
        """
        end = None
        while True:
            if end is None and self.over.is_set():
                end = time.monotonic() + (GOES_ON if self.killed else 0.0)
            over = end is not None and time.monotonic() >= end
            said = host.run(GUARD, check=False).stdout.split()
            if said and said[0].isdigit() and int(said[0]) >= wanted:
                return time.monotonic()
            if over:
                return None
            time.sleep(0.3)

    def _untouched(self, name: str) -> Watched:
        began = time.monotonic()
        while time.monotonic() < began + (LIMIT if self.killed else 1.0):
            if self._in(self.hosts[name], self.blows[name].fault.user) and self._same(name):
                return Watched(False, time.monotonic() - began)
            time.sleep(1)
        return Watched(False, None)

    def _strike(self, host: Host, strike: str, process: subprocess.Popen[str]) -> None:
        if strike == "reboot":
            host.run("systemctl reboot", check=False)
        elif strike.startswith("power off"):
            run(["podman", "kill", "-s", "KILL", host.container], check=False)
            run(["podman", "start", host.container], check=False)
        elif strike.startswith("controller"):
            self.killed = True
            kill(process, "everything")

    @staticmethod
    def _in(host: Host, user: str) -> bool:
        """Whether a new login succeeds, sudo's too."""
        script = "true" if user == "root" else "sudo -S -p '' true"
        stdin = None if user == "root" else f"{OPS_PASSWORD}\n"
        try:
            return host.ssh(script, user=user, stdin=stdin, timeout=15, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _same(self, name: str) -> bool:
        done = self.hosts[name].run(STATE, check=False)
        return done.returncode == 0 and done.stdout == self.before[name]

    def _judge(self, name: str, one: Watched, printed: str) -> list[str]:
        blow, broken = self.blows[name], []
        if one.back is None:
            changed = set(self.before[name].splitlines()) ^ set(
                self.hosts[name].run(STATE, check=False).stdout.splitlines()
            )
            login = "" if self._in(self.hosts[name], blow.fault.user) else "no login; "
            broken.append(f"not as before ({blow.strike}): {login}{sorted(changed)[:4]}")
        elif one.back > BACK_WITHIN:
            broken.append(f"as before only after {one.back:.0f} s ({blow.strike})")
        if not one.shut and not blow.fault.refused and not self.killed:
            broken.append(f"the fault never came to the host: {printed[-300:]}")
        return broken

    def _told(self, outcome: Outcome, where: str, bad: set[str]) -> None:
        """What the ledger says of the run, and that a new audit gets to every host."""
        documents = ask_ledger(self.town, "baseline") if not self.killed else []
        for name, blow in self.blows.items():
            mine = [one for one in documents if one["host"] == name]
            said = mine[-1]["outcome"] if mine else "nothing"
            outcome.told[f"controller killed: {said}" if self.killed else said] += 1
            states = {row[1] for one in mine[-1:] for row in one["results"]["rows"]}
            cut = blow.strike.startswith(("reboot", "power off"))
            # What a validator has refused was never there; a host that was cut off meanwhile has gone back anyhow.
            good = ("done", *["rolled_back"] * cut) if blow.fault.refused else ("rolled_back",)
            if not self.killed and not (said in good and states == {"failed"}) and not (cut and said == "nothing"):
                rows = [row for one in mine[-1:] for row in one["results"]["rows"]]
                outcome.broken.append(f"{where}, {name}, {blow.fault.name}, {blow.strike}: told {said}, {rows}")
        audited = self.town.controller.civicops("run", "baseline", self.town.name, "--check", "--json", timeout=300)
        newest = {one["host"]: one for one in ask_ledger(self.town, "baseline")}
        for name in set(self.hosts) - bad:
            told = newest.get(name, {})
            wants = {row[1] for row in (told.get("results") or {}).get("rows", [])}
            if told.get("outcome") != "planned" or "changed" not in wants:
                outcome.broken.append(
                    f"{where}, {name}: the audit afterwards says {told.get('outcome')} {wants}: {audited.stdout[-200:]}"
                )
        if not self.killed:
            return
        stale = [
            one for one in newest.values() if not one["check"] and "changed" in {r[1] for r in one["results"]["rows"]}
        ]
        outcome.broken += [
            f"{where}: after a killed controller the ledger says that {one['host']} changed" for one in stale
        ]


def draw(dice: random.Random, number: int, names: Mapping[str, str], order: list[Fault]) -> dict[str, Blow]:
    """A round's faults in the drawn order, and what strikes.

    The controller is killed in every fourth round: it is all hosts' and tells nothing then, so the others show that
    the ledger is told.
    """
    faults_of = [order[(number * len(names) + place) % len(order)] for place in range(len(names))]
    blows = {name: Blow(fault, dice.choice(STRIKES)) for name, fault in zip(names, faults_of, strict=True)}
    if number % 4 == 3:
        name = dice.choice(list(names))
        blows[name] = Blow(blows[name].fault, dice.choice(CONTROLLER))
    return blows


def faults(seed: int, count: int, folder: Path, only: str = "", strike: str = "") -> Outcome:
    """Let faults happen, several hosts at once, each drawn by the seed."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    outcome = Outcome()
    order = dice.sample(FAULTS, len(FAULTS))
    order = [fault for fault in order if only in fault.name]
    hosts = prepared(HOSTS)
    try:
        for number in range(-(-count // len(HOSTS))):
            blows = draw(dice, number, HOSTS, order)
            if strike:
                blows = {name: Blow(blow.fault, strike) for name, blow in blows.items()}
            began = time.monotonic()
            chosen = dict(list(blows.items())[: count - number * len(HOSTS)])
            one = Round({name: hosts[name] for name in chosen}, chosen, folder / str(number))
            broken = len(outcome.broken)
            try:
                bad = one.run(outcome, f"round {number} of seed {seed}")
            finally:
                one.town.close()
            for host in hosts.values():
                host.run(FORGET, check=False)
            for name in bad:
                hosts[name].remove()
                hosts |= prepared({name: HOSTS[name]})
            what = ", ".join(f"{name}: {blow.fault.name}/{blow.strike}" for name, blow in chosen.items())
            print(f"round {number}: {time.monotonic() - began:.0f} s, {what}", file=sys.stderr)
            for line in outcome.broken[broken:]:
                print(f"  BROKEN {line}", file=sys.stderr)
            sys.stderr.flush()
    finally:
        podman.remove(*(host.container for host in hosts.values()))
    return outcome


def campaign(
    seed: int, count: int, keep: Path | None = None, only: str = "", strike: str = ""
) -> tuple[list[str], list[str]]:
    """Lines of Markdown with what the faults did, and the promises that were broken."""
    ensure_tools()
    podman.sweep()
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outcome = faults(seed, count, folder, only, strike)
    longest = max(outcome.seconds, default=0.0)
    strikes = ", ".join(f"{what} {times}" for what, times in sorted(outcome.strikes.items()))
    lines = [
        f"{count} faults that would shut us out, on five hosts at once (bullseye, two of bookworm, two of trixie).",
        "With many of them the host is restarted or loses its power, or the controller is killed with SIGKILL,",
        "between the change and its confirmation (early: while the change is made). After each, a new login must",
        "succeed within two minutes of the change; every file of /etc, root's keys, the units and the packet filter",
        "must be as before; the ledger must tell of it; an audit must get to every host.",
        "",
        f"Changes that came to the host: {len(outcome.seconds)}; refused by a validator or before: {outcome.refused}. "
        f"As before after {longest:.0f} s at most.",
        "",
        f"Struck: {strikes}. Told: {', '.join(f'{what} {times}' for what, times in sorted(outcome.told.items()))}.",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {what} | {times} |" for what, times in sorted(outcome.faults.items())),
    ]
    return lines, outcome.broken


def main() -> int:
    """Print what was found; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.lockouts", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--only", default="", help="faults whose name has this alone")
    parser.add_argument(
        "--strike", default="", choices=("", *sorted({*STRIKES, *CONTROLLER})), help="this strike alone"
    )
    parser.add_argument("--keep", type=Path, help="a directory in which the towns' state is kept, to look into")
    options = parser.parse_args()
    lines, broken = campaign(options.seed, options.faults, options.keep, options.only, options.strike)
    print("\n".join([*lines, "", f"**Broken promises: {len(broken)}.**", *(f"- {line}" for line in broken)]))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
