"""Locks for keys of results, so that calls with the same key exclude each other."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Protocol

__all__ = ["FileSystemLockManager", "LockManager", "MemoryLockManager"]

_LOOK = 0.02  # seconds between two attempts at a file's lock


class LockManager(Protocol):
    """A holder is any text; who holds a lock may take it again."""

    def acquire_lock(self, key: str, holder: str, acquire_timeout: float | None = None) -> bool:
        """False if another has had it for ``acquire_timeout`` seconds; waits without end by default."""

    def release_lock(self, key: str, holder: str) -> None:
        """Raises ValueError if the holder does not have it."""

    def is_locked(self, key: str) -> bool: ...

    def is_lock_holder(self, key: str, holder: str) -> bool: ...


class MemoryLockManager:
    """Locks among the threads of this process."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._changed = threading.Condition()

    def acquire_lock(self, key: str, holder: str, acquire_timeout: float | None = None) -> bool:
        with self._changed:
            free = self._changed.wait_for(lambda: self._holders.get(key, holder) == holder, acquire_timeout)
            if free:
                self._holders[key] = holder
            return free

    def release_lock(self, key: str, holder: str) -> None:
        with self._changed:
            if self._holders.get(key) != holder:
                raise ValueError(f"{holder} does not hold the lock of {key}")
            del self._holders[key]
            self._changed.notify_all()

    def is_locked(self, key: str) -> bool:
        return key in self._holders

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return self._holders.get(key) == holder


class FileSystemLockManager:
    """Locks among processes that share a directory. A process that dies lets go of its locks at once."""

    def __init__(self, lock_files_directory: str | os.PathLike[str]) -> None:
        self.lock_files_directory = Path(lock_files_directory).expanduser().absolute()
        self._mine: dict[str, tuple[str, int]] = {}
        self._guard = threading.Lock()

    def acquire_lock(self, key: str, holder: str, acquire_timeout: float | None = None) -> bool:
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        while not self._try(key, holder):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        with self._guard:
            if not self.is_lock_holder(key, holder):
                raise ValueError(f"{holder} does not hold the lock of {key}")
            _, file = self._mine.pop(key)
            os.close(file)

    def is_locked(self, key: str) -> bool:
        with self._guard:
            if key in self._mine:
                return True
        if not self._try(key, "is_locked"):
            return True
        self.release_lock(key, "is_locked")
        return False

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._mine and self._mine[key][0] == holder

    def _try(self, key: str, holder: str) -> bool:
        import fcntl

        with self._guard:
            if key in self._mine:
                return self._mine[key][0] == holder
            self.lock_files_directory.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(key.encode()).hexdigest()[:40]
            file = os.open(self.lock_files_directory / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._mine[key] = (holder, file)
            return True
