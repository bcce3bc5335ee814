"""The steps that bring code to and from storages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sempre.sdk.deploying.block_storage import place_of_block
from sempre.sdk.deploying.downloads import download
from sempre.sdk.deploying.storages import RemoteStorage
from sempre.sdk.deploying.uploads import upload
from sempre.sdk.errors import ConfigurationError

__all__ = ["pull_from_remote_storage", "pull_with_block", "push_to_remote_storage"]


def pull_from_remote_storage(url: str, **settings: Any) -> dict[str, str]:
    """Copy all files below a URL that fsspec knows to below the working directory; ``settings`` go to the file system.

    Output: ``directory``. Raises ConfigurationError without fsspec or if there is nothing at the URL.
    """
    storage = RemoteStorage(url, **settings)
    storage.set_base_path(Path.cwd())
    storage.pull_code()
    return {"directory": str(storage.destination)}


def push_to_remote_storage(
    url: str, directory: str = ".", ignore_file: str | None = ".sempreignore", **settings: Any
) -> dict[str, Any]:
    """Copy the files of a directory to below a URL that fsspec knows, but for what ``ignore_file`` names.

    Output: ``url``, ``count`` of files. Raises ConfigurationError without fsspec.
    """
    return {"url": url, "count": upload(Path(directory).absolute(), url, settings, ignore_file)}


def pull_with_block(block_document_name: str, block_type_slug: str) -> dict[str, str]:
    """Copy the files of a storage block (local or remote file system, S3 or GCS bucket) to below the working directory.

    Output: ``directory``. Raises ConfigurationError for blocks that are not there, or are no storage.
    """
    from sempre.client import ObjectNotFound, get_client

    client = get_client(sync_client=True)
    try:
        document = client.read_block_document_by_name(block_document_name, block_type_slug, include_secrets=True)
    except ObjectNotFound:
        raise ConfigurationError(f"There is no block {block_type_slug}/{block_document_name}.") from None
    url, settings = place_of_block(block_type_slug, document.data)
    destination = Path.cwd() / f"{block_type_slug}-{block_document_name}"
    download(url, destination, settings)
    return {"directory": str(destination)}
