#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: What a host is, what runs on it and what it waits for, in one answer
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Answers with one document about a Linux host - identity, hardware, file systems, network,
    listening sockets, packages and
    where they come from, pending updates, reboot wanted, services, timers, users, sudo rules, SSH keys, time
    synchronisation, firewall, security agents and backup tools.
  - It only reads. Package managers' caches stay as they are.
  - What could not be read is listed in RV(document.unread) with the reason; its value is then null
    or absent, never an empty
    list or zero.
  - Texts and lists are bounded; what was cut is listed in RV(document.unread) too.
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.attributes.read_only
  - civicops.town.document
options:
  packages:
    description: List the installed packages.
    type: bool
    default: true
  updates:
    description:
      - List pending updates.
      - This is the most expensive question, as the package manager reads its whole lists.
    type: bool
    default: true
requirements:
  - Python 3.9 or newer on the host
  - python3-apt on Debian and its relatives, for pending updates with their source packages (C(apt-
    get) is asked without it)
notes:
  - Without root, serial numbers, password states, other users' processes, sudo rules and firewall rules stay unread.
"""

EXAMPLES = r"""
- name: Take the inventory
  civicops.town.host_info:
  register: answer
  ignore_unreachable: true

- name: Look at one host by hand, without recording a document
  civicops.town.host_info:
    record: false
    updates: false
  register: answer
"""

RETURN = r"""
document:
  description:
    - The body of a document of kind C(host-facts/1). Times are ISO 8601 in UTC, sizes are bytes.
    - Tables have RV(ignore:columns) and RV(ignore:rows), to keep the document small.
  returned: always
  type: dict
  contains:
    host_time:
      description: The host's own clock.
      type: str
      sample: "2026-11-23T12:18:21Z"
    seen_as_root:
      description: Whether the module ran as root.
      type: bool
    took_seconds:
      description: Wall time of the collection on the host.
      type: float
    identity:
      description: Machine id, names, operating system, kernel, virtualisation, boot time, installation date.
      type: dict
    hardware:
      description: >-
        Maker, model, serial number, firmware, processor, memory, disks, and an estimate of the age
        with its basis.
      type: dict
    filesystems:
      description: Local file systems with size, free room and inodes.
      type: list
      elements: dict
    mounts:
      description: Table of mounts with their options.
      type: dict
    network:
      description: Interfaces with addresses, default gateways, name servers.
      type: dict
    sockets:
      description:
        - Table of listening sockets. The scope is V(loopback), V(link), V(address) or V(all).
      type: dict
    packages:
      description:
        - Table of installed packages. A source or source version of null equals the package's own.
      type: dict
    package_sources:
      description: >-
        Table of repositories with the dates of their lists, whether one brings security updates,
        and caveats.
      type: dict
    updates:
      description: >-
        Table of pending updates, counts, and the caveats under which they hold; null when nothing
        can be said.
      type: dict
    reboot:
      description: Whether a reboot is wanted, why, and which processes use deleted files.
      type: dict
    services:
      description: Table of services and sockets that are enabled or not inactive.
      type: dict
    failed_units:
      description: Names of systemd units that failed.
      type: list
      elements: str
    timers:
      description: Active systemd timers with their last and next start.
      type: list
      elements: dict
    users:
      description: >-
        Accounts that can log in - groups that give power, last login, state of the password (never
        its hash).
      type: list
      elements: dict
    accounts_without_login:
      description: Number of the other accounts.
      type: int
    last_login_basis:
      description: The record that last logins come from.
      type: str
    sudo:
      description: Rules of sudo and user aliases.
      type: dict
    ssh:
      description: Fingerprints of host keys and authorised keys, and the settings that decide who gets in.
      type: dict
    time_sync:
      description: What keeps the clock, and whether it does.
      type: dict
    firewall:
      description: Packet filters and front ends seen.
      type: dict
    security_agents:
      description: Security products seen, and by what.
      type: list
      elements: dict
    backup_tools:
      description: Backup products seen, and by what.
      type: list
      elements: dict
    unread:
      description: What could not be read, and why.
      type: list
      elements: dict
      contains:
        item:
          description: Key in the document, dotted.
          type: str
        reason:
          description: Why, in words.
          type: str
      sample: [{"item": "hardware.serial", "reason": "needs root"}]
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    gc.disable()  # it would look, at the end above all, through all that Ansible has loaded: a tenth of our time
    gc.freeze()
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "bool", "default": True},
            "updates": {"type": "bool", "default": True},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_host_info.main")


if __name__ == "__main__":
    main()
