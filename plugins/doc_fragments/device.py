# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is common to the actions that ask network devices."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  record:
    description:
      - Write what the devices answered as documents to the spool.
      - With V(false) it returns the documents' bodies in RV(ignore:devices) instead.
    type: bool
    default: true
  known_hosts:
    description:
      - The file with the devices' SSH keys. A device whose key is not in it, or another one, is not logged in to.
      - The default is the town's own, C(known_hosts) in its state directory, which
        C(civicops run --accept-new-host-keys) adds to.
    type: path
  threads:
    description: How many devices are asked at the same time, from 1 to 128.
    type: int
    default: 32
requirements:
  - The Python package C(civicops), installed beside Ansible; netmiko and ntc-templates come with it.
  - The callback P(civicops.town.run#callback).
notes:
  - It runs on the controller. With C(run_once) it asks all devices of the batch at once, in threads, in one process;
    without, the one device that the task is for.
  - How a device is reached is said by its variables in the inventory - C(netmiko_platform) (required), C(ansible_host),
    C(netmiko_port), C(netmiko_user), C(netmiko_password) or C(netmiko_key_file) with C(netmiko_key_passphrase),
    C(netmiko_secret) for the privileged mode; C(netmiko_jump_host) with C(netmiko_jump_user) and so on for a jump host;
    C(netmiko_host_key_checking), C(netmiko_legacy_algorithms), C(netmiko_connect_timeout), C(netmiko_command_timeout),
    C(netmiko_session_timeout).
    Variables of a play are not looked at.
  - Nothing is sent to a device that changes it.
"""
