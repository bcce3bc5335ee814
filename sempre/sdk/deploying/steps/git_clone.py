"""The step `git_clone`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sempre.sdk.deploying.git import Credentials, GitSource, directory_name

__all__ = ["git_clone"]


def git_clone(
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Any = None,
    directories: Sequence[str] | None = None,
    clone_directory_name: str | None = None,
) -> dict[str, str]:
    """Clone a repository below the working directory, or bring the clone that is there up to date.

    ``credentials`` as of `GitRepository`. Output: ``directory``. Raises GitError.
    """
    name = clone_directory_name or directory_name(repository, branch or (commit_sha or "")[:12])
    destination = Path.cwd() / name
    GitSource(
        url=repository,
        branch=branch,
        commit_sha=commit_sha,
        include_submodules=include_submodules,
        directories=tuple(directories or ()),
        credentials=Credentials.of(access_token or credentials),
    ).pull(destination)
    return {"directory": str(destination)}
