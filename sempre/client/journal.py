"""Where deliveries wait on disk while the API is away: `<home>/journal/<api>/<process>/`.

Every process has a directory of its own, locked while it lives. The directories of dead ones are taken over by the next
process that delivers something to the same API.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from sempre.client.spool import Spool
from sempre.settings import ClientSettings

__all__ = ["KINDS", "Journal", "orphans"]

KINDS = ("calls", "events", "logs")
# What is dropped first when the journal is full. Calls, state changes among them, never are.
_DROPPED = ("logs", "events")

log = logging.getLogger("sempre.client")


class Journal:
    """The directory of one process, with a spool for each kind. Made on disk with the first record. Thread-safe."""

    def __init__(self, directory: Path, bound: int) -> None:
        self.directory = directory
        self._bound = bound
        self._lock = threading.Lock()
        self._held: int | None = None
        self._spools: dict[str, Spool] = {}
        self._said = False

    @classmethod
    def of_process(cls, settings: ClientSettings) -> Journal:
        """A fresh one."""
        return cls(_root(settings) / f"{os.getpid()}-{uuid4().hex[:8]}", settings.client.journal_size_bytes)

    def claim(self) -> bool:
        """Take the lock; False if another process has it."""
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held = descriptor
        self._spools = {kind: Spool(self.directory, kind) for kind in KINDS}
        return True

    def append(self, kind: str, records: Sequence[bytes]) -> None:
        """Put records at the end of their kind. OSError when the disk does not take them."""
        with self._lock:
            if self._held is None:
                self.directory.mkdir(parents=True, exist_ok=True)
                if not self.claim():
                    raise OSError(f"{self.directory} is locked by another process")
            self._spools[kind].append(records)
            self._make_room()

    def peek(self, kind: str, count: int, size: int) -> list[bytes]:
        """The first records of a kind, as `Spool.peek`."""
        with self._lock:
            return self._spools[kind].peek(count, size) if self._held is not None else []

    def drop(self, kind: str, count: int) -> None:
        """Remove the first records of a kind: they are delivered."""
        with self._lock:
            self._spools[kind].drop(count)

    def holds(self, kind: str) -> bool:
        """Whether records of a kind wait here."""
        with self._lock:
            return self._held is not None and bool(self._spools[kind])

    def close(self) -> None:
        """Let go of the directory; remove it if nothing waits in it."""
        with self._lock:
            if self._held is None:
                return
            empty = not any(self._spools.values())
            for spool in self._spools.values():
                spool.close()
            if empty:
                # Before the lock goes: nobody else may begin to take over what vanishes.
                shutil.rmtree(self.directory, ignore_errors=True)
            os.close(self._held)
            self._held = None

    def forget(self) -> None:
        """Let go of the parent's directory in a forked child."""
        if self._held is not None:
            with contextlib.suppress(OSError):
                os.close(self._held)  # the parent's lock stays: it has the same open file
            for spool in self._spools.values():
                spool.close()
            self._held = None
        self._lock = threading.Lock()

    def _make_room(self) -> None:
        while sum(spool.size for spool in self._spools.values()) > self._bound:
            kind = next((kind for kind in _DROPPED if self._spools[kind].drop_segment()), None)
            if kind is None:
                return
            if not self._said:
                self._said = True
                log.error(
                    "The journal in %s is full (SEMPRE_CLIENT_JOURNAL_SIZE_BYTES=%d) and the API is away: the oldest "
                    "%s are dropped from now on.", self.directory, self._bound, kind,
                )  # fmt: skip


def orphans(settings: ClientSettings) -> Iterator[Journal]:
    """The journals that dead processes left behind for this API, each claimed by the caller now."""
    root = _root(settings)
    for directory in sorted(root.iterdir()) if root.is_dir() else ():
        journal = Journal(directory, settings.client.journal_size_bytes)
        try:
            claimed = directory.is_dir() and journal.claim()
        except OSError:
            continue  # somebody else has just emptied it
        if not claimed:
            continue
        if any(journal.holds(kind) for kind in KINDS):
            yield journal
        else:
            journal.close()


def _root(settings: ClientSettings) -> Path:
    api = f"{settings.api.url or 'local'} {settings.api.auth_string or settings.api.key or ''}"
    return settings.home / "journal" / hashlib.sha256(api.encode()).hexdigest()[:16]
