"""The notes of one worker or runner: a directory of its own, locked while it lives, with a folder for each claim.

The directories of dead ones of the same name are taken over, claims and all, by the next that starts.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sempre.sdk.serving.claim_folder import Claim, ClaimFolder

__all__ = ["PlayerFolder"]


class PlayerFolder:
    """`root`/`id`, and what dead ones left beside it under the same root."""

    def __init__(self, root: Path, id: str) -> None:
        self.path = root / id
        self._root = root
        self._locks: dict[Path, int] = {}

    @staticmethod
    def root_of(home: Path, *parts: str) -> Path:
        """Where those of one kind, pool and name have theirs."""
        return home.joinpath(*(re.sub(r"[^\w.-]|^\.", lambda match: f"%{ord(match[0]):x}", part) for part in parts))

    @staticmethod
    def is_taken(root: Path) -> bool:
        """Whether somebody alive has a directory under this root."""
        for directory in _directories(root):
            lock = _lock(directory)
            if lock is None:
                return True
            os.close(lock)
        return False

    def open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = _lock(self.path)
        assert lock is not None, "its name is its own"
        self._locks[self.path] = lock

    def close(self) -> None:
        """Let go; directories without claims go."""
        for directory, lock in self._locks.items():
            if not any(_claims(directory)):
                shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)
        self._locks.clear()

    def new(self, claim: Claim) -> ClaimFolder:
        """The folder of a claim that is about to be made, with its note."""
        folder = ClaimFolder(self.path / claim.claim_id)
        folder.note(claim)
        return folder

    def inherited(self) -> list[tuple[Claim, ClaimFolder]]:
        """The claims of dead ones of this name; from now on they are ours."""
        found: list[tuple[Claim, ClaimFolder]] = []
        for directory in _directories(self._root):
            if directory in self._locks:
                continue
            lock = _lock(directory)
            if lock is None:
                continue
            self._locks[directory] = lock
            for folder in _claims(directory):
                claim = folder.claim()
                if claim is not None:
                    found.append((claim, folder))
        return found


def _directories(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _claims(directory: Path) -> Iterator[ClaimFolder]:
    for path in _directories(directory):
        yield ClaimFolder(path)


def _lock(directory: Path) -> int | None:
    """The open lock of a directory; None if somebody alive has it, or has just removed it."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
