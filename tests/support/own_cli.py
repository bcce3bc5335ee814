"""Our own command line in the test's process: one call, one exit code, one output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from sempre.cli.app import app


class OwnCli:
    """Runs `sempre ...` against one API, with a home of its own and without patience."""

    def __init__(self, api_url: str, home: Path) -> None:
        self.home = home
        self.env: dict[str, str] = {
            "SEMPRE_API_URL": api_url,
            "SEMPRE_HOME": str(home),
            # So that --profile and --prompt last for one command.
            "SEMPRE_PROFILE": "",
            "SEMPRE__PROMPT": "",
            "SEMPRE_CLIENT_PATIENCE_SECONDS": "0",
        }

    def run(self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Result:
        """The finished command; errors that are nobody's words are raised here."""
        result = CliRunner().invoke(app, list(args), env={**self.env, **(env or {})}, input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def __call__(self, *args: str, code: int = 0, stdin: str | None = None) -> str:
        """Standard output. AssertionError on another exit code."""
        result = self.run(*args, stdin=stdin)
        assert result.exit_code == code, f"sempre {' '.join(args)} ended with {result.exit_code}\n{result.output}"
        return result.stdout

    def json(self, *args: str, code: int = 0) -> Any:
        """The parsed output of a command with `-o json`."""
        return json.loads(self(*args, "-o", "json", code=code))

    def fails(self, *args: str, code: int = 1) -> str:
        """What a refused command says, on one line."""
        result = self.run(*args)
        assert result.exit_code == code, f"sempre {' '.join(args)} ended with {result.exit_code}\n{result.output}"
        return " ".join(result.output.split())
