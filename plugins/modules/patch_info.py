#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_info
short_description: Tell which updates wait on a host, which of them the town wants, and what stands in the way
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Reads the package lists that the host has, and simulates. Nothing is refreshed, downloaded or changed.
  - The answer is a document of kind C(updates/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.attributes.read_only
  - civicops.town.patching
  - civicops.town.document
requirements:
  - Python 3.9 or newer on the host, with apt and dpkg, or dnf and its Python package
"""

EXAMPLES = r"""
- name: What would tonight install?
  civicops.town.patch_info:
    scope: security
    deny: [postgresql*]
    record: false
  register: pending
"""

RETURN = r"""
summary:
  description: What the document says in short.
  returned: when O(record=true)
  type: dict
  sample: {"waiting": 17, "selected": 12, "blockers": []}
document:
  description: The body of a document of kind C(updates/1).
  returned: when O(record=false)
  type: dict
  contains:
    manager:
      description: The package manager.
      type: str
    updates:
      description: Table of what could be updated, with whether it is selected and why not.
      type: dict
    download_bytes:
      description: Of all that is selected.
      type: int
    disk_bytes:
      description: By which installed files grow.
      type: int
    reboot:
      description: Whether one is wanted now, is expected after, and why.
      type: dict
    restarts:
      description: systemd units that run files which would be replaced.
      type: list
      elements: str
    holds:
      description: Packages that an administrator holds.
      type: list
      elements: str
    blockers:
      description: What stands in the way.
      type: list
      elements: dict
    rollback:
      description: Whether the installed versions are kept, and which are not to be had.
      type: dict
    staged:
      description: What was downloaded; null where nothing was.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import run
from ansible_collections.civicops.town.plugins.module_utils._patch.specs import selection_spec


def main() -> None:
    module = AnsibleModule(argument_spec=selection_spec(), supports_check_mode=True)
    run(module, "_patch.main_look")


if __name__ == "__main__":
    main()
