"""The client's CLI without its start-up costs: one warm interpreter, one process per command."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.prefect_env import PrefectClient
from tests.support.processes import MARKER, session_id


class WarmCli:
    """Runs `prefect ...` against one API (flows/warm_cli.py). Not for several threads at once."""

    def __init__(self, client: PrefectClient, workdir: Path) -> None:
        self.workdir = workdir
        self.spent = 0.0
        self._log = (client.workdir / "warm-cli.log").open("ab")
        self._process = subprocess.Popen(
            [str(client.python), str(client.flows / "warm_cli.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**client.environment(), "PYTHONPATH": str(workdir), MARKER: session_id()},
            cwd=workdir,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, timeout: float = 60.0) -> tuple[int, str]:
        """Exit code and output (both streams) of one command. RuntimeError if the interpreter is gone."""
        assert self._process.stdin
        assert self._process.stdout
        started = time.monotonic()
        self._process.stdin.write(json.dumps({"args": ["--no-prompt", *args], "timeout": timeout}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm interpreter ended with {self._process.wait(10)}; see {self._log.name}")
        self.spent += time.monotonic() - started
        answer: dict[str, Any] = json.loads(line)
        return answer["code"], answer["output"]

    def __call__(self, *args: str, code: int = 0, timeout: float = 60.0) -> str:
        """Output of one command. AssertionError on another exit code, and on any traceback."""
        output = self._ended(args, code, timeout)
        assert "Traceback" not in output, f"prefect {' '.join(args)}\n{output}"
        return output

    def _ended(self, args: tuple[str, ...], code: int, timeout: float) -> str:
        actual, output = self.run(*args, timeout=timeout)
        assert actual == code, f"prefect {' '.join(args)} ended with {actual}, not {code}\n{output}"
        return output

    def json(self, *args: str) -> Any:
        """The parsed output of a command with `--output json`."""
        output = self(*args, "--output", "json")
        try:
            return json.loads(output)
        except ValueError:
            raise AssertionError(f"prefect {' '.join(args)} did not print JSON:\n{output}") from None

    def fails(self, *args: str, code: int = 1) -> str:
        """Output, on one line, of a command that must be refused without a traceback."""
        return " ".join(self(*args, code=code).split())

    def stumbles(self, *args: str) -> str:
        """Output, on one line, of a command that shows the refusal as an error it did not expect.

        For what the client itself does not handle, whoever answers: its own checks, and 4xx it has no words for.
        """
        return " ".join(self._ended(args, 1, 60.0).split())

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()
        self._log.close()
