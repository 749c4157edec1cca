#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: device_config
short_description: Backs up the configurations of network devices
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Asks network devices for their running and their startup configuration and keeps it in two forms, below C(network/)
    in the town's state directory - as it is, encrypted with Ansible Vault, for a restore; and redacted and normalised
    in a git repository, one commit for each device that has changed.
  - A configuration is kept as a whole or not at all. Where the end is missing, the connection broke, or it is less than
    half of the last one, the last good one stays, and the task fails for that device.
  - In the redacted form each secret is a keyed fingerprint, so that a change shows and the secret does not.
  - How it went is a document of kind C(device-config/1), without the text.
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.device
attributes:
  check_mode:
    support: full
    details: The devices are asked, and nothing is kept.
  diff_mode:
    support: full
    details: Of the redacted form.
  idempotent:
    support: full
    details: Clocks, counters and secrets that a device encrypts anew each time make no change.
options:
  facts:
    description: Ask in the same session what M(civicops.town.device_info) asks, and write its document too.
    type: bool
    default: false
  accept_shrunk:
    description: Devices whose configuration may be less than half of the last one, this once.
    type: list
    elements: str
    default: []
notes:
  - It wants a vault password of the town, as raw configurations hold passwords. C(civicops run) takes those in the
    town's state directory, C(vault/LABEL); C(ansible-playbook) wants C(--vault-id LABEL@FILE).
seealso:
  - module: civicops.town.device_info
  - module: civicops.town.device_outcome
"""

EXAMPLES = r"""
- name: Back up all network devices, and ask what they are
  civicops.town.device_config:
    facts: true
  run_once: true
  register: device_answer

- name: How it went with each
  civicops.town.device_outcome:
    answer: "{{ device_answer.devices[inventory_hostname] }}"

- name: A switch was reset on purpose
  civicops.town.device_config:
    accept_shrunk: [sw-hall-01]
"""

RETURN = r"""
devices:
  description: How it went with each device, by its name in the inventory.
  returned: success
  type: dict
  contains:
    changed:
      description: Whether its configuration is another one than the one that was kept.
      type: bool
    failed:
      description: Whether it went wrong. What was kept before is kept still.
      type: bool
    unreachable:
      description: Whether there was no connection, or none that could be trusted.
      type: bool
    diff:
      description: What has changed, redacted, in diff mode.
      type: dict
    msg:
      description: What has changed; or what went wrong, and what to do about it.
      type: str
    device_config_id:
      description: The document's id, with O(record=true).
      type: str
    device_config:
      description: The document's body, with O(record=false).
      type: dict
"""
