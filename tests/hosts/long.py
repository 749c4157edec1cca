"""Tests that CI has no time for: `CIVICOPS_LONG=1` asks for them."""

from __future__ import annotations

import os

import pytest


def long(takes: str) -> pytest.MarkDecorator:
    """`@long("half a minute")`"""
    return pytest.mark.skipif(not os.environ.get("CIVICOPS_LONG"), reason=f"takes {takes}: set CIVICOPS_LONG=1")
