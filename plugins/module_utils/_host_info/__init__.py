# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""What C(host_info) knows about a host: one file a concern, each with C(collect(ctx) -> dict).

Files here use os rather than pathlib (ruff's PTH): importing it costs each host more than all their calls.
"""

from __future__ import annotations
