# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""apt and dpkg, asked and told by their own commands; nothing here ever removes a package that was there."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import time
from contextlib import suppress
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from .._host_info.context import CommandError, Context
from .._host_info.packages import installed as installed_table
from .._host_info.updates import INST, pending
from . import apt_marks
from .manager import POOL, Holder, Key, ManagerError, Plan, Policy, Update, folder_is_ours, lock_holder, log, run, why

LISTS = "/var/lib/apt/lists"
LOCKS = (*apt_marks.LOCKS, "/var/cache/apt/archives/lock", f"{LISTS}/lock")
DOWNLOAD_SECONDS = 3600.0
SIMULATION_SECONDS = 120.0
# A simulation each, where all together can't be installed: a night has seldom more than this of source packages.
GROUPS = 200
SEARCH_SECONDS = 40.0  # one question to a host may take two minutes in all
KEPT_DAYS = 90
_COMMON = (
    "-y",
    "-q",
    f"-oDir::Cache::archives={POOL}",
    "-oDpkg::Use-Pty=0",
    "-oAPT::Install-Recommends=false",
    "-oAPT::Get::Show-Upgraded=true",
    "-oAPT::Keep-Downloaded-Packages=true",
)
# A changed configuration file stays as it is, and the new one is put beside it: dpkg(1).
_CONFFILES = ("-oDpkg::Options::=--force-confdef", "-oDpkg::Options::=--force-confold")
_NEW = re.compile(r"Inst (\S+) \((\S+) (.*?) ?\[([^\]]+)\]\)")
_URI = re.compile(r"^'[^']*' (\S+) (\d+)", re.M)
_GROWTH = re.compile(
    r"^After this operation, ([\d.,]+) (k?[MGB]?B?) (?:of )?(additional|disk space will be freed)", re.M
)
_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


