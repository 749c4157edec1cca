# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of controls and its profiles, read once in the main process and inherited by every worker."""

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
        include, exclude = set(wanted["include"]), set(wanted.get("exclude", ()))
        most = RISKS.index(risk)
        return [
            one
            for one in self.controls.values()
            if include & set(one["tags"])
            and not exclude & set(one["tags"])
            and role in one.get("roles", (role,))
            and one["id"] not in skip
            and RISKS.index(one.get("risk", "low")) <= most
        ]


@cache
def shipped() -> Catalogue:
    """What the collection ships with."""
    controls: dict[str, Mapping[str, Any]] = {}
    digest = hashlib.sha256()
    for path in sorted((FOLDER / "controls").glob("*.yml")):
        raw = path.read_bytes()
        digest.update(raw)
        subject = _LOADER(raw).get_single_data()
        for one in subject["controls"]:
            controls[one["id"]] = one | {"tags": [*subject.get("tags", ()), *one.get("tags", ())]}
    profiles = _LOADER((FOLDER / "profiles.yml").read_bytes()).get_single_data()["profiles"]
    return Catalogue(controls, {one["id"]: one for one in profiles}, digest.hexdigest())


def rows(controls: Collection[Mapping[str, Any]], waived: Collection[str]) -> str:
    """The controls as the module takes them: as little as it needs, and as text, which Ansible does not walk."""
    told = []
    for one in controls:
        more: dict[str, Any] = {name: one[name] for name in ("debian", "rhel") if name in one}
        for name in {"debian", "rhel"} - set(one.get("families", ("debian", "rhel"))):
            more[name] = None
        if one["id"] in waived:
            more["waived"] = True
        row = [one["id"], one["type"], one.get("params", {})]
        told.append([*row, more] if more else row)
    return json.dumps(told, separators=(",", ":"))
