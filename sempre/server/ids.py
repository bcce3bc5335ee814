"""Time-ordered ids (UUIDv7), monotonic within a process."""

from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["new_id"]


def new_id() -> UUID:
    return uuid7()
