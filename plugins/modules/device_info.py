#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: device_info
short_description: Asks network devices what they are
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Asks switches, routers, firewalls and access points for their vendor, model, serial number, software, uptime, stack
    members and modules, interfaces with addresses, neighbours, power, temperatures and power over Ethernet, as far as
    each kind of device tells them.
  - The answer is a document of kind C(device-facts/1). What a device did not say, or what was not understood, is told
    in it.
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.attributes.read_only
  - civicops.town.device
seealso:
  - module: civicops.town.device_config
  - module: civicops.town.device_outcome
"""

EXAMPLES = r"""
- name: Ask all network devices what they are
  civicops.town.device_info:
  run_once: true
  register: device_answer

- name: How it went with each
  civicops.town.device_outcome:
    answer: "{{ device_answer.devices[inventory_hostname] }}"
"""

RETURN = r"""
devices:
  description: How it went with each device, by its name in the inventory.
  returned: success
  type: dict
  contains:
    failed:
      description: Whether it went wrong.
      type: bool
    unreachable:
      description: Whether there was no connection, or none that could be trusted.
      type: bool
    msg:
      description: What went wrong, and what to do about it.
      type: str
    device_facts_id:
      description: The document's id, with O(record=true).
      type: str
    device_facts:
      description: The document's body, with O(record=false).
      type: dict
"""
