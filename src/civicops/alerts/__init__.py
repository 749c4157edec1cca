"""Alerts: a town's people are told what matters, by e-mail and webhook, once, and at a time that they chose.

`raise_notice` keeps a notice in the town's outbox, `deliver` sends what is due, `waiting` counts what is not sent yet.
"""

from __future__ import annotations

from civicops.alerts.delivery import Delivered, deliver, raise_notice, waiting
from civicops.alerts.notice import Notice

__all__ = ["Delivered", "Notice", "deliver", "raise_notice", "waiting"]
