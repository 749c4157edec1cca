"""A host's packages by its facts: grouped by source package and version, and told where they do not come from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from civicops.assess.facts import Facts
from civicops.assess.package_releases import Release
from civicops.assess.package_rules import NO_WHY, Kernels, Why
from civicops.assess.recovery_known import brief

PLAIN, HEADERS, KEPT, IMAGE = range(4)
"""A package; one of a kernel's source without code that runs; such a one of which old ones stay; a kernel."""
_COLUMNS = ("name", "version", "source", "source_version", "origin")

Member = tuple[str, str]
"""A binary package and its version."""


class Key(NamedTuple):
    """What packages are judged together by. `kind`: why nothing can be said of them; empty where something can."""

    source: str
    version: str
    kind: Why
    role: int


Groups = dict[int, list[int]]
"""Numbers of packages by the number of what they are judged together by: what is looked up some million times."""
_Row = tuple[Any, ...]


class Rows:
    """Reads packages of hosts of one release, or of what is no release that can be assessed. Rows are kept, as hosts
    are much alike, and numbered: `keys` and `members` tell what the numbers stand for."""

    def __init__(self, release: Release | None, codename: str = "") -> None:
        self._release = release
        self._series = (release.series if release else "") or codename
        self.keys: list[Key] = []
        self.members: list[Member] = []
        self.of_kernels: set[int] = set()
        """The numbers of keys of which several versions are there at once: kernels, and what comes with each."""
        self.most_versions = 0
        """Of one source, kernels aside, on all hosts together."""
        self._versions = Counter[str]()
        self._seen: dict[_Row, tuple[int, int]] = {}
        self._numbers: dict[Key, int] = {}
        self._kinds: dict[Any, Why] = {}

    def groups(self, facts: Facts) -> Groups:
        """Sources with their packages. A table without a column is one of a host that could not tell it."""
        told: Sequence[_Row] = facts.picked("packages", *_COLUMNS)
        if None in facts.column("packages", "origin"):
            told = self._vouched(told, facts)
        found: Groups = defaultdict(list)
        for key, member in self._numbered(told):
            found[key].append(member)
        return found

    def _numbered(self, rows: Sequence[_Row]) -> list[tuple[int, int]]:
        try:
            return list(map(self._seen.__getitem__, rows))
        except KeyError:  # in the first hosts, and seldom later
            return [self._seen.get(row) or self._add(row) for row in rows]

    def _add(self, row: _Row) -> tuple[int, int]:
        name, version, source, source_version, origin = row
        name, version = name or "", version or ""
        source, source_version = source or name, source_version or version
        role = PLAIN
        if self._release is not None:
            kernels = self._release.distribution.kernels
            tracked = kernels.tracked(source)
            if kernels.source.fullmatch(tracked):
                role = _role(kernels, name)
                if role in (KEPT, IMAGE) and origin == "" and self._release.had(tracked, version):
                    # Another kernel is another package, and no archive keeps the former ones.
                    origin = self._release.own
                if source != tracked and role != PLAIN:
                    # A signed kernel's source counts its own builds (6.1.140+1); its packages have the kernel's.
                    source_version = version
                source = tracked if role != PLAIN else source
        key = Key(source, source_version, self._kind(version, source_version, origin), role)
        number = self._numbers.setdefault(key, len(self.keys))
        if number == len(self.keys):
            self.keys.append(key)
            if role not in (KEPT, IMAGE):
                self._versions[source] += 1
                self.most_versions = max(self.most_versions, self._versions[source])
        if role in (KEPT, IMAGE):
            self.of_kernels.add(number)
        self.members.append((name, version))
        self._seen[row] = number, len(self.members) - 1
        return self._seen[row]

    def _kind(self, version: str, source_version: str, origin: Any) -> Why:
        if self._release is None:
            return NO_WHY
        for piece, why in self._release.distribution.other.items():
            if piece in version or piece in source_version:
                return why
        if origin not in self._kinds:
            self._kinds[origin] = self._foreign(origin, self._release)
        return self._kinds[origin]

    def _foreign(self, origin: Any, release: Release) -> Why:
        """Why a package is none of the release; empty where it is one."""
        distribution = release.distribution
        if origin is None:
            return Why("unclear-origin", f"whether it is {distribution.name}'s is not known: the host could not tell")
        if not origin:
            return Why("foreign", f"not from {distribution.name}: no archive that the host knows has it")
        if self._own(origin):
            return NO_WHY
        return Why("foreign", f"not from {release.title}, but from {brief(origin)}")

    def _own(self, origin: str) -> bool:
        """apt tells ORIGIN/CODENAME of a signed index, rpm the vendor that built a package."""
        if self._release is None:
            return False
        distribution = self._release.distribution
        if distribution.family == "rpm":
            return origin in distribution.origins
        name, _, codename = origin.partition("/")
        series = codename.partition("-")[0]
        return name in distribution.origins and (not series or not self._series or series == self._series)

    def _vouched(self, rows: Sequence[_Row], facts: Facts) -> Sequence[_Row]:
        """Where a host could not tell whence packages come, they are the distribution's if all its sources are, or if
        an update of the distribution waits for them."""
        if self._release is None:
            return rows
        own = self._release.own
        sources = facts.rows("package_sources") or []
        enabled = [one for one in sources if one.get("enabled") and one.get("kind") != "deb-src"]
        whole = facts.why_unread("package_sources") is None
        if (
            whole
            and enabled
            and all(isinstance(one.get("origin"), str) and self._own(one["origin"]) for one in enabled)
        ):
            return [(*row[:-1], own) if row[-1] is None else row for row in rows]
        waiting = {
            one.get("name")
            for one in facts.rows("updates") or ()
            if str(one.get("archive") or "").partition("/")[0] in self._release.distribution.labels
        }
        return [(*row[:-1], own) if row[-1] is None and row[0] in waiting else row for row in rows]


def _role(kernels: Kernels, name: str) -> int:
    """What a package of a kernel's source is."""
    if kernels.kept.fullmatch(name):
        return KEPT
    if kernels.headers.fullmatch(name):
        return HEADERS
    return IMAGE if kernels.image.fullmatch(name) else PLAIN


def stale(facts: Facts) -> tuple[dict[str, tuple[str, ...]], list[Why]]:
    """Packages whose former files processes still use, each with the units or processes; and what is not known."""
    processes = facts.get("reboot", "stale_processes")
    found: dict[str, dict[str, None]] = {}
    why = []
    if not isinstance(processes, list):
        why.append(Why("restarts-unseen", "which processes still use former files could not be read"))
        processes = []
    elif reason := facts.why_unread("reboot.stale_processes", "processes") or facts.cut("reboot"):
        text = f"which processes still use former files was not seen of all: {brief(reason)}"
        why.append(Why("restarts-unseen", text))
    unclear = []
    for one in processes:
        name = str(one.get("unit") or one.get("process") or one.get("pid"))
        packages = one.get("packages")
        if packages is None or one.get("without_package"):
            unclear.append(name)
        for package in packages or ():
            found.setdefault(package, {})[name] = None
    if unclear:
        text = f"{brief(unclear[0])} uses files that were replaced, of which package is not known"
        more = f" (and {len(set(unclear)) - 1} more)" if len(set(unclear)) > 1 else ""
        why.append(Why("restarts-unclear", text + more))
    return {package: tuple(names) for package, names in found.items()}, why
