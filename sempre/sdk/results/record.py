"""A value with what is known of the place where it is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sempre.sdk.ids import now

__all__ = ["ResultMetadata", "ResultRecord"]


class ResultMetadata:
    """Where a value is kept and how to read it; its JSON is the ``data`` of a state on the wire.

    ``serializer`` is the JSON of the serializer, ``storage`` that of the storage (None: the default one of whoever
    reads), ``storage_block_id`` the block that the storage was configured by.
    """

    __slots__ = ("expiration", "serializer", "storage", "storage_block_id", "storage_key")

    def __init__(
        self,
        storage_key: str,
        serializer: dict[str, Any],
        expiration: datetime | None = None,
        storage: dict[str, Any] | None = None,
        storage_block_id: str | None = None,
    ) -> None:
        self.storage_key = storage_key
        self.serializer = serializer
        self.expiration = expiration
        self.storage = storage
        self.storage_block_id = storage_block_id

    def to_json(self) -> dict[str, Any]:
        return {
            "storage_key": self.storage_key,
            "expiration": None if self.expiration is None else self.expiration.isoformat().replace("+00:00", "Z"),
            "serializer": self.serializer,
            "storage": self.storage,
            "storage_block_id": self.storage_block_id,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ResultMetadata:
        """Raises ValueError if it names no place."""
        key = stored.get("storage_key")
        if not isinstance(key, str):
            raise ValueError("the metadata of a result has no storage_key")
        until = stored.get("expiration")
        return cls(
            key,
            stored.get("serializer") or {"type": "pickle"},
            datetime.fromisoformat(until) if isinstance(until, str) else until,
            stored.get("storage"),
            stored.get("storage_block_id"),
        )

    def is_expired(self) -> bool:
        return self.expiration is not None and self.expiration <= now()


class ResultRecord:
    """A value in memory, and its place if it was, or is to be, persisted."""

    __slots__ = ("metadata", "result")

    def __init__(self, result: Any, metadata: ResultMetadata | None = None) -> None:
        self.result = result
        self.metadata = metadata

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultRecord) and bool(self.result == other.result)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ResultRecord({self.result!r})"
