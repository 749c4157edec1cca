# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""A backup right before the transaction, by the host's own service: what packages' scripts spoil is had from there."""

from __future__ import annotations

import os
import time
from typing import Optional

from .._host_info.context import CommandError, clean, run_command

UNIT = "civicops-backup.service"


def take(stamp: str, seconds: float) -> Optional[str]:
    """Have the host back itself up; why there is no complete backup now, or None.

    One that goes on is waited for. C(stamp) is the file whose time is that of the last complete backup.
    """
    began = time.time()
    try:
        status, output = run_command(["systemctl", "start", "--no-ask-password", UNIT], seconds)
    except CommandError as error:
        return f"the backup right before it has not ended: {error}"
    try:
        fresh = os.stat(stamp).st_mtime >= began - 1  # files have the time of the last tick
    except OSError:
        fresh = False
    if fresh and not status:
        return None
    said = clean(output).strip().partition("\n")[0][:200]
    return f"the backup right before it is not complete{f': {said}' if said else ''} (journalctl -u civicops-backup)"
