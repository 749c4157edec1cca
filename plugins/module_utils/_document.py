# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What is common to modules that answer with a document."""

from __future__ import annotations

from typing import Any, Dict


def document_spec() -> Dict[str, Any]:
    """The options that are for the action of the same name."""
    return {"record": {"type": "bool", "default": True}, "twin": {"type": "bool", "default": False}}


def demand_twin(module: Any) -> None:
    """End a module that Ansible runs without its action: nobody would keep its answer, nor has looked at its ticket."""
    if not module.params["twin"] or module.params.get("code", "") is None:
        module.fail_json(
            msg="nothing is done: Ansible has run this module without the action of the same name, which keeps what it "
            "answers; install the collection anew: ansible-galaxy collection install --force civicops.town"
        )
