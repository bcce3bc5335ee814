"""Real git on repositories of this machine; what is sent to hosts is looked at where git would read it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from sempre.blocks.system import Secret
from sempre.runner.storage import GitRepository
from sempre.sdk.deploying.git import Credentials, GitError, GitSource, directory_name, origin_of
from sempre.sdk.deploying.secrets import in_clear
from sempre.sdk.errors import ConfigurationError


def git(at: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", "-C", str(at), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, name: str, text: str) -> str:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", text)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "origin"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    commit(made, "flows/a.py", "one")
    return made


def test_a_branch_is_cloned_and_kept_up_to_date(repository: Path, tmp_path: Path) -> None:
    source = GitSource(url=repository.as_uri())
    there = tmp_path / "there"
    source.pull(there)
    assert (there / "flows/a.py").read_text() == "one"
    commit(repository, "flows/a.py", "two")
    (there / "flows/a.py").write_text("changed by somebody")
    source.pull(there)
    assert (there / "flows/a.py").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_branches_commits_and_parts(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-qb", "dev")
    commit(repository, "docs/b.md", "dev")
    git(repository, "checkout", "-q", "main")
    second = commit(repository, "flows/a.py", "two")
    GitSource(url=repository.as_uri(), branch="dev").pull(tmp_path / "dev")
    assert (tmp_path / "dev/docs/b.md").exists()
    GitSource(url=repository.as_uri(), commit_sha=first).pull(tmp_path / "pinned")
    assert (tmp_path / "pinned/flows/a.py").read_text() == "one"
    GitSource(url=repository.as_uri(), commit_sha=second).pull(tmp_path / "pinned")
    assert (tmp_path / "pinned/flows/a.py").read_text() == "two"
    GitSource(url=repository.as_uri(), branch="dev", directories=("docs",)).pull(tmp_path / "part")
    assert (tmp_path / "part/docs/b.md").exists()
    assert not (tmp_path / "part/flows").exists()


def test_what_fails_leaves_nothing_and_says_no_secrets(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="nowhere"):
        GitSource(url=repository.as_uri(), branch="nowhere").pull(tmp_path / "there")
    with pytest.raises(GitError, match="no commit"):
        GitSource(url=repository.as_uri(), commit_sha="--upload-pack=x").pull(tmp_path / "there")
    assert not (tmp_path / "there").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    with pytest.raises(GitError, match="there already"):
        GitSource(url=repository.as_uri()).pull(tmp_path / "mine")
    source = GitSource(url="http://user:geheim@127.0.0.1:9/a.git", credentials=Credentials("t0ken"))
    with pytest.raises(GitError) as raised:
        source.pull(tmp_path / "there")
    assert not {"geheim", "t0ken"} & set(str(raised.value).replace("/", " ").replace(":", " ").split())


@pytest.mark.parametrize(
    ("url", "token", "username", "login"),
    [
        ("https://github.com/a/b.git", "t", None, "x-access-token:t"),
        ("https://gitlab.example.org/a/b.git", "t", None, "oauth2:t"),
        ("https://bitbucket.org/a/b.git", "t", None, "x-token-auth:t"),
        ("https://bitbucket.org/a/b.git", "me:t", None, "me:t"),
        ("https://github.com/a/b.git", "t", "me", "me:t"),
        ("https://me:t@github.com/a/b.git", None, None, "me:t"),
    ],
)
def test_credentials_go_through_the_environment(url: str, token: str | None, username: str | None, login: str) -> None:
    source = GitSource(url=url, credentials=None if token is None else Credentials(token, username))
    env = source._environment()
    number = int(env["GIT_CONFIG_COUNT"]) - 1
    host = url.split("://")[1].split("/")[0].split("@")[-1]
    assert env[f"GIT_CONFIG_KEY_{number}"] == f"http.https://{host}/.extraHeader"
    kind, _, encoded = env[f"GIT_CONFIG_VALUE_{number}"].rpartition(" ")
    assert kind == "Authorization: Basic"
    assert base64.b64decode(encoded).decode() == login
    assert "@" not in source._url()


def test_pull_steps_carry_no_secrets() -> None:
    assert GitRepository("https://github.com/a/b.git", branch="dev").to_pull_step() == {
        "sempre.deployments.steps.git_clone": {"repository": "https://github.com/a/b.git", "branch": "dev"}
    }
    with pytest.raises(ConfigurationError, match="Secret block"):
        GitRepository("https://github.com/a/b.git", credentials={"access_token": "t"}).to_pull_step()
    token = Secret(value=SecretStr("t"))
    with pytest.raises(ConfigurationError, match="has to be saved"):
        GitRepository("https://github.com/a/b.git", credentials={"access_token": token}).to_pull_step()
    token._block_document_name = "mine"
    (inputs,) = GitRepository("https://github.com/a/b.git", credentials={"access_token": token}).to_pull_step().values()
    assert inputs["credentials"] == {"access_token": "{{ sempre.blocks.secret.mine }}"}
    assert Credentials.of(in_clear({"access_token": token})) == Credentials("t")
    with pytest.raises(ConfigurationError, match="not at both"):
        GitRepository("https://github.com/a/b.git", branch="dev", commit_sha="c0ffee")


def test_names_and_origins(repository: Path, tmp_path: Path) -> None:
    assert directory_name("git@github.com:a/my-repo.git", "feature/x") == "my-repo-feature-x"
    assert directory_name("https://github.com/a/b/") == "b"
    git(repository, "remote", "add", "origin", "https://me:t@github.com/a/b.git")
    assert origin_of(repository) == ("https://github.com/a/b.git", "main")
    assert origin_of(tmp_path) is None
