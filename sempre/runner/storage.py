"""Where the code of a deployment lies."""

from sempre.sdk.deploying.storages import GitRepository, LocalStorage, RemoteStorage

__all__ = ["GitRepository", "LocalStorage", "RemoteStorage"]
