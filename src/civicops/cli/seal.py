"""`civicops seal`: what the inventory keeps of a password that was typed from its printed copy."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from getpass import getpass
from typing import Annotated

import typer

from civicops.exit_status import ExitStatus

_SHORTEST = 8


def seal(
    host: Annotated[str, typer.Argument(help="The host whose repository the password opens.")],
    place: Annotated[str, typer.Option(help="Where the printed copy is kept.")] = "",
) -> None:
    """Seal the password of a host's backups, typed from its printed copy: lines for the inventory.

    From then on the host's backup status tells whether that copy is of the password in use.
    """
    password = getpass("Password, as it stands on the copy: ") if sys.stdin.isatty() else sys.stdin.readline()
    if len(password.strip()) < _SHORTEST:
        print(f"civicops: no password of {_SHORTEST} characters or more was typed", file=sys.stderr)
        raise typer.Exit(ExitStatus.BAD_INPUT)
    told = {"seal": sealed(password.strip()), "checked": f"{datetime.now(UTC):%Y-%m-%d}", "place": place}
    print(f"backup_escrow:\n  {json.dumps(host)}: {json.dumps(told, ensure_ascii=False)}")


def sealed(password: str, salt: bytes | None = None) -> str:
    """A seal, from which nobody has the password back: scrypt with n=2^14, r=8, p=1 (RFC 7914, section 2)."""
    salt = os.urandom(16) if salt is None else salt
    return f"scrypt:{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32).hex()}"
