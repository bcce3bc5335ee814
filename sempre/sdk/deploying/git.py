"""Code from git repositories, by the git of the machine. Credentials go through its environment alone."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

from sempre.sdk.errors import SempreException

__all__ = ["Credentials", "GitError", "GitSource", "directory_name", "origin_of"]

_TIMEOUT = 600.0  # seconds that one command may take
_USERS = {"gitlab": "oauth2", "bitbucket": "x-token-auth"}  # who a bare token logs in as, by what the host is called


class GitError(SempreException):
    """The repository could not be pulled. The text is git's own, without secrets."""


@dataclass(frozen=True)
class Credentials:
    token: str
    username: str | None = None

    @classmethod
    def of(cls, given: Any) -> Credentials | None:
        """From a token, or a mapping with one under the names that mappings and blocks use. Raises GitError."""
        if not given:
            return None
        if isinstance(given, str):
            return cls(given)
        if not isinstance(given, Mapping):
            raise GitError("Credentials are a mapping with an access_token, or a block that has one.")
        found = next((given[name] for name in ("access_token", "token", "password", "value") if given.get(name)), None)
        if found is None:
            raise GitError("The credentials have no access_token, token or password.")
        if isinstance(found, Mapping):  # a Secret block inside of a block
            found = found.get("value")
        return cls(str(found), given.get("username"))

    def header(self, host: str) -> str:
        """`Authorization` for the host of a repository."""
        user, token = self.username, self.token
        if user is None and ":" in token:
            user, _, token = token.partition(":")
        if user is None:
            user = next((name for part, name in _USERS.items() if part in host), "x-access-token")
        return "Authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@dataclass(frozen=True)
class GitSource:
    """What to get: a branch (default: the repository's own), or a commit."""

    url: str
    branch: str | None = None
    commit_sha: str | None = None
    include_submodules: bool = False
    directories: tuple[str, ...] = ()
    credentials: Credentials | None = None

    def pull(self, destination: Path) -> None:
        """Clone into a directory, or bring the clone that is there up to date. Raises GitError."""
        if (destination / ".git").exists():
            self._update(destination)
            return
        if destination.exists() and any(destination.iterdir()):
            raise GitError(f"{destination} is there already and holds no clone of {self._shown()}.")
        destination.parent.mkdir(parents=True, exist_ok=True)
        beside = destination.with_name(f".{destination.name}.{uuid4().hex}")
        try:
            self._clone(beside)
            if destination.exists():
                destination.rmdir()
            beside.rename(destination)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _clone(self, into: Path) -> None:
        wanted = [f"--branch={self.branch}"] if self.branch else []
        shallow = [] if self.commit_sha else ["--depth=1"]
        later = ["--no-checkout"] if self.commit_sha or self.directories else []
        self._git("clone", "--quiet", *wanted, *shallow, *later, "--", self._url(), str(into))
        if self.directories:
            self._git("sparse-checkout", "set", "--", *self.directories, at=into)
        if self.commit_sha:
            self._checkout_commit(into)
        elif later:
            self._git("checkout", "--quiet", at=into)
        self._submodules(into)

    def _update(self, clone: Path) -> None:
        self._git("remote", "set-url", "origin", self._url(), at=clone)
        if self.directories:
            self._git("sparse-checkout", "set", "--", *self.directories, at=clone)
        if self.commit_sha:
            self._checkout_commit(clone)
        else:
            self._git("fetch", "--quiet", "--depth=1", "origin", self.branch or "HEAD", at=clone)
            self._git("reset", "--quiet", "--hard", "FETCH_HEAD", at=clone)
        self._submodules(clone)

    def _checkout_commit(self, clone: Path) -> None:
        sha = str(self.commit_sha)
        if not re.fullmatch(r"[0-9a-fA-F]{4,64}", sha):
            raise GitError(f"{sha!r} is no commit.")
        try:
            self._git("checkout", "--quiet", "--detach", sha, at=clone)
        except GitError:  # on no branch that was cloned, or newer than the clone
            self._git("fetch", "--quiet", "origin", sha, at=clone)
            self._git("checkout", "--quiet", "--detach", sha, at=clone)

    def _submodules(self, clone: Path) -> None:
        if self.include_submodules:
            self._git("submodule", "update", "--quiet", "--init", "--recursive", "--depth=1", at=clone)

    def _git(self, *arguments: str, at: Path | None = None) -> None:
        command = ["git", *([] if at is None else ["-C", str(at)]), *arguments]
        try:
            done = subprocess.run(  # noqa: S603
                command, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=_TIMEOUT, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise GitError(f"{self._shown()} cannot be pulled: there is no git on this machine.") from None
        except subprocess.TimeoutExpired:
            raise GitError(f"{self._shown()} cannot be pulled: git took more than {_TIMEOUT:g} seconds.") from None
        if done.returncode:
            said = self._without_secrets(done.stderr.strip() or done.stdout.strip())
            raise GitError(f"{self._shown()} cannot be pulled: git {arguments[0]} said: {said}")

    # What nobody is to see

    def _login(self) -> Credentials | None:
        """Those given, or those in the URL."""
        parts = urlsplit(self.url)
        if self.credentials is None and parts.scheme in ("http", "https") and (parts.password or parts.username):
            if parts.password:
                return Credentials(unquote(parts.password), unquote(parts.username or ""))
            return Credentials(unquote(parts.username or ""))
        return self.credentials

    def _url(self) -> str:
        return without_userinfo(self.url)

    def _shown(self) -> str:
        return self._url()

    def _environment(self) -> dict[str, str]:
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        login = self._login()
        parts = urlsplit(self._url())
        if login is not None and parts.scheme in ("http", "https"):
            count = int(env.get("GIT_CONFIG_COUNT") or 0)
            env[f"GIT_CONFIG_KEY_{count}"] = f"http.{parts.scheme}://{parts.netloc}/.extraHeader"
            env[f"GIT_CONFIG_VALUE_{count}"] = login.header(parts.hostname or "")
            env["GIT_CONFIG_COUNT"] = str(count + 1)
        return env

    def _without_secrets(self, text: str) -> str:
        login = self._login()
        if login is not None and login.token:
            text = text.replace(login.token, "********")
        return re.sub(r"(\w+://)[^/@\s]+@", r"\1********@", text)


def without_userinfo(url: str) -> str:
    """The URL without the secrets that it may carry; the user of ssh is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def directory_name(url: str, version: str = "") -> str:
    """What a clone is called: the repository's name, and the version."""
    last = re.split(r"[/:\\]", url.rstrip("/\\"))[-1].removesuffix(".git") or "repository"
    return re.sub(r"[^\w.-]+", "-", f"{last}-{version}" if version else last)


def origin_of(directory: Path) -> tuple[str, str] | None:
    """Remote URL (without secrets) and branch of the clone that a directory is in; None if it is in none."""
    url = _ask(directory, ["config", "--get", "remote.origin.url"])
    branch = _ask(directory, ["rev-parse", "--abbrev-ref", "HEAD"])
    return (without_userinfo(url), branch) if url and branch else None


def _ask(directory: Path, arguments: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(directory), *arguments],  # noqa: S607
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
