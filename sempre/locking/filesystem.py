"""Locks among processes that share a directory."""

from sempre.sdk.locking import FileSystemLockManager

__all__ = ["FileSystemLockManager"]
