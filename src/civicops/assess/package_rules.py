"""What the matcher of packages goes by, from the table `packages.yml`: distributions, feeds they need, colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple, get_args

import yaml

PackageState = Literal["fixable", "restart", "support_ended", "unfixed", "not_assessed", "clean"]
PACKAGE_STATES: tuple[PackageState, ...] = get_args(PackageState)
"""In which of several that hold a package is: the first."""
Colour = Literal["bad", "unknown", "soon", "good"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
"""Worst first, as in a report."""
Family = Literal["dpkg", "rpm"]
Brings = Literal["fixed", "unfixed", "end", "support"]


class Why(NamedTuple):
    """A reason that is told: `code` names its kind for ever, `text` is for people."""

    code: str
    text: str


NO_WHY = Why("", "")


@dataclass(frozen=True)
class Need:
    """One feed of a distribution. `days`: how old its data may be; what it `brings`; whether nothing goes without."""

    feed: str
    days: int
    brings: frozenset[str]
    needed: bool = True

    @property
    def advisories(self) -> bool:
        """Whether it tells of packages' issues."""
        return bool(self.brings & {"fixed", "unfixed"})


@dataclass(frozen=True)
class Kernels:
    """How a family's packages of kernels are told: each pattern has to match the whole name."""

    source: re.Pattern[str]
    image: re.Pattern[str]
    headers: re.Pattern[str]
    kept: re.Pattern[str]
    signed: re.Pattern[str] | None = None
    signed_as: str = ""
    """What a signed kernel's source stems from: it has a source package of its own, of which no feed speaks."""

    def tracked(self, source: str) -> str:
        """The name under which feeds speak of a source."""
        match = self.signed.fullmatch(source) if self.signed else None
        return match.expand(self.signed_as) if match else source


@dataclass(frozen=True)
class Distribution:
    """One distribution that can be assessed."""

    id: str
    name: str
    family: Family
    origins: frozenset[str]
    labels: frozenset[str]
    """What an update's archive is called: an origin, or apt's label."""
    by_source: bool
    by_binary: bool
    major: bool
    """A release is named by the first number of its version."""
    ends: tuple[str, ...]
    """distro-info's columns, of which the first that is there tells when support ends; none where it is a product's."""
    product: str
    """endoflife.date's name of it."""
    needs: tuple[Need, ...]
    first: str
    other: Mapping[str, Why]
    """Builds of which no feed of a release speaks, by a piece of their version."""
    kernels: Kernels

    def brings(self, what: Brings) -> bool:
        """Whether any feed that it needs tells of that."""
        return any(what in need.brings for need in self.needs if need.needed)

    def release(self, version: str) -> str:
        """The release's name in the feeds, by os-release's VERSION_ID."""
        return version.partition(".")[0] if self.major else version


@dataclass(frozen=True)
class Rules:
    distributions: Mapping[str, Distribution]
    colours: Mapping[PackageState, Colour]


@cache
def rules() -> Rules:
    """The table, read once."""
    data = yaml.safe_load(resources.files("civicops.assess").joinpath("packages.yml").read_text(encoding="utf-8"))
    colours: dict[PackageState, Colour] = data["colours"]
    if set(colours) != set(PACKAGE_STATES) or not set(colours.values()) <= set(COLOURS):
        raise ValueError("packages.yml: colours: each state has one, of those that a report has")
    return Rules({name: _distribution(name, one, data) for name, one in data["distributions"].items()}, colours)


def _distribution(name: str, data: dict[str, Any], table: dict[str, Any]) -> Distribution:
    needs = tuple(
        Need(feed, one["days"], frozenset(one["brings"]), not one.get("optional", False))
        for feed, one in data["feeds"].items()
    )
    support = data["support"]
    return Distribution(
        id=name,
        name=data["name"],
        family=data["family"],
        origins=frozenset(data["origins"]),
        labels=frozenset([*data["origins"], *data.get("labels", ())]),
        by_source="source" in data["names"],
        by_binary="binary" in data["names"],
        major=data["release"] == "major",
        ends=tuple(support.get("distro-info", ())),
        product=support.get("endoflife", ""),
        needs=needs,
        first=data.get("first", ""),
        other={piece: Why(**one) for piece, one in data.get("other", {}).items()},
        kernels=_kernels(table["kernels"][data["family"]], data.get("kernel", {})),
    )


def _kernels(of_family: dict[str, str], own: dict[str, str]) -> Kernels:
    return Kernels(
        source=re.compile(of_family["source"]),
        image=re.compile(of_family["image"]),
        headers=re.compile(of_family["headers"]),
        kept=re.compile(of_family["kept"]),
        signed=re.compile(own["signed"]) if own else None,
        signed_as=own.get("as", ""),
    )
