#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_stage
short_description: Prepare a host for a patch night - lists, downloads, and the packages to go back to
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Refreshes the package lists, simulates, downloads what is wanted, and keeps the packages of the versions that are
    installed now, so that the night can be taken back without a mirror. Disturbs nobody, and needs no ticket.
  - What stands in the way of the night is told now - a full disk, packages that are not whole, a lock and who holds it,
    an old backup, and each package to which no way back could be had.
  - Packages are kept in C(/var/cache/civicops/packages). Those that no rollback can want any more are removed after 90
    days.
  - The answer is a document of kind C(updates/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.patching
  - civicops.town.document
attributes:
  check_mode:
    support: full
    details: Nothing is refreshed or downloaded; the answer is that of M(civicops.town.patch_info).
  diff_mode:
    support: N/A
    details: No package changes.
  idempotent:
    support: full
requirements:
  - Python 3.9 or newer on the host, with apt and dpkg, or dnf and its Python package
"""

EXAMPLES = r"""
- name: Prepare for tonight
  civicops.town.patch_stage:
    scope: security
"""

RETURN = r"""
changed:
  description: Whether a package was downloaded.
  returned: always
  type: bool
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
    run(module, "_patch.main_stage")


if __name__ == "__main__":
    main()
