# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The code that an action sends along with its module: see C(module_utils/_document.py), which loads it on the host."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1] / "module_utils"
_HERE = "ansible_collections.civicops.town.plugins.module_utils"
# Our modules import what is ours in these two ways, on lines of their own: tests compare with what Ansible's
# own way finds.
_IMPORT = re.compile(rf"^ *from (\.+[\w.]*|{re.escape(_HERE)}[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE | re.ASCII)
_COMMENT = re.compile(r"#.*")


@cache
def code_of(main: str) -> str:
    """What the option C(code) holds for a module that goes on with C(main): the texts of that and of all that it
    imports below C(plugins/module_utils), by name. Read once in the main process, so that all workers share it."""
    return packed(json.dumps(dict(sorted(_closure(main).items()))))


def packed(text: str) -> str:
    """JSON text as a module's option that is not worth a host's log. It is longer than what Ansible, which takes such
    an option's value for a secret, could find elsewhere in an answer."""
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _closure(main: str) -> dict[str, str]:
    found: dict[str, str] = {}
    wanted = [main]
    while wanted:
        name = wanted.pop()
        if name in found or (text := _text(name)) is None:
            continue
        found[name] = text
        parents = name.split(".")[:-1]
        wanted += [".".join(parents[: end + 1]) for end in range(len(parents))]
        wanted += _imported(name, text)
    return found


@cache
def _text(name: str) -> str | None:
    """A module's or package's text; None where the name is that of something in a module."""
    path = _FOLDER.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def _imported(name: str, text: str) -> Iterator[str]:
    """The names below C(plugins/module_utils) that a module imports, and those that it imports from them."""
    parts = name.split(".")
    package = parts if (_FOLDER.joinpath(*parts) / "__init__.py").is_file() else parts[:-1]
    for source, names in _IMPORT.findall(text):
        if source.startswith("."):
            rest = source.lstrip(".")
            base = package[: len(package) - (len(source) - len(rest) - 1)] + (rest.split(".") if rest else [])
        else:
            base = [part for part in source[len(_HERE) :].split(".") if part]
        yield ".".join(base)
        for one in _COMMENT.sub("", names).strip("()").replace("\n", " ").split(","):
            if word := one.split():
                yield ".".join([*base, word[0]])
