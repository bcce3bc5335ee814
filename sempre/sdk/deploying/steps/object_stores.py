"""Steps that bring code to and from buckets, under the names that existing project files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sempre.sdk.deploying.steps.remote import pull_from_remote_storage, push_to_remote_storage

__all__ = [
    "pull_from_azure_blob_storage",
    "pull_from_gcs",
    "pull_from_s3",
    "push_to_azure_blob_storage",
    "push_to_gcs",
    "push_to_s3",
]

_Given = Mapping[str, Any] | None
_IGNORED = ".prefectignore"


def pull_from_s3(
    bucket: str, folder: str, credentials: _Given = None, client_parameters: _Given = None
) -> dict[str, str]:
    """Output: ``directory``, ``bucket``, ``folder``, as of all steps of this file."""
    found = pull_from_remote_storage(f"s3://{bucket}/{folder}", **_s3(credentials, client_parameters))
    return {**found, "bucket": bucket, "folder": folder}


def push_to_s3(
    bucket: str,
    folder: str,
    credentials: _Given = None,
    client_parameters: _Given = None,
    ignore_file: str | None = _IGNORED,
) -> dict[str, str]:
    settings = _s3(credentials, client_parameters)
    push_to_remote_storage(f"s3://{bucket}/{folder}", ignore_file=ignore_file, **settings)
    return {"bucket": bucket, "folder": folder}


def _s3(credentials: _Given, client_parameters: _Given) -> dict[str, Any]:
    given = dict(credentials or {})
    names = {"key": "aws_access_key_id", "secret": "aws_secret_access_key", "token": "aws_session_token"}
    settings: dict[str, Any] = {name: given[known] for name, known in names.items() if given.get(known)}
    client = dict(client_parameters or {})
    if given.get("region_name"):
        client.setdefault("region_name", given["region_name"])
    return {**settings, "client_kwargs": client} if client else settings


def pull_from_gcs(bucket: str, folder: str, project: str | None = None, credentials: Any = None) -> dict[str, str]:
    found = pull_from_remote_storage(f"gs://{bucket}/{folder}", **_gcs(project, credentials))
    return {**found, "bucket": bucket, "folder": folder}


def push_to_gcs(
    bucket: str,
    folder: str,
    project: str | None = None,
    credentials: Any = None,
    ignore_file: str | None = _IGNORED,
) -> dict[str, str]:
    push_to_remote_storage(f"gs://{bucket}/{folder}", ignore_file=ignore_file, **_gcs(project, credentials))
    return {"bucket": bucket, "folder": folder}


def _gcs(project: str | None, credentials: Any) -> dict[str, Any]:
    token = credentials
    if isinstance(credentials, Mapping):
        token = credentials.get("service_account_info") or credentials.get("service_account_file") or dict(credentials)
    return {name: value for name, value in (("project", project), ("token", token)) if value}


def pull_from_azure_blob_storage(container: str, folder: str, credentials: _Given = None) -> dict[str, str]:
    found = pull_from_remote_storage(f"az://{container}/{folder}", **_azure(credentials))
    return {**found, "container": container, "folder": folder}


def push_to_azure_blob_storage(
    container: str, folder: str, credentials: _Given = None, ignore_file: str | None = _IGNORED
) -> dict[str, str]:
    push_to_remote_storage(f"az://{container}/{folder}", ignore_file=ignore_file, **_azure(credentials))
    return {"container": container, "folder": folder}


def _azure(credentials: _Given) -> dict[str, Any]:
    given = dict(credentials or {})
    known = ("connection_string", "account_name", "account_key", "sas_token")
    return {name: given[name] for name in known if given.get(name)}
