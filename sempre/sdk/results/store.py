"""A store: a storage, a serializer and, where calls exclude each other, locks."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sempre.sdk.errors import ConfigurationError, MissingResult, SerializationError
from sempre.sdk.locking import LockManager
from sempre.sdk.results.block_storage import storage_of_block
from sempre.sdk.results.record import ResultMetadata, ResultRecord
from sempre.sdk.results.serializers import Serializer, serializer_of
from sempre.sdk.results.storages import LocalStorage, Storage, storage_of
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.filesystems import FileSystem

__all__ = ["ResultStore", "default_storage", "default_store", "get_result_store", "read_metadata"]


class ResultStore:
    """Writes and finds results by key.

    A result is one JSON document, the protocol's own: `metadata`, and `result` as the serializer's text. So it is
    there whole or not at all, and clients of either kind read those of the other.
    """

    def __init__(
        self,
        result_storage: Storage | FileSystem | str | None = None,
        serializer: Serializer | str | None = None,
        lock_manager: LockManager | None = None,
    ) -> None:
        self.storage = default_storage() if result_storage is None else storage_of(result_storage)
        chosen = get_current_settings().results.default_serializer if serializer is None else serializer
        self.serializer = serializer_of(chosen)
        self.lock_manager = lock_manager

    def with_options(
        self,
        result_storage: Storage | FileSystem | str | None = None,
        serializer: Serializer | str | None = None,
        lock_manager: LockManager | None = None,
    ) -> ResultStore:
        """The same store with another storage, serializer or locks."""
        if result_storage is None and serializer is None and lock_manager is None:
            return self
        return ResultStore(
            self.storage if result_storage is None else result_storage,
            self.serializer if serializer is None else serializer,
            self.lock_manager if lock_manager is None else lock_manager,
        )

    def record(self, value: Any, key: str | None = None, expiration: datetime | None = None) -> ResultRecord:
        """A value with the place where :meth:`write` will put it; a fresh key by default."""
        return ResultRecord(
            value,
            ResultMetadata(
                self._address(key or uuid4().hex),
                self.serializer.to_json(),
                expiration,
                self.storage.to_json(),
                getattr(self.storage, "block_id", None),
            ),
        )

    def _address(self, key: str) -> str:
        """Others than us may look for a file, and know its whole path only."""
        if not isinstance(self.storage, LocalStorage):
            return key
        try:
            return str(self.storage.path(key))
        except ValueError:
            return key  # writing it will say what is wrong with it

    def write(self, record: ResultRecord) -> None:
        """Raises SerializationError, or what the storage raises."""
        metadata = record.metadata
        if metadata is None:
            raise ConfigurationError("This result has no place: make its record with ResultStore.record().")
        written = self._serializer_of(metadata).dumps(record.result)
        try:
            text = written.decode()
        except UnicodeDecodeError:
            raise SerializationError(
                f"The serializer {metadata.serializer.get('type')!r} gave bytes that are no text: results are kept in "
                "a JSON document. Have it encode them, with base64 for instance."
            ) from None
        document = {"metadata": metadata.to_json(), "result": text}
        self.storage.write(metadata.storage_key, json.dumps(document, separators=(",", ":")).encode())

    def read(self, key: str) -> ResultRecord | None:
        """What is kept under the key and has not expired. Raises SerializationError for what is no result."""
        try:
            content = self.storage.read(key)
        except FileNotFoundError:
            return None
        try:
            document = json.loads(content)
            metadata, text = ResultMetadata.from_json(document["metadata"]), document["result"]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise SerializationError(f"What is kept under {key!r} is no result, or cut off: {error}") from None
        if metadata.is_expired():
            return None
        return ResultRecord(self._serializer_of(metadata).loads(str(text).encode()), metadata)

    def _serializer_of(self, metadata: ResultMetadata) -> Serializer:
        mine = self.serializer
        return mine if mine.type == metadata.serializer.get("type") else serializer_of(metadata.serializer)

    def exists(self, key: str) -> bool:
        return self.storage.exists(key)

    def delete(self, key: str) -> None:
        self.storage.delete(key)

    def locks(self) -> LockManager:
        """Raises ConfigurationError if the store has none."""
        if self.lock_manager is None:
            raise ConfigurationError(
                "Calls with the same key can exclude each other only if there are locks: give a lock_manager to the "
                "store or the cache policy, MemoryLockManager() for threads, FileSystemLockManager(...) for processes."
            )
        return self.lock_manager


def default_storage() -> Storage:
    """The block that the settings name, or else the directory."""
    settings = get_current_settings()
    block = settings.results.default_storage_block
    return storage_of_block(block) if block else LocalStorage(settings.storage_path)


def default_store() -> ResultStore:
    return ResultStore()


def get_result_store() -> ResultStore:
    """The store of the run around the caller, or the default one."""
    from sempre.sdk.context import FlowRunContext, TaskRunContext

    context = TaskRunContext.get() or FlowRunContext.get()
    return default_store() if context is None else context.result_store


def read_metadata(stored: dict[str, Any]) -> ResultRecord:
    """The value whose place a state read from the API names. Raises MissingResult if it is not there (any more)."""
    metadata = ResultMetadata.from_json(stored)
    if metadata.storage is not None:
        storage = storage_of(metadata.storage)
    elif metadata.storage_block_id is not None:
        storage = storage_of_block(UUID(metadata.storage_block_id))
    else:
        storage = default_storage()
    found = ResultStore(storage, serializer_of(metadata.serializer)).read(metadata.storage_key)
    if found is None:
        raise MissingResult(
            f"There is no result under {metadata.storage_key!r} in {storage!r}: it expired, was deleted, or is on "
            "another machine."
        )
    return found
