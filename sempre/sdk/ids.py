"""Ids and times of runs that are made on this side of the wire."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

__all__ = ["new_id", "now"]

_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_RANDOM = ~((0xF << 76) | (3 << 62)) & ((1 << 80) - 1)


def new_id() -> UUID:
    """A UUIDv7: milliseconds first, so that ids sort by the time they were made at."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM
    return UUID(int=(milliseconds << 80) | random | _VERSION_AND_VARIANT)


def now() -> datetime:
    return datetime.now(UTC)
