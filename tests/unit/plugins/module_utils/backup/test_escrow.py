"""The printed copy of a password: whether it is of the one in use, without anybody seeing either."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.civicops.town.plugins.module_utils._backup import escrow
from typer.testing import CliRunner

from civicops.cli.main import app

PASSWORD = "of-the-repository-0123456789"


def lines(typed: str, *more: str) -> dict[str, str]:
    done = CliRunner().invoke(app, ["seal", "payroll1", *more], input=typed)
    assert done.exit_code == 0, done.output
    assert typed.strip() not in done.output
    told: dict[str, str] = yaml.safe_load(done.output)["backup_escrow"]["payroll1"]
    return told


def test_what_was_typed_from_the_copy_is_known_again() -> None:
    told = lines(f" {PASSWORD}\n", "--place", 'the clerk\'s safe: 2nd "drawer"')
    assert escrow.told(told, PASSWORD) == {
        "state": "known",
        "checked": told["checked"],
        "place": 'the clerk\'s safe: 2nd "drawer"',
    }
    assert escrow.told(told, "the-next-password-0123456789")["state"] == "differs"
    assert PASSWORD not in json.dumps(told)
    assert lines(PASSWORD)["seal"] != told["seal"], "two seals of one password tell nothing of each other"


def test_nobody_has_said_anything() -> None:
    assert escrow.told(None, PASSWORD)["state"] == escrow.told({}, PASSWORD)["state"] == "none"


def test_nothing_typed_is_no_seal() -> None:
    done = CliRunner().invoke(app, ["seal", "payroll1"], input="\n")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seal": "scrypt:00", "checked": "2026-11-30"}, "seal is none"),
        ({"seal": "scrypt:" + "0" * 32 + ":" + "0" * 64, "checked": "yesterday"}, "checked is 'yesterday'"),
    ],
)
def test_what_makes_no_sense_is_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(escrow.EscrowError, match=words):
        escrow.told(given, PASSWORD)
