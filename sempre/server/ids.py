"""Time-ordered ids (UUIDv7), monotonic within a process."""

from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["PROCESS", "new_id"]


def new_id() -> UUID:
    return uuid7()


# This process, wherever rows say whose they are.
PROCESS = new_id()
