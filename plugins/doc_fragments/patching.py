# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is common to the modules of a patch night."""

from __future__ import annotations


class ModuleDocFragment:
    # Which updates are wanted, and what a host must be like.
    DOCUMENTATION = r"""
options:
  manager:
    description: The host's package manager; V(auto) finds it.
    type: str
    choices: [auto, apt, dnf]
    default: auto
  scope:
    description:
      - V(security) selects the updates that come from a security archive or belong to a security advisory, and what
        they need; V(all) selects every update.
    type: str
    choices: [security, all]
    default: security
  allow:
    description: Patterns (C(fnmatch)) of binary or source package names; only these are selected. None means all.
    type: list
    elements: str
    default: []
  deny:
    description: Patterns of binary or source package names that are never installed, also not for another's sake.
    type: list
    elements: str
    default: []
  without_rollback:
    description:
      - What becomes of a host on which some installed version's package can't be had any more, so that it could not be
        taken back - V(skip) leaves it alone and says so, V(patch) patches it all the same.
    type: str
    choices: [skip, patch]
    default: skip
  repair:
    description: Whether packages that are not installed whole are repaired first. Else they are a blocker.
    type: bool
    default: false
  lists_max_age:
    description: With older package lists nothing can be said of updates, which is a blocker.
    type: str
    default: 7d
  backup_max_age:
    description: How old the host's last backup may be; without it, backups are not asked for.
    type: str
  backup_stamp:
    description: The file whose time of change is that of the last good backup.
    type: path
    default: /var/lib/civicops/backup/last-success
  clock_skew:
    description: By how much the host's clock may differ from the controller's.
    type: str
    default: 5m
  logged_in:
    description: V(block) leaves a host alone at which somebody has worked within the last hour; V(tell) does not.
    type: str
    choices: [tell, block]
    default: tell
  controller_time:
    description: The controller's clock, in seconds since 1970. The action sets it.
    type: float
"""

    # How a host is told to be well.
    PROBES = r"""
options:
  probes:
    description:
      - How the host is told to be well, before and after. Each has a C(kind) and the keys of that kind.
      - C(port) - C(port), C(address) (127.0.0.1).
      - C(http) - C(url), C(status) (200), C(contains), C(verify_tls) (true).
      - C(command) - C(command) (a list), C(status) (0), C(contains).
      - C(query) - C(engine) (postgresql, mariadb, sqlite), C(database), C(query), C(contains).
      - C(unit) - C(unit).
      - Each may have C(name), C(system) and C(timeout) (10s).
    type: list
    elements: dict
    default: []
  probe_grace:
    description: How long probes may stay red after the work.
    type: str
"""

    # How the work on a host is done and judged.
    WORK = r"""
options:
  probe_grace:
    default: 2m
  lock_wait:
    description: How long another program may hold the package manager's lock.
    type: str
    default: 2m
  reboot_time:
    description: With less time left than this, a wanted reboot is left for another night, and told.
    type: str
    default: 5m
  gate:
    description:
      - The host's ticket, as the gate gave it. Without one, or with one that is not this run's and this host's, nothing
        is sent to the host.
      - Only the run, the job, the seconds left, the seconds needed, and whether the work may be started go to the host.
    type: dict
    required: true
"""
