"""Transactions: what was done inside is kept together, or undone together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sempre.sdk.errors import SerializationError
from sempre.sdk.results.record import ResultRecord
from sempre.sdk.results.store import ResultStore, get_result_store

__all__ = [
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]

Hook = Callable[["Transaction"], Any]


class IsolationLevel(StrEnum):
    """READ_COMMITTED: two with the same key may both run, the last value stays. SERIALIZABLE: one at a time."""

    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"


class CommitMode(StrEnum):
    """EAGER: at its own end. LAZY: with the outermost one around it. OFF: only by `commit()`."""

    EAGER = "EAGER"
    LAZY = "LAZY"
    OFF = "OFF"


class TransactionState(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


_current: ContextVar[Transaction | None] = ContextVar("sempre_transaction", default=None)
_ABSENT: Any = object()


class Transaction:
    """See :func:`transaction`. All methods may be called from any thread, but from one at a time."""

    def __init__(
        self,
        key: str | None = None,
        store: ResultStore | None = None,
        commit_mode: CommitMode | None = None,
        isolation_level: IsolationLevel | None = None,
        overwrite: bool = False,
        write_on_commit: bool = True,
        logger: Any = None,
        expiration: Callable[[], datetime | None] | None = None,
    ) -> None:
        self.parent: Transaction | None = _current.get()
        self.key = key
        self.store = store
        inherited = CommitMode.LAZY if self.parent is None else self.parent.commit_mode
        self.commit_mode: CommitMode = commit_mode or inherited
        level = IsolationLevel.READ_COMMITTED if self.parent is None else self.parent.isolation_level
        self.isolation_level: IsolationLevel = isolation_level or level
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self.logger = logger or logging.getLogger("sempre.transactions")
        self.state = TransactionState.PENDING
        self.children: list[Transaction] = []
        self.on_commit_hooks: list[Hook] = []
        self.on_rollback_hooks: list[Hook] = []
        self._values: dict[str, Any] = {}
        self._record: ResultRecord | None = None
        self._expiration = expiration
        self._holder = uuid4().hex
        self._locked = False
        self._told: list[Callable[[Any], None]] = []

    # What hooks and code inside share

    def set(self, name: str, value: Any) -> None:
        """Keep a value for the hooks of this transaction and of those inside of it."""
        self._values[name] = value

    def get(self, name: str, default: Any = _ABSENT) -> Any:
        """A copy of a value that was set here or further out. Raises ValueError without one and a default."""
        from copy import deepcopy

        at: Transaction | None = self
        while at is not None:
            if name in at._values:
                return deepcopy(at._values[name])
            at = at.parent
        if default is _ABSENT:
            raise ValueError(f"No value was set for {name!r} in this transaction")
        return default

    def get_parent(self) -> Transaction | None:
        return self.parent

    def is_committed(self) -> bool:
        """The key has a value already, so there is nothing to do."""
        return self.state is TransactionState.COMMITTED

    def is_staged(self) -> bool:
        return self.state is TransactionState.STAGED

    def is_rolled_back(self) -> bool:
        return self.state is TransactionState.ROLLED_BACK

    def read(self) -> ResultRecord | None:
        """What is kept under the key, if anything."""
        return self.store.read(self.key) if self.store is not None and self.key is not None else None

    # Its course

    def begin(self) -> ResultRecord | None:
        """Take the key's lock if calls exclude each other, and look whether it has a value: that is returned.

        It can be called again if it raised, which it does if the lock is not to be had, or the store does not answer.
        """
        if self.state is not TransactionState.PENDING:
            return None
        self.state = TransactionState.ACTIVE
        if self.key is None or self.store is None:
            return None
        try:
            if self.isolation_level is IsolationLevel.SERIALIZABLE:
                self._locked = self.store.locks().acquire_lock(self.key, self._holder)
            known = None if self.overwrite else self._known()
        except BaseException:
            self._unlock()
            self.state = TransactionState.PENDING
            raise
        if known is not None:
            self._record = known
            self.state = TransactionState.COMMITTED
            self._unlock()
        return known

    def _known(self) -> ResultRecord | None:
        try:
            return self.read()
        except SerializationError as error:
            self.logger.warning(f"The kept result is not used, and will be replaced: {error}")
            return None

    def record(self, value: Any) -> ResultRecord:
        """A value with the place where the commit will put it; without a place if it is kept in memory only."""
        if self.store is None:
            return ResultRecord(value)
        return self.store.record(value, self.key, None if self._expiration is None else self._expiration())

    def stage(self, value: Any, on_rollback_hooks: Iterable[Hook] = (), on_commit_hooks: Iterable[Hook] = ()) -> None:
        """Say which value is to be kept, and what is to be called when it is, or when it is undone."""
        self.on_rollback_hooks.extend(on_rollback_hooks)
        self.on_commit_hooks.extend(on_commit_hooks)
        if self.state is not TransactionState.COMMITTED:
            self._record = value if isinstance(value, ResultRecord) else self.record(value)
            self.state = TransactionState.STAGED

    def on_rolled_back(self, tell: Callable[[Any], None]) -> None:
        """For the engine: call ``tell(emit)`` once it was undone."""
        self._told.append(tell)

    def close(self, error: BaseException | None = None) -> None:
        """The end of the block: commit, hand over to the transaction around it, or undo because of ``error``."""
        if error is not None:
            self.rollback()
            if self.parent is not None:  # also if the error is caught there: what belongs together is undone together
                self.parent.rollback()
        elif self.state is TransactionState.ROLLED_BACK:
            return
        elif self.commit_mode is CommitMode.OFF and self.state is not TransactionState.COMMITTED:
            self.rollback()
        elif self.commit_mode is CommitMode.LAZY and self.parent is not None:
            if self.state is not TransactionState.COMMITTED:
                self.state = TransactionState.STAGED
            self.parent.children.append(self)
        else:
            self.commit()

    def commit(self) -> bool:
        """Keep the values of this transaction and of those inside of it, innermost first, and call their hooks.

        If that fails, everything that was not committed is undone, and the error raised.
        """
        if self.state is TransactionState.ROLLED_BACK:
            return False
        try:
            for child in self.children:
                child.commit()
            if self.state is not TransactionState.COMMITTED:
                self._write()
                self.state = TransactionState.COMMITTED
                self._call(self.on_commit_hooks)
        except Exception:
            self.rollback()
            raise
        finally:
            self._unlock()
        return True

    def rollback(self) -> bool:
        """Undo: call the rollback hooks of this transaction and of those inside of it, latest first."""
        if self.state in (TransactionState.ROLLED_BACK, TransactionState.COMMITTED):
            return False
        from sempre.sdk.engine.world import current_world

        self.state = TransactionState.ROLLED_BACK
        try:
            self._call(list(reversed(self.on_rollback_hooks)))
            for child in reversed(self.children):
                child.rollback()
        finally:
            self._unlock()
            for tell in self._told:
                tell(current_world().emit)
        return True

    @contextlib.contextmanager
    def current(self) -> Iterator[Transaction]:
        """The innermost transaction for the code inside; for that code only."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def _write(self) -> None:
        record, store = self._record, self.store
        if self.write_on_commit and store is not None and record is not None and record.metadata is not None:
            store.write(record)

    def _call(self, hooks: Iterable[Hook]) -> None:
        from sempre.sdk.engine.drivers import run_hook

        for hook in hooks:
            run_hook(hook, (self,), self.logger)

    def _unlock(self) -> None:
        if self._locked and self.store is not None and self.key is not None:
            self._locked = False
            self.store.locks().release_lock(self.key, self._holder)


