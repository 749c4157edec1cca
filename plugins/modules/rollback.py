#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Take back what a patch night has installed on a host
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Brings the packages, their automatic and manual marks, C(/etc) and the state that packages' scripts keep to what
    they were before a run, from what the host has kept. No mirror is asked. What somebody else has changed since is
    left, and told.
  - A kernel is taken back by starting the one before, where the host has GRUB; else it is told as not possible.
  - The work belongs to the host, as that of M(civicops.town.patch).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.patching.probes
  - civicops.town.patching.work
  - civicops.town.document
attributes:
  check_mode:
    support: full
    details: Nothing is started; the outcome is V(planned), and the document names what would change.
  diff_mode:
    support: full
    details: Names and versions before and after.
  idempotent:
    support: full
    details: What was taken back is not taken back again.
options:
  manager:
    description: The host's package manager; V(auto) finds it.
    type: str
    choices: [auto, apt, dnf]
    default: auto
  of:
    description:
      - The run whose changes are to be taken back. Without it, the newest one that has changed this host and was not
        taken back.
    type: str
requirements:
  - Python 3.9 or newer on the host
  - The Python package C(civicops) and the callback P(civicops.town.run#callback) on the controller
"""

EXAMPLES = r"""
- name: Take back the last night on this host
  civicops.town.rollback:
    gate: "{{ gate_answer.hosts[inventory_hostname].ticket }}"
"""

RETURN = r"""
outcome:
  description: As that of M(civicops.town.patch); V(done) if all is as it was before.
  returned: when the host answered
  type: str
  sample: done
changed:
  description: Whether this call started work that has changed the host.
  returned: always
  type: bool
summary:
  description: What the document says in short.
  returned: when O(record=true) and the host answered
  type: dict
  sample: {"adopted": false, "began": true, "seconds": 41.7, "reason": "", "packages": 12}
document:
  description: The body of a document of kind C(patch/1).
  returned: when O(record=false)
  type: dict
  contains:
    outcome:
      description: As RV(outcome).
      type: str
    changes:
      description: Table of packages with their versions before and after.
      type: dict
    phases:
      description: Seconds by phase.
      type: dict
    reboot:
      description: Whether one was wanted and done, and why not.
      type: dict
    restarts:
      description: Units that were restarted, that failed to, and what still runs on replaced files.
      type: dict
    probes:
      description: Each probe before and after.
      type: list
      elements: dict
    rollback:
      description: Whether it could be taken back and was, and whether all is as before.
      type: dict
    blockers:
      description: What stood in the way.
      type: list
      elements: dict
    reason:
      description: More, in words.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run
from ansible_collections.civicops.town.plugins.module_utils._patch.specs import work_spec


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **work_spec(),
            "manager": {"type": "str", "choices": ["auto", "apt", "dnf"], "default": "auto"},
            "of": {"type": "str"},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_patch.main_rollback")


if __name__ == "__main__":
    main()
