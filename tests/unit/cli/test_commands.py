"""Commands that need no server: help, version, config, services ls, status of nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sempre import __version__
from sempre.server.settings import describe
from sempre.settings import client
from tests.unit.cli.conftest import Invoke

TREE = [
    (), ("server",), ("server", "start"), ("server", "stop"), ("server", "status"), ("server", "services"),
    ("server", "services", "ls"), ("server", "services", "start"), ("server", "services", "stop"),
    ("server", "database"), ("server", "database", "upgrade"), ("server", "database", "downgrade"),
    ("server", "database", "reset"), ("server", "database", "stamp"), ("server", "database", "current"),
    ("version",), ("config",), ("config", "view"), ("config", "set"), ("config", "unset"), ("config", "validate"),
]  # fmt: skip


@pytest.mark.parametrize("command", TREE, ids=" ".join)
def test_every_command_teaches(invoke: Invoke, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_loads_no_server_libraries() -> None:
    code = (
        "import sys; sys.argv = ['sempre', '--help']\n"
        "from sempre.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'fastapi', 'uvicorn', 'asyncpg', 'sqlalchemy', 'alembic', 'pydantic', 'httpx', 'sempre.server'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


def test_server_commands_that_start_nothing_load_little() -> None:
    code = (
        "import sys, sempre.cli.server\n"
        "print(sorted({'fastapi', 'uvicorn', 'asyncpg', 'sqlalchemy', 'alembic', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("nonsense",), 2), (("server", "start", "--nonsense"), 2), (("server", "database", "stamp"), 2),
     (("version", "-o", "yaml"), 1), (("server", "status", "-o", "xml"), 1), (("config", "set", "X"), 2)],
)  # fmt: skip
def test_exit_codes_of_wrong_usage(invoke: Invoke, arguments: tuple[str, ...], code: int) -> None:
    assert invoke(*arguments).exit_code == code


def test_module_and_flag_print_the_version(home: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "sempre", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_version(invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"embedded Postgres under {home}" in invoke("version").stdout
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://u:hush@db:5432/x?ssl=require")
    facts = json.loads(invoke("version", "-o", "json").stdout)
    assert (facts["version"], facts["api_version"]) == (__version__, "0.8.4")
    assert facts["database"] == "Postgres at db:5432/x"


def test_config_set_view_unset(invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke("config", "set", "SEMPRE_SERVER_API_PORT=4300", "sempre_server_api_auth_string=admin:hush")
    assert result.exit_code == 0
    assert "hush" not in result.output
    profiles = home / "profiles.toml"
    assert tomllib.loads(profiles.read_text())["profiles"]["default"]["SEMPRE_SERVER_API_PORT"] == "4300"
    view = json.loads(invoke("config", "view", "-o", "json").stdout)
    assert view["settings"]["SEMPRE_SERVER_API_PORT"] == {"value": 4300, "source": "profile default"}
    assert view["settings"]["SEMPRE_SERVER_API_AUTH_STRING"]["value"] == "********"
    assert "admin:hush" in invoke("config", "view", "--show-secrets").stdout
    monkeypatch.setenv("SEMPRE_SERVER_API_PORT", "1")
    assert "environment wins" in invoke("config", "set", "SEMPRE_SERVER_API_PORT=4301").output
    assert invoke("config", "unset", "SEMPRE_SERVER_API_PORT").exit_code == 1  # no terminal to ask on
    assert invoke("config", "unset", "-y", "SEMPRE_SERVER_API_PORT").exit_code == 0
    assert "SEMPRE_SERVER_API_PORT" not in profiles.read_text()
    assert invoke("config", "unset", "-y", "SEMPRE_SERVER_API_PORT").exit_code == 1


def test_profile_flag_picks_another(invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMPRE_PROFILE", "")
    home.mkdir()
    (home / "profiles.toml").write_text("[profiles.other]\nSEMPRE_SERVER_API_PORT = 7\n")
    result = invoke("--profile", "other", "config", "view", "-o", "json")
    monkeypatch.setenv("SEMPRE_PROFILE", "")
    assert json.loads(result.stdout)["settings"]["SEMPRE_SERVER_API_PORT"]["value"] == 7


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("SEMPRE_HOME=/x", "cannot be in one"), ("SEMPRE_SERVER_API_PROT=1", "did you mean SEMPRE_SERVER_API_PORT"),
     ("SEMPRE_SERVER_API_PORT=x", "not a whole number")],
)  # fmt: skip
def test_config_set_refuses_and_writes_nothing(home: Path, assignment: str, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sempre", "config", "set", assignment], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "profiles.toml").exists()


def test_config_view_with_defaults_lists_every_setting(invoke: Invoke) -> None:
    listed = json.loads(invoke("config", "view", "--show-defaults", "-o", "json").stdout)["settings"]
    assert set(listed) == {info.name for info in (*describe(), *client.describe())}


def test_config_knows_settings_of_clients(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert invoke("config", "set", "PREFECT_CLIENT_RETRY_EXTRA_CODES=500,504").exit_code == 0
    listed = json.loads(invoke("config", "view", "-o", "json").stdout)["settings"]
    assert listed["SEMPRE_CLIENT_RETRY_EXTRA_CODES"]["value"] == [500, 504]
    refused = invoke("config", "set", "SEMPRE_CLIENT_RETRY_EXTRA_CODES=9")
    assert refused.exit_code == 1
    assert "100 to 599" in refused.output
    assert "is not a setting" in invoke("config", "set", "SEMPRE_API_ULR=http://x").output


def test_services_ls_lists_all_and_says_what_decides(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_SERVICES_LATE_RUNS_ENABLED", "false")
    services = {each["name"]: each for each in json.loads(invoke("server", "services", "ls", "-o", "json").stdout)}
    assert {"scheduler", "late_runs", "foreman", "repossessor", "task_run_recorder", "db_vacuum"} <= set(services)
    assert services["late_runs"]["enabled"] is False
    assert services["scheduler"]["environment_variable"] == "SEMPRE_SERVER_SERVICES_SCHEDULER_ENABLED"
    assert all(each["description"] for each in services.values())


def test_nothing_runs(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMPRE_SERVER_API_PORT", "1")
    result = invoke("server", "status", "-o", "json")
    facts = json.loads(result.stdout)
    assert result.exit_code == 1
    assert facts["status"] == "unavailable"
    assert facts["api_url"] == "http://127.0.0.1:1/api"
    waited = invoke("server", "status", "--wait", "-t", "0.2", "-o", "json")
    assert (waited.exit_code, json.loads(waited.stdout)["status"]) == (1, "timed_out")
    assert "No server running in the background." in invoke("server", "stop").stdout
    assert "No services running in the background." in invoke("server", "services", "stop").stdout


def test_start_refuses_before_it_starts(home: Path) -> None:
    def error_of(*arguments: str, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sempre", "server", "start", *arguments],
            env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "Number of workers must be >= 1" in error_of("--workers", "0")
    assert "Invalid host" in error_of("--host", "no.such.host.invalid", "--port", "0")
    assert "Postgres only" in error_of(PREFECT_API_DATABASE_CONNECTION_URL="sqlite+aiosqlite:///x.db")


def test_database_commands_ask_first(invoke: Invoke) -> None:
    result = invoke("server", "database", "reset")
    assert result.exit_code == 1
    assert "confirm with --yes" in result.output
