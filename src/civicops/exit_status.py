"""The exit statuses of `civicops`, as the documentation promises them to schedulers."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a `civicops` command tells its caller."""

    DONE = 0
    HOSTS_FAILED = 1
    BAD_INPUT = 2
    NOT_ALLOWED = 3
    CANCELLED = 4
    CHECK_FAILED = 5
    OUR_FAULT = 70
