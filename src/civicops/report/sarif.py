"""SARIF 2.1.0: what all of our logs have in common. Text from hosts is data, and nothing in it steers a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from civicops.assess.catalogue import Severity
from civicops.text import printable

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: dict[Severity | None, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    None: "warning",
}
SECURITY: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
"""As code-scanning viewers sort by: the middle of CVSS's band of that name."""


def log(
    town: str,
    part: str,
    *,
    rules: Sequence[dict[str, Any]],
    results: Sequence[dict[str, Any]],
    notes: Sequence[dict[str, Any]],
    successful: bool,
) -> dict[str, Any]:
    """One log of one run. `part`: what it is about, such as baseline; `successful`: whether all could be looked at."""
    driver = {
        "name": "civicops",
        "version": version("civicops"),
        "informationUri": "https://civicops.town",
        "rules": list(rules),
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"civicops/{town}/{part}/"},
        "invocations": [{"executionSuccessful": successful, "toolExecutionNotifications": list(notes)}],
        "columnKind": "unicodeCodePoints",
        "results": list(results),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def locations(name: str) -> list[dict[str, Any]]:
    """A host, device or system, as a logical location."""
    shown = line(name)
    return [{"logicalLocations": [{"name": shown, "fullyQualifiedName": shown, "kind": "resource"}]}]


def fingerprint(*parts: str) -> str:
    """Of what a shortcoming is about alone: the same one has the same print in each run."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def note(level: str, text: str) -> dict[str, Any]:
    """One notification of a run."""
    return {"level": level, "message": {"text": line(text, 2000)}}


def line(value: str, limit: int = 1000) -> str:
    """A text of one line; never an empty one, which the standard does not take."""
    return printable(value, limit) or "-"
