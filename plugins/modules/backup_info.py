#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Ask a host how its backups stand
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Reads what the programs of M(civicops.town.backup_client) and M(civicops.town.backup_server) have noted, what
    systemd says of them, and whether the server can be reached and takes the host's password.
  - Told apart are whether the timer is on, the service has failed, the last backup was complete, the last complete one
    is fresh by the schedule's own period, and, on the server, whether each repository still is what was written.
  - A host that is not set up for backups answers so.
  - The answer is a document of kind C(backup-status/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.attributes.read_only
  - civicops.town.document
options:
  town:
    description: The town whose repositories are told of, on a backup server.
    type: str
  escrow:
    description:
      - What is known of the copy of the host's repository password that is kept elsewhere. Where the seal is not that
        of the password in use, that is told.
    type: dict
    suboptions:
      seal:
        description: As C(civicops seal) prints it for the password that somebody has typed from that copy.
        type: str
        required: true
      checked:
        description: The day of that.
        type: str
        required: true
      place:
        description: Where the copy is, for people.
        type: str
requirements:
  - Python 3.9 or newer on the host
  - To be root there; others learn nothing, and the document says so
"""

EXAMPLES = r"""
- name: How do backups stand?
  civicops.town.backup_info:
    town: "{{ town.id }}"
"""

RETURN = r"""
summary:
  description: The kinds of alarms, and how many there are.
  returned: when O(record=true)
  type: dict
  sample: {"alarms": ["late", "timer"], "client": true, "server": false}
document:
  description: The body of a document of kind C(backup-status/1).
  returned: when O(record=false)
  type: dict
  contains:
    client:
      description: Of a host that is backed up - the timer, the service, the last run, the last complete one.
      type: dict
    server:
      description: Of a backup server - each repository's freshness and wholeness.
      type: dict
    alarms:
      description: What is wrong, each with a kind and words.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "town": {"type": "str"},
            "escrow": {
                "type": "dict",
                "options": {
                    "seal": {"type": "str", "required": True},
                    "checked": {"type": "str", "required": True},
                    "place": {"type": "str"},
                },
            },
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_backup.main")


if __name__ == "__main__":
    main()
