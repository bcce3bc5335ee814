"""Kept results: caching, serializers, storages, locks and transactions."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sempre.sdk.caching import DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE, CachePolicy
from sempre.sdk.errors import ConfigurationError, HashError, MissingResult, SerializationError, StorageError
from sempre.sdk.flows import flow
from sempre.sdk.hashing import hash_objects
from sempre.sdk.locking import FileSystemLockManager, MemoryLockManager
from sempre.sdk.results.serializers import serializer_of
from sempre.sdk.results.storages import LocalStorage
from sempre.sdk.results.store import ResultStore, read_metadata
from sempre.sdk.states import State
from sempre.sdk.tasks import Task, task
from sempre.sdk.transactions import CommitMode, IsolationLevel, Transaction, get_transaction, transaction
from tests.unit.sdk.fakes import FakeWorld


def counted(**options: Any) -> tuple[Task[..., Any], list[Any]]:
    calls: list[Any] = []

    def work(x: Any = 0, verbose: bool = False) -> Any:
        calls.append(x)
        return [x]

    return Task(work, **options), calls


@pytest.mark.parametrize("policy", [INPUTS, INPUTS + TASK_SOURCE, INPUTS - "verbose", DEFAULT])
def test_a_kept_value_is_used_again(world: FakeWorld, policy: CachePolicy) -> None:
    work, calls = counted(cache_policy=policy)

    @flow
    def twice() -> Any:
        return work(1), work(1), work(2), work(1, return_state=True).name

    assert twice() == ([1], [1], [2], "Cached")
    assert calls == [1, 2]
    assert world.states()[-3:] == ["Pending", "Running", "Cached"]


def test_what_makes_calls_differ(world: FakeWorld) -> None:
    work, calls = counted(cache_policy=INPUTS - "verbose")
    work(1, verbose=True), work(1, verbose=False), work("1"), work(1.0), work(True)
    assert calls == [1, "1", 1.0, True]
    per_run, calls = counted(cache_policy=INPUTS + RUN_ID)

    @flow
    def once(n: int) -> Any:
        return per_run(5), per_run(5)

    once(1), once(2)
    assert calls == [5, 5]
    by_parameters, calls = counted(cache_policy=FLOW_PARAMETERS)

    @flow
    def parameters(n: int) -> Any:
        return by_parameters(n * 10)

    assert (parameters(1), parameters(1), parameters(2)) == ([10], [10], [20])
    assert calls == [10, 20]


def test_no_cache_without_persistence_and_with_other_ways_out(world: FakeWorld) -> None:
    for options in ({}, {"cache_policy": NO_CACHE}, {"persist_result": False}):
        work, calls = counted(**options)
        work(1), work(1)
        assert calls == [1, 1], options
    work, calls = counted(cache_key_fn=lambda context, arguments: f"key-{arguments['x']}")
    work(1), work(1)
    work.with_options(refresh_cache=True)(1)
    assert calls == [1, 1]
    expiring, calls = counted(cache_policy=INPUTS, cache_expiration=timedelta(seconds=-1))
    expiring(1), expiring(1)
    assert calls == [1, 1]
    named, calls = counted(result_storage_key="the-{parameters[x]}")
    named(7), named(7)
    assert calls == [7]
    assert ResultStore().read("the-7").result == [7]  # type: ignore[union-attr]


def test_a_task_can_be_sent_to_another_process(world: FakeWorld) -> None:
    import cloudpickle

    from sempre.sdk.task_transactions import policy_of

    work, _ = counted(persist_result=True)
    work(1)
    assert policy_of(cloudpickle.loads(cloudpickle.dumps(work))) == DEFAULT


def test_a_flow_that_keeps_results_keeps_those_of_tasks_too(world: FakeWorld) -> None:
    inherits, calls = counted()
    uncached, others = counted(cache_policy=NO_CACHE)

    @flow(persist_result=True)
    def keeps() -> list[bool]:
        states = [each(1, return_state=True) for each in (inherits, inherits, uncached, uncached)]
        return [state.data.metadata is not None for state in states]

    assert keeps() == [True] * 4
    assert (calls, others) == ([1], [1, 1])


def test_what_cannot_be_hashed_is_not_cached(world: FakeWorld) -> None:
    work, calls = counted(cache_policy=INPUTS)
    lock = threading.Lock()
    with pytest.raises(HashError, match="cache_policy"):
        hash_objects(lock)
    with pytest.raises(Exception, match="cannot be"):  # the lock is the result, which cannot be written either
        work(lock)
    assert len(calls) == 1


def test_policies_add_up() -> None:
    assert NO_CACHE + INPUTS == INPUTS
    configured = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=MemoryLockManager())
    assert (configured + TASK_SOURCE).isolation_level is IsolationLevel.SERIALIZABLE
    with pytest.raises(ValueError, match="cannot be added"):
        INPUTS.configure(key_storage="/a") + INPUTS.configure(key_storage="/b")


def test_flows_keep_results_for_those_who_read_states_elsewhere(world: FakeWorld) -> None:
    @flow(persist_result=True, result_serializer="compressed/json")
    def kept() -> Any:
        return {"a": [1]}

    state: State[Any] = kept(return_state=True)
    metadata = state.data.metadata.to_json()
    assert read_metadata(metadata).result == {"a": [1]}
    assert State("COMPLETED", data=metadata).result() == {"a": [1]}
    with pytest.raises(MissingResult):
        read_metadata({**metadata, "storage_key": "gone"})

    @flow
    def fails() -> None:
        raise KeyError("kept too")

    failed: State[None] = fails(return_state=True)
    with pytest.raises(KeyError):
        State("FAILED", data=failed.data.metadata.to_json()).result()


def test_a_value_that_cannot_be_written_fails_the_run(world: FakeWorld) -> None:
    state = Task(lambda: threading.Lock(), persist_result=True)(return_state=True)
    assert state.is_failed()
    assert "could not be kept" in (state.message or "")
    assert isinstance(state.result(raise_on_failure=False), SerializationError)


@dataclass
class Point:
    x: int


@pytest.mark.parametrize("name", ["pickle", "json", "compressed/pickle", "compressed/json"])
def test_serializers(name: str) -> None:
    serializer = serializer_of(name)
    again = serializer_of(serializer.to_json())
    for value in ({"a": [1, None, "é"]}, Point(3), [Point(1), {"deep": Point(2)}]):
        assert again.loads(serializer.dumps(value)) == value
    error = again.loads(serializer.dumps(ValueError("boom", 2)))
    assert isinstance(error, ValueError)
    assert error.args == ("boom", 2)
    with pytest.raises(SerializationError):
        again.loads(b"\xff nonsense")


def test_local_storage_writes_all_or_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/b", b"1")
    storage.write("a/b", b"2")
    assert storage.read("a/b") == b"2"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    with pytest.raises(ValueError, match="leads out"):
        storage.write("../c", b"")
    storage.delete("a/b")
    storage.delete("a/b")
    assert not storage.exists("a/b")
    with pytest.raises(FileNotFoundError):
        storage.read("a/b")


def test_what_is_cut_off_counts_as_missing(world: FakeWorld, tmp_path: Path) -> None:
    work, calls = counted(cache_key_fn=lambda c, a: "k", result_storage=str(tmp_path))
    work(1)
    (tmp_path / "k").write_bytes(b"{broken")
    work(1)
    work(1)
    assert calls == [1, 1]


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_locks(kind: str, tmp_path: Path) -> None:
    locks = MemoryLockManager() if kind == "memory" else FileSystemLockManager(tmp_path)
    other = locks if kind == "memory" else FileSystemLockManager(tmp_path)
    assert locks.acquire_lock("k", "me")
    assert locks.acquire_lock("k", "me")
    assert not other.acquire_lock("k", "you", acquire_timeout=0.02)
    assert other.is_locked("k")
    with pytest.raises(ValueError, match="does not hold"):
        other.release_lock("k", "you")
    locks.release_lock("k", "me")
    assert other.acquire_lock("k", "you", acquire_timeout=1)
    other.release_lock("k", "you")
    assert not locks.is_locked("k")


def test_serializable_calls_run_one_after_the_other(world: FakeWorld) -> None:
    policy = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=MemoryLockManager())
    calls: list[int] = []
    gate = threading.Event()

    @task(cache_policy=policy)
    def slow(x: int) -> int:
        calls.append(x)
        gate.wait(0.2)
        return x

    @flow
    def both() -> list[str]:
        return sorted(state.name for state in slow.map([1, 1], return_state=True))

    assert both() == ["Cached", "Completed"]
    assert calls == [1]
    serializable = transaction("k", isolation_level=IsolationLevel.SERIALIZABLE)
    with pytest.raises(ConfigurationError, match="lock_manager"), serializable:
        pass


def test_a_transaction_undoes_what_was_done_inside(world: FakeWorld) -> None:
    undone: list[str] = []
    done: list[str] = []

    @task(on_rollback=[lambda txn: undone.append(txn.get("name"))], on_commit=[lambda txn: done.append("commit")])
    def write(name: str) -> str:
        txn = get_transaction()
        assert txn is not None
        txn.set("name", name)
        return name

    @flow
    def broken() -> None:
        with transaction():
            write("a")
            write("b")
            raise ValueError("roll it back")

    with pytest.raises(ValueError, match="roll it back"):
        broken()
    assert undone == ["b", "a"]
    assert done == []
    assert world.states().count("RolledBack") == 2

    @flow
    def fine() -> None:
        with transaction() as txn:
            write("c")
            assert done == []
            assert txn.get("missing", None) is None

    fine()
    assert done == ["commit"]
    assert undone == ["b", "a"]


def test_hooks_look_in_the_transactions_that_were_around_their_call(world: FakeWorld) -> None:
    """Also once the inner one is over, which is when they are called: else the outer file would be removed twice."""
    seen: list[str] = []

    @task(
        on_rollback=[lambda txn: seen.append(f"remove {txn.get('file')}")],
        on_commit=[lambda txn: seen.append(f"keep {txn.get('file')}")],
    )
    def write() -> None:
        return None

    @flow
    def nested(good: bool) -> None:
        with transaction() as outer:
            outer.set("file", "outer")
            write()
            with transaction() as inner:
                inner.set("file", "inner")
                write()
            assert seen == []
            if not good:
                raise ValueError("not good")

    nested(True)
    assert seen == ["keep outer", "keep inner"]
    seen.clear()
    with pytest.raises(ValueError, match="not good"):
        nested(False)
    assert seen == ["remove inner", "remove outer"]


def test_values_are_kept_when_the_outermost_transaction_ends(world: FakeWorld) -> None:
    work, calls = counted(cache_policy=INPUTS)

    @flow
    def fails() -> None:
        with transaction():
            work(1)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    work(1)
    assert calls == [1, 1]
    with transaction(commit_mode=CommitMode.OFF):
        work(2)
    with transaction():
        work(3)
    work(2), work(3)
    assert calls == [1, 1, 2, 3, 2]


def test_a_transaction_with_a_key(world: FakeWorld) -> None:
    with transaction("key") as txn:
        assert not txn.is_committed()
        txn.stage({"a": 1})
    with transaction("key") as txn:
        assert txn.is_committed()
        assert txn.read().result == {"a": 1}  # type: ignore[union-attr]
    with transaction("key", overwrite=True) as txn:
        assert not txn.is_committed()


def test_a_commit_that_fails_undoes_everything(world: FakeWorld) -> None:
    undone: list[int] = []

    def write() -> None:
        with transaction():
            with transaction("good") as good:
                good.stage(1, [lambda txn: undone.append(1)])
            with transaction("bad") as bad:
                bad.stage(threading.Lock(), [lambda txn: undone.append(2)])

    with pytest.raises(SerializationError):
        write()
    assert undone == [2]
    assert isinstance(Transaction().commit_mode, CommitMode)


class Away(LocalStorage):
    """Does not answer the first times that it is asked."""

    left = 0

    def read(self, key: str) -> bytes:
        if self.left:
            self.left -= 1
            raise StorageError("away")
        return super().read(key)


def test_a_kept_value_that_cannot_be_looked_for(world: FakeWorld, tmp_path: Path) -> None:
    storage = Away(tmp_path)
    policy = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=MemoryLockManager())
    work, calls = counted(cache_policy=policy, result_storage=storage, retries=1)
    storage.left = 2
    state = work(1, return_state=True)
    assert (state.name, calls, storage.left) == ("Failed", [], 0)
    assert "away" in str(state.message)
    storage.left = 1
    assert work(1) == [1], "the retry looks again, and has the lock"
    assert work(1, return_state=True).name == "Cached"
    assert calls == [1]
