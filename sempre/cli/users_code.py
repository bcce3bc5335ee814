"""Commands that load users' code: where it is found, whom its output goes to, and its errors in words."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from sempre.cli.errors import CliError

__all__ = ["errors_in_words", "here", "impatient", "output_aside"]


def here() -> None:
    """The working directory is where modules are imported from."""
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)


def impatient() -> None:
    """The client of this process gives up as soon as other commands do, unless it was told otherwise."""
    from sempre.cli.rest import PATIENCE_SECONDS
    from sempre.settings.client import resolve_client_settings

    if "client.patience_seconds" not in resolve_client_settings().sources:
        os.environ["SEMPRE_CLIENT_PATIENCE_SECONDS"] = str(PATIENCE_SECONDS)


@contextlib.contextmanager
def output_aside(aside: bool = True) -> Iterator[None]:
    """What users' code prints goes to standard error, which leaves standard output to one JSON document."""
    if not aside:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def errors_in_words() -> Iterator[None]:
    """Errors of the SDK and of the client end the command with their sentence."""
    from sempre.client.errors import ClientError
    from sempre.sdk.errors import SempreException

    try:
        yield
    except (SempreException, ClientError) as error:
        raise CliError(str(error)) from error
