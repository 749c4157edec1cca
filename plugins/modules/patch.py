#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: patch
short_description: Install the updates that a town wants, and take them back where the host is not well afterwards
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Looks at what waits and what stands in the way; then the host does the rest by itself, as a unit of systemd that is
    named by the run - probes before, the packages to go back to, a copy of C(/etc), the transaction, the reboot or the
    restart of services, probes after, and the rollback where they are red.
  - It goes on when the controller or the connection dies, is started once per run whatever happens, and is adopted by
    the same run when that is resumed. After a power cut the next question repairs what was left by halves, and goes on.
  - A changed configuration file stays as it is; that there is a new one is reported. Nothing ever asks a question.
  - Package lists are not refreshed; M(civicops.town.patch_stage) does that before the window.
  - What is kept on the host, and how to look at it by hand, is told in C(docs/patch-night.md).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.patching
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
options:
  backup_first:
    description:
      - Has the host back itself up right before anything is installed, by the service that the role backup_client has
        brought; O(backup_max_age) is not asked then. Where that backup is not complete nothing is installed.
    type: bool
    default: false
  reboot:
    description: V(when_wanted) restarts a host that asks for it, if there is time; V(never) only tells.
    type: str
    choices: [when_wanted, never]
    default: when_wanted
  rollback:
    description: V(automatic) takes back what has left the host unwell; V(never) only tells.
    type: str
    choices: [automatic, never]
    default: automatic
requirements:
  - Python 3.9 or newer on the host, with apt and dpkg, or dnf and its Python package
  - The Python package C(civicops) and the callback P(civicops.town.run#callback) on the controller
notes:
  - The controller holds a question open for up to 50 seconds at a time, and is answered within a second of the work's
    end. A host that can't be reached after the work was started is asked again until 120 seconds after the ticket's
    end.
  - The work is never ended by the controller, not even when its time is over.
  - The task fails for the outcomes V(failed), V(rolled_back), V(blocked), V(interrupted), V(running) and V(unknown).
"""

EXAMPLES = r"""
- name: Patch the host, within what the gate has opened
  civicops.town.patch:
    scope: security
    probes:
      - kind: http
        url: https://localhost/
    gate: "{{ gate_answer.hosts[inventory_hostname].ticket }}"
"""

RETURN = r"""
outcome:
  description:
    - V(done), also where nothing was to be done; V(overrun) is done, but after the ticket's end.
    - V(rolled_back) if it was not well afterwards and was taken back whole; V(failed) if it is not well.
    - V(blocked) if something on the host stood in the way, and nothing was touched.
    - V(interrupted) if it left no result and could not be brought to its end.
    - V(refused) if too little time was left, or nothing may be started and nothing was.
    - V(running) if it still ran, V(unknown) if the host could not be asked any more, when the ticket's end was 120
      seconds ago. Resuming the run adopts the work.
    - V(planned) in check mode.
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
from ansible_collections.civicops.town.plugins.module_utils._document import run
from ansible_collections.civicops.town.plugins.module_utils._patch.specs import selection_spec, work_spec


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **selection_spec(),
            **work_spec(),
            "backup_first": {"type": "bool", "default": False},
            "reboot": {"type": "str", "choices": ["when_wanted", "never"], "default": "when_wanted"},
            "rollback": {"type": "str", "choices": ["automatic", "never"], "default": "automatic"},
        },
        supports_check_mode=True,
    )
    run(module, "_patch.main_install")


if __name__ == "__main__":
    main()
