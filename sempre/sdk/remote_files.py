"""Files of any store that fsspec reaches, asked with patience, and with errors that say what to do."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from sempre.sdk.errors import (
    ConfigurationError,
    FlowRunTimeoutError,
    MissingContextError,
    StorageError,
    TaskRunTimeoutError,
)
from sempre.sdk.loggers import get_logger, get_run_logger
from sempre.sdk.storage_troubles import Trouble, said_by, trouble_of

__all__ = ["RemoteFiles"]

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds within which another attempt is begun when a store is away. The libraries for Google's and Azure's stores
wait for as long, or longer, by themselves; S3's gives up within seconds when connections are refused."""


class _Kind(NamedTuple):
    library: str
    extra: str
    credentials: str


_S3 = _Kind("s3fs", "s3", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the options key and secret")
_GCS = _Kind("gcsfs", "gcs", "GOOGLE_APPLICATION_CREDENTIALS, or the option token")
_AZURE = _Kind(
    "adlfs", "azure",
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or the options "
    "connection_string, or account_name and account_key",
)  # fmt: skip
_KINDS = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS, "az": _AZURE, "abfs": _AZURE, "abfss": _AZURE}


class RemoteFiles:
    """The files below a URL, of which ``system`` is fsspec's file system and ``base`` the path.

    ``options`` go to the file system. They may be secrets: no error shows their values. Raises ConfigurationError if
    the library for the URL is not installed, or refuses the options.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        self._kind = _KINDS.get(url.partition("://")[0].rpartition("::")[2])
        self.system, base = self._open(url, options)
        self.base = base.rstrip("/")

    def path(self, key: str) -> str:
        return f"{self.base}/{key}"

    def ask(self, doing: str, call: Callable[..., T], *args: Any, **options: Any) -> T:
        """What a call of the file system gives, repeated for a while if the store is away; it must bear that.

        ``doing`` says what is done, as in "reading a.json". Raises FileNotFoundError for what is not there, and
        StorageError.
        """
        began, pause, handled = time.monotonic(), 0.25, sys.exception()
        while True:
            try:
                return call(*args, **options)
            except (TaskRunTimeoutError, FlowRunTimeoutError):  # of the run that waits, not of the store
                raise
            except Exception as error:
                trouble = trouble_of(error, handled)
                if trouble is Trouble.MISSING:
                    raise FileNotFoundError(f"{self.url}: {doing}: {said_by(error)}") from error
                spent = time.monotonic() - began
                if not trouble.passes or spent + pause > PATIENCE:
                    raise StorageError(self._explained(doing, trouble, error, spent)) from error
                _warn(f"{self.url}: {doing} failed ({said_by(error)}); it is tried again in {pause:g} seconds")
            time.sleep(pause)
            pause = min(2 * pause, 8.0)

    def make_directory(self, path: str) -> None:
        """Where there are directories: buckets have none, and to "make" one there means to create the bucket."""
        if self._kind is None:
            # What cannot make directories may need none; if it does, the write says so.
            with contextlib.suppress(NotImplementedError, OSError):
                self.system.makedirs(path, exist_ok=True)

    def put(self, doing: str, write: Callable[[], object]) -> None:
        """Write a file into a directory that is there. Raises StorageError."""
        try:
            self.ask(doing, write)
        except FileNotFoundError as error:
            raise StorageError(self._explained(doing, Trouble.NOWHERE, error.__cause__ or error, 0)) from error

    def _open(self, url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
        kind = self._kind
        install = f"pip install 'sempre[{kind.extra}]'" if kind else "pip install 'sempre[s3]' (or gcs, azure)"
        try:
            import fsspec
        except ImportError:
            raise ConfigurationError(f"Files at {self.url} need fsspec, which is not installed: {install}.") from None
        try:
            system, base = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            library = f"the library {kind.library}" if kind else "another library"
            if kind is None:
                install = f"install it ({error})"
            why = said_by(error.__cause__ or error)
            raise ConfigurationError(
                f"Files at {self.url} need {library}, which cannot be imported ({why}): {install}."
            ) from error
        except Exception as error:
            named = f"the options {', '.join(sorted(options))}" if options else "no options"
            hint = f" Credentials come from {kind.credentials}." if kind else ""
            raise ConfigurationError(
                f"The store at {self.url} cannot be opened with {named}: {said_by(error)}.{hint}"
            ) from error
        return system, str(base)

    def _explained(self, doing: str, trouble: Trouble, error: BaseException, spent: float) -> str:
        credentials = self._kind.credentials if self._kind else "the environment, or the options of the file system"
        meaning = {
            Trouble.REFUSED: "The store does not know the credentials, or they may not do this; some stores say so, "
            "too, of a thing that is not there if the credentials may not list. Credentials come from "
            f"{credentials}.",
            Trouble.NOWHERE: "There is no such bucket, container or directory. Create it, or correct the URL.",
            Trouble.AWAY: f"The store could not be reached, though it was tried for {spent:.0f} seconds. Check the "
            "address and the network; what was to be done can be repeated once the store answers.",
            Trouble.BUSY: f"The store answers, but could not serve this, though it was tried for {spent:.0f} seconds. "
            "What was to be done can be repeated once it is well again.",
            Trouble.OTHER: "The store, or the library for it, would not do this.",
        }[trouble]
        return f"{self.url}: {doing} failed: {said_by(error)}. {meaning}"


def _warn(message: str) -> None:
    """In the log of the run that waits, so that it is known why it takes so long."""
    try:
        get_run_logger().warning(message)
    except MissingContextError:
        get_logger("storages").warning(message)
