# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""dnf 4 and rpm, by dnf's own Python package: what it would do is asked as it would be done."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import sys
import time
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from .._host_info.context import Context
from .._host_info.identity import boot_time
from .._host_info.processes import user_name
from .manager import (
    POOL,
    Holder,
    Key,
    ManagerError,
    Plan,
    Policy,
    ScriptError,
    Update,
    folder_is_ours,
    lock_holder,
    log,
    run,
    why,
)

try:
    import dnf
    import dnf.callback
    import dnf.exceptions
    import dnf.subject
    import dnf.transaction
    import hawkey
except (ImportError, AttributeError, SyntaxError) as error:  # absent, another Python's, or half of an update
    IMPORT_ERROR: Optional[Exception] = error
else:
    IMPORT_ERROR = None

REFRESH_SECONDS = 3600.0
GROUPS = 200
KEPT_DAYS = 90
INCOMING = os.path.join(POOL, "incoming")  # what was not checked yet
LOCKS = ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock")
LOCK_FILES = ("/var/lib/dnf/*_lock.pid", "/var/cache/dnf/*_lock.pid", "/run/dnf.pid")
VERSIONLOCK_CONF = "/etc/dnf/plugins/versionlock.conf"
VERSIONLOCK = "/etc/dnf/plugins/versionlock.list"
# What dnf's own needs-restarting takes for a reason to restart the host: NEED_REBOOT in dnf-plugins-core 4.
REBOOT = (
    "kernel",
    "kernel-core",
    "kernel-rt",
    "glibc",
    "linux-firmware",
    "systemd",
    "dbus",
    "dbus-broker",
    "dbus-daemon",
    "microcode_ctl",
)


# What comes in place of what goes.
_COMING = (
    () if IMPORT_ERROR else (dnf.transaction.PKG_INSTALL, dnf.transaction.PKG_REINSTALL, dnf.transaction.PKG_UPGRADE)
)


def _display() -> Any:
    """What dnf tells its errors to."""

    class Display(dnf.callback.TransactionProgress):  # type: ignore[misc]
        def __init__(self) -> None:
            self.errors: List[str] = []

        def error(self, message: str) -> None:
            log(f"{message}\n")
            self.errors.append(_line(message))

        def scriptout(self, msgs: Any) -> None:
            if msgs:
                log(f"{str(msgs).rstrip()}\n")

    return Display()


