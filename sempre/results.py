"""Values of runs, and the stores they are kept in."""

from sempre.sdk.results.record import ResultMetadata, ResultRecord
from sempre.sdk.results.storages import FsspecStorage, LocalStorage
from sempre.sdk.results.store import ResultStore, get_result_store

__all__ = ["FsspecStorage", "LocalStorage", "ResultMetadata", "ResultRecord", "ResultStore", "get_result_store"]
