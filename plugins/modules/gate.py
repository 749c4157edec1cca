#!/usr/bin/python
# Copyright (c) civicops.town contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Asks whether a job may disturb the hosts of this batch now
version_added: 0.1.0
author: civicops.town (@civicops)
description:
  - The one authority over work that disturbs people. Asked once per batch for all its hosts, it opens those
    that may be worked on now and says of the others why not and when next.
  - It looks at the town's windows and freezes, at C(observe_only), at runs that are at work already, at pairs,
    at what the rings before came to, at systems that need others, and at the time that each host is expected to need.
  - Where the town wants a ring to be watched before the next one begins, or somebody's yes to a ring, the task waits in
    the controller's process and asks again, until it gets an opening, the run is cancelled, or too little time is left.
  - Runs on the controller and never connects to a host. What it has opened is a claim in the town's ledger, and each
    answer a document of kind C(gate). Where there is no ledger, nothing is opened.
  - A host that was let through gets a ticket. Modules that disturb demand it in their option O(ignore:gate), so a host
    that this task was not asked about is not disturbed, whatever the tags or the first task of a run.
options:
  job:
    description: The job that wants to work, as in C(civicops run JOB).
    type: str
    required: true
  override_window:
    description:
      - Why work may be done outside of the windows, or in a freeze that names somebody who may allow it.
      - Recorded, with O(approver) and the user who runs this. Rings, pairs and C(observe_only) still count.
      - C(civicops run --override-window) sets E(CIVICOPS_OVERRIDE_WINDOW), which is used where this is empty.
    type: str
    default: ''
  approver:
    description: Who has allowed it; in a freeze, the name of the contact with the role that the freeze names.
    type: str
    default: ''
requirements:
  - The Python package C(civicops), installed beside Ansible.
  - The callback P(civicops.town.run#callback).
  - C(strategy) linear, Ansible's own.
extends_documentation_fragment:
  - civicops.town.attributes
attributes:
  check_mode:
    support: full
    details: Says what it would say, claims nothing, and does not wait.
  diff_mode:
    support: none
    details: Hosts are not changed.
  idempotent:
    support: none
    details: The answer depends on the time and on what has become of other hosts.
seealso:
  - module: civicops.town.wait
"""

EXAMPLES = r"""
- name: Ask the gate
  civicops.town.gate:
    job: wait
  run_once: true
  register: gate_answer

- name: Leave alone the hosts that are not let through
  ansible.builtin.meta: end_host
  when: not gate_answer.hosts[inventory_hostname].open

- name: Wait
  civicops.town.wait:
    seconds: 60
    gate: "{{ gate_answer.hosts[inventory_hostname].ticket }}"
"""

RETURN = r"""
hosts:
  description: The answer for each host of the batch, by its name in the inventory.
  returned: success
  type: dict
  contains:
    open:
      description: Whether the host may be worked on.
      type: bool
    code:
      description: Which rule spoke, such as V(open), V(frozen), V(halt) or V(late).
      type: str
    reason:
      description: The same for people.
      type: str
    until:
      description: When the opening ends, in UTC; empty where there is none.
      type: str
    next:
      description: When the next chance begins, in UTC; empty where none is known.
      type: str
    ticket:
      description: What modules that disturb demand; only where RV(hosts.open) is true.
      type: dict
opened:
  description: How many hosts were let through.
  returned: success
  type: int
"""
