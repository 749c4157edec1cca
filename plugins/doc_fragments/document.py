# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is common to modules that answer with a document."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  record:
    description:
      - The action of the same name, which runs on the controller, writes the answer as a document to the spool and
        leaves a small summary in the task's result.
      - With V(false) it returns the document's body in RV(document) instead; nothing is written.
    type: bool
    default: true
  twin:
    description:
      - Set by the action of the same name. Without it the module does nothing and fails, as nobody would keep its
        answer.
    type: bool
    default: false
  code:
    description: Set by the action of the same name, which sends the module's code along. As O(twin).
    type: str
"""
