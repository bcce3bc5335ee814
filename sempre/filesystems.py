"""Blocks that name places of files."""

from sempre.sdk.filesystems import FileSystem, LocalFileSystem, RemoteFileSystem

__all__ = ["FileSystem", "LocalFileSystem", "RemoteFileSystem"]
