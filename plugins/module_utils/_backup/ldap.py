# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Dumps of OpenLDAP, loaded by the host's own settings and schema into empty databases in other directories."""

from __future__ import annotations

import itertools
import os
import re
from typing import Iterable, Tuple

from .config import Dump
from .scratch import NotTried, RestoreError, Scratch, program, scratch

USER = "openldap"
SETTINGS = "/etc/ldap/slapd.d"
ITSELF = "cn=config"
_DIRECTORY = re.compile(r"^olcDbDirectory::? .*$", re.MULTILINE)


def restored(dump: Dump, path: str) -> int:
    """Load a dump; how many entries there are. Raises NotTried, RestoreError."""
    if program("slapadd") is None:
        raise NotTried("no slapd is installed here to restore it into")
    itself = dump.database.replace(" ", "").lower() == ITSELF
    if not itself and not os.path.isdir(SETTINGS):
        raise NotTried(f"slapd here has no settings in {SETTINGS}, and so no database to restore it into")
    with scratch(USER) as place:
        settings = f"{place.folder}/slapd.d"
        _make(place, settings, _text(path) if itself else place.run("slapcat", "-n", "0", "-F", SETTINGS))
        if not itself:
            with open(path, "rb") as stream:
                place.run("slapadd", "-F", settings, *_which(dump), stdin=stream)
        place.run("slapcat", "-F", settings, *_which(dump), "-l", f"{place.folder}/back.ldif")
        with place.opened("back.ldif") as back, open(path, "rb") as stream:
            found, wanted = entries(back), entries(stream)
    if found != wanted:
        raise RestoreError(f"{found} entries came back of the {wanted} that are in the dump")
    return found


def entries(lines: Iterable[bytes]) -> int:
    """How many entries the lines of an LDIF file hold."""
    return sum(line.startswith((b"dn: ", b"dn:: ")) for line in lines)


def elsewhere(text: str, folder: str) -> Tuple[str, int]:
    """Settings as LDIF, each database's directory another, numbered below the folder; and how many there are."""
    number = itertools.count()
    return _DIRECTORY.subn(lambda found: f"olcDbDirectory: {folder}/{next(number)}", text.replace("\n ", ""))


def _make(place: Scratch, folder: str, text: str) -> None:
    """Put settings there, and empty databases."""
    text, count = elsewhere(text, f"{place.folder}/db")
    place.run("mkdir", "-p", folder, *(f"{place.folder}/db/{number}" for number in range(count)))
    place.run("slapadd", "-n", "0", "-F", folder, stdin=text.encode())


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _which(dump: Dump) -> Tuple[str, ...]:
    """As slapcat was asked for it: the first database where none is named."""
    return ("-b", dump.database) if dump.database else ()
