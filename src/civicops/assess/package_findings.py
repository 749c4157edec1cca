"""What there is to say of a host's packages: one piece of evidence for each source package that is not clean, and one
for each reason why packages were not assessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from civicops.assess.catalogue import SEVERITIES, Severity
from civicops.assess.facts import Facts
from civicops.assess.finding import Evidence
from civicops.assess.package_rules import PACKAGE_STATES, PackageState
from civicops.assess.package_types import HostPackages, Standing
from civicops.assess.package_weights import NOT_KNOWN
from civicops.assess.recovery_known import brief, listed

_PLAIN = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}", re.ASCII)
_UNFIT = re.compile(r"[^a-z0-9.-]+", re.ASCII)
_VULNERABLE: tuple[PackageState, ...] = ("fixable", "restart", "unfixed")
_TITLES = {
    "fixable": "Known vulnerabilities, and an update that mends them",
    "restart": "Mended on disk, and the former version may still run",
    "unfixed": "Known vulnerabilities without a fix",
}
_FEW = 4
_NO_FIX = (
    "There is no fix yet. Look whether the host needs the package, and whether strangers can reach what uses it; an"
    " update will bring the fix."
)
_REPLACE = "Replace it by something that is supported, or move the host to a release that supports it."


def package_evidence(told: Collection[HostPackages]) -> Iterator[Evidence]:
    """All that is to be said of some hosts' packages; of what they share, once."""
    same: dict[object, dict[object, _Same]] = {}
    for packages in told:
        offers = _Offers(packages)
        alike = same.setdefault(offers.whole, {})
        for standings in _by_source(packages, *_VULNERABLE).values():
            if len(standings) > 1:
                standings.sort(key=_order)
            key = offers.known(standings)
            if (found := alike.get(key)) is None:
                found = alike[key] = _Same(standings, offers, [])
            found.hosts.append(packages.host)
        yield from _of_host(packages)
    for alike in same.values():
        for one in alike.values():
            yield _vulnerable(*one)


class _Same(NamedTuple):
    """One source package of all hosts on which it stands alike, and that offer the same for it."""

    standings: list[Standing]
    """The worst first."""
    offers: _Offers
    hosts: list[str]


def _of_host(packages: HostPackages) -> Iterator[Evidence]:
    """What is to be said of one host's packages, but for its vulnerable ones."""
    told = (packages.told,)
    for source, standings in _by_source(packages, "support_ended").items():
        standings.sort(key=_order)
        text = _few([f"{_shown(one)}: {one.why.text}" for one in standings[:_FEW]], len(standings))
        yield Evidence(
            packages.host,
            "found",
            text,
            told,
            "high",
            id=f"unsupported-{safe(source)}",
            title="Support has ended",
            remedy=_REPLACE,
            package=source,
            cves=_cves(standings),
        )
    yield from _not_assessed(packages)
    if packages.colour == "good":
        count = len(packages.standings)
        by = ", ".join(f"{one.name} of {one.date}" for one in packages.feeds)
        text = f"nothing is known against any of {count} source packages, by {by}"
        yield Evidence(packages.host, "fine", text, told, id="packages", title="Packages")


def safe(source: str) -> str:
    """A source package's name as a part of an id: itself, if it is made of what ids are made of. Else it is made so,
    with a mark of the whole name, so that no two names are one."""
    if _PLAIN.fullmatch(source):
        return source
    mark = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:8]
    readable = _UNFIT.sub("-", source.lower().replace("+", "p"))[:70].strip("-.")
    return f"{readable}-{mark}" if readable else mark


def _by_source(packages: HostPackages, *states: PackageState) -> dict[str, list[Standing]]:
    """Those in such a state, by source."""
    found: dict[str, list[Standing]] = {}
    for state in states:
        for one in packages.by_state.get(state, ()):
            found.setdefault(one.source, []).append(one)
    return found


def _order(one: Standing) -> tuple[int, str, str]:
    return PACKAGE_STATES.index(one.state), one.source, one.version


def _vulnerable(standings: Sequence[Standing], offers: _Offers, hosts: Sequence[str]) -> Evidence:
    worst = standings[0]
    return Evidence(
        hosts[0],
        "found",
        _few([_said(one, offers) for one in standings[:_FEW]], len(standings)),
        severity=_severity(standings),
        id=f"vulnerable-{safe(worst.source)}",
        title=_TITLES[worst.state],
        remedy=_remedy(worst, offers),
        package=worst.source,
        cves=_cves(standings),
        others=tuple(hosts[1:]),
    )


def _few(texts: Sequence[str], count: int) -> str:
    """Some versions of one source; a host may claim to have thousands."""
    return ". ".join(texts) + (f". And {count - len(texts)} more versions of it" if count > len(texts) else "")


