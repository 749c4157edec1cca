# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of controls and its profiles, read once in the main process and inherited by every worker.

People write it as YAML, which takes Ansible a tenth of its start to read. So the same lies beside it as JSON, which
C(make docs) writes; whether it is the same is seen by the hash of the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail

FOLDER = Path(__file__).resolve().parents[2] / "roles" / "baseline" / "files"
JSON = FOLDER / "catalogue.json"
NONE = "none"
"""The profile of those who bring their own controls alone."""
RISKS = ("none", "low", "high")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Catalogue:
    """All controls by id, in the order of their files, and the profiles by id."""

    controls: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[str, Mapping[str, Any]]
    sha256: str = field(default="")
    rows: Mapping[str, str] = field(default_factory=dict)
    """The controls' rows as text; see `rows`."""

    def chosen(self, profile: str, role: str, skip: Collection[str], risk: str) -> list[Mapping[str, Any]]:
        """The controls that a host is held to.

        :raises AnsibleActionFail: there is no such profile, or no control of a name to be skipped.
        """
        if profile == NONE:
            return []
        if profile not in self.profiles:
            known = ", ".join([*self.profiles, NONE])
            raise AnsibleActionFail(f"profile: there is no {profile[:80]!r}; there are {known}")
        if unknown := sorted(set(skip) - set(self.controls)):
            raise AnsibleActionFail(
                f"skip: there is no control {unknown[0][:80]!r}; docs/baseline-controls.md lists all"
            )
        wanted = self.profiles[profile]
        include, exclude = frozenset(wanted["include"]), frozenset(wanted.get("exclude", ()))
        most = RISKS.index(risk)
        return [
            one
            for one in self.controls.values()
            if not include.isdisjoint(one["tags"])
            and exclude.isdisjoint(one["tags"])
            and role in one.get("roles", (role,))
            and one["id"] not in skip
            and RISKS.index(one.get("risk", "low")) <= most
        ]


@cache
def shipped() -> Catalogue:
    """What the collection ships with."""
    files = [path.read_bytes() for path in sorted((FOLDER / "controls").glob("*.yml"))]
    profiles = (FOLDER / "profiles.yml").read_bytes()
    subjects = _as_json(files, profiles) or {
        "controls": [_LOADER(raw).get_single_data() for raw in files],
        "profiles": _LOADER(profiles).get_single_data(),
    }
    controls: dict[str, Mapping[str, Any]] = {}
    for subject in subjects["controls"]:
        for one in subject["controls"]:
            controls[one["id"]] = one | {"tags": [*subject.get("tags", ()), *one.get("tags", ())]}
    return Catalogue(
        controls,
        {one["id"]: one for one in subjects["profiles"]["profiles"]},
        hashlib.sha256(b"".join(files)).hexdigest(),
        {name: _row(one) for name, one in controls.items()},
    )


def _as_json(files: list[bytes], profiles: bytes) -> dict[str, Any] | None:
    """The same as JSON; None where it is not there, or of other files."""
    try:
        told = json.loads(JSON.read_bytes())
    except (OSError, ValueError):
        return None
    right = told["sha256"] == hashlib.sha256(b"".join([*files, profiles])).hexdigest()
    return told if right else None


def rows(controls: Collection[Mapping[str, Any]], waived: Collection[str]) -> str:
    """The controls as the module takes them: as little as it needs, and as text, which Ansible does not walk."""
    known = shipped()
    told = [
        known.rows[one["id"]]
        if one["id"] not in waived and known.controls.get(one["id"]) is one
        else _row(one, waived=one["id"] in waived)
        for one in controls
    ]
    return f"[{','.join(told)}]"


def _row(one: Mapping[str, Any], *, waived: bool = False) -> str:
    more: dict[str, Any] = {name: one[name] for name in ("debian", "rhel") if name in one}
    for name in {"debian", "rhel"} - set(one.get("families", ("debian", "rhel"))):
        more[name] = None
    if waived:
        more["waived"] = True
    row = [one["id"], one["type"], one.get("params", {})]
    return json.dumps([*row, more] if more else row, separators=(",", ":"))
