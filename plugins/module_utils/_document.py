# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What is common to modules that answer with a document: their options, and the code that their action sends along.

Ansible itself finds what a module imports by parsing all of it, anew in each play, and looks for each imported name in
files. For our large modules that cost the controller more than all of their hosts together. Their actions collect the
same files in a tenth of the time (C(plugin_utils/carried.py)), and a module imports nothing of ours but this.
"""

from __future__ import annotations

import base64
import errno
import importlib
import json
import sys
import time
import zlib
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import Any, Dict, Optional

BEGAN = time.clock_gettime(time.CLOCK_BOOTTIME)
"""When the module began, in seconds of C(_host_work.wrapper.boottime)."""
_PARENT = __name__.rpartition(".")[0]


class _Text(SourceFileLoader):
    """Loads one module from its text, and not from a file."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_data(self, path: str) -> bytes:
        return self._text.encode()

    def path_stats(self, path: str) -> Dict[str, float]:
        raise OSError(errno.ENOENT, "there is no file", path)  # so nothing compiled is looked for, or kept


class Carried:
    """Finds what was sent, by names below C(plugins/module_utils)."""

    def __init__(self, sources: Dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        part = name[len(_PARENT) + 1 :] if name.startswith(f"{_PARENT}.") else ""
        if part not in self._sources:
            return None
        is_package = any(other.startswith(f"{part}.") for other in self._sources)
        file = part.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        return ModuleSpec(name, _Text(name, file, self._sources[part]), origin=file, is_package=is_package)


def document_spec() -> Dict[str, Any]:
    """The options that are for the action of the same name."""
    return {
        "record": {"type": "bool", "default": True},
        "twin": {"type": "bool", "default": False},
        "code": {"type": "str", "no_log": True},  # no secret, but too much for the log of a host
    }


def unpacked(text: str) -> Any:
    """What C(plugin_utils/carried.py) has packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def run(module: Any, main: str) -> None:
    """Go on with C(main.main(module)), where C(main) is a name below C(plugins/module_utils).

    A module that Ansible runs without its action ends here: nobody would keep its answer, nor has looked at its ticket.
    """
    if not module.params["twin"] or module.params["code"] is None:
        module.fail_json(
            msg="nothing is done: Ansible has run this module without the action of the same name, which keeps what it "
            "answers; install the collection anew: ansible-galaxy collection install --force civicops.town"
        )
    sys.meta_path.insert(0, Carried(unpacked(module.params["code"])))
    importlib.import_module(f"{_PARENT}.{main}").main(module)
