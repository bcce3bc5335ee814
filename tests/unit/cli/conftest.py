"""Commands run in a home of their own, without settings of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sempre.cli.app import app

Invoke = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("SEMPRE_", "PREFECT_")):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    monkeypatch.setenv("SEMPRE_HOME", str(directory))
    return directory


@pytest.fixture
def invoke(home: Path) -> Invoke:
    """Run a command in this process: `invoke("server", "status").stdout`."""

    def run(*arguments: str, **options: Any) -> Any:
        return CliRunner().invoke(app, list(arguments), **options)

    return run
