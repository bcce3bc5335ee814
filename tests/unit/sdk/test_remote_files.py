"""What is said, and how often a store is asked, when something is wrong with it or with the library for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from sempre.sdk import remote_files
from sempre.sdk.deploying.uploads import upload
from sempre.sdk.errors import ConfigurationError, FlowRunTimeoutError, StorageError, TaskRunTimeoutError
from sempre.sdk.remote_files import RemoteFiles
from sempre.sdk.storage_troubles import Trouble, trouble_of

LIBRARIES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "abfs": ("adlfs", "azure")}


def said_without(library: str, code: str) -> str:
    """The error of code in a process that has not got a library."""
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from sempre.sdk.results.storages import FsspecStorage\n"
        "from sempre.sdk.deploying.storages import RemoteStorage\n"
        "from sempre.sdk.errors import ConfigurationError\n"
        f"try:\n    {code}\nexcept ConfigurationError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("scheme", LIBRARIES)
def test_a_library_that_is_not_installed(scheme: str) -> None:
    library, extra = LIBRARIES[scheme]
    said = said_without(library, f"FsspecStorage('{scheme}://bucket/results')")
    assert said.startswith(f"Files at {scheme}://bucket/results need the library {library}, which cannot be imported")
    assert said.endswith(f": pip install 'sempre[{extra}]'.")
    assert said_without(library, f"RemoteStorage('{scheme}://bucket/results').pull_code()") == said
    said = said_without("fsspec", f"FsspecStorage('{scheme}://bucket/results')")
    assert said.endswith(f"need fsspec, which is not installed: pip install 'sempre[{extra}]'.")


def test_what_cannot_be_opened() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be opened with no options.*nowhere"):
        RemoteFiles("nowhere://a/b", {})
    with pytest.raises(ConfigurationError, match="cannot be opened with the options target_options, target_protocol"):
        RemoteFiles("dir://a", {"target_protocol": "nowhere", "target_options": {"password": "hidden"}})


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def with_status(error: Exception, status: object) -> Exception:
    error.status_code = status  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (FileNotFoundError("k"), Trouble.MISSING),
        (PermissionError("Forbidden"), Trouble.REFUSED),
        (OSError("Forbidden: b/o\n no"), Trouble.REFUSED),
        (ConnectionRefusedError("port 1"), Trouble.AWAY),
        (TimeoutError(), Trouble.AWAY),
        (caused(with_status(Exception("Invalid Credentials"), 401), ConnectionResetError()), Trouble.AWAY),
        (caused(OSError("please slow down"), with_status(Exception(), 503)), Trouble.BUSY),
        (with_status(Exception(), "429"), Trouble.BUSY),
        (with_status(Exception(), 404), Trouble.MISSING),
        (with_status(Exception(), 403), Trouble.REFUSED),
        (with_status(Exception(), 400), Trouble.OTHER),
        (ValueError("what?"), Trouble.OTHER),
    ],
    ids=repr,
)
def test_what_errors_mean(error: BaseException, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "done"

    return call


def test_who_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    files = RemoteFiles(f"local://{tmp_path}", {})
    assert files.ask("reading k", failing(1, ConnectionRefusedError())) == "done"
    with pytest.raises(StorageError, match=r"reading k failed: ValueError: odd. The store, or the library"):
        files.ask("reading k", failing(1, ValueError("odd")))
    for late in (TaskRunTimeoutError("late"), FlowRunTimeoutError("late")):
        with pytest.raises(type(late), match=r"^late$"):
            files.ask("reading k", failing(1, late))
    try:
        raise ConnectionError("of the flow's own")
    except ConnectionError:
        with pytest.raises(StorageError, match=r"failed: ValueError: odd\. The store, or the library"):
            files.ask("keeping the error", failing(1, ValueError("odd")))
    with pytest.raises(FileNotFoundError, match="reading k"):
        files.ask("reading k", failing(1, FileNotFoundError("k")))
    monkeypatch.setattr(remote_files, "PATIENCE", 0)
    with pytest.raises(StorageError, match="could not be reached"):
        files.ask("reading k", failing(1, ConnectionRefusedError()))


def test_an_upload_makes_each_directory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one more request to the store each time."""
    made: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "makedirs", lambda self, path, exist_ok: made.append(path))
    monkeypatch.setattr(MemoryFileSystem, "put_file", lambda self, local, target: None)  # this one's makes them itself
    (tmp_path / "below").mkdir()
    for name in ("a", "b", "below/c", "below/d"):
        (tmp_path / name).touch()
    assert upload(tmp_path, "memory://uploaded", {}) == 4
    assert sorted(made) == ["/uploaded", "/uploaded/below"]
