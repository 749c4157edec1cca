"""The kernels of a host: what the running one lacks, and what the next start brings. Old ones that are kept and do not
run count for nothing, nor do old headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from civicops.assess.facts import Facts
from civicops.assess.package_releases import Release, Verdict
from civicops.assess.package_rows import IMAGE, KEPT, Key, Member
from civicops.assess.package_rules import NO_WHY, Why
from civicops.assess.package_standings import Standings, names_of, with_state
from civicops.assess.package_types import Hit, Kernel, Standing
from civicops.assess.recovery_known import brief
from civicops.assess.versions import VersionError

# "#1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)": one release of a kernel is built several times.
_BUILD = re.compile(r" Debian (\S{1,100})")
_ARCHITECTURE = re.compile(r"(.+)\.[a-z0-9_]+(?:\+.+)?", re.ASCII)

_FLAVOUR = re.compile(r"-([a-z].*)")

Package = tuple[Key, Member]


class Machine(NamedTuple):
    """What a host says of the kernel that runs; `own`: it is no container, which runs that of the machine below."""

    running: str
    build: str
    own: bool


class _Image(NamedTuple):
    """A package that holds a kernel of that release."""

    release: str
    flavour: str
    key: Key
    name: str
    version: str


def machine(facts: Facts) -> Machine:
    told = [facts.get("identity", "kernel", key) for key in ("running", "build")]
    running, build = (one if isinstance(one, str) else "" for one in told)
    return Machine(running, build, facts.get("identity", "virtualization", "kind") != "container")


def kernels(
    standings: Standings, packages: Sequence[Package], host: Machine, doubt: Why
) -> tuple[Kernel, tuple[Standing, ...]]:
    """The kernels, and how they stand: one verdict for all that are installed, and one for what is kept with them."""
    kernel, standing = _kernels(standings, [one for one in packages if one[0].role == IMAGE], host, doubt)
    kept: dict[str, list[Package]] = {}
    for one in packages:
        if one[0].role == KEPT:
            kept.setdefault(one[0].source, []).append(one)
    of_kept = [_kept(standings, every, doubt) for every in kept.values()]
    return kernel, (*of_kept, *([standing] if standing else ()))


def _kept(standings: Standings, packages: Sequence[Package], doubt: Why) -> Standing:
    """By the newest one."""
    newest = packages[0][0]
    for key, _ in packages:
        try:
            if standings.release is not None and standings.release.older(newest.version, key.version):
                newest = key
        except VersionError:
            newest = key
            break
    of_newest = [member for key, member in packages if key == newest]
    return replace(standings.of(newest, of_newest, (), doubt), binaries=names_of(one for _, one in packages))


def _kernels(
    standings: Standings, images: Sequence[Package], host: Machine, doubt: Why
) -> tuple[Kernel, Standing | None]:
    """None where a host has none."""
    running, build, own = host.running or None, host.build, host.own
    release = standings.release
    if release is None:
        return Kernel(running, None, None, None, own), None
    every = _images(release, images)
    bare_running = _bare(release, host.running)
    current = [one for one in every if one.release == bare_running]
    alike = {(one.key.source, one.flavour) for one in current}
    newest = _newest(release, [one for one in every if not alike or (one.key.source, one.flavour) in alike])
    built = _BUILD.search(build) if release.distribution.family == "dpkg" else None
    version = built[1] if built else current[0].version if current else None
    if version and newest and not current and _strange(release, version, newest.version):
        version = None
    kernel = Kernel(running, version, newest.release if newest else None, newest.version if newest else None, own)
    if newest is None:
        return kernel, _without_package(kernel, images)
    bare = Standing(newest.key.source, newest.version, names_of(one for _, one in images), "not_assessed", kernel=True)
    foreign = next((one.key.kind for one in (*current, newest) if one.key.kind.code), NO_WHY)
    if foreign.code:
        return kernel, with_state(bare, "not_assessed", foreign)
    try:
        return kernel, _judged(standings, bare, every, kernel, doubt)
    except VersionError as error:
        return kernel, with_state(bare, "not_assessed", Why("no-version", str(error)))


def _images(release: Release, images: Sequence[Package]) -> list[_Image]:
    """Those that can be started: not the packages that only draw in the newest."""
    if release.distribution.family == "rpm":
        return [
            _Image(version.partition(":")[2] or version, name, key, name, version) for key, (name, version) in images
        ]
    found = []
    for key, (name, version) in images:
        match = release.distribution.kernels.image.fullmatch(name)
        if match and match[1][:1].isdecimal():
            flavour = _FLAVOUR.search(match[1])
            found.append(_Image(match[1], flavour[1] if flavour else "", key, name, version))
    return found


def _strange(release: Release, running: str, newest: str) -> bool:
    """Whether a running kernel whose package is not there may be none of the release: one that Debian's makers of
    backports or of derivatives have built says "Debian", too."""
    try:
        return any(piece in running for piece in release.distribution.other) or release.older(newest, running)
    except VersionError:
        return False  # what is no version is told as such


def _bare(release: Release, running: str) -> str:
    """A running kernel's release as its package has it: the rpm family adds the architecture and the flavour."""
    match = _ARCHITECTURE.fullmatch(running) if release.distribution.family == "rpm" else None
    return match[1] if match else running


def _newest(release: Release, images: Sequence[_Image]) -> _Image | None:
    found: _Image | None = None
    for one in images:
        try:
            if found is None or release.older(found.version, one.version):
                found = one
        except VersionError:
            return one  # whatever is said of it, that will be found again
    return found


def _judged(standings: Standings, bare: Standing, every: Sequence[_Image], kernel: Kernel, doubt: Why) -> Standing:
    """Raises VersionError."""
    at_newest = [one for one in every if one.version == bare.version and one.key.source == bare.source]
    known = _at(standings, at_newest, bare.version)
    if not kernel.own:
        return standings.finish(bare, known, (), (), doubt)
    if kernel.running_version is None:
        what = f"the running kernel {brief(kernel.running)}" if kernel.running else "which kernel runs"
        text = f"{what} is {'of no installed package' if kernel.running else 'not known'}"
        return standings.finish(bare, known, (), (), Why("kernel-unknown", text))
    before = _at(standings, at_newest, kernel.running_version)
    still = frozenset(known.fixable)
    waiting = tuple(hit for hit in before.fixable if hit not in still)
    return standings.finish(bare, known, waiting, _restart(kernel, waiting), doubt)


def _at(standings: Standings, images: Sequence[_Image], version: str) -> Verdict:
    first = images[0]
    return standings.verdict(first.key.source, version, [(one.name, version) for one in images])


def _restart(kernel: Kernel, waiting: tuple[Hit, ...]) -> tuple[str, ...]:
    return (f"kernel {brief(kernel.running)}",) if waiting else ()


def _without_package(kernel: Kernel, images: Sequence[Package]) -> Standing | None:
    """A host that starts a kernel of its own, which none of its packages has brought."""
    if not kernel.own:
        return _of_container(images)
    what = f"the running kernel {brief(kernel.running)}" if kernel.running else "the running kernel, whatever it is,"
    text = f"{what} is of no installed package"
    names = names_of(one for _, one in images)
    return Standing("linux", str(kernel.running or ""), names, "not_assessed", Why("kernel-unknown", text), kernel=True)


def _of_container(images: Sequence[Package]) -> Standing | None:
    if not images:
        return None
    key, _ = images[0]
    why = Why("kernel-unknown", "a container runs the kernel of the machine below")
    names = names_of(one for _, one in images)
    return Standing(key.source, key.version, names, "not_assessed", why, kernel=True)
