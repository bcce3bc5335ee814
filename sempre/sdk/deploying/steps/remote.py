"""The steps that bring code from storages: `pull_from_remote_storage` and `pull_with_block`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sempre.sdk.deploying.storages import RemoteStorage, download
from sempre.sdk.errors import ConfigurationError

__all__ = ["pull_from_remote_storage", "pull_with_block"]


def pull_from_remote_storage(url: str, **settings: Any) -> dict[str, str]:
    """Copy all files below a URL that fsspec knows to below the working directory; ``settings`` go to the file system.

    Output: ``directory``. Raises ConfigurationError without fsspec or if there is nothing at the URL.
    """
    storage = RemoteStorage(url, **settings)
    storage.set_base_path(Path.cwd())
    storage.pull_code()
    return {"directory": str(storage.destination)}


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
    url, settings = _place(block_type_slug, document.data)
    destination = Path.cwd() / f"{block_type_slug}-{block_document_name}"
    download(url, destination, settings)
    return {"directory": str(destination)}


def _place(kind: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL of a storage block, and what the file system wants to know beside it."""
    if kind == "local-file-system":
        return Path(data.get("basepath") or ".").expanduser().absolute().as_uri(), {}
    if kind == "remote-file-system":
        return data["basepath"], dict(data.get("settings") or {})
    credentials = data.get("credentials") or {}
    if kind == "s3-bucket":
        options = {
            "key": credentials.get("aws_access_key_id"),
            "secret": credentials.get("aws_secret_access_key"),
            "token": credentials.get("aws_session_token"),
        }
        url = f"s3://{data['bucket_name']}/{data.get('bucket_folder') or ''}"
        return url, {name: value for name, value in options.items() if value}
    if kind == "gcs-bucket":
        found = (data.get("gcp_credentials") or {}).get("service_account_info")
        return f"gs://{data['bucket']}/{data.get('bucket_folder') or ''}", {"token": found} if found else {}
    raise ConfigurationError(f"Blocks of type {kind!r} are no storage that code can be pulled from.")