class Dnf:
    """Fedora's, Red Hat's and their like."""

    name = "dnf"
    program = "dnf"

    def __init__(self, ctx: Context) -> None:
        if IMPORT_ERROR is not None:
            raise ManagerError(
                f"{sys.executable} can't use dnf ({_line(IMPORT_ERROR)[:200]}): install python3-dnf, and have "
                "ansible_python_interpreter name the system's own Python"
            )
        self._ctx = ctx
        self._unfit: Dict[str, str] = {}

    # -- lists and what waits ---------------------------------------------------

    def refresh(self) -> None:
        options = ["--setopt=*.skip_if_unavailable=0"]
        status, output = run(["dnf", "-q", "-y", *options, "makecache", "--refresh"], REFRESH_SECONDS)
        if status != 0:
            raise ManagerError(f"dnf makecache: {why(output)}")

    def lists_at(self) -> Optional[float]:
        base = dnf.Base()
        try:
            base.conf.read()
            places = glob.glob(f"{base.conf.cachedir}/*/repodata/repomd.xml")
        except dnf.exceptions.Error as error:
            raise ManagerError(f"dnf: {_line(error)}") from None
        finally:
            base.close()
        times = [self._ctx.ctime(path) for path in places]
        return max((one for one in times if one is not None), default=None)

    def ground(self) -> List[str]:
        return []  # modules, plugins and variables of dnf lie in too many places

    def plan(self, policy: Policy) -> Plan:
        if self.lists_at() is None:
            return Plan()  # which the blocker for lists tells
        base = self._base(repositories=True)
        try:
            return self._plan(base, policy)
        except (dnf.exceptions.Error, hawkey.Exception) as error:
            raise ManagerError(f"dnf: {_line(error)}") from None
        finally:
            base.close()

    def _plan(self, base: Any, policy: Policy) -> Plan:
        locked, holds = self._locked(base)
        advisories = self._advisories(base)
        now: Dict[Key, List[Any]] = {}
        for one in base.sack.query().installed():
            now.setdefault((one.name, one.arch), []).append(one)
        found: Dict[Key, Tuple[Update, Any]] = {}
        for package in base.sack.query().upgrades().latest():
            update = self._update(package, now.get((package.name, package.arch)), advisories)
            update.why = policy.refusal(update, {package.name} if str(package) in locked else set())
            same = (package.version, package.release)
            if any((one.version, one.release) == same for one in now.get(update.key, [])):
                # rpm takes the two for the same package, and would refuse to go back.
                update.why = update.why or "kept back: its epoch alone is another one, so there would be no way back"
            found[update.key] = (update, package)
        wanted = [pair for pair in found.values() if pair[0].why is None]
        good, items = self._solvable(base, wanted, policy, locked)
        for update, dummy in good:
            update.selected = True
        for package in items:
            key = (package.name, package.arch)
            if key in found:
                found[key][0].selected, found[key][0].why = True, None
            else:
                extra = self._update(package, now.get(key), advisories)
                extra.selected = True
                found[key] = (extra, package)
        for replacing in self._displacing(base, advisories):
            found.setdefault(replacing[0].key, replacing)
        plan = Plan([update for update, dummy in found.values()], holds=holds)
        plan.download_bytes = sum(one.size or 0 for one in plan.install)
        grown = sum(package.installsize for update, package in found.values() if update.selected)
        beside = self._installonly(base)
        gone = sum(
            one.installsize
            for update, dummy in found.values()
            if update.selected and update.name not in beside
            for one in now.get(update.key, [])
        )
        plan.disk_bytes = grown - gone
        return plan

    def _displacing(self, base: Any, advisories: Dict[str, List[str]]) -> Iterable[Tuple[Update, Any]]:
        """What is not installed and would take the place of something that is: told, and never installed."""
        installed = base.sack.query().installed().apply()
        names = {one.name for one in installed}
        for package in base.sack.query().available().filter(obsoletes=installed).latest():
            if package.name not in names:
                update = self._update(package, None, advisories)
                replaced = base.sack.query().installed().filter(provides=list(package.obsoletes))
                words = ", ".join(sorted({one.name for one in replaced})) or "something"
                update.why = f"kept back: it would take the place of {words}"[:300]
                yield update, package

    @staticmethod
    def _installonly(base: Any) -> Set[str]:
        """The installed packages whose versions stand beside each other: kernels."""
        query = base.sack.query().installed().filter(provides=list(base.conf.installonlypkgs))
        return {one.name for one in query}

    @staticmethod
    def _update(package: Any, installed: Optional[List[Any]], advisories: Dict[str, List[str]]) -> Update:
        named = advisories.get(package.name, [])
        return Update(
            package.name,
            package.arch,
            ", ".join(sorted(_evr(one) for one in installed)) if installed else None,
            _evr(package),
            security=True if named else False if package.repo._repo.getMetadataPath("updateinfo") else None,
            origin=str(package.reponame),
            source=package.source_name if package.source_name != package.name else None,
            size=int(package.downloadsize),
            advisories=named[:100],
        )

    @staticmethod
    def _advisories(base: Any) -> Dict[str, List[str]]:
        """The security advisories that belong to upgrades, by the package's name."""
        found: Dict[str, List[str]] = {}
        for package in base.sack.query().upgrades():
            for advisory in package.get_advisories(hawkey.EQ):
                if advisory.type == hawkey.ADVISORY_SECURITY and advisory.id not in found.get(package.name, []):
                    found.setdefault(package.name, []).append(str(advisory.id)[:100])
        return found

    def _solvable(
        self, base: Any, wanted: List[Tuple[Update, Any]], policy: Policy, locked: Set[str]
    ) -> Tuple[List[Tuple[Update, Any]], List[Any]]:
        """Those of the wanted that can be installed together without removing anything, and what is installed then."""
        if not wanted:
            return [], []
        items, problem = self._resolve(base, [package for dummy, package in wanted], policy, locked)
        if problem is None:
            return wanted, items
        groups: Dict[str, List[Tuple[Update, Any]]] = {}
        for pair in wanted:
            groups.setdefault(pair[0].source or pair[0].name, []).append(pair)
        good: List[Tuple[Update, Any]] = []
        together: List[Any] = []
        for number, group in enumerate(groups.values()):
            if number >= GROUPS:
                problem = f"more than {GROUPS} source packages, and not all of them can be installed together"
            else:
                tried = [package for dummy, package in [*good, *group]]
                found, problem = self._resolve(base, tried, policy, locked)
            if problem is None:
                good, together = [*good, *group], found
            else:
                for update, dummy in group:
                    update.why = f"kept back: {problem}"[:300]
        return good, together

    @staticmethod
    def _resolve(
        base: Any, packages: Sequence[Any], policy: Policy, locked: Set[str]
    ) -> Tuple[List[Any], Optional[str]]:
        """What would be installed with these, and None; or why it would not."""
        base.reset(goal=True)
        for package in packages:
            base.package_upgrade(package)
        try:
            base.resolve(allow_erasing=False)
        except dnf.exceptions.Error as error:
            return [], _line(error)
        asked = {(one.name, one.arch) for one in packages}
        for item in base.transaction:
            if item.action in (dnf.transaction.PKG_REMOVE, dnf.transaction.PKG_OBSOLETED):
                return [], f"{item.name} would have to be removed"
        items = list(base.transaction.install_set)
        for package in items:
            if (package.name, package.arch) not in asked:
                if str(package) in locked:
                    return [], f"wants {package.name}, which is held"
                if policy.denies(package.name, package.source_name):
                    return [], f"wants {package.name}, which is on the deny list"
        return items, None

    # -- packages that are kept ---------------------------------------------------

    def to_download(self, plan: Plan) -> int:
        return sum(
            one.size or 0 for one in plan.install if not os.path.exists(_kept(one.name, one.candidate, one.arch))
        )

    def download(self, plan: Plan) -> None:
        wanted = [(one.name, one.arch, one.candidate) for one in plan.install]
        missing = self._fetch(wanted)
        if missing:
            told = [self._unfit.get(one) or f"{one} is to be had nowhere" for one in missing]
            raise ManagerError(f"the updates can't be downloaded: {'; '.join(told[:5])}"[:700])

    def keep(self, plan: Plan) -> List[str]:
        base = self._base(repositories=False)
        try:
            beside = self._installonly(base)  # they stay where they are
        finally:
            base.close()
        replaced = [one for one in plan.install if one.current is not None and one.name not in beside]
        pairs = [(one, version) for one in replaced for version in str(one.current).split(", ")]
        absent = set(self._fetch([(one.name, one.arch, version) for one, version in pairs]))
        missing = []
        for update in plan.install:
            if update.current is not None:
                update.kept = f"{update.name} {update.current}" not in absent
        for update, version in pairs:
            if f"{update.name} {version}" in absent:
                update.kept = False
                missing.append(f"{update.name} {version}")
        return missing

    def _fetch(self, wanted: Sequence[Tuple[str, str, str]]) -> List[str]:
        """Make sure that packages of exactly these versions are kept; those that are not to be had, as NAME VERSION."""
        folder_is_ours(POOL)
        absent = [one for one in wanted if not os.path.exists(_kept(one[0], one[2], one[1]))]
        if not absent:
            return []
        shutil.rmtree(INCOMING, ignore_errors=True)
        os.mkdir(INCOMING, 0o700)
        base = self._base(repositories=True)
        try:
            base.conf.cacheonly = False  # the lists stay as they are; packages may come
            for repository in base.repos.iter_enabled():
                repository.pkgdir = INCOMING
            found = []
            for name, arch, version in absent:
                query = base.sack.query().available().filter(name=name, arch=arch)
                found += [one for one in query if _evr(one) == version][:1]
            self._download(base, found)
            for package in found:
                self._take(base, package)
        finally:
            base.close()
            shutil.rmtree(INCOMING, ignore_errors=True)
        return [f"{name} {version}" for name, arch, version in absent if not os.path.exists(_kept(name, version, arch))]

    def _download(self, base: Any, packages: List[Any]) -> None:
        """All at once; one that spoils it for the others is found missing afterwards."""
        try:
            base.download_packages(packages)
        except (dnf.exceptions.Error, hawkey.Exception, OSError) as error:
            for package in packages:
                self._unfit[f"{package.name} {_evr(package)}"] = _line(error)

    def _take(self, base: Any, package: Any) -> None:
        """Keep a package that was downloaded: only where it is what the lists say, and its signature is what its
        repository demands. Nothing asks later."""
        target, word = _kept(package.name, _evr(package), package.arch), f"{package.name} {_evr(package)}"
        try:
            source = package.localPkg()
            if not os.path.exists(source):
                return
            status, problem = base.package_signature_check(package)
            if status != 0:
                self._unfit[word] = _line(problem) + (", its key is yet to be imported" if status == 1 else "")
            elif not package.verifyLocalPkg():
                self._unfit[word] = f"{word} is not the file that the lists name"
            else:
                with open(source, "rb") as stream, open(target + ".new", "wb") as copy:
                    shutil.copyfileobj(stream, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                os.replace(target + ".new", target)
        except (dnf.exceptions.Error, hawkey.Exception, OSError) as error:
            self._unfit[word] = _line(error)

    def tidy(self) -> None:
        wanted = set()
        for (name, arch), versions in self.installed().items():
            wanted.update(os.path.basename(_kept(name, one, arch)) for one in versions.split(", "))
        old = time.time() - KEPT_DAYS * 86400
        for file in glob.glob(f"{POOL}/*.rpm"):
            if os.path.basename(file) not in wanted and os.stat(file).st_mtime < old:
                os.unlink(file)

    # -- the state of the host ----------------------------------------------------

    def installed(self) -> Dict[Key, str]:
        found: Dict[Key, List[str]] = {}
        for name, arch, version, dummy in self._query():
            found.setdefault((name, arch), []).append(version)
        return {key: ", ".join(sorted(versions)) for key, versions in found.items()}

    def _query(self) -> List[Tuple[str, str, str, int]]:
        """Name, architecture, version and time of installation of every installed package."""
        shown = r"%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\n"
        status, output = run(["rpm", "-qa", "--qf", shown])
        if status != 0:
            raise ManagerError(f"rpm: {why(output)}")
        rows = [line.split("\t") for line in output.splitlines()]
        return [
            (row[0], row[1], re.sub(r"^0:", "", row[2]), int(row[3]))
            for row in rows
            if len(row) == 4 and row[0] != "gpg-pubkey" and row[3].isdecimal()
        ]

    def marks(self) -> Set[str]:
        base = self._base(repositories=False)
        try:
            by_hand = {package.name for package in base.iter_userinstalled()}
            return {package.name for package in base.sack.query().installed()} - by_hand
        finally:
            base.close()

    def audit(self) -> List[str]:
        """Versions that stand beside each other and may not, what a transaction of dnf that never ended has put there,
        and dependencies that are not met."""
        base = self._base(repositories=False)
        try:
            found = [f"{one.name} {_evr(one)} was being installed, and that never ended" for one in self._cut_off(base)]
        finally:
            base.close()
        dummy, output = run(["rpm", "-Va", "--nofiles", "--noscripts", "--nodigest", "--nosignature"], 300.0)
        found += [line.strip()[:300] for line in output.splitlines() if line.startswith("Unsatisfied dependencies")]
        return found

    def _cut_off(self, base: Any) -> List[Any]:
        """The installed packages whose installation was cut off: their scripts may not have run, and the version before
        may still be there."""
        if self.locked_by() is not None:
            return []  # it goes on
        installed = base.sack.query().installed()
        query = installed.duplicated()
        query = query.difference(installed.filter(provides=list(base.conf.installonlypkgs)))
        found = {(one.name, one.arch): one for one in sorted(query)}  # of two versions the newer: it came later
        last = base.history.last()
        if last is not None and not last.end_timestamp:
            items = {(str(item.name), str(item.arch)) for item in last.packages()}
            for one in base.sack.query().installed():
                if (one.name, one.arch) in items and one.installtime >= last.beg_timestamp:
                    known = found.get((one.name, one.arch))
                    found[one.name, one.arch] = one if known is None else max(one, known)
        return [found[key] for key in sorted(found)]

    def repair(self) -> List[str]:
        """Install once more, scripts and all, what was being installed."""
        base = self._base(repositories=False)
        try:
            names = [(one.name, one.arch, _evr(one)) for one in self._cut_off(base)]
        finally:
            base.close()
        if names:
            try:
                self._fetch(names)
                files = [_kept(name, version, arch) for name, arch, version in names]
                self._transact([file for file in files if os.path.exists(file)], [], 0, again=True)
            except ManagerError as error:
                log(f"{error}\n")  # what is left tells
            if any(" was being installed" in one for one in self.audit()):
                # The newer of two versions stays: it was unpacked whole, and the older was yet to go.
                run(["dnf", "-y", "-C", "remove", "--duplicates"], None)
        return self.audit()

    def locked_by(self) -> Optional[Holder]:
        for path in LOCKS:
            holder = lock_holder(self._ctx, path, fcntl.F_WRLCK)
            if holder is not None:
                return holder
        for pattern in LOCK_FILES:
            for path in glob.glob(pattern):
                holder = self._named_in(path)
                if holder is not None:
                    return holder
        return None

    def _named_in(self, path: str) -> Optional[Holder]:
        pid = self._ctx.line_or_none(path) or ""
        if not pid.isdecimal() or not os.path.exists(f"/proc/{pid}") or int(pid) == os.getpid():
            return None
        command = self._ctx.line_or_none(f"/proc/{pid}/comm") or "a process"
        return Holder(int(pid), f"{command} of {user_name(self._ctx, os.stat(f'/proc/{pid}').st_uid)}")

    # -- changes ------------------------------------------------------------------

    def install(self, plan: Plan, lock_wait: int) -> None:
        files = [_kept(one.name, one.candidate, one.arch) for one in plan.install]
        self._transact(files, [], lock_wait)
        now = self.installed()
        if absent := [one.name for one in plan.install if one.candidate not in now.get(one.key, "").split(", ")]:
            raise ManagerError(f"dnf has ended, and has not installed {', '.join(absent[:5])}")

    def restore(self, before: Mapping[Key, str], marks: Set[str], lock_wait: int) -> None:
        now = self.installed()
        files, gone = [], []
        for (name, arch), versions in before.items():
            have = set(now.get((name, arch), "").split(", "))
            files += [_kept(name, one, arch) for one in versions.split(", ") if one not in have]
        for (name, arch), versions in now.items():
            had = set(before.get((name, arch), "").split(", ")) - {""}
            # One version replaces another by itself; beside each other stand kernels, and what is new.
            if not had or len(versions.split(", ")) > 1:
                gone += [(name, arch, one) for one in versions.split(", ") if one not in had]
        absent = [os.path.basename(file) for file in files if not os.path.exists(file)]
        if absent:
            raise ManagerError(f"the packages to go back to are not all there: {', '.join(absent[:5])}")
        if files or gone:
            self._transact(files, gone, lock_wait)
        if self.installed() != dict(before):
            raise ManagerError("dnf has ended, and not all versions are as they were")
        self.set_marks(marks)

    def set_marks(self, marks: Set[str]) -> None:
        now = self.marks()
        self._mark("remove", marks - now)
        self._mark("install", now - marks)

    def _transact(
        self, files: Sequence[str], gone: Sequence[Tuple[str, str, str]], lock_wait: int, again: bool = False
    ) -> None:
        """One transaction of files that are here, without any repository.

        :param again: what is installed in this version already is installed once more.
        """
        end = time.monotonic() + lock_wait
        while self.locked_by() is not None and time.monotonic() < end:
            time.sleep(1.0)
        base = self._base(repositories=False)
        try:
            base.conf.exit_on_lock = True
            base.conf.clean_requirements_on_remove = False  # only what was named goes
            now: Dict[Key, List[Any]] = {}
            for one in base.sack.query().installed():
                now.setdefault((one.name, one.arch), []).append(one)
            beside = self._installonly(base)
            for package in base.add_remote_rpms(list(files), strict=True):
                installed = now.get((package.name, package.arch), [])
                if any(_evr(one) == _evr(package) for one in installed):
                    if again:
                        base.package_reinstall(package)
                elif not installed or package.name in beside:
                    base.package_install(package)
                elif all(package.evr_gt(one) for one in installed):
                    base.package_upgrade(package)
                else:
                    base.package_downgrade(package, strict=True)
            for name, arch, version in gone:
                for package in now.get((name, arch), []):
                    if _evr(package) == version:
                        base.package_remove(package)
            # Only what was named goes: nothing is erased to make room.
            base.resolve(allow_erasing=bool(gone))
            named = set(gone)
            # By the items' own names: an item that only changes a package's mark has no package.
            items = [(one.action, (one.name, one.arch), _evr(one)) for one in base.transaction]
            replaced = {key for action, key, dummy in items if action in _COMING}
            for action, key, version in items:
                erased = action in (dnf.transaction.PKG_REMOVE, dnf.transaction.PKG_OBSOLETED)
                if erased and (*key, version) not in named and (key not in replaced or key[0] in beside):
                    raise ManagerError(f"{key[0]} would have to be removed")
            if not base.transaction:
                return
            display = _display()
            base.do_transaction(display)
            if display.errors:
                raise ScriptError("; ".join(display.errors)[:500])
        except (dnf.exceptions.Error, hawkey.Exception, OSError) as error:
            raise ManagerError(f"dnf: {_line(error)}") from None
        finally:
            base.close()

    def files(self, plan: Plan) -> Set[str]:
        names = [one.name for one in plan.install if one.current is not None]
        if not names:
            return set()
        dummy, output = run(["rpm", "-ql", *names])
        return set(output.splitlines())

    def expects_reboot(self, plan: Plan) -> List[str]:
        return [one.name for one in plan.install if one.name in REBOOT]

    def reboot_reasons(self) -> List[str]:
        started = boot_time(self._ctx)
        if started is None:
            return []
        newer = {name for name, dummy, dummy, installed in self._query() if name in REBOOT and installed > started}
        return [f"installed since it was started: {', '.join(sorted(newer))}"] if newer else []

    def missing(self, before: Mapping[Key, str]) -> List[str]:
        now = self.installed()
        return [
            f"{name} {version}"
            for (name, arch), versions in sorted(before.items())
            for version in versions.split(", ")
            if version not in now.get((name, arch), "").split(", ") and not os.path.exists(_kept(name, version, arch))
        ]

    # -- words ----------------------------------------------------------------------

    @staticmethod
    def _mark(how: str, names: Iterable[str]) -> None:
        words = sorted(names)
        if words:
            run(["dnf", "-q", "-y", "-C", "mark", how, *words])

    def _locked(self, base: Any) -> Tuple[Set[str], List[str]]:
        """What dnf's plugin versionlock keeps from being installed, as it would itself; and the installed packages that
        it locks, by name."""
        places = self._ctx.read_or(VERSIONLOCK_CONF, "") or ""
        named = re.search(r"^\s*locklist\s*=\s*(/\S+)", places, re.M)
        lines = (self._ctx.read_or(named.group(1) if named else VERSIONLOCK, "") or "").splitlines()
        sack = base.sack
        barred, allowed, names = sack.query().filter(empty=True), sack.query().filter(empty=True), set()
        for word in (line.strip() for line in lines):
            if not word or word.startswith("#"):
                continue
            for form in dnf.subject.Subject(word.lstrip("!")).get_nevra_possibilities():
                query = form.to_query(sack)
                if word.startswith("!"):
                    barred = barred.union(query)
                else:
                    names.add(form.name)
                    allowed = allowed.union(query)
        everything = sack.query().filter(name__glob=sorted(names)) if names else sack.query().filter(empty=True)
        barred = barred.union(everything.difference(allowed))
        return (
            {str(one) for one in barred.available()},
            sorted({one.name for one in everything.installed()}),
        )

    @staticmethod
    def _base(repositories: bool) -> Any:
        """dnf, ready to be asked; raises ManagerError."""
        base = dnf.Base()
        try:
            base.conf.read()
            base.conf.substitutions.update_from_etc("/")
            base.conf.substitutions["releasever"] = dnf.rpm.detect_releasever("/") or ""
            base.conf.cacheonly = True  # lists are only refreshed where that was asked for
            base.conf.installonly_limit = 0  # no kernel goes because another one comes
            base.conf.install_weak_deps = False
            if repositories:
                base.read_all_repos()
                for repository in base.repos.iter_enabled():
                    repository.skip_if_unavailable = False  # one that was never read would seem to have nothing
            base.fill_sack(load_system_repo=True, load_available_repos=repositories)
        except (dnf.exceptions.Error, hawkey.Exception) as error:
            base.close()
            raise ManagerError(f"dnf: {_line(error)}") from None
        return base


def _evr(package: Any) -> str:
    version = f"{package.version}-{package.release}"
    return version if int(package.epoch) == 0 else f"{package.epoch}:{version}"


def _line(error: Any) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:500]


def _kept(name: str, version: str, arch: str) -> str:
    """Where a package is kept; its epoch is a part of the name here, as two versions may differ in it alone."""
    return os.path.join(POOL, f"{name}-{version.replace(':', '%3a')}.{arch}.rpm")
