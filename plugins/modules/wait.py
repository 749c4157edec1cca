#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wait
short_description: Rehearse disturbing work - a host that only waits, under all the rules of a patch night
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Starts work on the host that waits for some seconds and does nothing else. It stands for work that disturbs, in a
    rehearsal of windows, rings, halts and resumes.
  - The work belongs to the host. It goes on when the controller or the connection dies, is started once per run
    whatever happens, and is adopted by the same run when that is resumed.
  - What is kept on the host, and how to look at it by hand, is told in C(docs/host-work.md).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.document
attributes:
  check_mode:
    support: full
    details: Nothing is started; the outcome is V(planned).
  diff_mode:
    support: N/A
    details: There is nothing to compare.
  idempotent:
    support: partial
    details: Within one run the second call adopts the work of the first one. Another run starts its own.
options:
  seconds:
    description: How long to wait, 0 to 86400.
    type: int
    required: true
  outcome:
    description: How the work is to end, so that a failure and the halt that it causes can be rehearsed.
    type: str
    choices: [done, failed]
    default: done
  gate:
    description:
      - The host's ticket, as the gate gave it. Without one, or with one that is not this run's and this host's,
        nothing is sent to the host.
      - Only the run, the job, the seconds left, the seconds needed, and whether the work may be started go to the host.
    type: dict
    required: true
  record:
    description:
      - The action of the same name, which runs on the controller, writes the answer as a document to the spool and
        leaves a small summary in the task's result.
      - With V(false) it returns the document's body in RV(document) instead; nothing is written. The ticket, the
        callback P(civicops.town.run#callback) and the package C(civicops) are needed all the same.
requirements:
  - Python 3.9 or newer on the host
  - The Python package C(civicops) and the callback P(civicops.town.run#callback) on the controller
notes:
  - The controller asks first when the work should be done, then after 2, 4, 8, 16 and 30 seconds, and no connection is
    open meanwhile. A host that can't be reached after the work was started is asked again until 120 seconds after the
    ticket's end.
  - The work is never ended by the controller, not even when its time is over.
  - The task fails for the outcomes V(failed), V(interrupted), V(running) and V(unknown).
"""

EXAMPLES = r"""
- name: Rehearse ten minutes of work
  civicops.town.wait:
    seconds: 600
    gate: "{{ opening.tickets[inventory_hostname] }}"
  register: work

- name: Rehearse a host that fails, so that the rings after it are halted
  civicops.town.wait:
    seconds: 60
    outcome: failed
    gate: "{{ opening.tickets[inventory_hostname] }}"
"""

RETURN = r"""
outcome:
  description:
    - V(done) or V(failed), by the work's own result; V(overrun) is done, but after the ticket's end.
    - V(interrupted) if it left no result, or was claimed and never began.
    - V(refused) if too little time was left, or nothing may be started and nothing was.
    - V(running) if it still ran, V(unknown) if the host could not be asked any more, when the ticket's end was 120
      seconds ago. Resuming the run adopts the work.
    - V(planned) in check mode.
  returned: when the host answered
  type: str
  sample: done
changed:
  description: Whether this call started the work.
  returned: always
  type: bool
summary:
  description: What the document says in short.
  returned: when O(record=true) and the host answered
  type: dict
  sample: {"adopted": false, "began": true, "seconds": 600.1, "reason": ""}
document:
  description: The body of a document of kind C(wait/1).
  returned: when O(record=false)
  type: dict
  contains:
    outcome:
      description: As RV(outcome).
      type: str
    adopted:
      description: Whether the work had been claimed before this call.
      type: bool
    began:
      description: Whether the command was started; V(false) is certain, null is not known.
      type: bool
    rebooted:
      description: Whether the host was started anew since the work was claimed.
      type: bool
    started_at:
      description: When it began, by the host's clock.
      type: str
    ended_at:
      description: When it ended, by the host's clock.
      type: str
    seconds:
      description: How long it took, or has been running, by the host's own measure.
      type: float
    reason:
      description: More, in words.
      type: str
    host_time:
      description: The host's own clock.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "seconds": {"type": "int", "required": True},
            "outcome": {"type": "str", "choices": ["done", "failed"], "default": "done"},
            "gate": {"type": "dict", "required": True},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_host_work.wait_main")


if __name__ == "__main__":
    main()
