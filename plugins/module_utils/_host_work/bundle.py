# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The program as one file that the host's own Python runs when the module is long gone."""

from __future__ import annotations

import io
import sys
import zipfile
from types import ModuleType
from typing import Any, Dict, Tuple

PROGRAM = "program.pyz"


def program(main: ModuleType, parts: Tuple[str, ...]) -> bytes:
    """A zip file that runs C(main.main()), with every module of C(parts) that is loaded here, from the archive that
    Ansible sent or from the files.

    :raises ValueError: a module's text can't be read.
    """
    parent = main.__name__.rsplit(".", 2)[0]
    name = main.__name__[len(parent) + 1 :]
    begin = f"from civicops.{name} import main\n\nraise SystemExit(main())\n"
    texts: Dict[str, str] = {"__main__.py": begin, "civicops/__init__.py": ""}
    for name, module in sorted(sys.modules.items()):
        part = name[len(parent) + 1 :] if name.startswith(parent + ".") else ""
        if part.split(".")[0] not in parts:
            continue
        path = f"civicops/{part.replace('.', '/')}"
        if hasattr(module, "__path__"):
            texts[f"{path}/__init__.py"] = ""
        else:
            texts[f"{path}.py"] = _text(name, module)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in texts.items():
            archive.writestr(zipfile.ZipInfo(path), text, zipfile.ZIP_DEFLATED)  # equal programs are equal files
    return packed.getvalue()


def _text(name: str, module: Any) -> str:
    loader = getattr(module, "__loader__", None) or module.__spec__.loader
    text = loader.get_source(name)
    if text is None:
        raise ValueError(f"the program that does the work can't be read from the module: {name}")
    return str(text)
