# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Of which packages files are that processes still use though they were replaced or removed.

A library's file often has another name in each version, which no package has any more: then the name counts that the
dynamic linker knows it by (libz.so.1 of libz.so.1.2.13).
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Set

from .context import CommandError, Context
from .packages import installed

INFO = "/var/lib/dpkg/info"
LIST_LIMIT = 16 << 20  # bytes; the kernel's largest has 1 MB
FILES = 500  # different files that are looked for, on the whole host
PACKAGES = 50  # of one process
RPM_SECONDS = 20.0
MERGED = re.compile(r"/usr(/(?:bin|sbin|lib|lib32|lib64|libx32)/.*)")
UNMERGED = re.compile(r"/(?:bin|sbin|lib|lib32|lib64|libx32)/")
VERSIONED = re.compile(r"(.+\.so\.[0-9]+)\.[0-9.]+")
LEFT_BY_DPKG = re.compile(r"\.dpkg-(?:new|tmp)$")


def spellings(path: str) -> List[str]:
    """The names under which a package may have a file: with and without /usr, which modern systems merge."""
    path = LEFT_BY_DPKG.sub("", path)
    match = VERSIONED.match(path)
    found = []
    for one in [path, *([match.group(1)] if match else [])]:
        found.append(one)
        merged = MERGED.match(one)
        if merged:
            found.append(merged.group(1))
        elif UNMERGED.match(one):
            found.append("/usr" + one)
    return found


def of_system(path: str) -> bool:
    """Whether a file lies where packages put theirs, so that one of them must have had it."""
    return (path.startswith("/usr/") and not path.startswith("/usr/local/")) or bool(UNMERGED.match(path))


def by_dpkg(ctx: Context, wanted: Set[str]) -> Dict[str, Set[str]]:
    """Packages by file name, from the lists that dpkg keeps of what it has installed; raises OSError."""
    found: Dict[str, Set[str]] = {}
    table = ctx.once("packages", installed)
    for row in table["rows"] if table else ():
        name, arch = row[0], row[2]
        if "/" in name or "/" in (arch or ""):
            continue  # no package name of dpkg's, so no path for us
        for listing in (f"{INFO}/{name}.list", f"{INFO}/{name}:{arch}.list"):
            try:
                data = ctx.read_bytes(listing, LIST_LIMIT)
            except FileNotFoundError:
                continue
            for path in wanted.intersection(data.decode("utf-8", "replace").split("\n")):
                found.setdefault(path, set()).add(name)
            break
    return found


def by_rpm(ctx: Context, program: str, wanted: Set[str]) -> Dict[str, Set[str]]:
    """The same from rpm's database; raises CommandError."""
    found: Dict[str, Set[str]] = {}
    # Its exit status counts the files that no package has: that is an answer. Without the "=", which repeats the name
    # for each file, rpm takes the format for a wrong one.
    dummy, output = ctx.run([program, "-qf", "--qf", "[%{=NAME}\\t%{FILENAMES}\\n]", *sorted(wanted)], RPM_SECONDS)
    for line in output.splitlines():
        name, tab, path = line.partition("\t")
        if tab and path in wanted:
            found.setdefault(path, set()).add(name)
    return found


def owners(ctx: Context, files: Iterable[str]) -> Dict[str, List[str]]:
    """The packages of each file, none where none has it; what is beyond the bound has none. Raises OSError and
    CommandError."""
    names = {path: spellings(path) for path in sorted(files)[:FILES]}
    wanted = {one for every in names.values() for one in every}
    if not wanted:
        return {}
    if ctx.exists(INFO):
        found = by_dpkg(ctx, wanted)
    else:
        program = ctx.program("rpm")
        if program is None:
            raise CommandError("neither dpkg nor rpm is there")
        found = by_rpm(ctx, program, wanted)
    return {path: sorted(next((found[one] for one in every if one in found), set())) for path, every in names.items()}