class Apt:
    """Debian's, Ubuntu's and their like."""

    name = "apt"
    program = "apt-get"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._native: Optional[str] = None

    # -- lists and what waits ---------------------------------------------------

    def refresh(self) -> None:
        status, output = run(["apt-get", "-q", "-oAPT::Update::Error-Mode=any", "update"], DOWNLOAD_SECONDS)
        if status != 0:
            # Older than 2.1.15 (Debian 11 has 2.2), which does not know Error-Mode, can't fail for a source alone.
            raise ManagerError(f"apt-get update: {why(output)}")

    def lists_at(self) -> Optional[float]:
        times = [self._ctx.ctime(path) for path in glob.glob(f"{LISTS}/*Release")]
        return max((one for one in times if one is not None), default=None)

    def ground(self) -> List[str]:
        dpkg = [f"/var/lib/dpkg/{name}" for name in ("status", "updates", "arch")]
        return [LISTS, apt_marks.EXTENDED_STATES, *dpkg, "/etc/apt", "/etc/dpkg"]

    def plan(self, policy: Policy) -> Plan:
        holds = self._holds()
        updates = self._pending()
        wanted = []
        for update in updates:
            update.why = policy.refusal(update, set(holds))
            if update.why is None:
                wanted.append(update)
        chosen, more = self._solvable(wanted, policy, set(holds)) if wanted else ([], [])
        for update in chosen:
            update.selected = True
        known = {update.key: update for update in updates}
        for extra in more:
            mine = known.get(extra.key)
            if mine is None:
                extra.selected = True
                updates.append(extra)
                known[extra.key] = extra
            else:
                mine.selected, mine.why = True, None
        plan = Plan(updates=updates, holds=holds)
        self._measure(plan)
        return plan

    def _pending(self) -> List[Update]:
        try:
            rows = pending(self._ctx)
        except CommandError as error:
            raise ManagerError(str(error)) from None
        source_of = self._installed_sources()
        return [
            Update(name, arch, current, candidate, security, origin, source_of.get(name))
            for name, arch, current, candidate, security, origin in rows
        ]

    def _solvable(self, wanted: List[Update], policy: Policy, holds: Set[str]) -> Tuple[List[Update], List[Update]]:
        """Those of the wanted that can be installed together without removing anything or touching what is denied or
        held, and what comes with them; the others are told why not."""
        together, problem = self._simulate(wanted, policy, holds)
        if problem is None:
            return wanted, together
        end = time.monotonic() + SEARCH_SECONDS
        groups: Dict[str, List[Update]] = {}
        for update in wanted:
            groups.setdefault(update.source or update.name, []).append(update)
        good: List[Update] = []
        with_them: List[Update] = []
        for number, group in enumerate(groups.values()):
            if number >= GROUPS or time.monotonic() > end:
                problem = "not all can be installed together, and there was no time to find out about this one"
            else:
                found, problem = self._simulate([*good, *group], policy, holds)
            if problem is None:
                good, with_them = [*good, *group], found
            else:
                for update in group:
                    update.why = f"kept back: {problem}"[:300]
        return good, with_them

    def _simulate(self, wanted: List[Update], policy: Policy, holds: Set[str]) -> Tuple[List[Update], Optional[str]]:
        """What apt would install, and None; or why it would not."""
        command = ["apt-get", "-s", *_COMMON, "--no-remove", "-oDebug::NoLocking=1", "install", *self._words(wanted)]
        status, output = run(command, SIMULATION_SECONDS)
        if status != 0:
            return [], _problem(output)
        found = list(parse_simulated(output, self._native_arch()))
        asked = {update.key for update in wanted}
        others = [update for update in found if update.key not in asked]
        if policy.deny:
            self._name_sources(others)
        for update in others:
            if update.name in holds:
                return [], f"wants {update.name}, which is held"
            if policy.denies(update.name, update.source):
                return [], f"wants {update.name}, which is on the deny list"
        return found, None

    def _name_sources(self, updates: List[Update]) -> None:
        """The source packages, as a deny list may name them: of what is new by its candidate."""
        known = self._installed_sources()
        for update in updates:
            update.source = known.get(update.name)
        new = [update for update in updates if update.name not in known]
        if not new:
            return
        status, output = run(["apt-cache", "show", *self._words(new)], SIMULATION_SECONDS)
        if status != 0:
            raise ManagerError(f"apt-cache show: {why(output)}")
        told = {(one.get("Package"), one.get("Version")): one.get("Source") for one in parse_stanzas(output)}
        for update in new:
            update.source = (told.get((update.name, update.candidate)) or "").partition(" ")[0] or None

    def _installed_sources(self) -> Dict[str, Optional[str]]:
        table = self._ctx.once("packages", installed_table)
        return {row[0]: row[3] for row in table["rows"]} if table else {}

    def _measure(self, plan: Plan) -> None:
        """Sizes of the packages, and by how much the disk fills.

        By C(apt-cache) alone: C(apt-get --assume-no install) installs where it has nothing to ask.
        """
        plan.download_bytes = plan.disk_bytes = 0
        if not plan.install:
            return
        status, output = run(["apt-cache", "show", *self._words(plan.install)], SIMULATION_SECONDS)
        told = {(one.get("Package"), one.get("Version")): one for one in parse_stanzas(output)} if status == 0 else {}
        now = {(name, arch): size for name, arch, dummy, dummy, size in self._query()}
        for update in plan.install:
            stanza = told.get((update.name, update.candidate), {})
            update.size = _number(stanza.get("Size"))
            grown = _number(stanza.get("Installed-Size"))
            if update.size is None or grown is None:
                plan.download_bytes = plan.disk_bytes = None
                return
            plan.download_bytes += update.size
            plan.disk_bytes += (grown - now.get(update.key, 0)) * 1024

    # -- packages that are kept ---------------------------------------------------

    def to_download(self, plan: Plan) -> int:
        return sum(one.size or 0 for one in self._absent(plan))

    @staticmethod
    def _absent(plan: Plan) -> List[Update]:
        return [one for one in plan.install if not os.path.exists(_kept(one.name, one.candidate, one.arch))]

    def download(self, plan: Plan) -> None:
        folder_is_ours(POOL)
        if not self._absent(plan):
            return
        command = ["apt-get", *_COMMON, "--no-remove", "-d", "install", *self._words(plan.install)]
        status, output = run(command, DOWNLOAD_SECONDS)
        if status != 0:
            raise ManagerError(f"the updates can't be downloaded: {why(output)}")

    def keep(self, plan: Plan) -> List[str]:
        folder_is_ours(POOL)
        files = {}
        for update in plan.install:
            if update.current is not None:
                files[update.key] = self._file_of_installed(update.name, update.arch, update.current)
        wanted = [one for one in plan.install if one.key in files and not os.path.exists(files[one.key])]
        for update in wanted:
            self._take_from_cache(files[update.key])
        wanted = [one for one in wanted if not os.path.exists(files[one.key])]
        if wanted:
            self._fetch(wanted)
        missing = []
        for update in plan.install:
            if update.current is None:
                continue
            update.kept = os.path.exists(files[update.key])
            if not update.kept:
                missing.append(f"{update.name} {update.current}")
        return missing

    @staticmethod
    def _take_from_cache(file: str) -> None:
        """A package that apt itself has still."""
        theirs = os.path.join("/var/cache/apt/archives", os.path.basename(file))
        with suppress(OSError):  # it is not there, or on another file system, and is downloaded
            os.link(theirs, file, follow_symlinks=False)

    def _fetch(self, wanted: List[Update]) -> None:
        """Download installed versions as far as the lists still name them: all in one call."""
        names = sorted({update.name for update in wanted})
        dummy, output = run(["apt-cache", "madison", *names], SIMULATION_SECONDS)
        known = {(fields[0], fields[1]) for fields in (_fields(line) for line in output.splitlines()) if fields}
        words = [self._word(one.name, one.arch, str(one.current)) for one in wanted if (one.name, one.current) in known]
        if words:
            # What fails is found missing afterwards, package by package.
            run(["apt-get", "-q", "download", *words], DOWNLOAD_SECONDS, cwd=POOL)

    def tidy(self) -> None:
        now = self.installed()
        wanted = {os.path.basename(self._file_of_installed(name, arch, now[name, arch])) for name, arch in now}
        old = time.time() - KEPT_DAYS * 86400
        for file in glob.glob(f"{POOL}/*.deb"):
            if os.path.basename(file) not in wanted and os.stat(file).st_mtime < old:
                os.unlink(file)

    # -- the state of the host ----------------------------------------------------

    def installed(self) -> Dict[Key, str]:
        found = {}
        for name, arch, version, status, dummy in self._query():
            if status[1:2] == "i":
                found[name, arch] = version
        return found

    def marks(self) -> Set[str]:
        # As apt-mark tells them, which would solve all dependencies to read one file: apt's own, apt-mark(8).
        try:
            text = self._ctx.read(apt_marks.EXTENDED_STATES, apt_marks.LIMIT)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise ManagerError(f"{apt_marks.EXTENDED_STATES}: {error.strerror}") from None
        native = self._native_arch()
        there = {(name, native if arch == "all" else arch) for name, arch in self._known()}
        told = [one for one in parse_stanzas(text) if one.get("Auto-Installed") == "1"]
        automatic = {(one.get("Package", ""), one.get("Architecture", native)) for one in told}
        return {self._name(name, arch) for name, arch in automatic & there}

    def audit(self) -> List[str]:
        return [
            f"{name} {version} is {_STATES.get(status[1:2], 'to be installed anew')}"
            for name, dummy, version, status, dummy in self._query()
            if status[1:2] not in ("i", "c", "n") or len(status) > 2
        ]

    def repair(self) -> List[str]:
        run(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"], None)
        if self.audit():
            # What was unpacked and wants more is completed from the pool, else from the mirror.
            run(["apt-get", *_COMMON, *_CONFFILES, "--no-remove", "-f", "install"], None)
        return self.audit()

    def locked_by(self) -> Optional[Holder]:
        for path in LOCKS:
            holder = lock_holder(self._ctx, path, fcntl.F_WRLCK)
            if holder is not None:
                return holder
        return None

    # -- changes ------------------------------------------------------------------

    def install(self, plan: Plan, lock_wait: int) -> None:
        words = self._words(plan.install)
        command = ["apt-get", *_COMMON, *_CONFFILES, f"-oDPkg::Lock::Timeout={lock_wait}", "--no-remove", "install"]
        status, output = run([*command, *words], None)
        log(output)
        if status != 0:
            raise ManagerError(f"apt-get: {why(output)}")

    def restore(self, before: Mapping[Key, str], marks: Set[str], lock_wait: int) -> None:
        now = self._known()
        files, gone = [], []
        for (name, arch), version in sorted(before.items()):
            if now.get((name, arch)) != version:
                files.append(self._file_of_installed(name, arch, version))
        for name, arch in sorted(now.keys() - before.keys()):
            # One that only changed its architecture (all, or not) is replaced, not removed.
            if not any(other == name for other, dummy in before):
                gone.append(f"{self._name(name, arch)}-")
        if files or gone:
            absent = [os.path.basename(file) for file in files if not os.path.exists(file)]
            if absent:
                raise ManagerError(f"the packages to go back to are not all there: {', '.join(absent[:5])}")
            command = ["apt-get", *_COMMON, *_CONFFILES, f"-oDPkg::Lock::Timeout={lock_wait}", "--purge"]
            # Without any source: the mirror may be gone, and must have no say.
            alone = ["-oDir::Etc::sourcelist=/dev/null", "-oDir::Etc::sourceparts=/dev/null"]
            alone += ["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache="]
            options = ["--allow-downgrades", "--allow-change-held-packages", "install", *files, *gone]
            self._refuse_removals([*command, "-s", *alone, *options], gone)
            status, output = run([*command, *alone, *options], None)
            log(output)
            if status != 0:
                raise ManagerError(f"apt-get: {why(output)}")
        self.set_marks(marks)

    def set_marks(self, marks: Set[str]) -> None:
        now = self.marks()
        automatic, manual = marks - now, now - marks
        if not automatic and not manual:
            return
        native = self._native_arch()
        wanted = dict.fromkeys(apt_marks.named(automatic, native), True)
        try:
            apt_marks.write({**wanted, **dict.fromkeys(apt_marks.named(manual, native), False)})
        except apt_marks.MarksError:
            self._mark("auto", automatic)
            self._mark("manual", manual)

    @staticmethod
    def _refuse_removals(command: Sequence[str], gone: Sequence[str]) -> None:
        """Going back removes what was added, and nothing else."""
        status, output = run(command, SIMULATION_SECONDS)
        if status != 0:
            raise ManagerError(f"apt-get: {_problem(output)}")
        removed = {line.split()[1] for line in output.splitlines() if line.startswith(("Remv ", "Purg "))}
        if more := sorted(removed - {word[:-1] for word in gone}):
            raise ManagerError(f"going back would remove {', '.join(more[:5])}")

    def missing(self, before: Mapping[Key, str]) -> List[str]:
        now = self._known()
        return [
            f"{name} {version}"
            for (name, arch), version in sorted(before.items())
            if now.get((name, arch)) != version and not os.path.exists(self._file_of_installed(name, arch, version))
        ]

    def files(self, plan: Plan) -> Set[str]:
        found: Set[str] = set()
        for update in plan.install:
            for name in (update.name, f"{update.name}:{update.arch}"):
                found.update((self._ctx.read_or(f"/var/lib/dpkg/info/{name}.list", "", 16 << 20) or "").splitlines())
        return found

    def expects_reboot(self, plan: Plan) -> List[str]:
        # Kernels; and dbus, whose script asks for it: it can't be restarted in a session's lifetime.
        return [one.name for one in plan.install if one.name.startswith("linux-image-") or one.name == "dbus"]

    def reboot_reasons(self) -> List[str]:
        return []  # Debian's packages say so themselves, in /run/reboot-required

    @staticmethod
    def _mark(how: str, names: Iterable[str]) -> None:
        words = sorted(names)
        if words:
            run(["apt-mark", "-qq", how, *words])

    # -- words ----------------------------------------------------------------------

    def _holds(self) -> List[str]:
        status, output = run(["apt-mark", "showhold"])
        if status != 0:
            raise ManagerError(f"apt-mark showhold: {why(output)}")
        return sorted({word.partition(":")[0] for word in output.split()})

    def _query(self) -> List[Tuple[str, str, str, str, int]]:
        """Name, architecture, version, short state and installed size (KiB) of every package that dpkg knows."""
        shown = r"${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\t${Installed-Size}\n"
        status, output = run(["dpkg-query", "-W", "-f", shown])
        if status != 0:
            raise ManagerError(f"dpkg-query: {why(output)}")
        rows = [line.split("\t") for line in output.splitlines()]
        return [
            (row[0], row[1], row[2], row[3].strip(), _number(row[4]) or 0) for row in rows if len(row) == 5 and row[2]
        ]

    def _known(self) -> Dict[Key, str]:
        """The versions of what is installed, also of what is so by halves."""
        return {
            (name, arch): version
            for name, arch, version, status, dummy in self._query()
            if status[1:2] not in ("c", "n")
        }

    def _native_arch(self) -> str:
        if self._native is None:
            status, output = run(["dpkg", "--print-architecture"])
            if status != 0:
                raise ManagerError(f"dpkg: {why(output)}")
            self._native = output.strip()
        return self._native

    def _name(self, name: str, arch: str) -> str:
        return name if arch in ("all", self._native_arch()) else f"{name}:{arch}"

    def _word(self, name: str, arch: str, version: str) -> str:
        return f"{self._name(name, arch)}={version}"

    def _words(self, updates: Sequence[Update]) -> List[str]:
        return [self._word(one.name, one.arch, one.candidate) for one in updates]

    def _file_of_installed(self, name: str, arch: str, version: str) -> str:
        """Where the package of an installed version is kept, whether it is there or not. The architecture of the
        installed version counts, which may be another one than the update's."""
        kept = _kept(name, version, arch)
        if arch == "all" or os.path.exists(kept):
            return kept
        other = _kept(name, version, "all")
        return other if os.path.exists(other) else kept


_STATES = {"U": "unpacked, not configured", "H": "half-installed", "F": "half-configured", "W": "waiting for triggers"}
_STATES["t"] = "waiting for a trigger"


def parse_simulated(text: str, native: str) -> Iterable[Update]:
    """The C(Inst) lines of a simulation: updates, and packages that are new."""
    for line in text.splitlines():
        match = INST.match(line)
        if match:
            name, old, new, where, arch = match.groups()
        else:
            match = _NEW.match(line)
            if not match:
                continue
            old = None
            name, new, where, arch = match.groups()
        name, dummy, of = name.partition(":")
        yield Update(name, of or arch, old, new, None, where.partition(",")[0].strip() or None)


def parse_stanzas(text: str) -> List[Dict[str, str]]:
    """The one-line fields of C(apt-cache show)."""
    found = []
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if line[:1].isalpha() and ": " in line]
        if lines:
            found.append(dict(line.split(": ", 1) for line in lines))
    return found


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text is not None and text.isdecimal() else None


def _problem(output: str) -> str:
    """Why apt can't install something, in a line: what depends on what, else its error."""
    lines = [line.strip() for line in output.splitlines()]
    told = [line for line in lines if re.match(r"\S+ : (Depends|PreDepends|Breaks|Conflicts)", line)]
    if told:
        return re.sub(r"\s+", " ", told[0])
    removed = [line for line in lines if line.startswith("E: Packages need to be removed")]
    return "something would have to be removed" if removed else why(output)


def _fields(line: str) -> Optional[Tuple[str, str]]:
    parts = [part.strip() for part in line.split("|")]
    return (parts[0], parts[1]) if len(parts) == 3 else None


def _file(name: str, version: str, arch: str) -> str:
    return f"{name}_{version.replace(':', '%3a')}_{arch}.deb"


def _kept(name: str, version: str, arch: str) -> str:
    return os.path.join(POOL, _file(name, version, arch))
