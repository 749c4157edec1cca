"""The catalogue of hardening controls, as the assessment reads it: the same files that the role ships with.

A document may be of another version of the catalogue. So nothing here is demanded of it: an unknown control is known by
its id alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Lowest first."""

FRAMEWORKS: dict[str, str] = {
    "cis_debian12": "CIS Debian 12 benchmark",
    "cis_v8_ig1": "CIS Controls v8, IG1",
    "nist_800_53": "NIST SP 800-53",
    "cjis_6": "CJIS 6.0",
    "cpg_2": "CISA CPG 2.0",
    "stig": "DISA STIG",
}
"""The frameworks by the keys of the catalogue, and what people call them."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Control:
    """What the catalogue says of one control. `known`: whether it has it at all."""

    id: str
    title: str
    rationale: str = ""
    severity: Severity | None = None
    ids: Mapping[str, tuple[str, ...]] | None = None
    verification: str = ""
    known: bool = True

    @property
    def frameworks(self) -> Mapping[str, tuple[str, ...]]:
        """Its identifiers by framework."""
        return self.ids or {}


@dataclass(frozen=True)
class Catalogue:
    """All controls by id. `sha256` is what a document names the catalogue by that it was made with."""

    controls: Mapping[str, Control]
    sha256: str = ""
    unverified: frozenset[str] = frozenset()
    """Frameworks of which some identifiers were derived from others, and not read in the framework itself."""

    def get(self, name: str) -> Control:
        """The control of that id; one that is not in the catalogue is told by its id."""
        return self.controls.get(name) or Control(name, name, known=False)


def folder() -> Path | None:
    """Where the catalogue lies; None where the package was installed without it."""
    package = Path(str(resources.files("civicops")))
    clone = package.parents[1]
    # An editable installation has it where the clone does.
    path = clone / "roles" / "baseline" / "files" if (clone / "galaxy.yml").is_file() else package / "baseline"
    return path if (path / "controls").is_dir() else None


@cache
def catalogue() -> Catalogue:
    """What this version ships with; empty where it was installed without: every control is then told by its id."""
    place = folder()
    return read(place / "controls") if place else Catalogue({})


def read(place: Path) -> Catalogue:
    """The catalogue in a directory of files, one a subject."""
    files = [path.read_bytes() for path in sorted(place.glob("*.yml"))]
    controls: dict[str, Control] = {}
    unverified: set[str] = set()
    for subject in _as_json(place.parent, files) or map(from_yaml, files):
        unverified |= set(subject.get("unverified", ()))
        controls |= {one["id"]: _control(one) for one in subject["controls"]}
    return Catalogue(controls, hashlib.sha256(b"".join(files)).hexdigest(), frozenset(unverified))


def from_yaml(raw: bytes) -> Any:
    """What a file of the catalogue says."""
    return _LOADER(raw).get_single_data()


def _as_json(place: Path, files: list[bytes]) -> list[Any] | None:
    """The same subjects as JSON, which is read thirty times as fast; None where it is not there, or of other files."""
    try:
        told = json.loads((place / "catalogue.json").read_bytes())
        right = told["sha256"] == hashlib.sha256(b"".join([*files, (place / "profiles.yml").read_bytes()])).hexdigest()
    except (OSError, ValueError):
        return None
    return list(told["controls"]) if right else None


def _control(one: Mapping[str, Any]) -> Control:
    return Control(
        id=one["id"],
        title=one["title"],
        rationale=one["rationale"],
        severity=one.get("severity", "medium"),
        ids={framework: tuple(one["ids"][framework]) for framework in FRAMEWORKS if framework in one["ids"]},
        verification=one["verification"],
    )
