"""The job baseline with a profile of the catalogue, run as a town runs it, and what its hosts tell of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.hosts.images import OPS_PASSWORD
from tests.hosts.nights import ask_ledger
from tests.hosts.town import Town

# A profile may forbid root to log in, so the controller is a user with sudo.
LOGIN = {"ansible_user": "ops", "ansible_become": True, "ansible_become_password": OPS_PASSWORD}
# For a packet filter of its own.
OPTIONS = ("--cap-add", "NET_ADMIN")
# Debian's script that configures AIDE takes two minutes.
AIDE = ("aide-installed", "aide-database", "aide-daily", "aide-audit-tools")

FILES = Path(__file__).resolve().parents[2] / "roles/baseline/files"

Bodies = dict[str, dict[str, Any]]
"""By host, the body of its document."""


@cache
def controls() -> list[dict[str, Any]]:
    """The catalogue, each control with all of its tags."""
    subjects = [yaml.safe_load(path.read_text()) for path in sorted((FILES / "controls").glob("*.yml"))]
    return [one | {"tags": [*subject["tags"], *one["tags"]]} for subject in subjects for one in subject["controls"]]


@cache
def profiles() -> list[dict[str, Any]]:
    """Those that a town runs by."""
    found = yaml.safe_load((FILES / "profiles.yml").read_text())["profiles"]
    return [one for one in found if not one.get("for_a_score")]


def size(profile: dict[str, Any]) -> int:
    """How many controls a profile has."""
    tags = [set(one["tags"]) for one in controls()]
    return sum(1 for some in tags if some & {*profile["include"]} and not some & {*profile["exclude"]})


def harden_to(town: Town, profile: str, *more: str, job: str = "baseline", **variables: object) -> tuple[str, Bodies]:
    """Run the job; the run's name, and what its hosts have told."""
    town.vars |= {"baseline_profile": profile} | variables
    town.write()
    done = town.controller.civicops("run", job, town.name, "--json", *more, timeout=1800)
    try:
        run: str = json.loads(done.stdout)["run"]
    except (ValueError, KeyError):
        raise AssertionError(f"civicops run {job}: {done.stdout}{done.stderr}") from None
    told = {one["host"]: one for one in ask_ledger(town, "baseline") if one["run"] == run}
    missing = sorted(set(town.hosts) - set(told))
    assert not missing, f"{missing} told nothing: {done.stdout}{done.stderr}"
    return run, told


def take_back(town: Town, run: str) -> Bodies:
    """Put a run back."""
    return harden_to(town, str(town.vars["baseline_profile"]), "--of", run, job="baseline_undo")[1]


def states(body: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """By control, its state and whether it was changed."""
    return {row[0]: (row[1], row[2]) for row in body["results"]["rows"]}


def reasons(body: dict[str, Any], *wanted: str) -> dict[str, list[Any]]:
    """The rows of the controls that stand so, for a message."""
    return {row[0]: row[1:] for row in body["results"]["rows"] if row[1] in wanted}
