"""The queue on disk: order, cursors, torn records, bounds, and who takes over from whom."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.client import spool as spools
from sempre.client.journal import Journal, orphans
from sempre.client.spool import Spool
from sempre.settings import ClientSettings
from sempre.settings.client import TransportSettings


def drain(spool: Spool) -> list[bytes]:
    found = []
    while batch := spool.peek(3, 1 << 20):
        found += batch
        spool.drop(len(batch))
    return found


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.one_of(st.binary(max_size=60), st.integers(1, 4), st.just("reopen"))))
def test_behaves_as_a_queue_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | int | str]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "_SEGMENT_BYTES", 100)
        spool, model = Spool(directory, "events"), deque[bytes]()
        for step in steps:
            if isinstance(step, bytes):
                spool.append([step])
                model.append(step)
            elif isinstance(step, int):
                taken = spool.peek(step, 1000)
                assert taken == list(model)[: len(taken)]
                assert bool(taken) == bool(model)
                spool.drop(len(taken))
                for _ in taken:
                    model.popleft()
            else:
                spool.close()
                spool = Spool(directory, "events")
        assert drain(spool) == list(model)
        assert spool.size == 0
        spool.close()


def test_a_record_cut_short_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "logs")
    spool.append([b"one", b"two"])
    spool.close()
    (segment,) = tmp_path.glob("logs.0*")
    segment.write_bytes(segment.read_bytes()[:-1])
    again = Spool(tmp_path, "logs")
    again.append([b"three"])
    assert drain(again) == [b"one", b"three"]


def a_settings(home: Path, bound: int = 1 << 20) -> ClientSettings:
    return ClientSettings(home=home, client=TransportSettings(journal_size_bytes=bound))


def test_a_journal_is_its_process_s_until_that_is_dead(tmp_path: Path) -> None:
    settings = a_settings(tmp_path)
    living = Journal.of_process(settings)
    living.append("events", [b"a", b"b"])
    assert list(orphans(settings)) == []
    living.forget()  # as if the process had ended: its lock is gone, its files are not
    (orphan,) = orphans(settings)
    assert list(orphans(settings)) == []
    assert orphan.peek("events", 10, 1000) == [b"a", b"b"]
    orphan.drop("events", 2)
    orphan.close()
    assert not orphan.directory.exists()


def test_the_oldest_logs_go_first_and_calls_never(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "_SEGMENT_BYTES", 50)
        journal = Journal.of_process(a_settings(tmp_path, bound=400))
        journal.append("calls", [b"c" * 40])
        for number in range(20):
            journal.append("logs", [b"%02d" % number + b"l" * 40])
            journal.append("events", [b"%02d" % number + b"e" * 20])
    assert journal.peek("calls", 10, 1000) == [b"c" * 40]
    logs = [line[:2] for line in journal.peek("logs", 100, 1 << 20)]
    assert b"00" not in logs
    events = journal.peek("events", 1, 1000)
    assert events
    assert len([record for record in caplog.records if "is full" in record.getMessage()]) == 1
    journal.close()
