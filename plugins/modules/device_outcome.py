#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: device_outcome
short_description: Tells Ansible how it went with each network device
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - A task with C(run_once) has one host's name on it. After M(civicops.town.device_info) or
    M(civicops.town.device_config) has asked all devices at once, this task is changed, failed or unreachable for each
    device as it was for that one.
  - It runs on the controller and asks nothing.
extends_documentation_fragment:
  - civicops.town.attributes
attributes:
  check_mode:
    support: full
    details: It tells what the answer says.
  diff_mode:
    support: full
    details: Of the redacted form, where the task that has asked was in diff mode too.
  idempotent:
    support: full
    details: It tells what the answer says.
options:
  answer:
    description: The device's part of the answer, from RV(civicops.town.device_config#module:devices).
    type: dict
    required: true
seealso:
  - module: civicops.town.device_config
"""

EXAMPLES = r"""
- name: How it went with each
  civicops.town.device_outcome:
    answer: "{{ device_answer.devices[inventory_hostname] }}"
"""

RETURN = r"""
msg:
  description: What has changed or went wrong.
  returned: when there is something to say
  type: str
"""
