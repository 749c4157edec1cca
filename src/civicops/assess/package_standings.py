"""How packages of one release stand: each ends in exactly one state, with why. Alike ones are judged once.

The order in which states are looked for is the table of docs/assess-packages.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from civicops.assess.package_releases import Release, Verdict
from civicops.assess.package_rows import HEADERS, KEPT, Key, Member
from civicops.assess.package_rules import NO_WHY, PackageState, Why
from civicops.assess.package_types import Hit, Standing
from civicops.assess.package_weights import Weights, issues
from civicops.assess.versions import VersionError


class Standings:
    """The standings of one release, or of what is no release that can be assessed (`why`)."""

    def __init__(self, release: Release | None, weights: Weights, why: Why = NO_WHY) -> None:
        self.release, self.why, self._weights = release, why, weights
        self._kept: dict[tuple[Key, bool, Why], Standing] = {}

    def of(self, key: Key, members: Sequence[Member], restart: tuple[str, ...], doubt: Why) -> Standing:
        """How packages of one source stand. `doubt`: why nothing may be called clean on that host."""
        if self.release is not None and self.release.distribution.by_binary:
            return self._judge(key, members, restart, doubt)
        # Which of a source's packages a host has, and what still uses them, makes no difference then.
        asked = (key, bool(restart), doubt)
        if asked not in self._kept:
            self._kept[asked] = self._judge(key, (), restart, doubt)
        return replace(self._kept[asked], binaries=names_of(members), restart=restart)

    def _judge(self, key: Key, members: Sequence[Member], restart: tuple[str, ...], doubt: Why) -> Standing:
        bare = Standing(key.source, key.version, names_of(members), "not_assessed", headers=key.role in (HEADERS, KEPT))
        if self.release is None:
            return with_state(bare, "not_assessed", self.why)
        if key.kind.code:
            return with_state(bare, "not_assessed", key.kind)
        try:
            verdict = self.verdict(key.source, key.version, members)
        except VersionError as error:
            return with_state(bare, "not_assessed", Why("no-version", str(error)))
        if bare.headers:
            # What is open in a kernel is not open in its headers; a fix of it brings new headers, which are offered.
            verdict = verdict._replace(unfixed=(), ended=(), fixed=())
        return self.finish(bare, verdict, verdict.fixed if restart else (), restart, doubt)

    def verdict(self, source: str, version: str, members: Iterable[Member]) -> Verdict:
        """What the feeds know of it, by the names that they use; raises VersionError."""
        release = self.release
        if release is None:
            return Verdict()
        found = []
        if release.distribution.family == "dpkg":
            found.append(release.verdict(source, version))
        else:
            for name, own in dict.fromkeys(members):
                found.append(release.verdict(name, own))
                if release.distribution.by_source and name != source and _bare(own) == _bare(version):
                    # A source's version lacks the epoch, which its packages have.
                    found.append(release.verdict(source, own))
        return found[0] if len(found) == 1 else together(found)

    def finish(
        self, bare: Standing, verdict: Verdict, waiting: tuple[Hit, ...], restart: tuple[str, ...], doubt: Why
    ) -> Standing:
        """The first state that holds. `waiting`: what is fixed and may not run yet."""
        release = self.release
        if release is None:
            return bare
        ended, limited = release.support(bare.source) if not bare.kernel else ("", "")
        state: PackageState
        hits: tuple[Hit, ...]
        why = NO_WHY
        if verdict.fixable:
            state, hits = "fixable", verdict.fixable
        elif waiting:
            state, hits = "restart", waiting
        elif ended or verdict.ended:
            state, hits = "support_ended", verdict.ended
            why = Why("support-ended", ended or "Debian's tracker says that its support has ended")
        elif verdict.unfixed:
            state, hits = "unfixed", verdict.unfixed
        else:
            state, hits = "clean", ()
            why = self._not_clean(verdict, doubt)
            if why.code:
                state = "not_assessed"
        weight = self._weights.of(hits)
        return Standing(
            bare.source,
            bare.version,
            bare.binaries,
            state,
            why,
            hits,
            verdict.unfixed,
            restart,
            bare.kernel,
            bare.headers,
            limited,
            weight.severity,
            weight.because,
            tuple(issues(hits)),
            release.highest(hit.fixed for hit in hits) if state == "fixable" else "",
        )

    def _not_clean(self, verdict: Verdict, doubt: Why) -> Why:
        """Why a package against which nothing is known is not clean."""
        release = self.release
        if release is None:
            return self.why
        if verdict.unclear:
            return Why("odd-advisory", "an advisory on it names a version that can't be compared")
        if release.doubts:
            return release.doubts[0]
        if doubt.code:
            return doubt
        if not release.distribution.brings("unfixed"):
            text = f"{release.distribution.name}'s advisories tell of fixed issues alone: what is open is not known"
            return Why("fixed-alone", text)
        return NO_WHY


def names_of(members: Iterable[Member]) -> tuple[str, ...]:
    return tuple(sorted({name for name, _ in members}))


def _bare(version: str) -> str:
    """A version without its epoch."""
    return version.rpartition(":")[2]


def with_state(bare: Standing, state: PackageState, why: Why) -> Standing:
    return Standing(
        bare.source, bare.version, bare.binaries, state, why, kernel=bare.kernel, headers=bare.headers, note=bare.note
    )


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """What is known of several packages of one source: each issue once."""
    found = tuple(verdicts)
    return Verdict(
        fixable=_once(one.fixable for one in found),
        fixed=_once(one.fixed for one in found),
        unfixed=_once(one.unfixed for one in found),
        ended=_once(one.ended for one in found),
        unclear=any(one.unclear for one in found),
    )


def _once(hits: Iterable[Iterable[Hit]]) -> tuple[Hit, ...]:
    return tuple(dict.fromkeys(hit for some in hits for hit in some))
