"""The steps `run_shell_script` and `pip_install_requirements`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from sempre.sdk.errors import SempreException

__all__ = ["CommandFailed", "pip_install_requirements", "run_shell_script"]


class CommandFailed(SempreException):
    """A command of a step did not end with 0."""


def run_shell_script(
    script: str,
    directory: str | None = None,
    env: Mapping[str, str] | None = None,
    stream_output: bool = True,
    expand_env_vars: bool = False,
) -> dict[str, str]:
    """Run commands, one a line, until one fails; no shell is between. Output: ``stdout`` and ``stderr`` of them all.

    ``env`` is added to the environment; with ``expand_env_vars``, `$NAME` is replaced before. Raises CommandFailed.
    """
    environment = {**os.environ, **{name: str(value) for name, value in (env or {}).items()}}
    printed, complained = [], []
    for line in script.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        command = _expanded(line, environment) if expand_env_vars else line
        out, err = _run(shlex.split(command), directory, environment, stream_output)
        printed.append(out)
        complained.append(err)
    return {"stdout": "".join(printed).strip(), "stderr": "".join(complained).strip()}


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """What is in the environment for `$NAME` and `${NAME}`; the rest stays."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1] or found[2], found[0])

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, text)


def pip_install_requirements(
    directory: str | None = None, requirements_file: str = "requirements.txt", stream_output: bool = True
) -> dict[str, str]:
    """Install what a file lists into the Python that runs. Output: ``stdout``, ``stderr``. Raises CommandFailed."""
    command = [sys.executable, "-m", "pip", "install", "-r", requirements_file]
    out, err = _run(command, directory, dict(os.environ), stream_output)
    return {"stdout": out.strip(), "stderr": err.strip()}


def _run(command: Sequence[str], directory: str | None, environment: dict[str, str], stream: bool) -> tuple[str, str]:
    try:
        process = subprocess.Popen(  # noqa: S603 (commands are what the step is for)
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise CommandFailed(f"{command[0]!r} could not be started: {error.strerror}") from None
    out: list[str] = []
    err: list[str] = []
    readers = [
        threading.Thread(target=_read, args=(process.stdout, out, sys.stdout if stream else None), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, err, sys.stderr if stream else None), daemon=True),
    ]
    for reader in readers:
        reader.start()
    code = process.wait()
    for reader in readers:
        reader.join()
    if code:
        # Not with its arguments, which may be secrets.
        raise CommandFailed(f"{command[0]!r} ended with {code}: {''.join(err or out).strip()[-2000:]}")
    return "".join(out), "".join(err)


def _read(source: IO[str] | None, kept: list[str], shown: IO[str] | None) -> None:
    for line in source or ():
        kept.append(line)
        if shown is not None:
            shown.write(line)
            shown.flush()
    if source is not None:
        source.close()
