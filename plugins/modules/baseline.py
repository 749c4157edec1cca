#!/usr/bin/python
# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: baseline
short_description: A whole hardening benchmark in one round trip - audit, enforce, and a way back
version_added: 0.1.0
author:
  - civicops.town (@civicops)
description:
  - Looks at every control of a profile and says how the host stands. Outside of check mode it also mends what is not
    compliant, and looks again.
  - Check mode is the audit. What it predicts is what enforcement then changes.
  - Before the first change of a run each file is kept in a restore point on the host, below
    C(/var/lib/civicops/runs). M(civicops.town.baseline_undo) puts it back.
  - What could lock us out (SSH, PAM, the firewall) comes last. Then the controller logs in anew, outside of any open
    connection; if that fails, the host takes the change back by itself after 60 seconds, also where it was restarted.
  - One control that fails does not stop the others.
  - The answer is a document of kind C(baseline/1).
extends_documentation_fragment:
  - civicops.town.attributes
  - civicops.town.patching.probes
  - civicops.town.document
attributes:
  check_mode:
    support: full
    details: The audit; needs no ticket.
  diff_mode:
    support: full
    details: Files, but for those that may hold secrets.
  idempotent:
    support: full
options:
  profile:
    description:
      - Which controls, by the profile's name in C(roles/baseline/files/profiles.yml).
      - V(none) is for O(own) alone.
    type: str
    default: town-minimum
  role:
    description: What the host is for; controls that are not for it are left out.
    type: str
    choices: [server, workstation, dispatch, kiosk, database, container_host]
    default: server
  skip:
    description: Controls that are left out, by id. For an exception that somebody answers for, waive it instead.
    type: list
    elements: str
    default: []
  own:
    description:
      - Controls of the site's own, each with C(id), C(type) and C(params) as in C(roles/baseline/files/controls).
      - One with the id of a control of the catalogue takes its place.
    type: list
    elements: dict
    default: []
  risk:
    description: The most risk of breaking users' work that a control may have to be mended in this run.
    type: str
    choices: [none, low, high]
    default: high
  rollback:
    description:
      - V(automatic) puts back the whole run where O(probes) are red afterwards that were green before, or where a
        unit of systemd has failed since; V(never) only tells.
      - A host whose probes are red before anything was done is left alone.
    type: str
    choices: [automatic, never]
    default: automatic
  probe_grace:
    default: 30s
  gate:
    description: The host's ticket from M(civicops.town.gate). Not wanted in check mode.
    type: dict
  controls:
    description: Set by the action of the same name from the profile, the role and the town's waivers.
    type: str
  run:
    description: Set by the action of the same name.
    type: str
requirements:
  - Python 3.9 or newer on the host
notes:
  - Without root most controls can't be looked at.
"""

EXAMPLES = r"""
- name: Audit a server
  civicops.town.baseline:
    profile: cis-l1-server
  check_mode: true
  register: answer
  ignore_unreachable: true

- name: Enforce, by the gate's leave
  civicops.town.baseline:
    profile: cis-l1-server
    gate: "{{ gate_answer.hosts[inventory_hostname].ticket }}"
"""

RETURN = r"""
changed:
  description: Whether a control was mended, or would be.
  returned: always
  type: bool
summary:
  description: The number of controls by state.
  returned: when O(record=true)
  type: dict
  sample: {"compliant": 170, "changed": 30, "failed": 4, "not_applicable": 12}
document:
  description: The body of a document of kind C(baseline/1).
  returned: when O(record=false)
  type: dict
  contains:
    outcome:
      description: >-
        V(done), V(planned) in check mode, V(rolled_back) where no new login succeeded or a probe was red afterwards,
        V(blocked) where one was red before, V(failed).
      type: str
    results:
      description: >-
        Table of controls with their state - V(compliant), V(changed), V(failed), V(not_applicable), V(waived),
        V(not_enforceable), V(error).
      type: dict
    counts:
      description: The number of controls by state.
      type: dict
    restore_point:
      description: Whether there is something to put back.
      type: bool
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.civicops.town.plugins.module_utils._document import document_spec, run


def main() -> None:
    gc.disable()  # as in host_info
    gc.freeze()
    module = AnsibleModule(
        argument_spec={
            "profile": {"type": "str", "default": "town-minimum"},
            "role": {
                "type": "str",
                "choices": ["server", "workstation", "dispatch", "kiosk", "database", "container_host"],
                "default": "server",
            },
            "skip": {"type": "list", "elements": "str", "default": []},
            "own": {"type": "list", "elements": "dict", "default": []},
            "risk": {"type": "str", "choices": ["none", "low", "high"], "default": "high"},
            "probes": {"type": "list", "elements": "dict", "default": []},
            "probe_grace": {"type": "str", "default": "30s"},
            "rollback": {"type": "str", "choices": ["automatic", "never"], "default": "automatic"},
            "gate": {"type": "dict"},
            "controls": {"type": "str", "no_log": True},  # as the option code
            "run": {"type": "str"},
            **document_spec(),
        },
        supports_check_mode=True,
    )
    run(module, "_baseline.main")


if __name__ == "__main__":
    main()