def _severity(standings: Sequence[Standing]) -> Severity:
    found: list[Severity] = ["low" if one.headers else one.severity or NOT_KNOWN for one in standings]
    return max(found, key=SEVERITIES.index)


def _cves(standings: Sequence[Standing]) -> tuple[str, ...]:
    return standings[0].cves if len(standings) == 1 else tuple(sorted({cve for one in standings for cve in one.cves}))


def _shown(one: Standing) -> str:
    names = "" if one.binaries == (one.source,) else f" ({listed(one.binaries, 3)})"
    return f"{brief(one.source)} {brief(one.version)}{names}"


def _said(one: Standing, offers: _Offers) -> str:
    count = f"{len(one.cves)} issues" if len(one.cves) > 1 else "one issue"
    named = listed(one.cves, 3)
    if one.state == "fixable":
        text = f"{count} mended in {brief(one.to)}: {named}; {offers.of(one)}"
    elif one.state == "restart":
        text = f"{count} mended, and not yet for {listed(one.restart, 3)}: {named}"
    else:
        text = f"{count} without a fix: {named}"
    more = [one.because] if one.because else []
    if one.headers:
        more.append("headers alone: none of the kernel's code runs from them")
    if one.state != "unfixed" and one.unfixed:
        more.append(f"{len(one.unfixed)} more advisories have no fix")
    if one.note:
        more.append(one.note)
    return "; ".join([f"{_shown(one)}: {text}", *more])


def _remedy(worst: Standing, offers: _Offers) -> str:
    if worst.state == "unfixed":
        return _NO_FIX
    if worst.state == "restart":
        if worst.kernel:
            return "Reboot the host, so that the installed kernel runs."
        return f"Restart {listed(worst.restart)}, or the host."
    if offers.lacks(worst):
        return (
            "The host's own lists offer no update: renew them, and look whether the package is held back, and whether"
            " the archive with the security updates is among its sources."
        )
    return "Install the update: the job patch does it within the next window."


class _Offers:
    """What the host's own package manager had to offer when it was asked."""

    def __init__(self, packages: HostPackages) -> None:
        facts = Facts(packages.told.body, "") if packages.told else None
        rows = facts.rows("updates") if facts else None
        self._checked = str(facts.get("updates", "lists_checked_at") or "")[:10] if facts else ""
        self._to = None if rows is None else {str(one.get("name")): str(one.get("to")) for one in rows}
        self._whole = facts is None or facts.cut("updates") is None
        self._nothing = (self._to or {}).keys().isdisjoint

    @property
    def whole(self) -> object:
        """What is known of them as a whole."""
        return self._checked, self._whole, self._to is None

    def known(self, standings: Sequence[Standing]) -> object:
        """The same for all hosts on which some standings are the same, and that offer the same for them. It names
        standings by their ids, which are good as long as they live."""
        if len(standings) == 1 and self._nothing(standings[0].binaries):  # mostly
            return id(standings[0])
        offered = ((self._to or {}).get(name) for one in standings[:_FEW] for name in one.binaries)
        return *map(id, standings), *offered

    def lacks(self, one: Standing) -> bool:
        """Whether it is known that no update of the package is offered."""
        return self._whole and self._to is not None and not any(name in self._to for name in one.binaries)

    def of(self, one: Standing) -> str:
        if self._to is None:
            return "what the host itself could install is not known"
        name = next((name for name in one.binaries if name in self._to), None)
        if name is None and not self._whole:
            return "what the host itself could install was not read whole"
        if name is None:
            return f"the host's own lists, of {self._checked or 'a day that is not known'}, offer no update of it"
        return f"the host's own lists offer {brief(name)} {brief(self._to[name])}"


def _not_assessed(packages: HostPackages) -> Iterator[Evidence]:
    """One for each kind of reason: those of packages, and those of the host as a whole."""
    reasons: dict[str, dict[str, None]] = {}
    of_packages: dict[str, list[Standing]] = {}
    for why in packages.why:
        reasons.setdefault(why.code, {})[why.text] = None
    of_host = set(reasons)
    for one in packages.by_state.get("not_assessed", ()):
        of_packages.setdefault(one.why.code, []).append(one)
        texts = reasons.setdefault(one.why.code, {})
        if one.why.code not in of_host:  # else the host's own words say more
            texts[one.why.text] = None
    for code, texts in reasons.items():
        standings = of_packages.get(code, [])
        text = listed(texts, 3)
        if standings:
            what = "one source package was" if len(standings) == 1 else f"{len(standings)} source packages were"
            text = f"{what} not assessed ({listed(one.source for one in standings)}): {text}"
        yield Evidence(
            packages.host,
            "unknown",
            text,
            (packages.told,),
            id=f"packages-not-assessed-{code}",
            title="Packages that were not assessed",
        )
