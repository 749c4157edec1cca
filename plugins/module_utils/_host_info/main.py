# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Where the module C(host_info) goes on."""

from __future__ import annotations

import json
from typing import Any

from .collect import collect
from .context import Context


def main(module: Any) -> None:
    """Answer with the whole document."""
    ctx = Context(
        private_folder=module.tmpdir if module.params["updates"] else None,
        want_packages=module.params["packages"],
        want_updates=module.params["updates"],
    )
    # As text, which the action of the same name reads: Ansible's own walks over some thousand values, here and on the
    # controller, would cost more than finding them out.
    document = json.dumps(collect(ctx), separators=(",", ":"))
    module.exit_json(changed=False, document=document, invocation={})
