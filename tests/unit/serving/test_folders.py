"""What is noted about claims: whole or not at all, through the gate once, and taken over from the dead only."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from uuid import uuid4

from sempre.sdk.serving.claim_folder import Claim, ClaimFolder, ProcessNote, identity_of
from sempre.sdk.serving.player_folder import PlayerFolder


def _me() -> ProcessNote:
    return ProcessNote(pid=os.getpid(), identity=identity_of(os.getpid()))


def test_one_of_many_passes_the_gate(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path / "claim")
    folder.note(Claim.of(uuid4()))
    start, passed = threading.Barrier(8), []

    def enter(number: int) -> None:
        start.wait()
        if folder.enter(_me()) if number % 2 else folder.shut():
            passed.append(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    note = folder.process()
    assert note is not None
    if note.pid is None:
        assert all(number % 2 == 0 for number in passed), "shut: whoever shuts it again finds it shut"
    else:
        assert len(passed) == 1, "one process, and nobody may give the claim up"


def test_a_process_that_comes_late_stands_back(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path / "claim")
    folder.note(Claim.of(uuid4()))
    assert folder.shut()
    assert not folder.enter(_me())
    folder.remove()
    assert not folder.enter(_me()), "the claim is over"
    assert folder.shut()


def test_a_started_claim_cannot_be_given_up(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path / "claim")
    folder.note(Claim.of(uuid4()))
    assert folder.enter(_me())
    assert not folder.shut()
    note = folder.process()
    assert note is not None
    assert note.lives()
    assert not ProcessNote(pid=note.pid, identity="another").lives(), "the number was given to another process"
    assert not ProcessNote(pid=note.pid).lives()


def test_ends_are_noted_and_survive(tmp_path: Path) -> None:
    folder = ClaimFolder(tmp_path / "claim")
    claim = Claim.of(uuid4(), "me").started("here:1")
    folder.note(claim)
    assert folder.claim() == claim
    assert folder.exit_code() is None
    folder.note_exit(-9)
    assert folder.exit_code() == -9
    folder.remove()
    folder.note_exit(0)
    assert not folder.path.exists(), "a late parent brings nothing back"


def test_only_the_dead_are_inherited(tmp_path: Path) -> None:
    root = PlayerFolder.root_of(tmp_path, "workers", "a pool/with a slash", "name")
    assert root.parent.parent == tmp_path / "workers"
    first, second = PlayerFolder(root, "first"), PlayerFolder(root, "second")
    first.open()
    claim = Claim.of(uuid4(), "first")
    first.new(claim)
    second.open()
    assert second.inherited() == []
    assert PlayerFolder.is_taken(root)
    first.close()  # as the system does for those that die; the claim is left
    assert [(found, notes.claim()) for found, notes in second.inherited()] == [(claim, claim)]
    third = PlayerFolder(root, "third")
    third.open()
    assert third.inherited() == [], "they belong to the second now"
    third.close()
    second.close()
    assert not PlayerFolder.is_taken(root)
    assert [path.name for path in root.iterdir()] == ["first"], "what is empty goes"