def get_transaction() -> Transaction | None:
    """The innermost transaction around the caller."""
    return _current.get()


@contextlib.contextmanager
def transaction(
    key: str | None = None,
    store: ResultStore | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> Iterator[Transaction]:
    """Tasks called inside keep their results and call their commit hooks at the end, or call their rollback hooks if an
    exception leaves the block.

    With a ``key`` the value that is staged is kept under it in the ``store``; `txn.is_committed()` says whether it was
    there before, unless ``overwrite``.
    """
    txn = Transaction(
        key,
        get_result_store() if store is None and key is not None else store,
        commit_mode,
        isolation_level,
        overwrite,
        write_on_commit,
        logger,
    )
    txn.begin()
    try:
        with txn.current():
            yield txn
    except BaseException as error:
        txn.close(error)
        raise
    txn.close()


@contextlib.asynccontextmanager
async def atransaction(
    key: str | None = None, store: ResultStore | None = None, **options: Any
) -> AsyncIterator[Transaction]:
    """As :func:`transaction`; files and locks do not block the loop."""
    import asyncio

    found = get_result_store() if store is None and key is not None else store
    txn = Transaction(key, found, **options)
    await asyncio.to_thread(txn.begin)
    try:
        with txn.current():
            yield txn
    except BaseException as error:
        await asyncio.to_thread(txn.close, error)
        raise
    await asyncio.to_thread(txn.close)
