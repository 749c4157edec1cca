"""Fixtures for every kind of test."""

from __future__ import annotations

from tests.postgres import empty_postgres_database, postgres_url

__all__ = ["empty_postgres_database", "postgres_url"]
