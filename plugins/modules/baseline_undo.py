#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: baseline_undo
short_description: Put back what a hardening run has changed on a host, byte by byte
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Brings files, modes, units, kernel settings and packages back to what they were before a run of
    M(civicops.town.baseline), from the restore point on the host.
  - What somebody else has changed since is left as it is, and told.
  - The answer is a document of kind C(baseline/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.document
attributes:
  check_mode:
    support: full
    details: Nothing is put back; the document names what would be.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  of:
    description: The run whose changes are to be put back.
    type: str
    required: true
  gate:
    description: The host's ticket from M(civicops.town.gate). Not wanted in check mode.
    type: dict
requirements:
  - Python 3.9 or newer on the host
"""

EXAMPLES = r"""
- name: Put a run back
  civicops.town.baseline_undo:
    of: 20261123T220000Z-4711
    gate: "{{ gate_answer.hosts[inventory_hostname].ticket }}"
"""

RETURN = r"""
changed:
  description: Whether anything was put back, or would be.
  returned: always
  type: bool
document:
  description: The body of a document of kind C(baseline/1).
  returned: when O(record=false)
  type: dict
  contains:
    outcome:
      description: V(done), V(planned) in check mode, V(failed).
      type: str
    undone:
      description: What came back, what was left to somebody else's change, and what could not be put back.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "of": {"type": "str", "required": True},
            "gate": {"type": "dict"},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_baseline.undo_main")


if __name__ == "__main__":
    main()
