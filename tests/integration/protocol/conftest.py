"""Fixtures of these tests."""

from tests.support.rooms import rooms

__all__ = ["rooms"]
