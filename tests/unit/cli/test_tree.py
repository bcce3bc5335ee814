"""The whole tree of commands: what each says about itself, and what it costs to ask."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from scripts.cli_page import PAGE, page, walk
from sempre.cli.app import group_names
from tests.unit.cli.conftest import Invoke

COMMANDS = dict(walk())


def test_the_page_of_commands_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run `python scripts/cli_page.py`"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_teaches_with_an_example(path: str) -> None:
    command = COMMANDS[path]
    text = command.help or ""
    assert "Example" in text, path
    assert "`sempre " in text or "sempre " in text.partition("Example")[2], path
    if not command.hidden:
        words = path.removeprefix("sempre ").replace("global-concurrency-limit", "gcl").split()
        name = " ".join(words)
        assert name in text.replace("--profile staging ", ""), f"the example of {path} shows another command"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_parameter_is_explained(path: str) -> None:
    silent = [each.name for each in COMMANDS[path].params if not each.help and not getattr(each, "hidden", False)]
    assert silent == []


@pytest.mark.parametrize("path", [path for path in COMMANDS if path.rpartition(" ")[2] in ("ls", "inspect", "delete")])
def test_what_prints_prints_json_too(path: str) -> None:
    options = {option for each in COMMANDS[path].params for option in each.opts}
    assert "--output" in options
    if path.endswith(" delete"):
        assert {"--yes", "-y"} <= options


def test_groups_have_singular_and_plural_names(invoke: Invoke) -> None:
    assert {"flow-run", "deployment", "event"} <= set(group_names())
    for name in ("flow-run", "flow-runs", "events", "gcl"):
        result = invoke(name, "--help")
        assert result.exit_code == 0, name
    assert invoke("flowrun", "--help").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(invoke: Invoke, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = invoke("--show-completion", shell)
    assert result.exit_code == 0
    assert "_SEMPRE_COMPLETE" in result.output


def completions(words: str) -> str:
    environment = {"_SEMPRE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "from sempre.cli import main; import sys; sys.argv = ['sempre']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    return done.stdout


def test_commands_inside_groups_complete() -> None:
    assert completions("sempre deployment sche").split() == ["schedule"]


def loaded(*arguments: str, environment: dict[str, str] | None = None) -> set[str]:
    """Top-level packages and our own that a command has imported by its end."""
    code = (
        f"import sys; sys.argv = ['sempre', *{arguments!r}]\n"
        "from sempre.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write('|'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    return set(done.stderr.rpartition("\n")[2].split("|"))


HEAVY = {
    "httpx", "pydantic", "websockets", "sqlalchemy", "asyncpg", "fastapi", "uvicorn", "jinja2", "yaml",
    "sempre.client", "sempre.schemas", "sempre.server", "sempre.settings",
}  # fmt: skip


def test_help_imports_nothing_heavy_and_no_group() -> None:
    modules = loaded("--help")
    assert modules & HEAVY == set()
    assert not {each for each in modules if each.startswith("sempre.cli.flow")}


def test_a_list_on_a_pipe_imports_little() -> None:
    """What a person waits for is the API, not Python."""
    environment: dict[str, Any] = {
        "SEMPRE_API_URL": "http://127.0.0.1:9/api",
        "SEMPRE_CLIENT_PATIENCE_SECONDS": "0",
        "SEMPRE_HOME": "/nonexistent",
    }
    modules = loaded("flow-run", "ls", environment=environment)
    # Typer reads parameters by pydantic; that comes with any command that runs.
    assert modules & (HEAVY - {"sempre.settings", "pydantic", "sempre.client"}) == set()
    assert {each for each in modules if each.startswith("sempre.client.")} == {"sempre.client.headers"}
    assert "rich.table" not in modules
