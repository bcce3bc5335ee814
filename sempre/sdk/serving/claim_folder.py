"""What is noted on disk about one claimed run, so that whoever comes after a crash knows what to do about it.

`claim.json` is written by who claims the run, before it does. `process.json` is the gate: it is made exactly once,
either by the run's process before it executes anything, or by who gives the claim up, and whoever comes second
stands back. `exit.json` is written by the process's parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

__all__ = ["Claim", "ClaimFolder", "ProcessNote", "identity_of"]

_CLAIM, _GATE, _EXIT = "claim.json", "process.json", "exit.json"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of a run: the transition ids of its PENDING and Submitting states, whose it is, and how to find what was
    started for it."""

    flow_run_id: str
    claim_id: str
    submitting_id: str
    claimant_id: str | None = None
    identifier: str | None = None

    @classmethod
    def of(cls, flow_run_id: UUID, claimant_id: str | None = None) -> Claim:
        """A new one."""
        return cls(
            flow_run_id=str(flow_run_id), claim_id=str(uuid4()), submitting_id=str(uuid4()), claimant_id=claimant_id
        )

    def started(self, identifier: str) -> Claim:
        """The same claim, for which something was started."""
        return replace(self, identifier=identifier)

    @property
    def state_ids(self) -> tuple[str, str]:
        """Transition ids by which the states of this claim are known."""
        return self.claim_id, self.submitting_id


@dataclass(frozen=True, kw_only=True)
class ProcessNote:
    """The process behind the gate; `pid` None: there is none, and never will be. `identity` tells it apart from a later
    one with the same number; `parent` writes its exit code, as long as it lives."""

    pid: int | None = None
    identity: str | None = None
    parent_pid: int | None = None
    parent_identity: str | None = None

    def lives(self) -> bool:
        return _is_still(self.pid, self.identity)

    def parent_lives(self) -> bool:
        return _is_still(self.parent_pid, self.parent_identity)


def _is_still(pid: int | None, identity: str | None) -> bool:
    return pid is not None and identity is not None and identity_of(pid) == identity


class ClaimFolder:
    """The notes of one claim. Every write is whole or not there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # --- the claim -------------------------------------------------------------------------------------

    def note(self, claim: Claim) -> None:
        """Write the claim down, or again with what is known of it by now."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write(_CLAIM, asdict(claim))

    def claim(self) -> Claim | None:
        found = self._read(_CLAIM)
        return Claim(**found) if found else None

    def remove(self) -> None:
        """The end of the claim was reported, or it never was one."""
        shutil.rmtree(self.path, ignore_errors=True)

    # --- the gate --------------------------------------------------------------------------------------

    def enter(self, note: ProcessNote) -> bool:
        """Make the gate's note; False if somebody has passed or shut it, or the claim is over."""
        draft = self.path / f".{uuid4().hex}"
        try:
            draft.write_text(json.dumps(asdict(note)))
            os.link(draft, self.path / _GATE)
        except (FileExistsError, FileNotFoundError):
            return False
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return True

    def shut(self) -> bool:
        """Have no process begin for this claim any more; False if one has."""
        if self.enter(ProcessNote()):
            return True
        note = self.process()
        return note is None or note.pid is None

    def process(self) -> ProcessNote | None:
        found = self._read(_GATE)
        return ProcessNote(**found) if found else None

    # --- the end ---------------------------------------------------------------------------------------

    def note_exit(self, code: int) -> None:
        if self.path.is_dir():
            with contextlib.suppress(FileNotFoundError):
                self._write(_EXIT, {"code": code})

    def exit_code(self) -> int | None:
        found = self._read(_EXIT)
        return None if not found else int(found["code"])

    # --- files -----------------------------------------------------------------------------------------

    def _write(self, name: str, content: dict[str, Any]) -> None:
        draft = self.path / f".{uuid4().hex}"
        draft.write_text(json.dumps(content))
        draft.replace(self.path / name)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def identity_of(pid: int) -> str | None:
    """What tells a process apart from an earlier or later one with its number: when it started. None if it does not run
    (one that has ended and was not collected yet does not either)."""
    try:
        # The command's name is in parentheses and may contain anything; what follows it has no blanks inside.
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _without_proc(pid)
    state, started = after[0], after[19]
    return None if state in "ZX" else started


def _without_proc(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"
