"""Where the code of a deployment lies: a directory, a git repository, or anything that fsspec reaches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from sempre.sdk.deploying.block_storage import BlockStorage
from sempre.sdk.deploying.downloads import download
from sempre.sdk.deploying.git import Credentials, GitSource, directory_name
from sempre.sdk.deploying.secrets import by_reference, in_clear
from sempre.sdk.errors import ConfigurationError

__all__ = ["CodeStorage", "GitRepository", "LocalStorage", "RemoteStorage", "storage_from"]

STEPS = "sempre.deployments.steps"


@runtime_checkable
class CodeStorage(Protocol):
    """A place that code can be pulled from. Secrets are never written into what it says of itself."""

    pull_interval: int | None
    """Seconds between two pulls while its deployments are served; None: it is pulled once."""

    def set_base_path(self, path: Path) -> None:
        """The directory below which the code is put."""

    @property
    def destination(self) -> Path:
        """The directory that holds the code after a pull."""

    def pull_code(self) -> None:
        """Put the code, or its newest version, there. Whoever looks sees the old version or the new one, whole."""

    def to_pull_step(self) -> dict[str, Any]:
        """How workers get the code: a step of the deployment's. Raises ConfigurationError for secrets that are not
        kept in blocks, which the step would show."""


class _Placed:
    """Code below a base directory, which is a temporary one unless it is set."""

    _base: Path | None = None

    def set_base_path(self, path: Path) -> None:
        self._base = path

    def _base_path(self) -> Path:
        if self._base is None:
            self._base = Path(tempfile.mkdtemp(prefix="sempre-code-"))
        return self._base


class LocalStorage:
    """A directory of this machine, used where it is."""

    def __init__(self, path: str | os.PathLike[str], pull_interval: int | None = None) -> None:
        self.path = Path(path).expanduser().resolve()
        self.pull_interval = pull_interval

    def set_base_path(self, path: Path) -> None:
        """Nothing is copied, so there is no other place."""

    @property
    def destination(self) -> Path:
        return self.path

    def pull_code(self) -> None:
        if not self.path.is_dir():
            raise ConfigurationError(f"There is no directory {self.path}.")

    def to_pull_step(self) -> dict[str, Any]:
        return {f"{STEPS}.set_working_directory": {"directory": str(self.path)}}

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.path)!r})"


class GitRepository(_Placed):
    """A git repository, at a branch or a commit.

    ``credentials``: a mapping with ``username`` and ``access_token`` (text, or a Secret block), or a block that has
    them. They are handed to git by its environment: no argument, file or log shows them. ``directories``: only these
    parts of the repository.
    """

    def __init__(
        self,
        url: str,
        credentials: Any = None,
        name: str | None = None,
        branch: str | None = None,
        commit_sha: str | None = None,
        include_submodules: bool = False,
        pull_interval: int | None = 60,
        directories: Sequence[str] | None = None,
    ) -> None:
        if branch and commit_sha:
            raise ConfigurationError("A repository is pulled at a branch or at a commit_sha, not at both.")
        self.url, self.branch, self.commit_sha = url, branch, commit_sha
        self.include_submodules = include_submodules
        self.directories = list(directories or ())
        self.pull_interval = pull_interval
        self.name = name or directory_name(url, branch or (commit_sha or "")[:12])
        self._credentials = credentials

    @property
    def destination(self) -> Path:
        return self._base_path() / self.name

    def pull_code(self) -> None:
        """Clone, or bring up to date. Raises GitError."""
        GitSource(
            url=self.url,
            branch=self.branch,
            commit_sha=self.commit_sha,
            include_submodules=self.include_submodules,
            directories=tuple(self.directories),
            credentials=Credentials.of(in_clear(self._credentials)),
        ).pull(self.destination)

    def to_pull_step(self) -> dict[str, Any]:
        inputs: dict[str, Any] = {"repository": self.url}
        optional = {
            "branch": self.branch,
            "commit_sha": self.commit_sha,
            "include_submodules": self.include_submodules or None,
            "directories": self.directories or None,
            "credentials": by_reference(self._credentials),
        }
        inputs |= {name: value for name, value in optional.items() if value is not None}
        return {f"{STEPS}.git_clone": inputs}

    def __repr__(self) -> str:
        return f"GitRepository(name={self.name!r})"


class RemoteStorage(_Placed):
    """A directory of a file system that fsspec knows: `s3://bucket/flows`. ``settings`` go to the file system."""

    def __init__(self, url: str, pull_interval: int | None = 60, **settings: Any) -> None:
        self.url, self.pull_interval, self._settings = url, pull_interval, settings

    @property
    def destination(self) -> Path:
        parts = urlsplit(self.url)
        name = "-".join(part for part in (parts.netloc, *parts.path.split("/")) if part)
        return self._base_path() / (name or "code")

    def pull_code(self) -> None:
        """Raises ConfigurationError without fsspec, and what the file system raises."""
        download(self.url, self.destination, in_clear(self._settings))

    def to_pull_step(self) -> dict[str, Any]:
        return {f"{STEPS}.pull_from_remote_storage": {"url": self.url, **by_reference(self._settings)}}

    def __repr__(self) -> str:
        return f"RemoteStorage({self.url!r})"


def storage_from(source: Any, pull_interval: int | None = 60) -> CodeStorage:
    """The storage that a directory, URL, block or storage means. Raises ConfigurationError."""
    if isinstance(source, CodeStorage):
        return source
    if isinstance(source, os.PathLike):
        return LocalStorage(source)
    if isinstance(source, str):
        scheme = urlsplit(source).scheme
        if source.endswith(".git") or scheme in ("git", "git+ssh", "ssh") or source.startswith("git@"):
            return GitRepository(source, pull_interval=pull_interval)
        if scheme in ("http", "https"):
            return GitRepository(source, pull_interval=pull_interval)
        if scheme and scheme not in ("file", "local") and len(scheme) > 1:  # one letter is a drive
            return RemoteStorage(source, pull_interval=pull_interval)
        return LocalStorage(source.removeprefix("file://").removeprefix("local://"))
    if hasattr(source, "get_block_type_slug"):
        return BlockStorage(source, pull_interval)
    raise ConfigurationError(
        f"{source!r} is no place to get code from: give a directory, the URL of a repository or storage, a storage "
        "block, or one of GitRepository, RemoteStorage, LocalStorage."
    )
