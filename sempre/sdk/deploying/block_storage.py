"""Code in the place that a storage block names."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sempre.sdk.deploying.downloads import download
from sempre.sdk.deploying.secrets import in_clear
from sempre.sdk.errors import ConfigurationError

__all__ = ["BlockStorage", "place_of_block"]


class BlockStorage:
    """The files of a block: a local or remote file system, an S3 or a GCS bucket."""

    def __init__(self, block: Any, pull_interval: int | None = 60) -> None:
        self.block, self.pull_interval = block, pull_interval
        self._base: Path | None = None

    def set_base_path(self, path: Path) -> None:
        self._base = path

    @property
    def destination(self) -> Path:
        if self._base is None:
            self._base = Path(tempfile.mkdtemp(prefix="sempre-code-"))
        return self._base / f"{self.block.get_block_type_slug()}-{self.block._block_document_name or 'block'}"

    def pull_code(self) -> None:
        """Raises ConfigurationError for blocks that are no storage, and as `RemoteStorage`."""
        url, settings = place_of_block(self.block.get_block_type_slug(), in_clear(self.block))
        download(url, self.destination, settings)

    def to_pull_step(self) -> dict[str, Any]:
        """Raises ConfigurationError for a block that was not saved, which no worker could load."""
        name = self.block._block_document_name
        if name is None:
            raise ConfigurationError(f"The {type(self.block).__name__} block has to be saved: block.save('a-name').")
        inputs = {"block_type_slug": self.block.get_block_type_slug(), "block_document_name": name}
        return {"sempre.deployments.steps.pull_with_block": inputs}

    def __repr__(self) -> str:
        return f"BlockStorage({self.block.get_block_type_slug()}/{self.block._block_document_name})"


def place_of_block(kind: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL of a storage block of a type, and what the file system wants to know beside it.

    Raises ConfigurationError for types that are no storage.
    """
    if kind == "local-file-system":
        return Path(data.get("basepath") or ".").expanduser().absolute().as_uri(), {"auto_mkdir": True}
    if kind == "remote-file-system":
        return str(data["basepath"]), dict(data.get("settings") or {})
    if kind == "s3-bucket":
        credentials = data.get("credentials") or {}
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
