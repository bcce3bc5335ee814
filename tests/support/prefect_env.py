"""The unmodified client package in an environment of its own, run only as a black box."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import ManagedProcess

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "tests" / "conformance" / "constraints-prefect.txt"

CLIENT_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Polls of 2 s instead of 10 s: the suites wait for runners and workers dozens of times.
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    # Tables of the CLI are made for reading: wide and plain, so that ids are not wrapped.
    "COLUMNS": "250",
    "NO_COLOR": "1",
    "PREFECT_CLI_COLORS": "false",
    "PYTHONUNBUFFERED": "1",
}


def interpreter() -> Path:
    """The Python that has the client installed, made on first use.

    SEMPRE_TEST_PREFECT_PYTHON names a ready one; otherwise an environment is made once per machine under
    SEMPRE_TEST_CACHE, or `.venv-prefect` in the checkout. Raises CalledProcessError if the install fails.
    """
    ready = os.environ.get("SEMPRE_TEST_PREFECT_PYTHON")
    if ready:
        return Path(ready)
    cache = os.environ.get("SEMPRE_TEST_CACHE")
    target = (Path(cache) / "venv-prefect" if cache else ROOT / ".venv-prefect").absolute()
    python = target / "bin" / "python"
    stamp = target / ".installed"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Parallel test processes: one makes it, the others wait here.
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.stat().st_mtime < CONSTRAINTS.stat().st_mtime:
            shutil.rmtree(target, ignore_errors=True)
            venv.create(target, with_pip=True)
            install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, "--constraint", CONSTRAINTS, "prefect"], check=True)
            stamp.touch()
    return python


def base_environment(home: Path) -> dict[str, str]:
    """The caller's environment without settings of either product, and a private home for the client."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    return {**kept, **CLIENT_SETTINGS, "PREFECT_HOME": str(home)}


class PrefectClient:
    """Runs scripts and CLI commands of the client against one API URL."""

    def __init__(self, api_url: str, workdir: Path, flows: Path) -> None:
        self.api_url = api_url
        self.workdir = workdir
        self.flows = flows
        self.python = interpreter()
        self.home = workdir / "prefect-home"
        self.home.mkdir(parents=True, exist_ok=True)
        self._count = 0

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**base_environment(self.home), "PREFECT_API_URL": self.api_url, **(extra or {})}

    def _start(self, name: str, argv: list[str | Path], env: Mapping[str, str] | None) -> ManagedProcess:
        self._count += 1
        return ManagedProcess.start(
            f"{self._count:02}-{name}", argv, log_dir=self.workdir, env=self.environment(env), cwd=self.flows
        )

    def start_script(self, script: str, *args: str, env: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start a file of the flows directory in the background."""
        return self._start(Path(script).stem, [self.python, self.flows / script, *args], env)

    def start_cli(self, *args: str, env: Mapping[str, str] | None = None) -> ManagedProcess:
        return self._start("cli-" + "-".join(args[:2]), [self.python, "-m", "prefect", *args], env)

    def script(
        self, script: str, *args: str, timeout: float = 120.0, code: int = 0, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a file of the flows directory to its end; returns its output. Fails on another exit code."""
        return finish(self.start_script(script, *args, env=env), timeout, code)

    def cli(self, *args: str, timeout: float = 120.0, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        """Run `prefect ...` to its end; returns its output. Fails on another exit code."""
        return finish(self.start_cli(*args, env=env), timeout, code)


def finish(process: ManagedProcess, timeout: float, code: int = 0) -> str:
    """Wait for the end of a process and return its output; AssertionError on timeout or another exit code."""
    try:
        actual = process.wait(timeout)
    finally:
        process.terminate(2)
    assert actual == code, f"{process.name} ended with {actual}, not {code}\n{process.tail(120)}"
    return process.output()


if __name__ == "__main__":
    # `python -m tests.support.prefect_env` makes the environment ahead of the tests.
    sys.stdout.write(f"{interpreter()}\n")
