"""Commands of the shell as flow runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from sempre.sdk.errors import FailedRun
from sempre.sdk.flows import flow
from sempre.sdk.loggers import get_run_logger

__all__ = ["run_shell_command"]

_KEPT_LINES = 20


@flow(name="Shell Command")
def run_shell_command(command: str, log_output: bool = True, stream_stdout: bool = False) -> None:
    """Run a command in the shell; what it prints is logged, and shown too with ``stream_stdout``.

    Raises FailedRun with its last lines if it ends with another code than 0. A cancelled run ends the command.
    """
    logger = get_run_logger()
    last: list[str] = []
    process = subprocess.Popen(  # noqa: S602  # that is what it is for
        command,
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            text = line.rstrip("\n")
            last = [*last[1 - _KEPT_LINES :], text]
            if stream_stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
            if log_output:
                logger.info("%s", text)
        code = process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # the shell, and what it has started
        process.wait()
        raise
    finally:
        process.stdout.close()
    if code:
        said = "\n".join(last)
        raise FailedRun(f"The command ended with exit code {code}." + (f" Its last lines:\n{said}" if said else ""))
