#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Prove that a host's newest backup can be restored
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Has the repository give back what was saved, and compares each file with the hash that was taken on the host at the
    time of the backup. Nothing of the host's own files is touched, and a drill needs no room for them.
  - Dumps of SQLite, PostgreSQL, MariaDB, MySQL and OpenLDAP are restored into a throw-away server and counted,
    where the host has the server's programs.
  - The answer is a document of kind C(drill/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.attributes.read_only
  - civicops.town.document
options:
  whole_below:
    description:
      - Where all files together have at most so many bytes, every one is compared. Else a quarter of them in turn, by
        the week, so that a weekly drill has each within 28 days.
    type: int
    default: 2147483648
  turn:
    description: Which quarter, 0 to 3; that of this week where it is not said.
    type: int
  of:
    description:
      - Another host, which is restored here as a whole, with nothing of it but its passwords - the drill for the day on
        which it is gone. Everything is written below O(target), with owners and modes, compared, and removed.
      - Have a machine for that which holds nothing else. Dumps are restored by the databases' own programs, where they
        are installed.
    type: dict
    suboptions:
      host:
        description: Its name in the inventory, for the document.
        type: str
        required: true
      name:
        description: Its name on the backup server.
        type: str
        required: true
      server:
        description: The backup server's name or address, as this host reaches it and its certificate has it.
        type: str
        required: true
      port:
        description: The port of the town's backup server.
        type: int
        default: 8000
      authority:
        description: The certificate that the server's own is checked against, PEM.
        type: str
        required: true
      server_password:
        description: What opens its repository on the server.
        type: str
        required: true
      repository_password:
        description: What its backups are encrypted with.
        type: str
        required: true
  target:
    description: The directory that O(of) is restored to. It must not be there, and is removed at the end.
    type: path
    default: /var/lib/civicops/restored
requirements:
  - Python 3.9 or newer on the host; set up by M(civicops.town.backup_client), or restic alone with O(of)
  - To be root there
"""

EXAMPLES = r"""
- name: Can last night's backup be restored?
  civicops.town.restore_drill:

- name: And if the machine itself had burnt?
  civicops.town.restore_drill:
    of:
      host: payroll1
      name: payroll1
      server: vault.riverton.example
      authority: "{{ lookup('ansible.builtin.file', 'authority.pem') }}"
      server_password: "{{ backup_secrets.payroll1.server }}"
      repository_password: "{{ backup_secrets.payroll1.repository }}"
"""

RETURN = r"""
summary:
  description: What the document says in short.
  returned: when O(record=true)
  type: dict
  sample: {"outcome": "done", "equal": 8325, "seconds": 24.1}
document:
  description: The body of a document of kind C(drill/1).
  returned: when O(record=false)
  type: dict
  contains:
    outcome:
      description: V(done) if all that was compared came back as it was; V(failed); V(nothing) if there was nothing.
      type: str
    files:
      description: How many were compared, equal, different and missing, and how many have no hash.
      type: dict
    databases:
      description: What became of each dump, with its tables and rows; the rows of LDAP are its entries.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    of = {
        "host": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "server": {"type": "str", "required": True},
        "port": {"type": "int", "default": 8000},
        "authority": {"type": "str", "required": True},
        "server_password": {"type": "str", "required": True, "no_log": True},
        "repository_password": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "whole_below": {"type": "int", "default": 2147483648},
            "turn": {"type": "int"},
            "of": {"type": "dict", "options": of},
            "target": {"type": "path", "default": "/var/lib/civicops/restored"},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_backup.drill_main")


if __name__ == "__main__":
    main()
