"""Locks among threads."""

from sempre.sdk.locking import MemoryLockManager

__all__ = ["MemoryLockManager"]
