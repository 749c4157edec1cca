# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""How often a timer starts, asked of systemd itself: what is late is judged by the schedule's own period."""

from __future__ import annotations

import calendar
import re
import time

from .._host_info.context import CommandError, clean, run_command
from .config import ConfigError

_LOOKS = 900  # elapses that are looked at: five weeks of an hourly schedule
_FAR = 35 * 86400  # seconds ahead; so the longest gap does not depend on the day of the week
_HOUR = 3600  # the period is rounded up to whole ones, and has one for the change of the clocks
_WHEN = re.compile(r"(?:Next elapse|Iter(?:\.|ation) #\d+):\s+\w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")


def period_of(schedule: str) -> int:
    """Seconds of the longest time between two starts of an C(OnCalendar) expression, systemd.time(7).

    :raises ConfigError: systemd does not understand it, or it starts once.
    """
    if "\n" in schedule or schedule.startswith("-"):
        raise ConfigError(f"schedule: {schedule!r:.60} is no calendar expression")
    try:
        status, output = run_command(["systemd-analyze", "calendar", f"--iterations={_LOOKS}", schedule], 20.0)
    except CommandError as error:
        raise ConfigError(f"schedule: {error}") from error
    text = clean(output)
    found = [calendar.timegm(time.strptime(one, "%Y-%m-%d %H:%M:%S")) for one in _WHEN.findall(text)]
    if status or not found:
        raise ConfigError(f"schedule: systemd does not understand {schedule!r:.60}; an example: '*-*-* 01:30'")
    if len(found) < 2:
        raise ConfigError(f"schedule: {schedule!r:.60} starts once; a backup wants a time that comes back")
    near = [one for one in found if one <= found[0] + _FAR]
    times = near if len(near) > 2 else found[:3]
    longest = max(later - sooner for sooner, later in zip(times, times[1:]))
    return (longest + _HOUR + _HOUR - 1) // _HOUR * _HOUR
