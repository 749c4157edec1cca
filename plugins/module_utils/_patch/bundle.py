# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program as one file that the host's own Python runs when the module is long gone."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Any, Dict

from . import night

PROGRAM = "program.pyz"
_PARTS = ("_host_info", "_host_work", "_patch")
_MAIN = "import sys\nfrom civicops._patch.night import main\n\nraise SystemExit(main())\n"


def program() -> bytes:
    """A zip file of every module that the program needs, from the archive that Ansible sent or from the files.

    :raises ValueError: a module's text can't be read.
    """
    parent = night.__name__.rsplit(".", 2)[0]
    texts: Dict[str, str] = {"__main__.py": _MAIN, "civicops/__init__.py": ""}
    for name, module in sorted(sys.modules.items()):
        part = name[len(parent) + 1 :] if name.startswith(parent + ".") else ""
        if part.split(".")[0] not in _PARTS:
            continue
        if "." not in part:
            texts[f"civicops/{part}/__init__.py"] = ""
            continue
        texts[f"civicops/{part.replace('.', '/')}.py"] = _text(name, module)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in texts.items():
            archive.writestr(path, text)
    return packed.getvalue()


def _text(name: str, module: Any) -> str:
    loader = getattr(module, "__loader__", None) or module.__spec__.loader
    text = loader.get_source(name)
    if text is None:
        raise ValueError(f"the program that does the work can't be read from the module: {name}")
    return str(text)
